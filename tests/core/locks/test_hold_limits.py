"""Locks end after a time, and what a holder has lost is granted to nobody for a while."""

from __future__ import annotations

from itertools import count
from typing import Any, Final

import pytest

from flom.codes import Outcome
from flom.core.effects import Effect, Granted, Instant, Overdue, Refused
from flom.core.locks.hold_limits import ByName, HoldPolicy, delay_of, limit_of
from flom.core.locks.statistics import Loss
from flom.core.locks.table import LockTable
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.protocol.messages import Wishes
from flom.core.requests import LockRequest, SessionId

NO_TIMES: Final = ByName()
TEN: Final = HoldPolicy(ByName((("", 10.0),)), NO_TIMES)


class Script:
    """A table at a time, to which things are said in short."""

    def __init__(self, policy: HoldPolicy | None = None) -> None:
        self.table = LockTable(lambda format, wall: format, policy=policy)
        self.second = 0.0

    @property
    def now(self) -> Instant:
        return Instant(self.second, self.second)

    def ask(self, session: int, name: str, mode: LockMode = LockMode.EX, **wishes: Any) -> list[Effect]:
        others = {key: wishes.pop(key) for key in ("wait", "quantity") if key in wishes}
        wished = Wishes(**wishes) if wishes else None
        request = LockRequest(SessionId(session), parse_name(name), mode, wishes=wished, **others)
        return self.table.request(request, self.now)

    def at(self, second: float) -> list[Effect]:
        self.second = second
        return self.table.expire(self.now)

    def release(self, session: int, name: str) -> list[Effect]:
        return self.table.release(SessionId(session), parse_name(name), self.now)

    def drop(self, session: int, **how: Any) -> list[Effect]:
        return self.table.drop(SessionId(session), self.now, **how)


def granted(effects: list[Effect]) -> list[int]:
    return [effect.request.session for effect in effects if isinstance(effect, Granted)]


def test_of_patterns_the_first_that_fits_counts() -> None:
    times = ByName((("backup*", 3600.0), ("", 60.0)))
    assert [times.of(name) for name in ("backup", "backup-2", "Backup", "/backup")] == [3600.0, 3600.0, 60.0, 60.0]
    assert times
    assert not ByName((("backup", 0.0),))
    assert NO_TIMES.of("backup") == 0.0


@pytest.mark.parametrize(("wished", "most", "limit"), [(0, 0, 0), (5, 0, 5), (0, 7, 7), (5, 7, 5), (7, 5, 5)])
def test_the_shorter_limit_counts(wished: float, most: float, limit: float) -> None:
    request = LockRequest(SessionId(1), parse_name("R"), wishes=Wishes(max_hold=wished))
    assert limit_of(request, HoldPolicy(ByName((("R", most),)), NO_TIMES)) == limit


@pytest.mark.parametrize(("wished", "default", "delay"), [(None, 0, 0), (None, 7, 7), (5, 7, 5), (0, 7, 0), (9, 7, 9)])
def test_a_delay_that_is_wished_replaces_the_daemon_s(wished: float | None, default: float, delay: float) -> None:
    request = LockRequest(SessionId(1), parse_name("R"), wishes=Wishes(lock_delay=wished))
    assert delay_of(request, HoldPolicy(NO_TIMES, ByName((("R", default),)))) == delay


def test_a_lock_ends_after_its_limit_and_goes_to_the_next() -> None:
    script = Script()
    [grant] = script.ask(1, "R", max_hold=10.0)
    assert isinstance(grant, Granted)
    assert grant.left == 10.0
    script.ask(2, "R")
    assert script.table.next_deadline() == 10.0
    assert script.at(9.0) == []
    overdue, _, next_grant = script.at(10.0)
    assert overdue == Overdue(grant.request, 10.0)
    assert granted([next_grant]) == [2]
    assert script.table.statistics.lost[Loss.MAX_HOLD] == 1
    assert script.drop(1) == []


def test_a_lock_that_is_released_in_time_has_no_limit_any_more() -> None:
    script = Script(TEN)
    script.ask(1, "R")
    script.second = 9.0
    script.release(1, "R")
    script.ask(2, "R")
    assert script.at(10.0) == []
    assert [type(effect) for effect in script.at(19.0)][:1] == [Overdue]


def test_all_that_the_session_holds_ends_with_it() -> None:
    script = Script()
    script.ask(1, "/h/a", max_hold=10.0)
    script.ask(1, "/h/b")
    script.ask(2, "/h/b")
    assert granted(script.at(10.0)) == [2]
    assert script.table.statistics.lost[Loss.MAX_HOLD] == 2


def test_a_lock_that_is_reclaimed_ends_when_it_would_have() -> None:
    script = Script(TEN)
    request = LockRequest(SessionId(1), parse_name("R"), regains=True, wishes=Wishes(max_hold=8.0, left=3.0))
    [grant] = script.table.request(request, script.now)
    assert isinstance(grant, Granted)
    assert grant.left == 3.0
    assert script.at(3.0)[0] == Overdue(request, 8.0)


def test_what_is_lost_is_kept_for_the_delay() -> None:
    script = Script()
    script.ask(1, "R", lock_delay=5.0)
    script.ask(2, "R")
    script.second = 1.0
    assert granted(script.drop(1)) == []
    assert script.table.held == 0
    assert script.table.lost == 1
    [refused] = script.ask(3, "R", wait=False)
    assert isinstance(refused, Refused)
    assert refused.outcome == Outcome.BUSY
    assert granted(script.at(5.9)) == []
    assert granted(script.at(6.0)) == [2]
    assert script.table.lost == 0


def test_what_does_not_conflict_with_what_was_lost_is_granted() -> None:
    script = Script()
    script.ask(1, "R", LockMode.PR, lock_delay=5.0)
    script.drop(1)
    assert granted(script.ask(2, "R", LockMode.PR)) == [2]
    assert granted(script.ask(3, "R", LockMode.EX)) == []


@pytest.mark.parametrize("name", ["N[3]", "a.b.c", "_S_x[3]", "_t_%S#ffffff[3]"])
def test_units_and_elements_that_were_lost_are_not_given(name: str) -> None:
    script = Script(HoldPolicy(NO_TIMES, ByName((("", 5.0),))))
    for session in (1, 2, 3):
        script.at(script.second + 1.0)
        script.ask(session, name)
    script.drop(2)
    script.at(4.0)
    assert granted(script.ask(4, name)) == []
    assert granted(script.at(8.0)) == [4]


@pytest.mark.parametrize("way", ["release", "goodbye", "dismissal"])
def test_what_was_given_back_is_free_at_once(way: str) -> None:
    """A goodbye is an unlock with rollback; a daemon that ends its sessions, because it ends, takes nothing away."""
    script = Script()
    script.ask(1, "R", lock_delay=5.0)
    script.ask(2, "R")
    if way == "release":
        assert granted(script.release(1, "R")) == [2]
    elif way == "goodbye":
        assert granted(script.table.release(SessionId(1), parse_name("R"), script.now, rollback=True)) == [2]
    else:
        assert granted(script.drop(1, by_client=False)) == [2]


def test_what_was_held_for_too_long_is_kept_for_the_delay_too() -> None:
    script = Script()
    script.ask(1, "R", max_hold=10.0, lock_delay=5.0)
    script.ask(2, "R")
    assert granted(script.at(10.0)) == []
    assert granted(script.at(15.0)) == [2]


def test_a_resource_is_remembered_until_what_was_lost_is_free() -> None:
    script = Script()
    script.ask(1, "R", lock_delay=5.0)
    script.drop(1)
    script.at(4.9)
    [resource] = script.table.view().resources
    [lost] = resource.lost
    assert (lost.request.session, lost.until) == (1, 5.0)
    script.at(6.9)
    assert script.table
    script.at(7.0)
    assert not script.table
    assert script.table.next_deadline() is None


def test_alarms_of_locks_that_ended_early_take_no_room() -> None:
    script = Script(HoldPolicy(ByName((("", 86_400.0),)), NO_TIMES))
    numbers = count(1)
    for second in range(1000):
        session = next(numbers)
        script.at(float(second))
        script.ask(session, f"R{session}")
        script.release(session, f"R{session}")
        script.drop(session)
    assert len(script.table._alarms) < 50

"""What a table has at most: waiters for one resource, resources, and locks of one session."""

from __future__ import annotations

import time
from itertools import count
from typing import Any

import pytest

from flom.codes import Outcome
from flom.core.effects import Effect, Granted, Incubated, Instant, Limit, Queued, Refused
from flom.core.locks.table import LockTable
from flom.core.names import parse_name
from flom.core.requests import LockRequest, SessionId

NOW = Instant(0.0, 0.0)

SESSIONS = count(1)


def table_of(**limits: Any) -> LockTable:
    return LockTable(lambda format, wall: time.strftime(format, time.gmtime(wall)), **limits)


def ask(table: LockTable, name: str, now: Instant = NOW, **wishes: Any) -> list[Effect]:
    """Ask for C{name} by a new session."""
    return table.request(LockRequest(SessionId(next(SESSIONS)), parse_name(name), **wishes), now)


def leave(table: LockTable, effect: Effect) -> list[Effect]:
    """Drop the session that C{effect} concerns."""
    return table.drop(effect.request.session, NOW)


def refusal(effects: list[Effect]) -> Limit | None:
    """Return the limit that was exceeded: the only effect is a refusal like that of a request that does not wait."""
    [refused] = effects
    assert isinstance(refused, Refused)
    assert refused.outcome is Outcome.BUSY
    return refused.limit


@pytest.mark.parametrize("name", ["R1", "/a/b", "licences[1]", "red.green", "_s_seq[1]"])
def test_one_waiter_too_many_is_refused_like_a_request_that_does_not_wait(name: str) -> None:
    table = table_of(max_waiters=2)
    while isinstance(ask(table, name)[0], Granted):
        pass
    [second] = ask(table, name)
    assert isinstance(second, Queued)
    assert refusal(ask(table, name)) is Limit.WAITERS
    assert refusal(ask(table, name, wait=False)) is None
    leave(table, second)
    assert isinstance(ask(table, name)[0], Queued)
    assert refusal(ask(table, name)) is Limit.WAITERS


def test_who_is_granted_does_not_wait_any_more() -> None:
    table = table_of(max_waiters=1)
    [holder] = ask(table, "R1")
    ask(table, "R1")
    leave(table, holder)
    assert isinstance(ask(table, "R1")[0], Queued)


def test_each_resource_has_its_own_waiters() -> None:
    table = table_of(max_waiters=1)
    for name in ("R1", "R2", "R3"):
        assert [type(ask(table, name)[0]) for _ in range(3)] == [Granted, Queued, Refused]


def test_the_limit_does_not_concern_who_need_not_wait() -> None:
    table = table_of(max_waiters=1)
    ask(table, "R1", quantity=1)
    ask(table, "R1")
    assert [type(ask(table, "N[5]")[0]) for _ in range(5)] == [Granted] * 5


def test_who_awaits_the_creation_of_a_resource_waits_for_it_too() -> None:
    table = table_of(max_waiters=2)
    first, second = (ask(table, "R1", create=False)[0] for _ in range(2))
    assert isinstance(first, Incubated)
    assert refusal(ask(table, "R1", create=False)) is Limit.WAITERS
    created = ask(table, "R1")
    assert [type(effect) for effect in created] == [Granted, Queued, Queued]
    assert refusal(ask(table, "R1")) is Limit.WAITERS
    assert [effect.request for effect in leave(table, created[0]) if isinstance(effect, Granted)] == [first.request]
    leave(table, second)
    assert isinstance(ask(table, "R1")[0], Queued)


def test_one_resource_too_many_is_not_created() -> None:
    table = table_of(max_resources=2)
    [first], _ = ask(table, "R1"), ask(table, "R2")
    assert refusal(ask(table, "R3")) is Limit.RESOURCES
    assert isinstance(ask(table, "R2")[0], Queued)  # it is there already
    assert isinstance(ask(table, "R3", create=False)[0], Incubated)
    leave(table, first)
    assert refusal(ask(table, "R3")) is Limit.RESOURCES  # R1 is remembered for a while
    later = Instant(60.0, 60.0)
    assert [type(effect) for effect in ask(table, "R3", later)] == [Granted, Queued]


SESSION = SessionId(1000)


def ask_again(table: LockTable, name: str, **wishes: Any) -> list[Effect]:
    """Ask for C{name}, always by the same session."""
    return table.request(LockRequest(SESSION, parse_name(name), **wishes), NOW)


def test_one_session_has_so_many_locks_at_most_be_they_held_or_waited_for() -> None:
    table = table_of(max_locks=4)
    [other] = ask(table, "N[3]", quantity=1)
    assert [type(ask_again(table, "N[3]")[0]) for _ in range(4)] == [Granted, Granted, Queued, Queued]
    assert refusal(ask_again(table, "N[3]")) is Limit.LOCKS
    leave(table, other)  # which grants what it waits for: as many as before
    assert refusal(ask_again(table, "N[3]")) is Limit.LOCKS
    assert isinstance(ask(table, "N[3]")[0], Queued)  # another session


@pytest.mark.parametrize("name", ["R1", "/a/b", "licences[9]", "red.green", "_s_seq[9]"])
def test_who_gives_one_back_or_gives_up_waiting_may_have_another(name: str) -> None:
    table = table_of(max_locks=2)
    ask_again(table, name)
    ask_again(table, name)
    for _ in range(3):
        assert refusal(ask_again(table, name)) is Limit.LOCKS
        table.release(SESSION, parse_name(name), NOW)
        assert isinstance(ask_again(table, name)[0], Granted | Queued)


def test_who_gives_up_waiting_may_wait_again() -> None:
    table = table_of(max_locks=1)
    ask(table, "R1")
    for _ in range(3):
        [queued] = ask_again(table, "R1")
        assert isinstance(queued, Queued)
        assert refusal(ask_again(table, "R1")) is Limit.LOCKS
        table.withdraw(queued.request)


def test_the_nodes_of_a_tree_count_together() -> None:
    table = table_of(max_locks=2)
    assert [type(ask_again(table, f"/a/{node}")[0]) for node in "xy"] == [Granted, Granted]
    assert refusal(ask_again(table, "/a/z")) is Limit.LOCKS


def test_who_awaits_the_creation_of_a_resource_has_so_many_places_at_most() -> None:
    table = table_of(max_locks=2)
    first, second = (ask_again(table, "R1", create=False)[0] for _ in range(2))
    assert refusal(ask_again(table, "R1", create=False)) is Limit.LOCKS
    assert isinstance(ask(table, "R1", create=False)[0], Incubated)  # another session
    assert ask(table, "R1")[1:3] == [Queued(first.request, True), Queued(second.request, True)]
    assert refusal(ask_again(table, "R1")) is Limit.LOCKS


def test_without_limits_there_are_none() -> None:
    table = table_of()
    assert [type(ask(table, "R1")[0]) for _ in range(1000)] == [Granted] + [Queued] * 999
    assert {type(ask(table, f"R{number}")[0]) for number in range(2, 1000)} == {Granted}

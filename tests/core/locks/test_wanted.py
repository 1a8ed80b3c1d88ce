"""Holders that wish to know learn when they stand in the way."""

from __future__ import annotations

import pytest

from flom.core.effects import Effect, Wanted
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.protocol.messages import WhyWithdrawn, Wishes
from flom.core.requests import LockRequest, SessionId
from tests.core.locks.test_hold_limits import Script

EX, PR, CR, PW = LockMode.EX, LockMode.PR, LockMode.CR, LockMode.PW


def told(effects: list[Effect]) -> list[int]:
    return [effect.request.session for effect in effects if isinstance(effect, Wanted)]


@pytest.mark.parametrize(
    ("held", "asked", "is_told"),
    [
        (("R", PR), ("R", EX), True),
        (("N[3]", EX), ("N[3]", EX), True),
        (("a.b", EX), ("a.b", EX), True),
        (("_s_x[1]", EX), ("_s_x[1]", EX), True),
        (("/h/x", PR), ("/h", EX), True),
        (("/h/x", PR), ("/h/x", EX), True),
        (("/h/x", PR), ("/h/x/y/z", EX), True),
        (("/h/x", CR), ("/h/y/z", EX), False),
        (("/h/x", CR), ("/h/x/y", PR), False),
    ],
)
def test_a_holder_is_told_of_what_waits_because_of_it(
    held: tuple[str, LockMode], asked: tuple[str, LockMode], is_told: bool
) -> None:
    script = Script()
    script.ask(1, *held, wanted=True, quantity=2)
    script.ask(9, "/h/y", EX)
    script.ask(8, "a.b")
    assert told(script.ask(2, *asked, quantity=2)) == ([1] if is_told else [])


def test_it_is_told_once_until_nobody_waits_any_more() -> None:
    script = Script()
    script.ask(1, "R", PR, wanted=True)
    assert told(script.ask(2, "R", EX)) == [1]
    assert told(script.ask(3, "R", EX)) == []
    script.table.give_up(SessionId(2), parse_name("R"), script.now, WhyWithdrawn.TIMEOUT)
    assert told(script.ask(4, "R", EX)) == []
    script.drop(3)
    script.drop(4)
    assert told(script.ask(5, "R", EX)) == [1]


def test_another_resource_and_a_reader_are_no_reason() -> None:
    script = Script()
    script.ask(1, "R", PR, wanted=True)
    script.ask(2, "other")
    assert told(script.ask(3, "other")) == []
    assert told(script.ask(4, "R", PR)) == []


def test_one_that_is_granted_while_others_wait_is_told_at_once() -> None:
    script = Script()
    script.ask(1, "R", PR)
    script.ask(2, "R", EX)
    assert told(script.ask(3, "R", PR, wanted=True)) == [3]


def test_one_that_has_waited_itself_is_told_with_its_grant() -> None:
    script = Script()
    script.ask(1, "R")
    script.ask(2, "R", wanted=True)
    script.ask(3, "R")
    assert told(script.release(1, "R")) == [2]


def test_one_that_reclaims_is_told() -> None:
    script = Script()
    script.ask(1, "R", PR)
    script.ask(2, "R", EX)
    request = LockRequest(SessionId(3), parse_name("R"), PR, regains=True, wishes=Wishes(wanted=True))
    assert told(script.table.request(request, script.now)) == [3]


def test_all_holders_that_wish_are_told_and_no_others() -> None:
    script = Script()
    for session in (1, 2, 3):
        script.ask(session, "R", PR, wanted=session != 2)
    assert told(script.ask(4, "R", EX)) == [1, 3]
    script.release(1, "R")
    assert told(script.ask(5, "R", PR, wanted=True)) == [5]


def test_nothing_is_left_of_those_that_have_gone() -> None:
    script = Script()
    script.ask(1, "R", PR, wanted=True)
    script.release(1, "R")
    [entry] = script.table._entries.values()
    assert entry.wishes is None

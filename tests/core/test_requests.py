"""The arguments of every C{acquire}, checked."""

from __future__ import annotations

from typing import Any

import pytest

from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.protocol.messages import Lock
from flom.core.requests import MAX_LIFESPAN, LockRequest, SessionId, SetRequest, ask, check_apart, check_text, show_lock
from flom.errors import InvalidName, InvalidRequest, InvalidTimestampFormat


def test_a_request_has_defaults() -> None:
    asked = ask("R1")
    assert (asked.name, asked.mode, asked.quantity) == (parse_name("R1"), LockMode.EX, 1)
    assert (asked.wait, asked.create, asked.lifespan, asked.timeout) == (True, True, 0.0, None)


@pytest.mark.parametrize("mode", [LockMode.PR, "PR", "pr", 3])
def test_a_mode_may_be_given_by_name_or_number(mode: Any) -> None:
    assert ask("R1", mode).mode is LockMode.PR


@pytest.mark.parametrize(
    ("arguments", "wait", "timeout"),
    [
        ({"timeout": 0}, False, None),
        ({"wait": False}, False, None),
        ({"wait": False, "timeout": 5}, False, None),
        ({"timeout": 5}, True, 5),
        ({"timeout": float("inf")}, True, None),
    ],
    ids=str,
)
def test_a_timeout_of_0_means_not_to_wait(arguments: dict[str, Any], wait: bool, timeout: float | None) -> None:
    """A daemon has a minute to answer a request that does not wait."""
    asked = ask("R1", **arguments)
    assert (asked.wait, asked.timeout) == (wait, timeout)


@pytest.mark.parametrize(
    "arguments",
    [
        {"mode": "XX"},
        {"mode": 6},
        {"quantity": -1},
        {"quantity": 2**31},
        {"quantity": 1.5},
        {"timeout": -1},
        {"timeout": "5"},
        {"timeout": float("nan")},
        {"lifespan": -1},
        {"lifespan": MAX_LIFESPAN + 1},
        {"wait": "no"},
        {"create": None},
        {"nested": "maybe"},
        {"nested": None},
    ],
    ids=str,
)
def test_an_argument_that_makes_no_sense_is_refused_by_name(arguments: dict[str, Any]) -> None:
    [name] = arguments
    with pytest.raises(InvalidRequest, match=f"^R1: {name} "):
        ask("R1", **arguments)


@pytest.mark.parametrize("name", ["", "a b", None, 5])
def test_a_name_must_be_one(name: Any) -> None:
    with pytest.raises(InvalidName):
        ask(name)


def test_a_timestamp_must_change_at_least_once_an_hour() -> None:
    with pytest.raises(InvalidTimestampFormat, match=r"^_t_%Y\[1\]: "):
        ask("_t_%Y[1]")


def test_a_request_becomes_a_message() -> None:
    asked = ask("N[5]", quantity=2, create=False, lifespan=1.5)
    message = asked.message("0123", extended=True)
    assert message == Lock("N[5]", LockMode.EX, 2, True, False, 1.5, "0123", extended=True)


def test_no_two_requests_of_sessions_are_equal() -> None:
    one, other = (LockRequest(SessionId(1), parse_name("R1")) for _ in range(2))
    assert one != other
    assert repr(one) == "<1 asks for R1 EX x1 wait create>"


def test_a_lock_is_shown_with_what_its_type_has() -> None:
    assert show_lock(ask("backup", "PR"), None, "held") == "<lock 'backup' PR, held>"
    assert show_lock(Lock("licences[5]", quantity=2), None, "released") == "<lock 'licences[5]' 2 units, released>"
    assert show_lock(ask("red.green"), "green", "lost") == "<lock 'red.green' 'green', lost>"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x" * 65, f"value {'x' * 65!r} has 65 bytes, more than 64"),
        ("ä" * 33, f"value {'ä' * 33!r} has 66 bytes, more than 64"),
        ("a\0b", "value 'a\\x00b' has a NUL character"),
        ("\ud800", "value '\\ud800' is no text"),
        (7, "value 7 is no text"),
    ],
)
def test_what_is_no_value_is_refused(text: object, why: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_text("value", text)
    assert str(caught.value) == why


def test_several_requests_say_what_they_have_in_common() -> None:
    parts = tuple(LockRequest(SessionId(7), parse_name(name), wait=False, waited=2.0) for name in ("a", "b[2]"))
    several = SetRequest(parts)
    assert (several.session, several.wait, several.regains, several.waited) == (SessionId(7), False, False, 2.0)
    assert several.names == (parse_name("a"), parse_name("b[2]"))
    assert several.name == parse_name("a")
    later = several.made_later(3.0)
    assert [part.waited for part in later.parts] == [5.0, 5.0]
    assert later.names == several.names


def test_several_locks_are_of_different_resources() -> None:
    check_apart(map(parse_name, ["a", "A", "b[2]", "b[3]", "/c", "/d/c", "x.y"]))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b", "a"], "'a' is asked for twice: "),
        (["/c/d", "a", "/c"], "'/c' is asked for beside '/c/d', a node of the same hierarchy: "),
    ],
)
def test_one_resource_twice_is_refused(names: list[str], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        check_apart(map(parse_name, names))

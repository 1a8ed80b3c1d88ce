"""Several locks at once, as a program asks for them."""

from __future__ import annotations

from typing import Any

import pytest

from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.protocol.messages import MOST_PARTS, Wishes
from flom.core.several import ask_all, check_several, part
from flom.errors import FlomError, InvalidName, InvalidRequest


def test_a_lock_is_its_name_or_a_part() -> None:
    asked = ask_all(["a", part("b[5]", quantity=2), part("/c/d", "PR", create=False, lifespan=1.5)], timeout=3)
    assert [(each.name.text, each.mode, each.quantity, each.create, each.lifespan) for each in asked.parts] == [
        ("a", LockMode.EX, 1, True, 0.0),
        ("b[5]", LockMode.EX, 2, True, 0.0),
        ("/c/d", LockMode.PR, 1, False, 1.5),
    ]
    assert (asked.title, asked.wait, asked.timeout) == ("a, b[5] and /c/d", True, 3)
    assert [lock.name for lock in asked.message("0" * 32).parts] == ["a", "b[5]", "/c/d"]


def test_one_lock_is_asked_for_as_ever() -> None:
    assert not ask_all(["a"]).message("0" * 32).is_of_several


@pytest.mark.parametrize(
    ("parts", "more", "error", "why"),
    [
        ([], {}, InvalidRequest, "0 locks at once: there can be 1 to 64"),
        ([f"a{n}" for n in range(MOST_PARTS + 1)], {}, InvalidRequest, "65 locks at once"),
        (["a", "b", "a"], {}, InvalidRequest, "'a' is asked for twice"),
        (["/a/b", "/a/c"], {}, InvalidRequest, "'/a/c' is asked for beside '/a/b', a node of the same hierarchy"),
        (["a", "no name"], {}, InvalidName, "'no name' is not a valid name"),
        (["a", 7], {}, InvalidName, "7 is not a valid name"),
        ("ab", {}, InvalidRequest, "'ab' is no list of locks"),
        (part("ab"), {}, InvalidRequest, "is no list of locks"),
        (["a", part("b", 9)], {}, InvalidRequest, "9"),
        (["a", part("b[3]", quantity=-1)], {}, InvalidRequest, "-1"),
        (["a", "b"], {"timeout": -1}, InvalidRequest, "timeout -1"),
        (["a", "b"], {"nested": "maybe"}, InvalidRequest, "maybe"),
        (["a", "b"], {"max_hold": 0}, InvalidRequest, "max_hold 0 is not a number of seconds above 0"),
        (["a", "b"], {"lock_delay": -1}, InvalidRequest, "lock_delay -1 is not a number of seconds from 0"),
        (["a", "b"], {"wanted": "yes"}, InvalidRequest, "wanted 'yes' is neither true nor false"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(
    parts: Any, more: dict[str, Any], error: type[FlomError], why: str
) -> None:
    with pytest.raises(error) as raised:
        ask_all(parts, **more)
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)


def test_names_of_other_resources_are_apart() -> None:
    check_several([parse_name(text) for text in ("a", "a[3]", "/a", "/b", "a.b")])


def test_what_is_nested_is_said_of_all() -> None:
    message = ask_all(["a", "b"], nested="share").message("0" * 32)
    assert message.wishes is not None
    assert (message.wishes.nested, [lock.wishes for lock in message.parts]) == ("share", [None, None])


def test_limits_are_said_of_all() -> None:
    message = ask_all(["a", "b"], max_hold=5, lock_delay=0, wanted=True).message("0" * 32)
    assert message.wishes is not None
    wishes = message.wishes.replace(parts=())
    assert (wishes, wishes.is_of_one_lock) == (Wishes(max_hold=5.0, lock_delay=0, wanted=True), False)

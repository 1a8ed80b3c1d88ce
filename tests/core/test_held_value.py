"""The value of a resource, as a holder knows and sets it."""

from __future__ import annotations

import pytest

from flom.core.held_value import HeldValue, check_kept, known_value
from flom.core.modes import EX, PR, PW, LockMode
from flom.core.protocol.messages import Note, Told, Unlocked
from flom.errors import InvalidRequest, Misuse, ValueNotKept


def test_it_is_what_was_told_until_another_one_is_set() -> None:
    value = HeldValue("R1", Told("tape7"))
    assert (value.value, value.note) == ("tape7", None)
    value.set("tape8", PW)
    assert (value.value, value.note) == ("tape8", Note("tape8"))
    value.set("", EX)
    assert (value.value, value.note) == ("", Note(""))


@pytest.mark.parametrize(
    ("name", "mode", "text", "why"),
    [
        ("R1", PR, "x", "R1: the value can be set in mode EX or PW, not PR"),
        ("R1", EX, "x" * 65, f"R1: value {'x' * 65!r} has 65 bytes, more than 64"),
        ("R" * 300, EX, "x" * 64, f"{'R' * 300}: the name of the resource is too long for a value"),
    ],
)
def test_what_cannot_be_set_changes_nothing(name: str, mode: LockMode, text: str, why: str) -> None:
    value = HeldValue(name, Told("tape7"))
    with pytest.raises(InvalidRequest) as caught:
        value.set(text, mode)
    assert str(caught.value) == why
    assert (value.value, value.note) == ("tape7", None)


def test_one_that_was_not_asked_for_is_not_known() -> None:
    with pytest.raises(Misuse):
        known_value(None, "R1")


@pytest.mark.parametrize(
    ("word", "why"), [(Unlocked(why="no room"), "no room"), (Unlocked(), "the daemon has not confirmed it")]
)
def test_that_it_is_not_kept_is_an_error(word: Unlocked, why: str) -> None:
    check_kept(None, word, "the daemon")
    check_kept(Note("x"), Unlocked(kept=True), "the daemon")
    with pytest.raises(ValueNotKept, match=f"^{why}$"):
        check_kept(Note("x"), word, "the daemon")

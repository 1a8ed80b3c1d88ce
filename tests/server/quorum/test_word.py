"""The word for the next leader: it is good for a minute."""

from __future__ import annotations

import pytest

from flom.server.quorum.word import read_word, write_word

NOW = 1_700_000_000.25


@pytest.mark.parametrize("text", ["all that is held", "a b\udcff\nc", ""])
@pytest.mark.parametrize("age", [-60.0, 0.0, 59.0])
def test_a_word_is_read_as_it_was_left(text: str, age: float) -> None:
    assert read_word(write_word(text, NOW), NOW + age) == (text, "")


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (write_word("of a backup", NOW - 86400), "by the clocks, it was left 86400 s ago"),
        (write_word("of another clock", NOW + 3600), "by the clocks, it was left 3600 s from now"),
        (b"text", "it does not say when it was left"),
        ("² text".encode(), "it does not say when it was left"),
        (b"9" * 5000 + b" text", "it does not say when it was left"),
    ],
)
def test_a_word_that_may_be_of_a_backup_is_not_used(written: bytes, why: str) -> None:
    assert read_word(written, NOW) == ("", why)

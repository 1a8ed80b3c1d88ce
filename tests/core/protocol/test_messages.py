"""Each message and its exact text (docs/compatibility.md, "Protocol: messages")."""

from __future__ import annotations

import pytest

from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import (
    Lock,
    Message,
    Wishes,
    asked_by,
)
from tests.core.protocol.texts import (
    DECLARATION,
    EXACT,
    MESSAGES,
)


@pytest.mark.parametrize(("message", "text"), EXACT, ids=[repr(message) for message in MESSAGES])
def test_a_message_is_written_and_read_like_this(message: Message, text: str) -> None:
    declaration = "" if isinstance(message, Lock) and message.regains else DECLARATION
    assert encode(message).decode() == declaration + text
    assert decode(encode(message)) == message
    assert decode(text.encode()) == message


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        (Wishes(max_hold=9.0, nested="share", left=1.0), "--max-hold (max_hold)"),
        (Wishes(lock_delay=0.0), "--lock-delay (lock_delay)"),
        (Wishes(value=True), "--value, --read-value (value)"),
        (Wishes(value=True, key=""), "--once-per"),
        (Wishes(ttl=9.0, hold_as="upgrade"), "flomctl hold"),
        (Wishes(adopts="hold-1"), "--adopt"),
        (Wishes(parts=(Lock("a"), Lock("b"))), "several locks at once (several -r, lock_all)"),
        (
            Wishes(adopts="hold-1", max_hold=9.0, wanted=True),
            "--adopt, --max-hold (max_hold) and --notify-wanted (wanted)",
        ),
    ],
    ids=repr,
)
def test_a_wish_is_named_by_what_asks_for_it(wishes: Wishes, words: str) -> None:
    assert wishes.is_binding
    assert asked_by(wishes) == words

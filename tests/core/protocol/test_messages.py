"""Each message and its exact text (docs/compatibility.md, "Protocol: messages")."""

from __future__ import annotations

import pytest

from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import (
    Lock,
    Message,
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

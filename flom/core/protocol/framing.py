"""
Where a message begins and ends in a stream of bytes (docs/compatibility.md, "Protocol: framing").

A message is a fragment of XML that ends at C{</msg>}; nothing announces its length.
"""

from __future__ import annotations

from flom.codes import ReturnCode
from flom.core.protocol.decode import decode
from flom.errors import RemoteProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Final

    from flom.core.protocol.messages import Message

MAX_MESSAGE_SIZE: Final = 511
"""Bytes of the longest message that a FLoM daemon accepts; we send no longer one either."""

MAX_ANSWER_SIZE: Final = 1023
"""Bytes of the longest message that a FLoM client accepts from its daemon."""

END_OF_MESSAGE: Final = b"</msg>"

_SECRETS: Final = (b' session="', b' proof="')  # begin what a message has of secrets

_TLS_RECORDS: Final = (b"\x15\x03", b"\x16\x03")  # how an alert and a handshake begin


class Shown:
    """Bytes of messages as a trace may show them: without the secrets of sessions, and what proves a grant."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __str__(self) -> str:
        shown = self._data
        for secret in _SECRETS:
            first, *others = shown.split(secret)
            shown = first + b"".join(secret + b"..." + other[other.find(b'"') :] for other in others)
        return repr(shown)


class MessageReader:
    """Cuts a stream of bytes into messages; between two reads it holds less than one of them."""

    __slots__ = ("_buffer", "_decode", "_max_size")

    def __init__(self, max_size: int = MAX_MESSAGE_SIZE, decode: Callable[[bytes], Message] = decode) -> None:
        """
        @param max_size: bytes of the longest message to accept.
        @param decode: reads one message, as L{flom.core.protocol.decode.decode} does.
        """
        self._max_size = max_size
        self._decode = decode
        self._buffer = b""

    def __bool__(self) -> bool:
        """Return whether a message has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterable[Message]:
        """
        Receive bytes as they arrived; return the messages they complete, one by one. Nothing happens before the first
        is asked for.

        @param data: any slice of the stream, even one byte.
        @raise RemoteProtocolError: when asked for a message that is none, or that has reached the size bound without
            an end. The stream cannot be read further.
        """
        return self._read(data)

    def _read(self, data: bytes) -> Iterator[Message]:
        data = self._buffer + data
        if data.startswith(_TLS_RECORDS):
            raise RemoteProtocolError("it speaks TLS, which is not spoken here")
        start = 0
        while (end := data.find(END_OF_MESSAGE, start)) >= 0:
            end += len(END_OF_MESSAGE)
            self._check_size(end - start)
            yield self._decode(data[start:end])
            start = end
        self._buffer = data[start:]
        self._check_size(len(self._buffer))

    def _check_size(self, size: int) -> None:
        if size > self._max_size:
            why = f"a message of more than {self._max_size} bytes"
            raise RemoteProtocolError(why, code=ReturnCode.BUFFER_OVERFLOW)

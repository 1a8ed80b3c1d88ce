"""
Shortcuts for usual messages; what they return is what C{decode.decode} and C{encode.encode} do.

A daemon reads the same few messages again and again: a client that comes again says the same, and one that keeps its
connection says it to the same reader. So a message is looked up, or read, in the first of these ways that can do it
(times of one lock message, see docs/explanation/performance.md):

 1. a whole read that this connection has had before, among the last 4 of them: 0.1 us;
 2. a message that any connection has had before, among up to 4096 different ones: 0.2 us;
 3. a message that is written as FLoM's clients, ours, and daemons of ours do, and whose values need no decoding: it is
    cut at the quotation marks, 12 us. That way a client need not import an XML parser;
 4. any other message is for the XML parser, 22 us.

The token of a grant is different each time: it is cut off before the rest is looked up, and read by itself.

In the other direction, up to 1024 different answers are kept, without tokens.
"""

from __future__ import annotations

from flom.core.cache import Cache
from flom.core.protocol.decode import KNOWN_TAGS, message_of
from flom.core.protocol.decode import decode as decode_xml
from flom.core.protocol.encode import encode, spell_hold, spell_terms, spell_told, spell_why
from flom.core.protocol.framing import END_OF_MESSAGE, MAX_MESSAGE_SIZE, MessageReader
from flom.core.protocol.messages import Answer
from flom.core.tokens import MAX_TOKEN
from flom.errors import RemoteProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from flom.core.protocol.messages import HoldTold, Message, Terms, Told

_KEPT_READS: Final = 4  # of one connection
_LONGEST_READ: Final = 1024  # bytes, of those that are kept

_TOKEN: Final = b' token="'
_PROOF: Final = b'" proof="'
_AFTER_TOKEN: Final = b'"/></msg>'

_HEAD: Final = ("<?xml version=", " encoding=", " ?><msg level=")
_DECLARED: Final = ["1.0", "UTF-8"]


def _cut(text: str) -> tuple[tuple[str, ...], list[str]]:
    """Return what stands between the values of the attributes of C{text}, and the values."""
    pieces = text.split('"')
    return tuple(pieces[::2]), pieces[1::2]


def _read_shape(shape: tuple[str, ...]) -> list[tuple[str, list[str]]] | None:
    """
    Return the tags of a message with the names of their attributes, given what stands between the values: a
    declaration, and a C{msg} with other tags in it. For anything else, return C{None}.
    """
    pieces, end = shape[len(_HEAD) : -1], shape[-1]
    if shape[: len(_HEAD)] != _HEAD:
        return None
    owners = [("msg", ["level"])]
    for piece in pieces:
        start, blank, name = piece.rpartition(" ")
        if start:
            opening, _, tag = start.rpartition("<")
            if opening != (">" if len(owners) == 1 else "/>") or tag not in KNOWN_TAGS:
                return None
            owners.append((tag, []))
        owners[-1][1].append(name[:-1])
        if not (blank and name.endswith("=") and name[:-1].isidentifier()):
            return None
    if end.lstrip(" ") != ("></msg>" if len(owners) == 1 else "/></msg>"):
        return None
    is_repeated = any(len(set(names)) < len(names) for _, names in [*owners, ("", [tag for tag, _ in owners])])
    return None if is_repeated else owners


_shapes: Final = Cache(_read_shape, 1024)


def _decode_usual(data: bytes) -> Message | None:
    """Read C{data} without a parser; return C{None} if that is not possible."""
    if not data.isascii():
        return None
    shape, values = _cut(data.decode())
    owners = _shapes[shape]
    if owners is None or len(values) >= len(shape):
        return None
    all_values = "".join(values)
    if not all_values.isprintable() or "&" in all_values or "<" in all_values:
        return None
    if values[:2] != _DECLARED:
        return None
    value = iter(values[2:])
    return message_of({tag: dict(zip(names, value)) for tag, names in owners})  # noqa: B905 (names end first)


_decoded: Final[Cache[bytes, Message]] = Cache(lambda data: _decode_usual(data) or decode_xml(data), 4096)


def _decode_grant(head: bytes) -> Answer | None:
    """Read a grant, given what stands before the token, without a parser; return C{None} if that is not possible."""
    if not head.rpartition(b"<")[2].startswith(b"answer "):
        return None
    message = _decode_usual(head + _TOKEN + b"0" + _AFTER_TOKEN)
    return message if isinstance(message, Answer) else None


_grants: Final[Cache[bytes, Answer | None]] = Cache(_decode_grant, 1024)


def decode(data: bytes) -> Message:
    """Read one message, see L{flom.core.protocol.decode.decode}."""
    if len(data) > MAX_MESSAGE_SIZE:
        return decode_xml(data)
    head, found, tail = data.rpartition(_TOKEN)
    if found and tail.endswith(_AFTER_TOKEN):
        number, _, proof = tail.removesuffix(_AFTER_TOKEN).partition(_PROOF)
        if number.isdigit() and (not proof or _is_proof(proof)) and (token := int(number)) <= MAX_TOKEN:
            grant = _grants[head]
            if grant is not None:
                return grant.replace(token=token, proof=proof.decode())
    return _decoded[data]


def _is_proof(data: bytes) -> bool:
    return len(data) == 32 and not data.strip(b"0123456789abcdef")


_EXTENDED: Final = b' extended="1"'

_Answer = tuple[int, int, "str | None", "str | None", bool, str]  # what an Answer is made of, but session and token
_encoded: Final[Cache[_Answer, bytes]] = Cache(
    lambda fields: encode(Answer(*fields[:5], start=fields[5], converts=fields[4])), 1024
)


def encode_answer(
    step: int, code: int, element: str | None, peer_id: str | None, extended: bool, start: str = ""
) -> bytes:
    """Write an L{Answer}, see L{flom.core.protocol.encode.encode}."""
    return _encoded[step, code, element, peer_id, extended, start]


def add_session(answer: bytes, session: str, terms: Terms) -> bytes:
    """Return an C{answer} to an extended client, which was written, with C{session} and C{terms}."""
    said = f' session="{session}"{spell_terms(terms)}'
    return answer.replace(_EXTENDED, _EXTENDED + said.encode(), 1)


def add_wishes(answer: bytes) -> bytes:
    """Return an C{answer} to an extended client, which was written, with the sign that wishes are understood."""
    return answer.replace(_EXTENDED, _EXTENDED + b' wishes="1"', 1)


def add_told(answer: bytes, told: Told | None, why: str = "") -> bytes:
    """Return an C{answer} that was written, without its token, with what is C{told}, and with C{why} it refuses."""
    said = ("" if told is None else spell_told(told)) + spell_why(why)
    return b"%b%b/></msg>" % (answer[:-8], said.encode("utf-8", "surrogateescape"))


def add_part(answer: bytes, part: int) -> bytes:
    """Return an C{answer} that was written, with the number of the one of several locks that it is about."""
    return answer.replace(b"<answer ", b'<answer part="%d" ' % part, 1)


def add_left(answer: bytes, left: float) -> bytes:
    """Return an C{answer} that was written, without a token yet, with the seconds, more than 0, that are C{left}."""
    return b'%b left="%d"/></msg>' % (answer[:-8], max(round(left * 1000), 1))


def add_token(answer: bytes, token: int, proof: str = "") -> bytes:
    """Return an C{answer} that was written, with C{token} and its C{proof}, if there is one."""
    said = b' token="%d" proof="%b"' % (token, proof.encode()) if proof else b' token="%d"' % token
    return b"%b%b/></msg>" % (answer[:-8], said)


def add_hold(answer: bytes, hold: HoldTold) -> bytes:
    """Return an C{answer} that was written whole, with what is told of a C{hold}."""
    return b"%b%b</msg>" % (answer.removesuffix(b"</msg>"), spell_hold(hold).encode("utf-8", "surrogateescape"))


class FastReader(MessageReader):
    """Keeps the last few reads of a connection that were whole messages."""

    __slots__ = ("_kept",)

    def __init__(self, max_size: int = MAX_MESSAGE_SIZE) -> None:
        super().__init__(max_size, decode)
        self._kept: dict[bytes, tuple[Message, ...]] = {}

    def feed(self, data: bytes) -> Iterable[Message]:
        if self._buffer:
            return self._read(data)
        return self._kept.get(data) or self._read_whole(data) or self._read(data)

    def _read_whole(self, data: bytes) -> tuple[Message, ...]:
        """Read C{data} if it is just some messages, and keep them; return none otherwise."""
        is_known = data in _decoded and len(data) <= self._max_size
        messages = (_decoded[data],) if is_known else self._read_pieces(data)
        if messages:
            if len(self._kept) == _KEPT_READS:
                self._kept.clear()
            self._kept[data] = messages
        return messages

    def _read_pieces(self, data: bytes) -> tuple[Message, ...]:
        *pieces, rest = data.split(END_OF_MESSAGE) if len(data) <= _LONGEST_READ else [data]
        if rest or max(map(len, pieces), default=0) + len(END_OF_MESSAGE) > self._max_size:
            return ()
        try:
            return tuple(decode(piece + END_OF_MESSAGE) for piece in pieces)
        except RemoteProtocolError:
            return ()  # those before the one that is wrong are to be heard first

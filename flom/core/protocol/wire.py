"""
Bytes to messages and back: protocol level 3 (docs/compatibility.md, "Protocol").

A message is a fragment of XML that ends at C{</msg>}; nothing announces its length. What a FLoM peer would ignore is
ignored, what it would choke on is a L{RemoteProtocolError}. The wire's milliseconds and codes end here.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final
from xml.parsers.expat import ExpatError, ParserCreate

from flom.codes import Outcome, ReturnCode
from flom.core.modes import LockMode
from flom.core.names import HierarchicalName, NumericName, ResourceName, SimpleName, parse_name
from flom.core.protocol.messages import (
    Answer,
    Discover,
    Discovered,
    Lock,
    ManagementRefused,
    Message,
    Ping,
    Role,
    Shutdown,
    Standing,
    StatusFollows,
    StatusRequest,
    Unlock,
    Unlocked,
)
from flom.core.requests import check_quantity
from flom.errors import InvalidName, LocalProtocolError, RemoteProtocolError

LEVEL: Final = 3
"""The protocol level; there is no other to negotiate."""

MAX_MESSAGE_SIZE: Final = 511
"""
Bytes of the longest message that a FLoM daemon accepts; we send no longer one either
(docs/compatibility.md, "Protocol: framing").
"""

MAX_ANSWER_SIZE: Final = 1023
"""
Bytes of the longest message that a FLoM client accepts from its daemon (docs/compatibility.md, "Protocol: framing").
"""

QUESTION_SIZE: Final = 320
"""Bytes that our own questions for a daemon have, so that no answer need be longer than its question."""

MAX_STATUS_SIZE: Final = 2**30
"""Bytes of the longest status that a client waits for."""

MAX_SINCE: Final = 253402300799999
"""Milliseconds since the epoch until the end of the year 9999: no daemon is what it is since later than that."""

END_OF_MESSAGE: Final = b"</msg>"
"""There is nothing else that tells where a message ends (docs/compatibility.md, "Protocol: framing")."""

_REMEMBERED: Final = 4  # reads of one stream; who uses a connection again says the same again
_REMEMBERED_SIZE: Final = 1024  # bytes at most of each

_TLS_RECORDS: Final = (b"\x15\x03", b"\x16\x03")  # how an alert and a handshake begin
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8" ?>'
_USUAL_LOCK: Final = re.compile(
    rb'<\?xml version="1\.0" encoding="UTF-8" \?><msg level="3" verb="1" step="8"( extended="1")?>'
    rb'<session peerid="([0-9A-Za-z]*)"/>'
    rb'<resource name="([0-9A-Za-z+/]*={0,2})"(?: mode="([0-5])")? wait="([01])"(?: quantity="([0-9]{1,9})")?'
    rb' create="([01])" lifespan="([0-9]{1,9})"/></msg>'
)
_USUAL_UNLOCK: Final = re.compile(
    rb'<\?xml version="1\.0" encoding="UTF-8" \?><msg level="3" verb="2" step="8">'
    rb'<resource name="([0-9A-Za-z+/]*={0,2})" rollback="([01])" /></msg>'
)
_REFERENCES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})
_INT: Final = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")
_INT32_MAX: Final = 2**31 - 1
_LOCK_ONLY: Final = frozenset({"mode", "wait", "quantity", "create", "lifespan"})
_KNOWN_TAGS: Final = frozenset({"msg", "session", "resource", "answer", "network", "shutdown", "status"})


class MessageReader:
    """Cuts a stream of bytes into messages; between two reads it holds less than one of them."""

    def __init__(self, max_size: int = MAX_MESSAGE_SIZE) -> None:
        """
        @param max_size: bytes of the longest message to accept.
        """
        self._max_size = max_size
        self._buffer = b""
        self._remembered: dict[bytes, tuple[Message, ...]] = {}

    def __bool__(self) -> bool:
        """Tell whether a message has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterable[Message]:
        """
        Take bytes as they arrived; give the messages they complete, one by one
        (docs/compatibility.md, "Protocol: framing"). Nothing happens before the first is asked for.

        @param data: any slice of the stream, even one byte.
        @raise RemoteProtocolError: when asked for a message that is none, or that has reached the size bound without
            an end. The stream cannot be read further.
        """
        if self._buffer:
            return self._read(data)
        return self._remembered.get(data) or self._read_whole(data) or self._read(data)

    def _read_whole(self, data: bytes) -> tuple[Message, ...]:
        """Read C{data} if it is just some messages, and remember them; give none otherwise."""
        *pieces, rest = data.split(END_OF_MESSAGE) if len(data) <= _REMEMBERED_SIZE else [data]
        longest = max(map(len, pieces), default=0) + len(END_OF_MESSAGE)
        if rest or longest > self._max_size or data.startswith(_TLS_RECORDS):
            return ()
        try:
            messages = tuple(decode(piece + END_OF_MESSAGE) for piece in pieces)
        except RemoteProtocolError:
            return ()  # those before the one that is wrong are to be heard first
        if len(self._remembered) == _REMEMBERED:
            self._remembered.clear()
        self._remembered[data] = messages
        return messages

    def _read(self, data: bytes) -> Iterator[Message]:
        data = self._buffer + data
        if data.startswith(_TLS_RECORDS):
            raise RemoteProtocolError("it speaks TLS, which is not spoken here")
        start = 0
        while (end := data.find(END_OF_MESSAGE, start)) >= 0:
            end += len(END_OF_MESSAGE)
            self._check_size(end - start)
            yield decode(data[start:end])
            start = end
        self._buffer = data[start:]
        self._check_size(len(self._buffer))

    def _check_size(self, size: int) -> None:
        if size > self._max_size:
            why = f"a message of more than {self._max_size} bytes"
            raise RemoteProtocolError(why, code=ReturnCode.BUFFER_OVERFLOW)


def decode(data: bytes) -> Message:
    """
    Read one message.

    @param data: all of it, and nothing else.
    @raise RemoteProtocolError: it is none.
    """
    return _remember(data) if len(data) <= MAX_MESSAGE_SIZE else read_xml(data)


@lru_cache(maxsize=4096)  # who connects again says the same again
def _remember(data: bytes) -> Message:
    return _read_usual(data) or read_xml(data)


def read_xml(data: bytes) -> Message:
    """
    Read one message, however it is spelled; see L{decode}, which gives the same, sooner.

    @raise RemoteProtocolError: it is none.
    """
    attributes = _parse(data)
    msg = attributes["msg"]
    if "level" in msg and _number(msg["level"]) != LEVEL:
        why = f"protocol level {msg['level']!r}, not {LEVEL}"
        raise RemoteProtocolError(why, "FLM006W", ReturnCode.PROTOCOL_LEVEL_MISMATCH)
    verb, step = _number(msg.get("verb", "")), _number(msg.get("step", ""))
    build = _BUILDERS.get((verb, step))
    if build is None:
        raise RemoteProtocolError(f"no message has verb {verb} and step {step}")
    return build(attributes)


@lru_cache(maxsize=1024)  # answers, of which there are few
def encode(message: Message) -> bytes:
    """
    Write C{message} as FLoM does, to the order of attributes.

    @raise LocalProtocolError: it would be longer than L{MAX_MESSAGE_SIZE}.
    """
    header = f'{_DECLARATION}<msg level="{LEVEL}" verb="{message.verb}" step="{message.step}"{_more(message)}>'
    data = f"{header}{_body(message)}</msg>".encode("utf-8", "surrogateescape")
    if isinstance(message, Discover) and message.group and message.standing is None:
        data = data.removesuffix(END_OF_MESSAGE).ljust(QUESTION_SIZE - len(END_OF_MESSAGE)) + END_OF_MESSAGE
    if len(data) > MAX_MESSAGE_SIZE:
        raise LocalProtocolError(f"a message of {len(data)} bytes, more than {MAX_MESSAGE_SIZE}: a name is too long")
    return data


def _read_usual(data: bytes) -> Lock | Unlock | None:
    """Read a lock or an unlock that is spelled as FLoM's clients and ours do; C{None} if it is anything else."""
    if match := _USUAL_UNLOCK.fullmatch(data):
        name, rollback = match.groups()
        return Unlock(_decode_name(name.decode()), rollback == b"1")
    if match := _USUAL_LOCK.fullmatch(data):
        extended, peer_id, name, mode, wait, quantity, create, lifespan = match.groups()
        return Lock(
            name=_decode_name(name.decode()),
            mode=LockMode(int(mode or 0)),
            quantity=int(quantity or 0),
            wait=wait == b"1",
            create=create == b"1",
            lifespan=int(lifespan) / 1000,
            peer_id=peer_id.decode(),
            extended=extended is not None,
        )
    return None


def _parse(data: bytes) -> dict[str, dict[str, str]]:
    """Give the attributes of each known tag; where a tag is repeated, the last value of each attribute."""
    found: dict[str, dict[str, str]] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag in _KNOWN_TAGS:
            found.setdefault(tag, {}).update(attributes)
        elif attributes:
            raise RemoteProtocolError(f"unknown tag {tag!r} with attributes")

    def doctype(name: str, system_id: str | None, public_id: str | None, has_internal_subset: int) -> None:
        if system_id or public_id or has_internal_subset:
            raise RemoteProtocolError("a document type that could define entities and attributes")

    parser = ParserCreate("UTF-8")
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(data.lstrip(), True)
    except ExpatError as e:
        raise RemoteProtocolError(f"not XML: {e}", code=ReturnCode.MSG_DESERIALIZE_ERROR) from e
    if "msg" not in found:
        raise RemoteProtocolError("no msg tag")
    return found


def _lock(found: dict[str, dict[str, str]]) -> Lock:
    resource = _name_and_more(found)
    if "rollback" in resource:
        raise RemoteProtocolError("a rollback attribute in a lock message")
    return Lock(
        name=_decode_name(resource["name"]),
        mode=_mode(resource.get("mode", "0")),
        quantity=_quantity(resource.get("quantity", "0")),
        wait=_number(resource.get("wait", "")) != 0,
        create=_number(resource.get("create", "")) != 0,
        lifespan=max(-_INT32_MAX, min(_number(resource.get("lifespan", "")), _INT32_MAX)) / 1000,
        peer_id=_peer_id(found),
        regains=_number(resource.get("regains", "")) != 0,
        extended=_is_extended(found),
    )


def _answer(found: dict[str, dict[str, str]]) -> Answer:
    answer = found.get("answer", {})
    code = _number(answer["rc"]) if "rc" in answer else None
    return Answer(_number(found["msg"]["step"]), code, answer.get("element"), _peer_id(found), _is_extended(found))


def _unlock(found: dict[str, dict[str, str]]) -> Unlock:
    resource = _name_and_more(found)
    if misplaced := _LOCK_ONLY & resource.keys():
        raise RemoteProtocolError(f"a {min(misplaced)} attribute in an unlock message")
    return Unlock(_decode_name(resource["name"]), _number(resource.get("rollback", "")) != 0)


def _unlocked(found: dict[str, dict[str, str]]) -> Unlocked:
    return Unlocked()


def _ping(found: dict[str, dict[str, str]]) -> Ping:
    return Ping(_number(found["msg"]["step"]))


def _discover(found: dict[str, dict[str, str]]) -> Discover:
    msg = found["msg"]
    everyone, orphaned, relayed = (_number(msg.get(what, "")) != 0 for what in ("everyone", "orphaned", "relayed"))
    address, port = msg.get("address", ""), _number(msg.get("port", ""))
    if not 0 <= port < 65536:
        raise RemoteProtocolError(f"a daemon on port {port}")
    return Discover(msg.get("group", ""), everyone, orphaned, _standing(msg), relayed, address, port)


def _discovered(found: dict[str, dict[str, str]]) -> Discovered:
    network = found.get("network", {})
    if "address" not in network:
        raise RemoteProtocolError("a discover reply without an address")
    port = _number(network.get("port", ""))
    if not 0 < port < 65536:
        raise RemoteProtocolError(f"a discover reply with port {port}")
    msg = found["msg"]
    return Discovered(network["address"], port, _standing(msg), msg.get("host", ""), msg.get("version", ""))


def _standing(msg: dict[str, str]) -> Standing | None:
    if "node" not in msg:
        return None
    since = _number(msg.get("since", ""))
    if not 0 <= since <= MAX_SINCE:
        raise RemoteProtocolError(f"a daemon that is what it is since {since}")
    try:
        return Standing(msg["node"], Role(msg.get("role")), since)
    except ValueError:
        raise RemoteProtocolError(f"a daemon of role {msg.get('role')!r}") from None


def _management(found: dict[str, dict[str, str]]) -> Shutdown | StatusRequest:
    if "status" in found:
        name = found["status"].get("name")
        return StatusRequest(None if name is None else _decode_name(name), _peer_id(found))
    shutdown = found.get("shutdown", {})
    if set(shutdown) != {"immediate"}:
        raise RemoteProtocolError("a management message whose shutdown tag does not say just immediate")
    return Shutdown(_number(shutdown["immediate"]) != 0, _peer_id(found))


def _managed(found: dict[str, dict[str, str]]) -> StatusFollows | ManagementRefused:
    if "status" not in found:
        return ManagementRefused()
    size = _number(found["status"].get("size", ""))
    if not 0 < size <= MAX_STATUS_SIZE:
        raise RemoteProtocolError(f"a status of {size} bytes")
    return StatusFollows(size)


_BUILDERS: Final[dict[tuple[int, int], Callable[[dict[str, dict[str, str]]], Message]]] = {
    (1, 8): _lock,
    (1, 16): _answer,
    (1, 24): _answer,
    (1, 32): _answer,
    (2, 8): _unlock,
    (2, 16): _unlocked,
    (3, 8): _ping,
    (3, 16): _ping,
    (4, 8): _discover,
    (4, 16): _discovered,
    (5, 8): _management,
    (5, 16): _managed,
}


def _name_and_more(found: dict[str, dict[str, str]]) -> dict[str, str]:
    resource = found.get("resource", {})
    if "name" not in resource:
        raise RemoteProtocolError("no name of a resource")
    return resource


def _peer_id(found: dict[str, dict[str, str]]) -> str | None:
    return found.get("session", {}).get("peerid")


def _is_extended(found: dict[str, dict[str, str]]) -> bool:
    return _number(found["msg"].get("extended", "")) != 0


def _number(text: str) -> int:
    """
    Read as C's strtol does: what follows the number does not matter, and no number is 0
    (docs/compatibility.md, "Protocol: header").
    """
    match = _INT.match(text)
    if match is None:
        return 0
    try:
        return int(match[1])
    except ValueError:  # Python takes some thousands of digits
        raise RemoteProtocolError(f"a number of {len(match[1])} digits") from None


def _mode(text: str) -> LockMode:
    # FLoM takes a mode that is no number for NL, which protects from nothing, and one out of range for anything
    # (docs/compatibility.md, "A lock mode out of range is granted")
    try:
        return LockMode(_number(text) if _INT.match(text) else -1)
    except ValueError:
        raise RemoteProtocolError(f"lock mode {text!r}") from None


def _quantity(text: str) -> int:
    try:
        return check_quantity(_number(text))
    except ValueError as e:
        raise RemoteProtocolError(str(e)) from None


def _decode_name(text: str) -> str:
    """Decode a name; what is not base64 decodes to an empty one, which is no name."""
    try:
        return b64decode(text.encode()).decode("utf-8", "surrogateescape")
    except Base64Error:
        return ""


def _encode_name(name: str) -> str:
    return b64encode(name.encode("utf-8", "surrogateescape")).decode("ascii")


def _more(message: Message) -> str:
    """
    Write what only daemons and clients of ours say, where FLoM's ignore it
    (docs/compatibility.md, "Protocol: tolerance").
    """
    match message:
        case Lock(extended=True) | Answer(extended=True, step=16):
            return ' extended="1"'
        case Discover():
            group = f" group={_quoted(message.group)}" if message.group else ""
            everyone = ' everyone="1"' if message.everyone else ""
            orphaned = ' orphaned="1"' if message.orphaned else ""
            relayed = ' relayed="1"' if message.relayed else ""
            place = f' address={_quoted(message.address)} port="{message.port}"' if message.port else ""
            return group + everyone + orphaned + _spell_standing(message.standing) + relayed + place
        case Discovered(standing=Standing()):
            host, version = _quoted(message.host), _quoted(message.version)
            return f"{_spell_standing(message.standing)} host={host} version={version}"
        case _:
            return ""


def _spell_standing(standing: Standing | None) -> str:
    if standing is None:
        return ""
    return f' node={_quoted(standing.node)} role="{standing.role.value}" since="{standing.since}"'


def _body(message: Message) -> str:
    match message:
        case Lock():
            lifespan, regains = round(message.lifespan * 1000), ' regains="1"' if message.regains else ""
            return (
                f"{_session(message.peer_id)}"
                f'<resource name="{_encode_name(message.name)}"{_asked_for(message)} lifespan="{lifespan}"{regains}/>'
            )
        case Answer():
            session = _session(message.peer_id) if message.step == 16 else ""
            element = f" element={_quoted(message.element)}" if message.element is not None else ""
            return f'{session}<answer rc="{message.code}"{element}/>'
        case Unlock():
            return f'<resource name="{_encode_name(message.name)}" rollback="{message.rollback:d}" />'
        case Discovered():
            return f'<network address={_quoted(message.address)} port="{message.port}"/>'
        case Shutdown():
            return f'{_session(message.peer_id)}<shutdown immediate="{message.immediate:d}"/>'
        case StatusRequest():
            name = "" if message.name is None else f' name="{_encode_name(message.name)}"'
            return f"{_session(message.peer_id)}<status{name}/>"
        case StatusFollows():
            return f'<status size="{message.size}"/>'
        case ManagementRefused():
            return f'<answer rc="{Outcome.IMPOSSIBLE:d}"/>'
        case Ping() | Discover() | Unlocked():
            return ""


def _session(peer_id: str | None) -> str:
    return "" if peer_id is None else f"<session peerid={_quoted(peer_id)}/>"


def _quoted(text: str) -> str:
    # line feeds and tabs stay, as FLoM writes them: as references they would make an answer too long
    return f'"{text.translate(_REFERENCES)}"'


def _asked_for(lock: Lock) -> str:
    """
    Write the attributes that FLoM sends for the type that the name is of (docs/compatibility.md, "Protocol: messages").
    """
    wait, create = f' wait="{lock.wait:d}"', f' create="{lock.create:d}"'
    match _type_of(lock.name):
        case SimpleName() | HierarchicalName():
            return f' mode="{lock.mode:d}"{wait}{create}'
        case NumericName():
            return f'{wait} quantity="{lock.quantity}"{create}'
        case _:
            return f"{wait}{create}"


def _type_of(name: str) -> ResourceName:
    try:
        return parse_name(name)
    except InvalidName as e:
        raise LocalProtocolError(str(e)) from e

"""
Bytes to messages: protocol level 3 (docs/compatibility.md, "Protocol: messages").

What a FLoM peer would ignore is ignored, what it would choke on is a L{RemoteProtocolError}. The wire's milliseconds
and codes end here.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64

from flom.codes import ReturnCode
from flom.core.modes import LockMode
from flom.core.names import MAX_TEXT
from flom.core.protocol.messages import (
    HAS_SESSIONS,
    LEVEL,
    MOST_PARTS,
    Answer,
    Challenge,
    Contested,
    Convert,
    ConvertAnswer,
    Discover,
    Discovered,
    Goodbye,
    HandedOver,
    HoldAnswer,
    HoldOrder,
    HoldTold,
    Lock,
    ManagementRefused,
    Message,
    More,
    Note,
    Offer,
    Ping,
    Proof,
    Revoke,
    RevokeAnswer,
    Revoked,
    Role,
    Shutdown,
    Standing,
    StatusFollows,
    StatusRequest,
    Terms,
    Told,
    Unlock,
    Unlocked,
    Wanted,
    WhyWithdrawn,
    Wishes,
)
from flom.core.requests import check_quantity, check_text
from flom.core.tokens import MAX_CLAIMED, MAX_TOKEN, believable
from flom.errors import InvalidRequest, RemoteProtocolError
from flom.text import truncate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    Attributes = dict[str, dict[str, str]]
    """The attributes of each known tag."""

MAX_STATUS_SIZE: Final = 2**30
"""Bytes of the longest status that a client waits for."""

MAX_SINCE: Final = 253402300799999
"""Milliseconds since the epoch until the end of the year 9999: no daemon is what it is since later than that."""

MAX_HOLDER: Final = 2**32 - 1
"""A greater L{Lock.holder} counts as none."""

MAX_LINEAGE: Final = 9
"""Ids of the longest lineage: the client's own, and those of eight commands that it runs under."""

MAX_HANDLE: Final = 46
"""Characters of a handle of a hold without a process (L{flom.core.handles})."""

MAX_SENDER: Final = 40
"""Characters of a user or a command that are shown; more would be no name, but a burden."""

NO_TERMS: Final = Terms()

_MARKUP: Final = frozenset('&<>"')
"""What is in no element; an answer that had to escape it could get too long."""

_MODES: Final = {str(mode.value): mode for mode in LockMode}
_REASONS: Final = {reason.value: reason for reason in (WhyWithdrawn.TIMEOUT, WhyWithdrawn.SIGNAL)}
_SMALL: Final = {str(number): number for number in range(100)}
_INT32_MAX: Final = 2**31 - 1
_INT64_MAX: Final = 2**63 - 1
_LOCK_ONLY: Final = frozenset({"mode", "wait", "quantity", "create", "lifespan"})
KNOWN_TAGS: Final = frozenset(
    {"msg", "session", "resource", "answer", "network", "shutdown", "status", "release", "hold"}
)


def decode(data: bytes) -> Message:
    """Read the one message that C{data} is; raise L{RemoteProtocolError} if it is none."""
    return message_of(_parse(data))


def message_of(attributes: Attributes) -> Message:
    """Return the message with C{attributes}, those of C{msg} included, or raise L{RemoteProtocolError}."""
    msg = attributes["msg"]
    if "level" in msg and _number(msg["level"]) != LEVEL:
        why = f"protocol level {msg['level']!r}, not {LEVEL}"
        raise RemoteProtocolError(why, "FLM006W", ReturnCode.PROTOCOL_LEVEL_MISMATCH)
    verb, step = _number(msg.get("verb", "")), _number(msg.get("step", ""))
    build = _BUILDERS.get((verb, step))
    if build is None:
        raise RemoteProtocolError(f"no message has verb {verb} and step {step}")
    return build(attributes)


def _parse(data: bytes) -> Attributes:
    """Return the attributes of each known tag; where a tag is repeated, the last value of each attribute."""
    from pyexpat import ExpatError, ParserCreate  # most messages are read without, see fastpath

    found: Attributes = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag in KNOWN_TAGS:
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


def _lock(found: Attributes) -> Lock:
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
        extended=_extended(found["msg"]),
        holder=_holder(resource),
        user=found["msg"].get("user", "")[:MAX_SENDER],
        command=found["msg"].get("command", "")[:MAX_SENDER],
        session=resource.get("session", ""),
        element=_element(resource),
        token=believable(_number(resource.get("token", ""))),
        proof=_proof_of_grant(resource),
        more=_number(resource.get("more", "")) != 0,
        waited=_waited(resource),
        wishes=_wishes(resource),
    )


def _wishes(resource: dict[str, str]) -> Wishes | None:
    """Return what C{resource} says that FLoM does not know; C{None} for nothing."""
    if _WISHES.keys().isdisjoint(resource):
        return None
    return Wishes(**{what: read(resource[what]) for what, read in _WISHES.items() if what in resource})


def read_lineage(text: str) -> tuple[str, ...]:
    """Read public ids, one or more, each another one; none if C{text} is anything else."""
    ids = tuple(text.split("/"))
    is_valid = len(ids) <= MAX_LINEAGE and all(len(one) == 16 and not one.strip("0123456789abcdef") for one in ids)
    return ids if is_valid and len(set(ids)) == len(ids) else ()


def _nested(text: str) -> str:
    return text if text in ("share", "wait") else ""


def _duration(text: str) -> float:
    """Return seconds, more than 0 and at most 24 days as in options, of which C{text} has the milliseconds."""
    if not 0 < (milliseconds := _number(text)) <= _INT32_MAX:
        raise RemoteProtocolError(f"a duration of {truncate(text)!r} ms")
    return milliseconds / 1000


def _flag(text: str) -> bool:
    return _number(text) != 0


def _short(text: str) -> str:
    """Return the key or the value that C{text} has as base64."""
    try:
        return check_text("a text", "" if text == "-" else a2b_base64(text.encode()).decode("utf-8", "surrogateescape"))
    except (Base64Error, InvalidRequest):
        raise RemoteProtocolError(f"a key or a value that is none: {truncate(text)!r}") from None


def _handle(text: str) -> str:
    from flom.core.handles import is_handle  # few clients need it

    if not is_handle(text):
        raise RemoteProtocolError(f"no handle: {truncate(text)!r}")
    return text


def _delay(text: str) -> float:
    """Return seconds, 0 or more, of which C{text} has the milliseconds."""
    return 0.0 if text == "0" else _duration(text)


_WISHES: Final[dict[str, Callable[[str], Any]]] = {
    "lineage": read_lineage,
    "nested": _nested,
    "max_hold": _duration,
    "value": _flag,
    "key": _short,
    "ttl": _duration,
    "hold_as": lambda text: text[:MAX_SENDER],
    "adopts": _handle,
    "lock_delay": _delay,
    "wanted": _flag,
    "left": lambda text: _number_up_to(_INT32_MAX, {"left": text}, "left") / 1000,
}
"""How each of L{Wishes} is read; the reader of one that is binding raises L{RemoteProtocolError} for nonsense."""


def _more(found: Attributes) -> More:
    resource = found.get("resource", {})
    if "name" in resource:
        return More(lock=_lock(found))
    return More(
        session=resource.get("session", ""),
        element=_element(resource),
        token=believable(_number(resource.get("token", ""))),
        proof=_proof_of_grant(resource),
        holder=_holder(resource),
        waited=_waited(resource),
        more=_number(resource.get("more", "")) != 0,
    )


def _waited(resource: dict[str, str]) -> float:
    return _number_up_to(_INT32_MAX, resource, "waited") / 1000


def _answer(found: Attributes) -> Answer:
    answer = found.get("answer", {})
    msg, code = found["msg"], _number(answer["rc"]) if "rc" in answer else None
    token = _number(answer.get("token", ""))
    return Answer(
        _number(msg["step"]),
        code,
        answer.get("element"),
        _peer_id(found),
        _is_extended(found),
        msg.get("session", ""),
        _hexadecimal(16, msg, "start"),  # it becomes part of a file's name
        token if 0 < token <= MAX_TOKEN else 0,
        _proof_of_grant(answer),
        _terms(msg) if "session" in msg else NO_TERMS,
        _number(msg.get("wishes", "")) != 0,
        _told(answer) if "value" in answer else None,
        answer.get("why", ""),
        _hold(found["hold"]) if "hold" in found else None,
        _number_up_to(MOST_PARTS, answer, "part"),
        _number(msg.get("converts", "")) != 0,
        _number_up_to(_INT32_MAX, answer, "left") / 1000,
    )


def _hold(hold: dict[str, str]) -> HoldTold:
    ttl = max(0, _number(hold.get("ttl", "")))
    return HoldTold(
        hold.get("handle", "")[:MAX_HANDLE],
        _decode_name(hold.get("name", "")),
        _mode(hold.get("mode", "0")),
        _quantity(hold.get("quantity", "0")),
        ttl / 1000,
        _flag(hold.get("adopted", "")),
    )


def _convert(found: Attributes) -> Convert:
    resource = _name_and_more(found)
    mode, number = _conversion(found)
    return Convert(_decode_name(resource["name"]), mode, _number(resource.get("wait", "")) != 0, number)


def _convert_answer(found: Attributes) -> ConvertAnswer:
    answer = found.get("answer", {})
    code, token = _number(answer["rc"]) if "rc" in answer else None, _number(answer.get("token", ""))
    token = token if 0 < token <= MAX_TOKEN else 0
    step, proof, why = _number(found["msg"]["step"]), _proof_of_grant(answer), answer.get("why", "")
    return ConvertAnswer(step, code, *_conversion(found), token, proof, why)


def _conversion(found: Attributes) -> tuple[LockMode, int]:
    msg = found["msg"]
    if not (number := _number_up_to(_INT32_MAX, msg, "number")):
        raise RemoteProtocolError("a conversion without a number")
    return _mode(msg.get("mode", "")), number


def _told(answer: dict[str, str]) -> Told:
    done = max(0, _number(answer["done"])) / 1000 if "done" in answer else None
    return Told(_short(answer["value"]), done, answer.get("by", ""))


def _terms(msg: dict[str, str]) -> Terms:
    timeout, succession = (_number_up_to(_INT32_MAX, msg, what) / 1000 for what in ("timeout", "succession"))
    waits, required, quorum = (_number(msg.get(what, "")) != 0 for what in ("waits", "required", "quorum"))
    return Terms(timeout, succession, waits, required, quorum)


def _proof_of_grant(attributes: dict[str, str]) -> str:
    return _hexadecimal(32, attributes, "proof")


def _hexadecimal(digits: int, attributes: dict[str, str], what: str) -> str:
    """Return the text that C{attributes} have for C{what} if it is so many hexadecimal digits; otherwise, none."""
    text = attributes.get(what, "")
    return text if len(text) == digits and not text.strip("0123456789abcdef") else ""


def _unlock(found: Attributes) -> Unlock | Goodbye:
    resource = _name_and_more(found)
    if misplaced := _LOCK_ONLY & resource.keys():
        raise RemoteProtocolError(f"a {min(misplaced)} attribute in an unlock message")
    name, reason = _decode_name(resource["name"]), _REASONS.get(found["msg"].get("reason", ""))
    if reason is not None:
        return Goodbye(name, reason)
    return Unlock(name, _number(resource.get("rollback", "")) != 0, _note(resource))


def _note(resource: dict[str, str]) -> Note | None:
    if "value" not in resource and "key" not in resource:
        return None
    value, key = (_short(resource[what]) if what in resource else None for what in ("value", "key"))
    return Note(value, key, _number_up_to(_INT32_MAX, resource, "period") / 1000, resource.get("by", ""))


def _unlocked(found: Attributes) -> Unlocked:
    msg = found["msg"]
    return Unlocked(_number(msg.get("kept", "")) != 0, msg.get("why", ""))


def _discover(found: Attributes) -> Discover:
    msg = found["msg"]
    everyone, orphaned, relayed = (_number(msg.get(what, "")) != 0 for what in ("everyone", "orphaned", "relayed"))
    address, port = msg.get("address", ""), _number(msg.get("port", ""))
    if not 0 <= port < 65536:
        raise RemoteProtocolError(f"a daemon on port {port}")
    number, nonce = max(0, _number(msg.get("number", ""))), msg.get("nonce", "")
    group, holder, epoch = msg.get("group", ""), _holder(msg), _number(msg.get("epoch", ""))
    epoch = epoch if 0 < epoch <= MAX_CLAIMED else 0
    said = (group, everyone, orphaned, _standing(msg), relayed, address, port, number, nonce, holder, epoch)
    return Discover(*said, msg.get("successor", ""), msg.get("promise", ""))


def _holder(attributes: dict[str, str]) -> int:
    return _number_up_to(MAX_HOLDER, attributes, "holder")


def _number_up_to(limit: int, attributes: dict[str, str], what: str) -> int:
    """Return the number that C{attributes} have for C{what}, from 1 to C{limit}; 0 if there is none."""
    if what not in attributes:
        return 0
    number = _number(attributes[what])
    return number if 0 < number <= limit else 0


def _element(resource: dict[str, str]) -> str | None:
    """Return what a client says that it held; C{None} if no daemon can have granted that."""
    element = resource.get("element", "")
    is_possible = 0 < len(element) <= MAX_TEXT and element.isascii() and element.isprintable()
    return element if is_possible and _MARKUP.isdisjoint(element) else None


def _discovered(found: Attributes) -> Discovered:
    network = found.get("network", {})
    if "address" not in network:
        raise RemoteProtocolError("a discover reply without an address")
    port = _number(network.get("port", ""))
    if not 0 < port < 65536:
        raise RemoteProtocolError(f"a discover reply with port {port}")
    msg = found["msg"]
    host, version, alone = msg.get("host", ""), msg.get("version", ""), _number(msg.get("alone", "")) != 0
    return Discovered(network["address"], port, _standing(msg), host, version, alone)


def _standing(msg: dict[str, str]) -> Standing | None:
    if "node" not in msg:
        return None
    since = _number(msg.get("since", ""))
    if not 0 <= since <= MAX_SINCE:
        raise RemoteProtocolError(f"a daemon that is what it is since {since}")
    try:
        return Standing(msg["node"], Role(msg.get("role")), since, _number(msg.get("quorum", "")) != 0)
    except ValueError:
        raise RemoteProtocolError(f"a daemon of role {msg.get('role')!r}") from None


def _management(found: Attributes) -> Shutdown | StatusRequest | Revoke | HoldOrder:
    if "hold" in found:
        hold, user = found["hold"], found["msg"].get("user", "")[:MAX_SENDER]
        ttl = _duration(hold["ttl"]) if "ttl" in hold else 0.0
        return HoldOrder(_handle(hold.get("handle", "")), _flag(hold.get("release", "")), ttl, _peer_id(found), user)
    if "release" in found:
        number = _number(found["release"].get("number", ""))
        if not 0 < number <= _INT64_MAX:
            raise RemoteProtocolError(f"a lock of number {number}")
        user = found["msg"].get("user", "")[:MAX_SENDER]
        return Revoke(_decode_name(found["release"].get("name", "")), number, _peer_id(found), user)
    if "status" in found:
        name = found["status"].get("name")
        return StatusRequest(None if name is None else _decode_name(name), _peer_id(found))
    shutdown = found.get("shutdown", {})
    if set(shutdown) - {"drain", "handover"} != {"immediate"}:
        raise RemoteProtocolError("a shutdown tag that does not say just immediate, or drain or handover too")
    immediate, drain, handover = (_number(shutdown.get(what, "0")) != 0 for what in ("immediate", "drain", "handover"))
    return Shutdown(immediate, _peer_id(found), drain, handover)


def _managed(found: Attributes) -> StatusFollows | ManagementRefused:
    if "status" not in found:
        return ManagementRefused()
    size = _number(found["status"].get("size", ""))
    if not 0 < size <= MAX_STATUS_SIZE:
        raise RemoteProtocolError(f"a status of {size} bytes")
    return StatusFollows(size)


def _handed_over(found: Attributes) -> HandedOver:
    msg = found["msg"]
    return HandedOver(msg.get("leader", ""), msg.get("why", ""))


def _hold_answer(found: Attributes) -> HoldAnswer:
    return HoldAnswer(_hold(found["hold"]) if "hold" in found else None, found["msg"].get("why", ""))


def _revoked(found: Attributes) -> Revoked:
    return Revoked(found["msg"].get("by", ""), _number_up_to(_INT32_MAX, found["msg"], "limit") / 1000)


def _offer(found: Attributes) -> Offer:
    msg = found["msg"]
    return Offer(msg.get("group", ""), msg.get("node", ""), msg.get("nonce", ""), msg.get("sealed", ""))


def _challenge(found: Attributes) -> Challenge:
    msg = found["msg"]
    return Challenge(msg.get("group", ""), msg.get("node", ""), msg.get("nonce", ""))


def _proof(found: Attributes) -> Proof:
    msg = found["msg"]
    size = _number(msg.get("size", ""))
    if not 0 <= size <= MAX_STATUS_SIZE:
        raise RemoteProtocolError(f"a list of {size} bytes")
    return Proof(_standing(msg), msg.get("nonce", ""), msg.get("proof", ""), msg.get("sealed", ""), size)


_BUILDERS: Final[dict[tuple[int, int], Callable[[Attributes], Message]]] = {
    (1, 8): _lock,
    (1, 12): _more,
    (1, 16): _answer,
    (1, 24): _answer,
    (1, 32): _answer,
    (2, 8): _unlock,
    (2, 16): _unlocked,
    (2, 24): lambda found: Contested(),
    (2, 32): _revoked,
    (2, 40): lambda found: Wanted(),
    (3, 8): lambda found: Ping(8),
    (3, 16): lambda found: Ping(16),
    (4, 8): _discover,
    (4, 16): _discovered,
    (5, 8): _management,
    (5, 16): _managed,
    (5, 24): _handed_over,
    (5, 40): _hold_answer,
    (5, 32): lambda found: RevokeAnswer(found["msg"].get("why", "")),
    (6, 8): _challenge,
    (6, 16): _proof,
    (6, 24): _offer,
    (7, 8): _convert,
    (7, 16): _convert_answer,
    (7, 24): _convert_answer,
}


def _name_and_more(found: Attributes) -> dict[str, str]:
    resource = found.get("resource", {})
    if "name" not in resource:
        raise RemoteProtocolError("no name of a resource")
    return resource


def _peer_id(found: Attributes) -> str | None:
    return found.get("session", {}).get("peerid")


def _extended(msg: dict[str, str]) -> int:
    number = _number(msg.get("extended", ""))
    return min(number, HAS_SESSIONS) if number >= 0 else 1


def _is_extended(found: Attributes) -> bool:
    return _extended(found["msg"]) != 0


def _number(text: str) -> int:
    """Read as strtol: what follows a number is ignored, none is 0 (docs/compatibility.md, "Protocol: header")."""
    number = _SMALL.get(text)
    return _number_or(text, 0) if number is None else number


def _number_or(text: str, default: int) -> int:
    """Do as L{_number}, but return C{default} if there is no number."""
    start = text.lstrip(" \t\n\v\f\r")
    sign = start[:1] if start.startswith(("+", "-")) else ""
    unsigned = start[len(sign) :]
    digits = unsigned[: len(unsigned) - len(unsigned.lstrip("0123456789"))]
    if not digits:
        return default
    try:
        return int(sign + digits)
    except ValueError:  # Python takes some thousands of digits
        raise RemoteProtocolError(f"a number of {len(digits)} digits") from None


def _mode(text: str) -> LockMode:
    # FLoM takes a mode that is no number for NL, which protects from nothing, and one out of range for anything
    # (docs/compatibility.md, "A lock mode out of range is granted")
    try:
        return _MODES.get(text) or LockMode(_number_or(text, -1))
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
        return a2b_base64(text.encode()).decode("utf-8", "surrogateescape")
    except Base64Error:
        return ""

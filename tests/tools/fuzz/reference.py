"""
Reading a message the slow way: by a parser of XML, then tag by tag as docs/reference/protocol.md has it.

Nothing of flom.core.protocol.wire is used, so that whatever shorter ways are taken there can be compared with this.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any, Final
from xml.parsers.expat import ExpatError, ParserCreate

from flom.codes import ReturnCode
from flom.core.modes import LockMode
from flom.core.protocol.messages import (
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
from flom.errors import RemoteProtocolError

Attributes = dict[str, str]

_KNOWN: Final = ("msg", "session", "resource", "answer", "network", "shutdown", "status", "release", "hold")
_NOT_IN_UNLOCK: Final = ("mode", "wait", "quantity", "create", "lifespan")
_LONGEST_LIFESPAN_MS: Final = 2**31 - 1
_LARGEST: Final = 2**31 - 1
_LAST_MS: Final = 253402300799999
_LARGEST_STATUS: Final = 2**30
_HEX: Final = set("0123456789abcdef")
_HIGHEST_EPOCH: Final = 2**31 - 1 - 2**20  # that a peer is believed


def read_slowly(data: bytes) -> Message:
    """
    Read one message.

    @raise RemoteProtocolError: it is none.
    """
    tags = _tags(data)
    msg = tags["msg"]
    if "level" in msg and strtol(msg["level"]) != 3:
        raise RemoteProtocolError("another level", "FLM006W", ReturnCode.PROTOCOL_LEVEL_MISMATCH)
    resource, session = tags.get("resource", {}), tags.get("session", {})
    answer, network = tags.get("answer", {}), tags.get("network", {})
    peer_id = session.get("peerid")
    match strtol(msg.get("verb", "")), strtol(msg.get("step", "")):
        case 1, 8:
            return _lock(msg, resource, peer_id)
        case 1, 12:
            if "name" in resource:
                return More(lock=_lock(msg, resource, peer_id))
            claim, proof, waited = _claim(resource), _proof(resource), _up_to(_LARGEST, resource, "waited") / 1000
            former = resource.get("session", ""), _element(resource), claim, proof, _holder(resource), waited
            return More(*former, more=_is_set(resource, "more"))
        case 1, (16 | 24 | 32) as step:
            code = strtol(answer["rc"]) if "rc" in answer else None
            secret = msg.get("session", "")
            token = _up_to(2**63 - 1, answer, "token")
            start = msg.get("start", "")
            if len(start) != 16 or not set(start) <= set("0123456789abcdef"):
                start = ""
            said = _is_set(msg, "extended"), secret, start, token, _proof(answer), _terms(msg)
            kept = _is_set(msg, "wishes"), _told(answer), answer.get("why", ""), _hold(tags)
            of = _up_to(64, answer, "part"), _is_set(msg, "converts")
            left = _up_to(_LARGEST, answer, "left") / 1000
            return Answer(step, code, answer.get("element"), peer_id, *said, *kept, *of, left)
        case 2, 8:
            if "name" not in resource or any(attribute in resource for attribute in _NOT_IN_UNLOCK):
                raise _breach()
            name = _name(resource["name"])
            if (reason := msg.get("reason")) in ("timeout", "signal"):
                return Goodbye(name, WhyWithdrawn(reason))
            return Unlock(name, _is_set(resource, "rollback"), _note(resource))
        case 7, 8:
            if "name" not in resource:
                raise _breach()
            return Convert(
                _name(resource["name"]), _mode(msg.get("mode", "")), _is_set(resource, "wait"), _conversion(msg)
            )
        case 7, (16 | 24) as step:
            code = strtol(answer["rc"]) if "rc" in answer else None
            token = _up_to(2**63 - 1, answer, "token")
            mode, number, why = _mode(msg.get("mode", "")), _conversion(msg), answer.get("why", "")
            return ConvertAnswer(step, code, mode, number, token, _proof(answer), why)
        case 2, 16:
            return Unlocked(_is_set(msg, "kept"), msg.get("why", ""))
        case 2, 24:
            return Contested()
        case 2, 32:
            return Revoked(msg.get("by", ""), _up_to(_LARGEST, msg, "limit") / 1000)
        case 2, 40:
            return Wanted()
        case 3, (8 | 16) as step:
            return Ping(step)
        case 4, 8:
            port = _within(0, strtol(msg.get("port", "")), 65535)
            everyone, orphaned, relayed = (_is_set(msg, what) for what in ("everyone", "orphaned", "relayed"))
            group, address = msg.get("group", ""), msg.get("address", "")
            number, nonce = max(0, strtol(msg.get("number", ""))), msg.get("nonce", "")
            to = msg.get("successor", ""), msg.get("promise", "")
            more = number, nonce, _holder(msg), _up_to(_HIGHEST_EPOCH, msg, "epoch"), *to
            return Discover(group, everyone, orphaned, _standing(msg), relayed, address, port, *more)
        case 4, 16:
            if "address" not in network:
                raise _breach()
            port = _within(1, strtol(network.get("port", "")), 65535)
            host, version, alone = msg.get("host", ""), msg.get("version", ""), _is_set(msg, "alone")
            return Discovered(network["address"], port, _standing(msg), host, version, alone)
        case 5, 8:
            if "hold" in tags:
                hold, user = tags["hold"], msg.get("user", "")[:40]
                ttl = _within(1, strtol(hold["ttl"]), _LARGEST) / 1000 if "ttl" in hold else 0.0
                return HoldOrder(_handle(hold.get("handle", "")), _is_set(hold, "release"), ttl, peer_id, user)
            if "release" in tags:
                number = _within(1, strtol(tags["release"].get("number", "")), 2**63 - 1)
                return Revoke(_name(tags["release"].get("name", "")), number, peer_id, msg.get("user", "")[:40])
            if "status" in tags:
                status = tags["status"]
                return StatusRequest(_name(status["name"]) if "name" in status else None, peer_id)
            shutdown = tags.get("shutdown", {})
            if "immediate" not in shutdown or set(shutdown) - {"immediate", "drain", "handover"}:
                raise _breach()
            drain, handover = _is_set(shutdown, "drain"), _is_set(shutdown, "handover")
            return Shutdown(_is_set(shutdown, "immediate"), peer_id, drain, handover)
        case 5, 16:
            if "status" in tags:
                return StatusFollows(_within(1, strtol(tags["status"].get("size", "")), _LARGEST_STATUS))
            return ManagementRefused()
        case 5, 24:
            return HandedOver(msg.get("leader", ""), msg.get("why", ""))
        case 5, 40:
            return HoldAnswer(_hold(tags), msg.get("why", ""))
        case 5, 32:
            return RevokeAnswer(msg.get("why", ""))
        case 6, 24:
            return Offer(msg.get("group", ""), msg.get("node", ""), msg.get("nonce", ""), msg.get("sealed", ""))
        case 6, 8:
            return Challenge(msg.get("group", ""), msg.get("node", ""), msg.get("nonce", ""))
        case 6, 16:
            size = _within(0, strtol(msg.get("size", "")), _LARGEST_STATUS)
            return Proof(_standing(msg), msg.get("nonce", ""), msg.get("proof", ""), msg.get("sealed", ""), size)
    raise _breach()


def _lock(msg: dict[str, str], resource: dict[str, str], peer_id: str | None) -> Lock:
    if "name" not in resource or "rollback" in resource:
        raise _breach()
    return Lock(
        _name(resource["name"]),
        _mode(resource.get("mode", "0")),
        _within(0, strtol(resource.get("quantity", "0")), _LARGEST),
        _is_set(resource, "wait"),
        _is_set(resource, "create"),
        sorted((-_LONGEST_LIFESPAN_MS, strtol(resource.get("lifespan", "")), _LONGEST_LIFESPAN_MS))[1] / 1000,
        peer_id,
        _is_set(resource, "regains"),
        _extended(msg),
        _holder(resource),
        session=resource.get("session", ""),
        element=_element(resource),
        token=_claim(resource),
        proof=_proof(resource),
        more=_is_set(resource, "more"),
        waited=_up_to(_LARGEST, resource, "waited") / 1000,
        wishes=_wishes(resource),
    )


def _wishes(resource: dict[str, str]) -> Wishes | None:
    said: dict[str, Any] = {}
    if "lineage" in resource:
        ids = tuple(resource["lineage"].split("/"))
        is_valid = len(ids) == len(set(ids)) <= 9 and all(len(one) == 16 and set(one) <= _HEX for one in ids)
        said["lineage"] = ids if is_valid else ()
    if "nested" in resource:
        said["nested"] = resource["nested"] if resource["nested"] in ("share", "wait") else ""
    if "max_hold" in resource:
        said["max_hold"] = _within(1, strtol(resource["max_hold"]), _LARGEST) / 1000
    if "lock_delay" in resource:
        text = resource["lock_delay"]
        said["lock_delay"] = 0.0 if text == "0" else _within(1, strtol(text), _LARGEST) / 1000
    if "wanted" in resource:
        said["wanted"] = strtol(resource["wanted"]) != 0
    if "left" in resource:
        said["left"] = _up_to(_LARGEST, resource, "left") / 1000
    if "value" in resource:
        said["value"] = _is_set(resource, "value")
    if "key" in resource:
        said["key"] = _short(resource["key"])
    if "ttl" in resource:
        said["ttl"] = _within(1, strtol(resource["ttl"]), _LARGEST) / 1000
    if "hold_as" in resource:
        said["hold_as"] = resource["hold_as"][:40]
    if "adopts" in resource:
        said["adopts"] = _handle(resource["adopts"])
    return Wishes(**said) if said else None


def _handle(text: str) -> str:
    if not re.fullmatch("hold-[0-9a-f]{8}-[0-9a-f]{32}", text):
        raise _breach()
    return text


def _hold(tags: dict[str, Attributes]) -> HoldTold | None:
    if "hold" not in tags:
        return None
    hold = tags["hold"]
    return HoldTold(
        hold.get("handle", "")[:46],
        _name(hold.get("name", "")),
        _mode(hold.get("mode", "0")),
        _within(0, strtol(hold.get("quantity", "0")), _LARGEST),
        max(0, strtol(hold.get("ttl", ""))) / 1000,
        _is_set(hold, "adopted"),
    )


def _note(resource: dict[str, str]) -> Note | None:
    if "value" not in resource and "key" not in resource:
        return None
    value = _short(resource["value"]) if "value" in resource else None
    key = _short(resource["key"]) if "key" in resource else None
    return Note(value, key, _up_to(_LARGEST, resource, "period") / 1000, resource.get("by", ""))


def _told(answer: dict[str, str]) -> Told | None:
    if "value" not in answer:
        return None
    done = max(0, strtol(answer["done"])) / 1000 if "done" in answer else None
    return Told(_short(answer["value"]), done, answer.get("by", ""))


def _short(text: str) -> str:
    try:
        data = b64decode(text.encode())
    except Base64Error:
        raise _breach() from None
    if b"\0" in data or len(data) > 64:
        raise _breach()
    return data.decode("utf-8", "surrogateescape")


def _claim(resource: dict[str, str]) -> int:
    """Return a token that is claimed: of an epoch above which there are a million more, with a count from 1 on."""
    token = _up_to(_HIGHEST_EPOCH * 2**32 + 2**32 - 1, resource, "token")
    return token if token % 2**32 else 0


def _proof(attributes: dict[str, str]) -> str:
    proof = attributes.get("proof", "")
    return proof if re.fullmatch("[0-9a-f]{32}", proof) else ""


def _terms(msg: dict[str, str]) -> Terms:
    if "session" not in msg:
        return Terms()
    timeout, succession = (_up_to(_LARGEST, msg, what) / 1000 for what in ("timeout", "succession"))
    return Terms(timeout, succession, _is_set(msg, "waits"), _is_set(msg, "required"))


def strtol(text: str) -> int:
    """Read a number as C does: blanks, a sign, digits, and whatever follows; 0 if there is none."""
    text = text.lstrip(" \t\n\v\f\r")
    sign, text = (-1, text[1:]) if text[:1] == "-" else (1, text[1:] if text[:1] == "+" else text)
    digits = text[: len(text) - len(text.lstrip("0123456789"))]
    return sign * int(digits or "0")


def _tags(data: bytes) -> dict[str, Attributes]:
    """Return each known tag's attributes; of repeated ones the last."""
    found: dict[str, Attributes] = {}

    def element(tag: str, attributes: Attributes) -> None:
        if tag in _KNOWN:
            found[tag] = found.get(tag, {}) | attributes
        elif attributes:
            raise _breach()

    def document_type(name: str, system: str | None, public: str | None, has_subset: int) -> None:
        if system or public or has_subset:
            raise _breach()

    parser = ParserCreate("UTF-8")
    parser.StartElementHandler = element
    parser.StartDoctypeDeclHandler = document_type
    try:
        parser.Parse(data.lstrip(), True)
    except ExpatError as e:
        raise RemoteProtocolError(str(e), code=ReturnCode.MSG_DESERIALIZE_ERROR) from e
    if "msg" not in found:
        raise _breach()
    return found


def _breach() -> RemoteProtocolError:
    return RemoteProtocolError("no message")


def _is_set(attributes: Attributes, name: str) -> bool:
    return strtol(attributes.get(name, "")) != 0


def _extended(msg: Attributes) -> int:
    number = strtol(msg.get("extended", ""))
    return 1 if number < 0 else min(number, 2)


def _holder(attributes: Attributes) -> int:
    return _up_to(2**32 - 1, attributes, "holder")


def _up_to(most: int, attributes: Attributes, what: str) -> int:
    number = strtol(attributes.get(what, ""))
    return number if 0 < number <= most else 0


def _element(attributes: Attributes) -> str | None:
    element = attributes.get("element", "")
    return element if re.fullmatch(r"[ !#-%(-;=?-~]{1,320}", element) else None


def _within(least: int, number: int, most: int) -> int:
    if not least <= number <= most:
        raise _breach()
    return number


def _name(text: str) -> str:
    try:
        return b64decode(text.encode()).decode("utf-8", "surrogateescape")
    except Base64Error:
        return ""


def _conversion(msg: Attributes) -> int:
    return _within(1, _up_to(_LARGEST, msg, "number"), _LARGEST)


def _mode(text: str) -> LockMode:
    begin = text.lstrip(" \t\n\v\f\r")
    digit = begin[1:2] if begin[:1] in ("+", "-") else begin[:1]
    if digit not in tuple("0123456789"):
        raise _breach()  # FLoM takes a mode that is no number for NL, which protects from nothing
    return LockMode(_within(0, strtol(text), 5))


def _standing(msg: Attributes) -> Standing | None:
    if "node" not in msg:
        return None
    since = _within(0, strtol(msg.get("since", "")), _LAST_MS)
    try:
        return Standing(msg["node"], Role(msg.get("role")), since)
    except ValueError:
        raise _breach() from None

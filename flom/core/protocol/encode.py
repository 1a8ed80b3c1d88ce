"""
Messages to bytes, spelled as FLoM does, to the order of attributes (docs/compatibility.md, "Protocol: messages").

The wire's milliseconds begin here.
"""

from __future__ import annotations

from binascii import b2a_base64

from flom.codes import Outcome
from flom.core.names import parse_name
from flom.core.protocol.framing import END_OF_MESSAGE, MAX_ANSWER_SIZE, MAX_MESSAGE_SIZE
from flom.core.protocol.messages import (
    HAS_SESSIONS,
    LEVEL,
    STATUS_PROBE,
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
    Shutdown,
    Standing,
    StatusFollows,
    StatusRequest,
    Terms,
    Told,
    Unlock,
    Unlocked,
    Wanted,
    Wishes,
)
from flom.errors import InvalidName, LocalProtocolError
from flom.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

QUESTION_SIZE: Final = 320
"""Bytes that our own questions for a daemon have, so that no answer need be longer than its question."""

DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8" ?>'
"""How every message begins that FLoM writes, and all but one kind of ours."""

_DECLARED: Final = DECLARATION.encode()

_LESS: Final[tuple[dict[str, str | float], ...]] = (
    {"user": "", "command": ""},
    {"waited": 0.0},
    {"holder": 0},
    {"token": 0, "proof": ""},
    {"session": ""},
)
"""
What a lock that would be too long does not say, in this order: the daemon shows less of it, does not know its place in
the queue, waits for it longer than it need, grants it by a token of its own, or does not find what the sender had
before its connection broke. See L{split}.
"""

_WISHES: Final[dict[str, Callable[[Any], str]]] = {
    "lineage": "/".join,
    "nested": str,
    "value": lambda is_wanted: "1" if is_wanted else "",
    "key": lambda key: "" if key is None else spell_text(key),
    "ttl": lambda seconds: f"{seconds * 1000:.0f}" if seconds else "",
    "hold_as": str,
    "adopts": str,
    "max_hold": lambda seconds: _milliseconds(seconds) if seconds else "",
    "lock_delay": lambda seconds: "" if seconds is None else _milliseconds(seconds) if seconds else "0",
    "wanted": lambda wanted: "1" if wanted else "",
    "left": lambda seconds: _milliseconds(seconds) if seconds else "",
}
"""How each of L{Wishes} is written."""

_FOLLOWING: Final = {"session": "", "element": None, "token": 0, "proof": "", "holder": 0, "waited": 0.0, "more": True}
"""What a lock says that leaves the rest to a L{More}."""

_NOTHING: Final = More()

_REFERENCES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})


def encode(message: Message) -> bytes:
    """
    Write C{message} as FLoM does, to the order of attributes.

    @raise LocalProtocolError: it would be longer than L{MAX_MESSAGE_SIZE}, even without what can be left out; an answer
        to a client of ours may have L{MAX_ANSWER_SIZE}.
    """
    data = _write(message)
    if isinstance(message, Discover) and message.group and message.standing is None:
        data = data.removesuffix(END_OF_MESSAGE).ljust(QUESTION_SIZE - len(END_OF_MESSAGE)) + END_OF_MESSAGE
    most = MAX_ANSWER_SIZE if isinstance(message, Answer) and message.extended else MAX_MESSAGE_SIZE
    if len(data) > most:
        if isinstance(message, Lock) and (shorter := _shorten(message)) is not None:
            return encode(shorter)
        if isinstance(message, More) and message.lock and (shorter := _shorten(message.lock)) is not None:
            return encode(More(lock=shorter))
        if isinstance(message, Lock) and not is_too_long(message.replace(extended=0)):
            data = data.removeprefix(_DECLARED)  # a name that has room in a lock of FLoM has room here
            if len(data) <= most:
                return data
        raise LocalProtocolError(f"a message of {len(data)} bytes, more than {most}: a name is too long")
    return data


def split(message: Lock) -> tuple[bytes, tuple[More, ...]]:
    """
    Write C{message} so that all of it is said, in several messages if need be; return the first, and what follows. If
    it has wishes that a daemon must understand, the first one only asks whether it does.

    @raise LocalProtocolError: see L{encode}.
    """
    if message.wishes is not None and message.wishes.is_binding:
        if message.wishes.parts:
            from flom.core.protocol.parts import spell_parts  # which few requests need

            following = spell_parts(message)
        else:
            following = (More(lock=message.replace(peer_id=None, extended=0, user="", command="")),)
        for each in following:
            encode(each)  # or else it is too long
        question = f"{STATUS_PROBE}{(message.peer_id or '')[:16]}"
        asking = Lock(question, peer_id=message.peer_id, extended=message.extended, more=True)
        return encode(asking.replace(user=message.user, command=message.command)), following
    whole = message.replace(user="", command="")
    rest = More(message.session, message.element, message.token, message.proof, message.holder, message.waited)
    if message.extended and rest != _NOTHING and is_too_long(whole):
        beginning = message.replace(**_FOLLOWING)
        if is_too_long(beginning.replace(user="", command="")):
            beginning = _without_hints(beginning)
        if not is_too_long(beginning.replace(user="", command="")):
            return encode(beginning), (rest,)
    return encode(message), ()


def is_too_long(message: Lock | More) -> bool:
    """Return whether C{message} cannot be said whole."""
    try:
        data = _write(message)
    except LocalProtocolError:
        return False  # it has no name, which L{encode} finds out too
    return len(data) > MAX_MESSAGE_SIZE


def _write(message: Message) -> bytes:
    """Write C{message}, however long it gets."""
    # what FLoM's clients never send needs the room; to FLoM's daemon too, a declaration is optional
    is_ours = message.lock is not None if isinstance(message, More) else False
    is_ours |= isinstance(message, Lock) and (message.regains or message.more)
    is_ours |= isinstance(message, Unlock) and message.note is not None
    declaration = "" if is_ours else DECLARATION
    header = f'{declaration}<msg level="{LEVEL}" verb="{message.verb}" step="{message.step}"{_more(message)}>'
    return f"{header}{_body(message)}</msg>".encode("utf-8", "surrogateescape")


def extend(message: Lock) -> Lock:
    """Return C{message} with the sign that we understand more than FLoM's clients."""
    return message.replace(extended=HAS_SESSIONS)


def _without_hints(message: Lock) -> Lock:
    """Return C{message} without what its sender runs under."""
    if message.wishes is None:
        return message
    wishes = message.wishes.replace(lineage=(), nested="")
    return message.replace(wishes=wishes if wishes.is_binding else None)


def _shorten(message: Lock) -> Lock | None:
    """Return C{message} without the first of L{_LESS} that it says, or without hints; C{None} if it says none."""
    if message.wishes is not None and (message.wishes.lineage or message.wishes.nested):
        if message.user or message.command:
            return message.replace(user="", command="")
        return _without_hints(message)
    return next((shorter for less in _LESS if (shorter := message.replace(**less)) != message), None)


def _encode_name(name: str) -> str:
    return b2a_base64(name.encode("utf-8", "surrogateescape"), newline=False).decode()


def _more(message: Message) -> str:
    """Write the attributes that FLoM does not know, and ignores (docs/compatibility.md, "Protocol: tolerance")."""
    match message:
        case Lock() if message.extended:
            user = f" user={_quoted(message.user)}" if message.user else ""
            command = f" command={_quoted(message.command)}" if message.command else ""
            return f' extended="{message.extended:d}"{user}{command}'
        case Answer(extended=True):
            start = f" start={_quoted(message.start)}" if message.start else ""
            terms = spell_terms(message.terms) if message.session else ""
            wishes = ' wishes="1"' if message.wishes else ""
            start += ' converts="1"' if message.converts else ""
            return f' extended="1"{wishes}{_spell_session(message)}{terms}{start}'
        case Convert() | ConvertAnswer():
            return f' number="{message.number}" mode="{message.mode:d}"'
        case Discover():
            group = f" group={_quoted(message.group)}" if message.group else ""
            everyone = ' everyone="1"' if message.everyone else ""
            orphaned = ' orphaned="1"' if message.orphaned else ""
            relayed = ' relayed="1"' if message.relayed else ""
            place = f' address={_quoted(message.address)} port="{message.port}"' if message.port else ""
            number = f' number="{message.number}"' if message.number else ""
            nonce = f" nonce={_quoted(message.nonce)}" if message.nonce else ""
            orphaned += _spell_holder(message)
            number += f' epoch="{message.epoch}"' if message.epoch else ""
            if message.successor:
                number += f" successor={_quoted(message.successor)} promise={_quoted(message.promise)}"
            return group + everyone + orphaned + _spell_standing(message.standing) + relayed + place + number + nonce
        case Discovered(standing=Standing()):
            host, version = _quoted(message.host), _quoted(message.version)
            alone = ' alone="1"' if message.alone else ""
            return f"{_spell_standing(message.standing)} host={host} version={version}{alone}"
        case Challenge():
            group, node, nonce = map(_quoted, (message.group, message.node, message.nonce))
            return f" group={group} node={node} nonce={nonce}"
        case Goodbye():
            return f' reason="{message.reason.value}"'
        case Unlocked():
            return (' kept="1"' if message.kept else "") + spell_why(message.why, 300)
        case HandedOver():
            leader, why = map(_quoted, (message.leader, message.why))
            return f" leader={leader} why={why}"
        case HoldAnswer():
            return spell_why(message.why, 250)
        case Revoke(user=user) | HoldOrder(user=user) if user:
            return f" user={_quoted(user)}"
        case Revoked():
            limit = f' limit="{_milliseconds(message.limit)}"' if message.limit else ""
            return f" by={_quoted(message.by)}{limit}"
        case RevokeAnswer():
            return f" why={_quoted(message.why)}" if message.why else ""
        case Offer():
            group, node, nonce, sealed = map(_quoted, (message.group, message.node, message.nonce, message.sealed))
            return f" group={group} node={node} nonce={nonce} sealed={sealed}"
        case Proof():
            nonce, proof, sealed = map(_quoted, (message.nonce, message.proof, message.sealed))
            said = f' nonce={nonce} proof={proof} sealed={sealed} size="{message.size}"'
            return _spell_standing(message.standing) + said
        case _:
            return ""


def _spell_holder(message: Discover | Lock | More) -> str:
    return f' holder="{message.holder}"' if message.holder else ""


def _spell_session(message: Lock | More | Answer) -> str:
    return f" session={_quoted(message.session)}" if message.session else ""


def spell_terms(terms: Terms) -> str:
    """Write C{terms} as attributes of C{msg}."""
    timeout = f' timeout="{terms.timeout * 1000:.0f}"' if terms.timeout else ""
    succession = f' succession="{terms.succession * 1000:.0f}"' if terms.succession else ""
    waits = ' waits="1"' if terms.waits else ""
    required = ' required="1"' if terms.required else ""
    return timeout + succession + waits + required + (' quorum="1"' if terms.quorum else "")


def _element(message: Lock | More | Answer) -> str:
    return "" if message.element is None else f" element={_quoted(message.element)}"


def _spell_token(message: Lock | More | Answer | ConvertAnswer) -> str:
    token = f' token="{message.token}"' if message.token else ""
    return token + (f' proof="{message.proof}"' if message.proof else "")


def _spell_former(message: Lock | More) -> str:
    """Write what the sender had."""
    return _spell_holder(message) + _spell_session(message) + _element(message) + _spell_token(message)


def _spell_more(message: Lock | More) -> str:
    return ' more="1"' if message.more else ""


def _spell_waited(message: Lock | More) -> str:
    return f' waited="{message.waited * 1000:.0f}"' if message.waited else ""


def _spell_left(answer: Answer) -> str:
    return f' left="{_milliseconds(answer.left)}"' if answer.left else ""


def _milliseconds(seconds: float) -> str:
    """Write C{seconds}, more than 0, as at least one millisecond."""
    return f"{max(seconds * 1000, 1):.0f}"


def _spell_standing(standing: Standing | None) -> str:
    if standing is None:
        return ""
    quorum = ' quorum="1"' if standing.quorum else ""
    return f' node={_quoted(standing.node)} role="{standing.role.value}" since="{standing.since}"{quorum}'


def _body(message: Message) -> str:
    match message:
        case Lock():
            return _session(message.peer_id) + _resource(message)
        case More(lock=Lock() as lock):
            return _resource(lock)
        case More():
            return f"<resource{_spell_former(message)}{_spell_more(message)}{_spell_waited(message)}/>"
        case Answer():
            session = _session(message.peer_id) if message.step == 16 else ""
            told = (spell_told(message.told) if message.told else "") + spell_why(message.why)
            told += f' part="{message.part}"' if message.part else ""
            hold = "" if message.hold is None else spell_hold(message.hold)
            said = _element(message) + told + _spell_left(message) + _spell_token(message)
            return f'{session}<answer rc="{message.code}"{said}/>{hold}'
        case Convert():
            return f'<resource name="{_encode_name(message.name)}" wait="{message.wait:d}"/>'
        case ConvertAnswer():
            return f'<answer rc="{message.code}"{_spell_token(message)}{spell_why(message.why, 300)}/>'
        case Goodbye():
            return f'<resource name="{_encode_name(message.name)}" rollback="1" />'
        case Unlock():
            note = "" if message.note is None else _spell_note(message.note)
            return f'<resource name="{_encode_name(message.name)}" rollback="{message.rollback:d}"{note} />'
        case Discovered():
            return f'<network address={_quoted(message.address)} port="{message.port}"/>'
        case Shutdown():
            more = (' drain="1"' if message.drain else "") + (' handover="1"' if message.handover else "")
            return f'{_session(message.peer_id)}<shutdown immediate="{message.immediate:d}"{more}/>'
        case StatusRequest():
            name = "" if message.name is None else f' name="{_encode_name(message.name)}"'
            return f"{_session(message.peer_id)}<status{name}/>"
        case Revoke():
            name = _encode_name(message.name)
            return f'{_session(message.peer_id)}<release name="{name}" number="{message.number}"/>'
        case HoldOrder():
            release = ' release="1"' if message.is_release else ""
            ttl = f' ttl="{message.ttl * 1000:.0f}"' if message.ttl else ""
            return f"{_session(message.peer_id)}<hold handle={_quoted(message.handle)}{release}{ttl}/>"
        case HoldAnswer():
            return "" if message.hold is None else spell_hold(message.hold)
        case StatusFollows():
            return f'<status size="{message.size}"/>'
        case ManagementRefused():
            return f'<answer rc="{Outcome.IMPOSSIBLE:d}"/>'
        case Revoked() | Wanted() | RevokeAnswer():
            return ""
        case Ping() | Discover() | Unlocked() | Contested() | Challenge() | Proof() | Offer() | HandedOver():
            return ""


def _resource(lock: Lock) -> str:
    """Write what C{lock} asks for."""
    lifespan = round(lock.lifespan * 1000)
    regains = ' regains="1"' if lock.regains else ""
    former = _spell_former(lock) + _spell_more(lock)
    former += _spell_waited(lock) + ("" if lock.wishes is None else _spell_wishes(lock.wishes))
    return f'<resource name="{_encode_name(lock.name)}"{_asked_for(lock)} lifespan="{lifespan}"{regains}{former}/>'


def _spell_wishes(wishes: Wishes) -> str:
    said = ((what, spell(getattr(wishes, what))) for what, spell in _WISHES.items())
    return "".join(f" {what}={_quoted(text)}" for what, text in said if text)


def spell_text(text: str) -> str:
    """Write C{text} so that it needs no escapes, and is not empty if C{text} is."""
    return _encode_name(text) or "-"


def spell_hold(hold: HoldTold) -> str:
    """Write C{hold} as a tag."""
    handle = f" handle={_quoted(hold.handle)}" if hold.handle else ""
    name = f' name="{_encode_name(hold.name)}"' if hold.name else ""
    wish = f' mode="{hold.mode.value}" quantity="{hold.quantity}"'
    ttl = f' ttl="{hold.ttl * 1000:.0f}"' if hold.ttl else ""
    adopted = ' adopted="1"' if hold.is_adopted else ""
    return f"<hold{handle}{name}{wish}{ttl}{adopted}/>"


def _spell_note(note: Note) -> str:
    value = "" if note.value is None else f' value="{spell_text(note.value)}"'
    if note.key is None:
        return value
    period = f' period="{note.period * 1000:.0f}"' if note.period else ""
    by = f" by={_quoted(note.by)}" if note.by else ""
    return f'{value} key="{spell_text(note.key)}"{period}{by}'


def spell_told(told: Told) -> str:
    """Write C{told} as attributes of C{answer}."""
    value = f' value="{spell_text(told.value)}"'
    if told.done is None:
        return value
    by = f" by={_quoted(told.by)}" if told.by else ""
    return f'{value} done="{told.done * 1000:.0f}"{by}'


def spell_why(why: str, most: int = 750) -> str:
    """Write the reason C{why}, cut short if it would have more than C{most} bytes; nothing if there is none."""
    if not why:
        return ""
    spelled = f" why={_quoted(one_line(why))}"
    return spelled if len(spelled.encode("utf-8", "replace")) <= most else spell_why(why[: len(why) * 9 // 10], most)


def _session(peer_id: str | None) -> str:
    return "" if peer_id is None else f"<session peerid={_quoted(peer_id)}/>"


def _quoted(text: str) -> str:
    # line feeds and tabs stay, as FLoM writes them: as references they would make an answer too long
    return f'"{text.translate(_REFERENCES)}"'


def _asked_for(lock: Lock) -> str:
    """Write what FLoM says for a name of its type (docs/compatibility.md, "Protocol: messages")."""
    try:
        name = parse_name(lock.name)
    except InvalidName as e:
        raise LocalProtocolError(str(e)) from e
    mode = f' mode="{lock.mode:d}"' if name.has_mode else ""
    quantity = f' quantity="{lock.quantity}"' if name.has_quantity else ""
    return f'{mode} wait="{lock.wait:d}"{quantity} create="{lock.create:d}"'

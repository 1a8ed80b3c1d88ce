"""
Which message may follow which on one connection, seen from the daemon and from the client: a table of transitions for
each (docs/compatibility.md, "Protocol: client", "Protocol: daemon").
"""

from __future__ import annotations

from flom.codes import Outcome
from flom.core.names import ResourceName, parse_name
from flom.core.protocol.events import Convert as ConvertOrder
from flom.core.protocol.events import (
    Converted,
    Converting,
    Granted,
    Incomplete,
    InvalidLock,
    MoreWanted,
    NotConverted,
    Order,
    PartGranted,
    Pong,
    Refused,
    Release,
    ReleaseAll,
    Waiting,
    Withdraw,
    WithdrawAll,
)
from flom.core.protocol.messages import (
    Answer,
    Challenge,
    Contested,
    Convert,
    ConvertAnswer,
    Goodbye,
    HandedOver,
    HoldAnswer,
    HoldOrder,
    Lock,
    ManagementRefused,
    Message,
    More,
    Offer,
    Ping,
    Request,
    Revoke,
    RevokeAnswer,
    Revoked,
    Shutdown,
    StatusFollows,
    StatusRequest,
    Terms,
    Unlock,
    Unlocked,
    Wanted,
    asked_by,
    is_probe,
    kind,
)
from flom.core.requests import LockRequest, SetRequest, check_apart
from flom.errors import OLDER_DAEMON, InvalidName, InvalidRequest, LocalProtocolError, RemoteProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.core.protocol.messages import Wishes
    from flom.core.protocol.parts import Parts
    from flom.core.requests import SessionId, SetRequest

    Meaning = (
        Waiting
        | MoreWanted
        | Granted
        | PartGranted
        | Refused
        | Converted
        | Converting
        | NotConverted
        | Unlocked
        | Contested
        | Revoked
        | Wanted
        | Pong
        | StatusFollows
        | ManagementRefused
        | HandedOver
        | RevokeAnswer
        | HoldAnswer
    )


class _Server:
    """The daemon's states, by what the client has said."""

    FRESH: Final = 0
    BOUND: Final = 1  # the first lock message has bound it to a resource, for ever
    EXTENDED: Final = 2  # the same, and the client wants its unlocks answered
    WATCHING: Final = 3
    INCOMPLETE: Final = 4  # EXTENDED, and more of a lock is to follow
    SEVERAL: Final = 5  # it has asked for several locks at once, and is for these alone


_SERVER: Final[dict[int, dict[type, int]]] = {
    _Server.FRESH: {
        Lock: _Server.BOUND,
        Shutdown: _Server.FRESH,
        StatusRequest: _Server.WATCHING,
        Revoke: _Server.FRESH,
        Challenge: _Server.FRESH,
        Offer: _Server.FRESH,
    },
    _Server.BOUND: {Lock: _Server.BOUND, Unlock: _Server.BOUND, Goodbye: _Server.BOUND},
    _Server.EXTENDED: {
        Lock: _Server.EXTENDED,
        Unlock: _Server.EXTENDED,
        Goodbye: _Server.EXTENDED,
        StatusRequest: _Server.EXTENDED,
        HoldOrder: _Server.EXTENDED,
        Ping: _Server.EXTENDED,
        Convert: _Server.EXTENDED,
    },
    _Server.WATCHING: {StatusRequest: _Server.WATCHING},
    _Server.INCOMPLETE: {More: _Server.EXTENDED, Unlock: _Server.INCOMPLETE, Goodbye: _Server.INCOMPLETE},
    _Server.SEVERAL: {Unlock: _Server.SEVERAL, Goodbye: _Server.SEVERAL, Ping: _Server.SEVERAL},
}
"""
The state to which a message leads. There are four exceptions: a lock of what is no name leads nowhere, that of an
extended client to L{_Server.EXTENDED}, or L{_Server.INCOMPLETE} if more is to follow; and after the daemon's last
answer, everything that arrives is ignored.
"""

_WHEN: Final = (
    "before any lock",
    "after a lock",
    "after a lock",
    "after a request for the status",
    "in the place of what was to follow",
    "after a request for several locks",
)

_LAST_WORDS: Final = frozenset({Outcome.CANNOT_WAIT, Outcome.INVALID_NAME})
"""
After these the daemon closes its side (docs/compatibility.md, "Protocol: daemon"), and what the client still sends has
no effect (docs/compatibility.md, "A lock on a connection that was closed"). An extended client may go on.
"""

_STEPS: Final = {Outcome.GRANTED: 24, Outcome.QUEUED: 24}
"""By which step a waiter is answered; any other outcome is said by step 32."""


class ServerSession:
    """
    One connection, seen from the daemon.

    @ivar id: names the session in its L{LockRequest}s; another one, if it goes on with a session that it had before.
    @ivar is_over: true after the daemon's last answer: everything that still arrives is ignored.
    @ivar is_extended: true if the client wants its unlocks answered, as ours do and FLoM's do not.
    @ivar is_amid_message: true if a message has begun and not ended, or if the L{More} of a request is due.
    @ivar is_late: true from the L{More} of a request to its first answer, for which it is too late to be of step 16.
    @ivar several: the locks that it has asked for at once, and is for alone; C{None} if it has asked for none so.
    """

    __slots__ = (
        *("_beginning", "_name", "_parts", "_state"),
        *("id", "is_amid_message", "is_extended", "is_late", "is_over", "several"),
    )

    def __init__(self, id: SessionId) -> None:
        self.id = id
        self._beginning: Lock | None = None  # what was asked for, of which more is to follow
        self._parts: Parts | None = None  # what has followed, while it is several locks and not all
        self.several: SetRequest | None = None
        self.is_amid_message = False
        self.is_late = False
        self._state: int = _Server.FRESH
        self._name: ResourceName | None = None  # what was asked for last
        self.is_extended = False
        self.is_over = False

    @property
    def resource(self) -> str | None:
        """The key of the resource that the first lock has bound the connection to; C{None} before."""
        return None if self._name is None else self._name.key

    @property
    def is_incomplete(self) -> bool:
        """True if the L{More} of a request is due."""
        return self._beginning is not None

    @property
    def is_fresh(self) -> bool:
        """True before the client has said anything."""
        return self._state == _Server.FRESH and not self.is_over

    def order_of(self, message: Message) -> Order | None:
        """
        Return what C{message} orders; C{None} if it comes too late to order anything.

        @raise RemoteProtocolError: it must not come now.
        """
        if self.is_over:
            return None
        state = _SERVER[self._state].get(type(message))
        if state is None:
            raise RemoteProtocolError(f"{kind(message)} {_WHEN[self._state]}")
        if isinstance(message, Unlock):
            name = self._bound_name(message)
            if self.several is not None:
                return ReleaseAll(message.rollback)
            return Release(name, message.rollback, message.note)
        if isinstance(message, Lock):
            return self._lock(message)
        if isinstance(message, (Ping, More)):
            return self._more_of(message) if isinstance(message, More) else self._ping(message)
        if isinstance(message, Convert):
            return ConvertOrder(self._bound_name(message), message.mode, message.wait, message.number)
        if isinstance(message, Goodbye):
            name = self._bound_name(message)
            return Withdraw(name, message.reason) if self.several is None else WithdrawAll(message.reason)
        self._state = state
        self.is_over = isinstance(message, (Shutdown, Revoke, Challenge, Offer))
        return message  # type: ignore[return-value]  # the table has no others

    def end(self) -> None:
        """Ignore everything that still arrives: the connection is being closed."""
        self.is_over = True

    def step_of(self, outcome: Outcome, *, delayed: bool = False) -> int | None:
        """
        Return by which step to say C{outcome}, see L{ServerConnection.answer}.

        A waiter is never refused by step 24: a FLoM client would take that for a grant
        (docs/compatibility.md, "A refusal in step 24 counts as a grant").
        """
        if outcome == Outcome.INVALID_TIMESTAMP_FORMAT:
            return None
        if delayed or self.is_late:
            return _STEPS.get(outcome, 32)
        if outcome in _LAST_WORDS and not self.is_extended:
            self.is_over = True
        return 16

    def _ping(self, message: Ping) -> Ping:
        if message.step != 8:
            raise RemoteProtocolError("an answer to no question")
        return message

    def _more_of(self, more: More) -> LockRequest | SetRequest | Incomplete | InvalidLock | None:
        """Return the request of which C{more} is the rest; C{None} if still more of it is to follow."""
        assert self._beginning is not None
        if self._parts is not None or (more.lock is not None and more.lock.more):
            return self._part_of(more)
        message, self._beginning = self._beginning, None
        self._state = _Server.EXTENDED
        self.is_amid_message = False
        self.is_late = True
        is_question = is_probe(message.name, message)
        if is_question != (more.lock is not None):
            raise RemoteProtocolError("what follows is not what was to follow")
        if more.lock is not None:
            if self._name is not None and self._name.text == message.name:  # it has asked for nothing before
                self._state, self._name = _Server.FRESH, None
            return self._lock(more.lock.replace(extended=message.extended, more=False))
        said = {"session": more.session, "element": more.element, "token": more.token, "proof": more.proof}
        return self._lock(message.replace(more=False, holder=more.holder, waited=more.waited, **said))

    def _part_of(self, more: More) -> SetRequest | InvalidLock | None:
        """Return the request for several locks of which C{more} is the last part; C{None} if it is not the last."""
        from flom.core.protocol.parts import Parts  # which few clients need

        assert self._beginning is not None
        if not is_probe(self._beginning.name, self._beginning):
            raise RemoteProtocolError("what follows is not what was to follow")
        if self._parts is None:
            self._parts = Parts()
        if not self._parts.add(more):
            return None
        locks, self._parts, self._beginning = self._parts.take(), None, None
        self._state, self._name = _Server.FRESH, None
        self.is_amid_message = False
        self.is_late = True
        requests = []
        for lock in locks:
            try:
                self._name = parse_name(lock.name)
            except InvalidName:
                self._name = None
                return InvalidLock(lock.name)
            request = self._lock(lock)
            assert isinstance(request, LockRequest)
            requests.append(request)
        try:
            check_apart(request.name for request in requests)
        except InvalidRequest as e:
            raise RemoteProtocolError(str(e)) from None
        self._state, self._name = _Server.SEVERAL, requests[0].name
        self.several = SetRequest(tuple(requests))
        return self.several

    def number_of(self, name: ResourceName) -> int:
        """Return which of L{several} is of C{name}, counted from 1; 0 if it is none of them."""
        parts = () if self.several is None else self.several.parts
        return next((number for number, part in enumerate(parts, start=1) if part.name == name), 0)

    def _lock(self, message: Lock) -> LockRequest | Incomplete | InvalidLock:
        if self._name is not None and not (message.more and is_probe(message.name, message)):
            name = self._bound_name(message)
        elif self._name is not None:
            name = self._name
        else:
            try:
                name = self._name = parse_name(message.name)
            except InvalidName:
                return InvalidLock(message.name)
            self.is_extended = message.extended > 0
            self._state = _Server.EXTENDED if message.extended else _Server.BOUND
        if message.more and self.is_extended:
            self._beginning = message
            self._state = _Server.INCOMPLETE
            self.is_amid_message = True
            return Incomplete()
        return LockRequest(
            self.id,
            name,
            message.mode,
            message.quantity,
            message.wait,
            message.create,
            message.lifespan,
            message.regains,
            message.holder,
            message.session,
            message.element,
            message.token if message.regains else 0,
            message.proof,
            message.waited,
            message.wishes,
        )

    def _bound_name(self, message: Lock | Unlock | Goodbye | Convert) -> ResourceName:
        assert self._name is not None
        if message.name == self._name.text:  # mostly
            return self._name
        try:
            name = parse_name(message.name)
        except InvalidName as e:
            raise RemoteProtocolError(str(e)) from e
        if name.key != self._name.key:
            if self._beginning is not None and is_probe(self._beginning.name, self._beginning):
                return self._name  # it is about what was to follow
            why = f"{kind(message)} of {name.text!r} on a connection bound to {self._name.key!r}"
            raise RemoteProtocolError(why, "" if isinstance(message, Lock) else "FLM009W")
        self._name = name
        return name


class _Client:
    """The client's states; the texts are for errors."""

    IDLE: Final = "idle"  # nothing is asked for or held
    ASKED: Final = "asked"  # waits for the first answer
    WAITING: Final = "waiting"  # the daemon has answered that it must wait
    HOLDING: Final = "holding"
    CONVERTING: Final = "converting"  # holds, and has asked for another mode
    RELEASING: Final = "releasing"  # has released what it held, and waits for the daemon to say so
    RELEASED: Final = "released"  # likewise, but the daemon says so by closing the connection, if at all
    WATCHING: Final = "watching"  # asks what the daemon holds
    MANAGING: Final = "managing"  # has ordered the daemon to end
    OVER: Final = "over"  # refused for good, or closed


_CLIENT: Final[dict[str, dict[type, str]]] = {
    _Client.IDLE: {
        Lock: _Client.ASKED,
        StatusRequest: _Client.WATCHING,
        Shutdown: _Client.MANAGING,
        Revoke: _Client.MANAGING,
        HoldOrder: _Client.MANAGING,
    },
    _Client.ASKED: {
        Waiting: _Client.WAITING,
        MoreWanted: _Client.WAITING,
        Granted: _Client.HOLDING,
        Refused: _Client.OVER,
    },
    _Client.WAITING: {
        Waiting: _Client.WAITING,
        PartGranted: _Client.WAITING,
        Granted: _Client.HOLDING,
        Refused: _Client.OVER,
        More: _Client.WAITING,
        Ping: _Client.WAITING,
        Pong: _Client.WAITING,
    },
    _Client.HOLDING: {
        Unlock: _Client.RELEASED,
        Contested: _Client.HOLDING,
        Revoked: _Client.HOLDING,
        Wanted: _Client.HOLDING,
        Ping: _Client.HOLDING,
        Pong: _Client.HOLDING,
        Convert: _Client.CONVERTING,
    },
    _Client.CONVERTING: {
        Unlock: _Client.RELEASED,
        Contested: _Client.CONVERTING,
        Revoked: _Client.CONVERTING,
        Wanted: _Client.CONVERTING,
        Ping: _Client.CONVERTING,
        Pong: _Client.CONVERTING,
        Convert: _Client.CONVERTING,
        Converting: _Client.CONVERTING,
        Converted: _Client.HOLDING,
        NotConverted: _Client.HOLDING,
    },
    _Client.RELEASING: {
        Unlocked: _Client.IDLE,
        Contested: _Client.RELEASING,
        Revoked: _Client.RELEASING,
        Wanted: _Client.RELEASING,
        Ping: _Client.RELEASING,
        Pong: _Client.RELEASING,
        Converting: _Client.RELEASING,
        Converted: _Client.RELEASING,
        NotConverted: _Client.RELEASING,
    },
    _Client.RELEASED: {Lock: _Client.ASKED},
    _Client.WATCHING: {
        StatusRequest: _Client.WATCHING,
        StatusFollows: _Client.WATCHING,
        ManagementRefused: _Client.WATCHING,
    },
    _Client.MANAGING: {
        ManagementRefused: _Client.MANAGING,
        HandedOver: _Client.MANAGING,
        RevokeAnswer: _Client.MANAGING,
        HoldAnswer: _Client.MANAGING,
    },
    _Client.OVER: {},
}
"""
The state to which a message that is sent, or an event that is received, leads. There are three exceptions: an unlock
that the daemon answers leads to L{_Client.RELEASING}, a refusal after which it listens on to L{_Client.IDLE}, and the
answer to another conversion than the last one leads nowhere.
"""

_STEPS_DUE: Final = {_Client.ASKED: (16,), _Client.WAITING: (24, 32)}

_REFUSED_FOR_NOW: Final = frozenset({Outcome.BUSY, Outcome.IMPOSSIBLE, Outcome.CANNOT_WAIT, Outcome.DEADLOCK})
"""After these a daemon of ours goes on listening to a client of ours."""


class ClientSession:
    """
    One connection, seen from the client.

    @ivar is_extended: true once the daemon has said that it answers unlocks, as ours do and FLoM's do not.
    @ivar session: what to say to the daemon on another connection if this one breaks (L{Answer.session}); the empty
        string if it has no such thing.
    @ivar terms: what the daemon has said of it.
    @ivar converts: true once the daemon has said that it understands conversions.
    @ivar following: what the daemon is to be told once it has asked for it (L{MoreWanted}).
    """

    __slots__ = (
        "_conversion",
        "_due",
        "_grants",
        "_name",
        "_state",
        "_wishes",
        "converts",
        "following",
        "is_extended",
        "session",
        "terms",
    )

    def __init__(self) -> None:
        self._state: str = _Client.IDLE
        self._name: str | None = None
        self.is_extended = False
        self.session = ""
        self.terms = Terms()
        self.following: tuple[More, ...] = ()
        self._wishes: Wishes | None = None  # of the last request for a lock
        self._due = 0  # how many locks are asked for at once, if that is more than one
        self._grants: dict[int, Granted] = {}  # those of them that it has got, by their numbers, which begin with 1
        self.converts = False
        self._conversion = 0  # the number of the last one

    @property
    def holds(self) -> bool:
        """True while the lock is held."""
        return self._state in (_Client.HOLDING, _Client.CONVERTING)

    @property
    def is_converting(self) -> bool:
        """True from a conversion until it is decided."""
        return self._state == _Client.CONVERTING

    @property
    def is_idle(self) -> bool:
        """True if nothing is asked for or held, so that a lock may be asked for."""
        return self._state in (_Client.IDLE, _Client.RELEASED)

    @property
    def awaits_close(self) -> bool:
        """
        True after an unlock that the daemon does not answer: it shows by closing the connection that it has taken it.
        Close our sending side then, which a daemon of FLoM's waits for.
        """
        return self._state == _Client.RELEASED

    @property
    def is_unlocking(self) -> bool:
        """True after an unlock, until the daemon has taken it."""
        return self._state in (_Client.RELEASING, _Client.RELEASED)

    @property
    def is_watching(self) -> bool:
        """True once the client has asked what the daemon holds."""
        return self._state == _Client.WATCHING

    def end(self) -> None:
        """Allow nothing more: the connection is closed."""
        self._state = _Client.OVER

    def note_sent(self, message: Request) -> None:
        """Note that C{message} is about to be sent; raise L{LocalProtocolError} if it must not be sent now."""
        state = _CLIENT[self._state].get(type(message))
        if state is None or not self._is_of_its_resource(message):
            what = kind(message)
            if isinstance(message, (Lock, Unlock, StatusRequest)):
                what += f" of {message.name!r}"
            raise LocalProtocolError(f"{what} while {self._state}: {self._name!r}")
        if self._due and isinstance(message, Convert):
            raise LocalProtocolError("one of several locks that were taken at once cannot be converted")
        if isinstance(message, Lock):
            self._name = message.name
            self._wishes = message.wishes
            self._due = 0 if message.wishes is None else len(message.wishes.parts)
        elif isinstance(message, Convert):
            self._conversion = message.number
        self._state = _Client.RELEASING if self.is_extended and state == _Client.RELEASED else state

    @property
    def is_engaged(self) -> bool:
        """True while a lock is asked for or held."""
        return self._state in (_Client.ASKED, _Client.WAITING, _Client.HOLDING, _Client.CONVERTING)

    def meaning_of(self, message: Message) -> Meaning:
        """
        Return what C{message}, which the daemon has sent, means.

        @raise RemoteProtocolError: no answer was due, this is not the one, or it does not say what became of the
            request. FLoM takes the last for a grant (docs/compatibility.md, "A refusal in step 24 counts as a grant").
        """
        event: Message | Meaning = message
        if isinstance(message, Answer) and message.step in _STEPS_DUE.get(self._state, ()):
            event = _meaning(message)
            if self.following and message.step == 16:
                event = self._meaning_of_more(event, message)
            elif self._due and isinstance(event, Granted):
                event = self._note_part(message.part, event)
        elif isinstance(message, Ping) and message.step == 16:
            event = Pong()
        elif isinstance(message, ConvertAnswer):
            event = _meaning_of_conversion(message)
        state = _CLIENT[self._state].get(type(event))
        if state is None or isinstance(event, Request):
            raise RemoteProtocolError(f"{kind(message)} of step {message.step} while {self._state}")
        if isinstance(message, Answer):
            self.is_extended |= message.extended
            self.converts |= message.converts
            if message.session:
                self.session, self.terms = message.session, message.terms
        if isinstance(message, ConvertAnswer) and message.number != self._conversion:
            state = self._state  # it was asked for something else since
        is_for_now = isinstance(event, Refused) and self.is_extended and event.outcome in _REFUSED_FOR_NOW
        self._state = _Client.IDLE if is_for_now else state
        return event  # type: ignore[return-value]  # the table has no others

    def _meaning_of_more(self, event: Waiting | Granted | Refused, message: Answer) -> Meaning:
        """Return what C{message} means after a request of which more is to follow."""
        has_asked = self.following[0].lock is not None
        if isinstance(event, Waiting) and message.extended and (message.wishes or not has_asked):
            return MoreWanted()
        if not has_asked:
            return event
        self.following = ()
        assert self._wishes is not None  # the daemon was asked because of them
        return Refused(Outcome.UNSUPPORTED, f"{OLDER_DAEMON} does not know {asked_by(self._wishes)}")

    def _note_part(self, number: int, granted: Granted) -> Granted | PartGranted:
        """Return what it means that one more of several locks, which has this C{number}, is C{granted}."""
        if not 1 <= number <= self._due or number in self._grants:
            raise RemoteProtocolError(f"a grant of lock {number} of {self._due}")
        self._grants[number] = granted
        if len(self._grants) < self._due:
            return PartGranted()
        parts = tuple(self._grants[number] for number in range(1, self._due + 1))
        self._grants = {}
        left = min((part.left for part in parts if part.left), default=0.0)  # then all of them end
        return parts[0].replace(parts=parts, left=left)

    def _is_of_its_resource(self, message: Request) -> bool:
        """Return whether C{message} is about the resource to which the first lock has bound the connection, if any."""
        if self._name is None or isinstance(message, (StatusRequest, HoldOrder, Ping, More)):
            return True
        if isinstance(message, Lock):
            return parse_name(message.name).key == parse_name(self._name).key
        return isinstance(message, (Unlock, Convert)) and message.name == self._name


def _meaning(answer: Answer) -> Waiting | Granted | Refused:
    try:
        outcome = Outcome(answer.code)  # type: ignore[arg-type]  # None is no Outcome either
    except ValueError:
        raise RemoteProtocolError(f"an answer with code {answer.code}") from None
    if outcome == Outcome.GRANTED:
        left = answer.left
        return Granted(answer.element, answer.token or None, answer.proof, answer.told, answer.hold, left=left)
    if outcome in (Outcome.QUEUED, Outcome.AWAITING_CREATION):
        return Waiting(outcome == Outcome.AWAITING_CREATION)
    return Refused(outcome, answer.why, answer.part)


def _meaning_of_conversion(answer: ConvertAnswer) -> Converted | Converting | NotConverted:
    try:
        outcome = Outcome(answer.code)  # type: ignore[arg-type]  # None is no Outcome either
    except ValueError:
        raise RemoteProtocolError(f"an answer with code {answer.code}") from None
    if outcome == Outcome.GRANTED:
        return Converted(answer.mode, answer.number, answer.token, answer.proof)
    return Converting(answer.number) if outcome == Outcome.QUEUED else NotConverted(answer.number, outcome, answer.why)

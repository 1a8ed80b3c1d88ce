"""
Which message may follow which on one connection, seen from the daemon and from the client
(docs/compatibility.md, "Protocol: client", "Protocol: daemon").
"""

from __future__ import annotations

from enum import Enum, auto
from functools import lru_cache
from typing import Final, NamedTuple

from flom.codes import Outcome
from flom.core.names import ResourceName, parse_name
from flom.core.protocol.messages import (
    Answer,
    Lock,
    ManagementRefused,
    Message,
    Shutdown,
    StatusFollows,
    StatusRequest,
    Unlock,
    Unlocked,
    kind,
)
from flom.core.requests import LockRequest, SessionId
from flom.errors import InvalidName, LocalProtocolError, RemoteProtocolError


class Release(NamedTuple):
    """The client gives back C{name}, or gives up waiting for it."""

    name: ResourceName
    rollback: bool


class InvalidLock(NamedTuple):
    """The client asked for something that is no name; answer so, then stop listening to it."""

    name: str


Order = LockRequest | Release | InvalidLock | Shutdown | StatusRequest


class _Server(Enum):
    FRESH = auto()  # nothing was said yet
    BOUND = auto()  # the first lock message has bound it to a resource, for ever
    WATCHING = auto()  # it wants to see what is held, once or again and again


_SERVED_IN: Final[dict[_Server, tuple[type, ...]]] = {
    _Server.FRESH: (Lock, Shutdown, StatusRequest),
    _Server.BOUND: (),  # but for what may be said again and again
    _Server.WATCHING: (StatusRequest,),
}

_WHEN: Final = {
    _Server.FRESH: "before any lock",
    _Server.BOUND: "after a lock",
    _Server.WATCHING: "after a request for the status",
}

_LAST_WORDS: Final = frozenset({Outcome.CANNOT_WAIT, Outcome.INVALID_NAME})
"""
After these the daemon closes its side (docs/compatibility.md, "Protocol: daemon"), and what the client still sends has
no effect (docs/compatibility.md, "A lock on a connection that was closed"). A client of ours may go on after the first.
"""


_NEXT_WORDS: Final = frozenset({Outcome.GRANTED, Outcome.QUEUED})
"""Who waits is told these by step 24, anything else by step 32."""

_NEVER_SAID: Final = frozenset({Outcome.INVALID_TIMESTAMP_FORMAT})

_answer: Final = lru_cache(maxsize=1024)(Answer)  # there are few


class ServerSession:
    """
    One connection, seen from the daemon.

    @ivar is_over: whether the daemon has said its last word.
    @ivar is_extended: whether the client wants to hear that its unlocks were taken.
    """

    __slots__ = ("_id", "_name", "_state", "is_extended", "is_over")

    def __init__(self, id: SessionId) -> None:
        self._id = id
        self._state = _Server.FRESH
        self._name: ResourceName | None = None  # what was asked for last
        self.is_extended = False
        self.is_over = False

    @property
    def resource(self) -> str | None:
        """The resource that the connection is bound to."""
        return None if self._name is None else self._name.key

    def receive(self, message: Message) -> Order | None:
        """
        Tell what C{message} orders; C{None} if it comes too late to order anything.

        @raise RemoteProtocolError: it must not come now.
        """
        if self.is_over:
            return None
        if self._name is not None:  # a lock has bound it
            if isinstance(message, Unlock):
                return Release(self._bound_name(message), message.rollback)
            if isinstance(message, Lock):
                return self._lock(message)
            if self.is_extended and isinstance(message, StatusRequest):
                return message
        if not isinstance(message, _SERVED_IN[self._state]):
            when = _WHEN[self._state]
            raise RemoteProtocolError(f"{kind(message)} {when}")
        match message:
            case Lock():
                return self._lock(message)
            case Shutdown():
                self.is_over = True
                return message
            case StatusRequest():
                self._state = _Server.WATCHING
                return message
        raise AssertionError(message)

    def end(self) -> None:
        """Ignore whatever still comes: the connection is being closed."""
        self.is_over = True

    def answer(
        self, outcome: Outcome, peer_id: str | None, element: str | None = None, *, delayed: bool = False
    ) -> Answer | None:
        """
        Tell how to say C{outcome}; C{None} if the only way is to close the connection. It may be the last word.

        A waiter is never refused by step 24: a FLoM client would take that for a grant
        (docs/compatibility.md, "A refusal in step 24 counts as a grant").

        @param delayed: whether this request was answered before, by telling to wait.
        """
        if outcome in _NEVER_SAID:
            return None
        if not delayed:
            if outcome in _LAST_WORDS and not self.is_extended:  # it may go on
                self.is_over = True
            return _answer(16, outcome, element, peer_id, self.is_extended)
        return _answer(24 if outcome in _NEXT_WORDS else 32, outcome, element)

    def _lock(self, message: Lock) -> LockRequest | InvalidLock:
        if self._name is not None:
            name = self._bound_name(message)
        else:
            try:
                name = parse_name(message.name)
            except InvalidName:
                return InvalidLock(message.name)
            self._name = name
            self._state = _Server.BOUND
            self.is_extended = message.extended
        return LockRequest(
            self._id,
            name,
            message.mode,
            message.quantity,
            message.wait,
            message.create,
            message.lifespan,
            message.regains,
        )

    def _bound_name(self, message: Lock | Unlock) -> ResourceName:
        assert self._name is not None
        if message.name == self._name.text:  # mostly
            return self._name
        try:
            name = parse_name(message.name)
        except InvalidName as e:
            raise RemoteProtocolError(str(e)) from e
        if name.key != self._name.key:
            why = f"{kind(message)} of {name.text!r} on a connection bound to {self._name.key!r}"
            raise RemoteProtocolError(why, "FLM009W" if isinstance(message, Unlock) else "")
        self._name = name
        return name


class _Client(Enum):
    IDLE = auto()  # nothing is asked or held
    ASKED = auto()  # waits for the first answer
    WAITING = auto()  # was told to wait
    HOLDING = auto()
    RELEASING = auto()  # has given back what it held, and waits for the daemon to say so
    WATCHING = auto()  # has asked what the daemon holds
    MANAGING = auto()  # has ordered the daemon to end
    OVER = auto()  # refused for good, or closed


_DUE_IN: Final = {16: _Client.ASKED, 24: _Client.WAITING, 32: _Client.WAITING}
_REFUSED_FOR_NOW: Final = frozenset({Outcome.BUSY, Outcome.IMPOSSIBLE, Outcome.CANNOT_WAIT})
"""After these a daemon of ours goes on listening to a client of ours."""


class ClientSession:
    """
    One connection, seen from the client: it asks for one resource, waits, holds, gives it back, and may ask again.

    To give up waiting is to close the connection.
    """

    def __init__(self) -> None:
        self._state = _Client.IDLE
        self._name: str | None = None
        self._is_extended = False

    @property
    def holds(self) -> bool:
        """Whether the lock is held."""
        return self._state is _Client.HOLDING

    @property
    def is_extended(self) -> bool:
        """Whether the daemon tells that it has taken an unlock; known once it has answered."""
        return self._is_extended

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked or held, so that the next lock may be asked for."""
        return self._state is _Client.IDLE

    @property
    def is_releasing(self) -> bool:
        """True while the daemon's answer to an unlock is due."""
        return self._state is _Client.RELEASING

    @property
    def is_watching(self) -> bool:
        """True once the client has asked what the daemon holds."""
        return self._state is _Client.WATCHING

    def end(self) -> None:
        """Take it that the connection is closed."""
        self._state = _Client.OVER

    def send(self, message: Lock | Unlock | Shutdown | StatusRequest) -> None:
        """
        Note that C{message} is about to be sent.

        @raise LocalProtocolError: it must not be sent now.
        """
        match message:
            case Lock() if self._state is _Client.IDLE and self._is_bound_to(message.name):
                self._name = message.name
                self._state = _Client.ASKED
            case Unlock() if self._state is _Client.HOLDING and self._name == message.name:
                self._state = _Client.RELEASING if self._is_extended else _Client.IDLE
            case StatusRequest() if self._state in (_Client.IDLE, _Client.WATCHING):
                self._state = _Client.WATCHING
            case Shutdown() if self._state is _Client.IDLE and self._name is None:
                self._state = _Client.MANAGING
            case Shutdown():
                raise LocalProtocolError(f"shutdown while {self._state.name.lower()}: {self._name!r}")
            case _:
                state = self._state.name.lower()
                raise LocalProtocolError(f"{kind(message)} of {message.name!r} while {state}: {self._name!r}")

    def receive(self, message: Message) -> Answer | Unlocked | StatusFollows | ManagementRefused:
        """
        Take what the daemon sent; an answer whose code is 1 or 2 means to wait on.

        @raise RemoteProtocolError: no answer was due, this is not the one, or it does not say what became of the
            request. FLoM takes the last for a grant (docs/compatibility.md, "A refusal in step 24 counts as a grant").
        """
        if isinstance(message, Unlocked) and self._state is _Client.RELEASING:
            self._state = _Client.IDLE
            return message
        if isinstance(message, StatusFollows) and self._state is _Client.WATCHING:
            return message
        if isinstance(message, ManagementRefused) and self._state in (_Client.WATCHING, _Client.MANAGING):
            return message
        if not isinstance(message, Answer) or self._state is not _DUE_IN[message.step]:
            raise RemoteProtocolError(f"{kind(message)} of step {message.step} while {self._state.name.lower()}")
        outcome = _outcome(message)
        self._is_extended = self._is_extended or message.extended
        if outcome in (Outcome.QUEUED, Outcome.AWAITING_CREATION):
            self._state = _Client.WAITING
        elif outcome is Outcome.GRANTED:
            self._state = _Client.HOLDING
        else:
            self._state = _Client.IDLE if outcome in _REFUSED_FOR_NOW and self._is_extended else _Client.OVER
        return message

    def _is_bound_to(self, name: str) -> bool:
        """
        Tell whether C{name} may be asked for: the first lock binds the connection to its resource
        (docs/compatibility.md, "Protocol: daemon").
        """
        return self._name is None or parse_name(name).key == parse_name(self._name).key


def _outcome(answer: Answer) -> Outcome:
    try:
        return Outcome(answer.code)  # type: ignore[arg-type]  # None is no Outcome either
    except ValueError:
        raise RemoteProtocolError(f"an answer with code {answer.code}") from None

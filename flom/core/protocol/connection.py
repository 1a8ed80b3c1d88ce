"""
One connection without its I/O: bytes go in as they arrived, what they mean comes out.

A driver reads and writes the socket, or whatever carries the bytes, and carries out what comes out here. It decodes
nothing itself. L{ClientConnection} is one end (docs/compatibility.md, "Protocol: client"), L{ServerConnection} is the
other one (docs/compatibility.md, "Protocol: daemon")::

    connection = ClientConnection()
    stream.send(connection.lock(Lock("backup", LockMode.EX, wait=True, create=True)))
    while data := stream.receive():
        for event in connection.receive(data):
            if isinstance(event, Granted): ...

Neither raises anything but the two errors of the protocol: L{RemoteProtocolError} blames the peer, so close the
connection; L{LocalProtocolError} blames the caller, and nothing has changed.
"""

from __future__ import annotations

from flom.codes import Outcome
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
)
from flom.core.protocol.session import ClientSession, Order, ServerSession
from flom.core.protocol.wire import (
    END_OF_MESSAGE,
    MAX_ANSWER_SIZE,
    MAX_MESSAGE_SIZE,
    MessageReader,
    decode,
    encode,
)
from flom.core.requests import SessionId
from flom.core.value import Value
from flom.errors import RemoteProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Introduced(Value):
    """
    The peer has said who it is: before the first order of a client, and before what became of each lock of a daemon's.

    @ivar peer_id: its unique id (docs/compatibility.md, "Unique id"), to be checked against its certificate where that
        is wanted; C{None} if it sent none.
    @ivar message: the message that says so; a client that has no right to manage the daemon is answered
        (L{ServerConnection.refuse_management}), one that asks for a lock is not.
    """

    __slots__ = ("message", "peer_id")

    def __init__(self, peer_id: str | None, message: Message) -> None:
        self.peer_id = peer_id
        self.message = message


class Waiting(Value):
    """
    The lock was asked for and must be waited for; L{Granted} or L{Refused} comes later.

    @ivar is_for_creation: true if the resource does not exist and the wait is for its creation by another client; the
        wait for its holders, another L{Waiting}, may follow.
    """

    __slots__ = ("is_for_creation",)

    def __init__(self, is_for_creation: bool) -> None:
        self.is_for_creation = is_for_creation


class Granted(Value):
    """
    The lock is held.

    @ivar element: what was granted, for sets, sequences and timestamps; C{None} for other resources.
    """

    __slots__ = ("element",)

    def __init__(self, element: str | None) -> None:
        self.element = element


class Refused(Value):
    """
    The lock is not granted, for the reason that C{outcome} names; nothing of the request is left.

    @ivar outcome: one that refuses, see L{flom.errors.lock_refused}.
    """

    __slots__ = ("outcome",)

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


class StatusReceived(Value):
    """
    What the daemon holds.

    @ivar data: JSON, see L{flom.status.json.from_json}.
    """

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Lost(Value):
    """
    The daemon closed the connection while something was due from it, or while a lock was held.

    @ivar was_held: true if a lock was held.
    @ivar has_answered: true if the daemon had said anything since the last request.
    """

    __slots__ = ("has_answered", "was_held")

    def __init__(self, was_held: bool, has_answered: bool) -> None:
        self.was_held = was_held
        self.has_answered = has_answered


Event = Introduced | Waiting | Granted | Refused | Unlocked | ManagementRefused | StatusReceived


class ClientConnection:
    """
    The client's end: it asks for one resource, waits, holds and releases it, and may ask again; or it asks what the
    daemon holds, again and again; or it orders the daemon to end.

    The methods that are named for what they ask return the bytes to send. To give up waiting, close the connection.

    @ivar has_answered: true if the daemon has said anything since the last request.
    @ivar awaits_close: true after an unlock that the daemon does not answer: it shows by closing the connection that
        it has taken it. Close our sending side then, which a daemon of FLoM's waits for.
    """

    __slots__ = ("_awaited", "_reader", "_received", "_session", "awaits_close", "has_answered")

    def __init__(self) -> None:
        self._reader = MessageReader(MAX_ANSWER_SIZE)
        self._session = ClientSession()
        self._received = b""  # while statuses are asked for: what has come of the next message or status
        self._awaited: int | None = None  # bytes of the status that is arriving
        self.awaits_close = False
        self.has_answered = False

    @property
    def holds(self) -> bool:
        """True while the lock is held."""
        return self._session.holds

    @property
    def is_extended(self) -> bool:
        """True once the daemon has said that it answers unlocks, as ours do and FLoM's do not."""
        return self._session.is_extended

    @property
    def is_idle(self) -> bool:
        """True if nothing is asked for or held, so that a lock may be asked for."""
        return self._session.is_idle

    @property
    def is_reusable(self) -> bool:
        """True if another lock of the same resource can be asked for, and the daemon will answer."""
        return self._session.is_idle and (self._session.is_extended or not self.has_answered)

    def lock(self, message: Lock) -> bytes:
        """
        Ask for a resource; the first one binds the connection to its resource.

        @raise LocalProtocolError: C{message} is too long or names nothing, or a lock must not be asked for now.
        """
        return self._ask(message)

    def unlock(self, name: str, rollback: bool = False) -> bytes:
        """
        Release the lock.

        @param name: as in the L{Lock} message that was granted.
        @param rollback: put the number of a transactional sequence back, for the next holder.
        @raise LocalProtocolError: C{name} is not held.
        """
        message = Unlock(name, rollback)
        self._session.send(message)
        self.awaits_close = self._session.is_idle
        return encode(message)

    def shut_down(self, immediate: bool, peer_id: str | None = None) -> bytes:
        """
        Order the daemon to end, as the first and last thing that is said; only a refusal is answered.

        @raise LocalProtocolError: something was said before.
        """
        return self._ask(Shutdown(immediate, peer_id))

    def request_status(self, name: str | None = None, peer_id: str | None = None) -> bytes:
        """
        Ask what the daemon holds, perhaps before an earlier such request is answered; no lock can be asked for then.

        A daemon of FLoM's dies of it (docs/compatibility.md, "A bad first message ends the daemon"): see
        L{is_extended}.

        @param name: of the only resource to show; C{None} for all.
        @raise LocalProtocolError: a lock is asked for or held, or C{name} is too long.
        """
        return self._ask(StatusRequest(name, peer_id))

    def receive(self, data: bytes) -> Iterator[Event]:
        """
        Take bytes as they arrived; yield what they mean. Nothing happens before the first event is asked for.

        @param data: any slice of the stream, even one byte.
        @raise RemoteProtocolError: they are no message, or none that is due. The connection can be used further only
            if a lock is held, which would be lost by closing it: what had come is forgotten then.
        """
        if data:
            self.has_answered = True
        if self._session.is_watching:
            yield from self._receive_statuses(data)
            return
        try:
            for message in self._reader.feed(data):
                received = self._session.receive(message)
                if isinstance(received, Answer):
                    if received.step == 16:
                        yield Introduced(received.peer_id, received)
                    yield _meaning(received)
                elif not isinstance(received, StatusFollows):  # which is due only while statuses are
                    yield received
        except RemoteProtocolError:
            if self._session.holds:
                self._reader = MessageReader(MAX_ANSWER_SIZE)
            raise

    def receive_end(self) -> Unlocked | Lost:
        """
        Take it that the daemon has closed the connection: an unlock that was sent has been taken by that, everything
        else is lost.
        """
        was_held, was_unlocking = self._session.holds, self.awaits_close or self._session.is_releasing
        self.awaits_close = False
        self._session.end()
        return Unlocked() if was_unlocking else Lost(was_held, self.has_answered)

    def _ask(self, message: Lock | Shutdown | StatusRequest) -> bytes:
        data = encode(message)
        self._session.send(message)
        self.has_answered = self.awaits_close = False
        return data

    def _receive_statuses(self, data: bytes) -> Iterator[Event]:
        self._received += data
        while True:
            if self._awaited is None:
                end = self._received.find(END_OF_MESSAGE) + len(END_OF_MESSAGE)
                is_whole = end >= len(END_OF_MESSAGE)
                if (end if is_whole else len(self._received)) > MAX_ANSWER_SIZE:
                    raise RemoteProtocolError(f"a message of more than {MAX_ANSWER_SIZE} bytes")
                if not is_whole:
                    return
                message = self._session.receive(decode(self._received[:end]))
                self._received = self._received[end:]
                if isinstance(message, StatusFollows):
                    self._awaited = message.size
                else:
                    assert isinstance(message, ManagementRefused)  # nothing else is due
                    yield message
            elif len(self._received) >= self._awaited:
                status, self._received = self._received[: self._awaited], self._received[self._awaited :]
                self._awaited = None
                yield StatusReceived(status)
            else:
                return


def _meaning(answer: Answer) -> Waiting | Granted | Refused:
    """Return what C{answer}, which was due, says of a lock."""
    outcome = Outcome(answer.code or 0)
    if outcome is Outcome.GRANTED:
        return Granted(answer.element)
    if outcome is Outcome.QUEUED or outcome is Outcome.AWAITING_CREATION:
        return Waiting(outcome is Outcome.AWAITING_CREATION)
    return Refused(outcome)


class ServerConnection:
    """The daemon's end: orders come out; what the daemon has decided becomes bytes to send, or C{None} if none are."""

    __slots__ = ("_is_introduced", "_peer_id", "_reader", "_session")

    def __init__(self, session: SessionId, peer_id: str | None, max_size: int = MAX_MESSAGE_SIZE) -> None:
        """
        @param session: names the connection in its L{LockRequest}s.
        @param peer_id: the daemon's own unique id.
        @param max_size: bytes of the longest message to accept.
        """
        self._reader = MessageReader(max_size)
        self._session = ServerSession(session)
        self._peer_id = peer_id
        self._is_introduced = False

    @property
    def is_over(self) -> bool:
        """True once the daemon has said its last word: whatever still comes is ignored."""
        return self._session.is_over

    @property
    def is_extended(self) -> bool:
        """True if the client wants its unlocks answered, as ours do and FLoM's do not."""
        return self._session.is_extended

    @property
    def is_amid_message(self) -> bool:
        """True if a message has begun and not ended."""
        return bool(self._reader)

    @property
    def resource(self) -> str | None:
        """The resource that the first lock has bound the connection to; C{None} before."""
        return self._session.resource

    def receive(self, data: bytes) -> Iterator[Introduced | Order]:
        """
        Take bytes as they arrived; yield what the client orders by them, one by one. Nothing happens before the first
        is asked for, and nothing comes once L{is_over} is true.

        @param data: any slice of the stream, even one byte.
        @raise RemoteProtocolError: they are no message, or none that may come now; close the connection.
        """
        session = self._session
        try:
            for message in self._messages(data):
                if not self._is_introduced and isinstance(message, (Lock, Shutdown, StatusRequest)):
                    self._is_introduced = True
                    yield Introduced(message.peer_id, message)
                order = session.receive(message)
                if order is not None:
                    yield order
        except RemoteProtocolError:
            if not session.is_over:  # or else it comes after our last word
                raise

    def end(self) -> None:
        """Ignore whatever still comes: the connection is being closed."""
        self._session.end()

    def answer(self, outcome: Outcome, element: str | None = None, *, delayed: bool = False) -> bytes | None:
        """
        Say what became of the lock request; it may be the last word, see L{is_over}.

        @param element: what was granted, for sets, sequences and timestamps.
        @param delayed: true if this request was answered before, by telling to wait.
        @return: C{None} if the only way to say so is to close the connection.
        """
        answer = self._session.answer(outcome, self._peer_id, element, delayed=delayed)
        return None if answer is None else encode(answer)

    def unlocked(self) -> bytes | None:
        """Say that a L{Release} was taken; C{None} for a client that does not understand that."""
        return encode(Unlocked()) if self._session.is_extended else None

    def refuse_management(self) -> bytes:
        """Refuse to end, or to show what is held."""
        return encode(ManagementRefused())

    def status(self, data: bytes) -> bytes:
        """
        Show what is held.

        @param data: JSON, see L{flom.status.json.from_json}.
        """
        return encode(StatusFollows(len(data))) + data

    def _messages(self, data: bytes) -> Iterable[Message]:
        return () if self._session.is_over else self._reader.feed(data)

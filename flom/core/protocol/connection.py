"""
One connection without its I/O: bytes go in as they arrived, what they mean comes out.

A driver moves bytes between the socket and one of these objects, and carries out the events. It decodes nothing itself.
L{ClientConnection} is one end (docs/compatibility.md, "Protocol: client"), L{ServerConnection} is the other one
(docs/compatibility.md, "Protocol: daemon")::

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
from flom.core.protocol.decode import NO_TERMS, decode
from flom.core.protocol.encode import encode, split
from flom.core.protocol.events import Introduced, Lost, StatusReceived
from flom.core.protocol.fastpath import (
    FastReader,
    add_hold,
    add_left,
    add_part,
    add_session,
    add_token,
    add_told,
    add_wishes,
    encode_answer,
)
from flom.core.protocol.framing import END_OF_MESSAGE, MAX_ANSWER_SIZE, MAX_MESSAGE_SIZE
from flom.core.protocol.messages import (
    Answer,
    Contested,
    Convert,
    ConvertAnswer,
    Goodbye,
    HandedOver,
    HoldAnswer,
    HoldOrder,
    HoldTold,
    Lock,
    ManagementRefused,
    Message,
    Note,
    Ping,
    Revoke,
    RevokeAnswer,
    Revoked,
    Shutdown,
    StatusFollows,
    StatusRequest,
    Terms,
    Told,
    Unlock,
    Unlocked,
    Wanted,
    WhyWithdrawn,
)
from flom.core.protocol.session import ClientSession, ServerSession
from flom.errors import LocalProtocolError, RemoteProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from flom.core.modes import LockMode
    from flom.core.protocol.events import Event, Order
    from flom.core.requests import SessionId

_CONTESTED: Final = encode(Contested())
_UNLOCKED: Final = encode(Unlocked())
_REFUSED: Final = encode(ManagementRefused())
_WANTED: Final = encode(Wanted())
_PONG: Final = encode(Ping(16))


class ClientConnection(ClientSession):
    """
    The client's end: it asks for one resource, waits, holds and releases it, and may ask again; or it asks what the
    daemon holds, again and again; or it orders the daemon to end.

    The methods that are named for what they ask return the bytes to send. To give up waiting, say goodbye, and close
    the connection.

    @ivar has_answered: true if the daemon has said anything since the last request.
    @ivar start: L{Answer.start} of the last answer that had one.
    """

    __slots__ = ("_awaited", "_may_be_extended", "_reader", "_received", "has_answered", "start")

    def __init__(self) -> None:
        super().__init__()
        self._reader = FastReader(MAX_ANSWER_SIZE)
        self._received = b""  # while statuses are asked for: what has come of the next message or status
        self._awaited: int | None = None  # bytes of the status that is arriving
        self._may_be_extended = False  # the daemon has been told that we are, and can have understood it
        self.has_answered = False
        self.start = ""

    @property
    def is_reusable(self) -> bool:
        """True if another lock of the same resource can be asked for, and the daemon will answer."""
        return self.is_idle and (self.is_extended or not self.has_answered) and not self._due

    def lock(self, message: Lock) -> bytes:
        """
        Ask for a resource; the first one binds the connection to its resource.

        What has no room in one message, and wishes that the daemon must understand, follow if it does: see
        L{MoreWanted}. If it does not, it has granted nothing, and the request is L{Refused}.

        @raise LocalProtocolError: C{message} is too long or names nothing, or a lock must not be asked for now.
        """
        data, following = split(message)
        self.note_sent(message)
        self._may_be_extended = message.extended > 0
        self.has_answered = False
        self.following = following
        return data

    def more(self) -> bytes:
        """Say what had no room in the request for the lock, upon L{MoreWanted}; L{LocalProtocolError} if it was not."""
        following, self.following = self.following, ()
        if not following:
            raise LocalProtocolError("nothing was left out of the request for the lock")
        for message in following:
            self.note_sent(message)
        return b"".join(map(encode, following))

    def ping(self) -> bytes:
        """
        Ask whether the daemon is there, which is answered (L{Pong}) by one that has told a session's secret.

        @raise LocalProtocolError: there is no such session, or nothing is held or waited for.
        """
        if not self.session:
            raise LocalProtocolError("a ping without a session")
        message = Ping(8)
        self.note_sent(message)
        return encode(message)

    def goodbye(self, reason: WhyWithdrawn = WhyWithdrawn.GONE) -> bytes:
        """
        Say goodbye: what is asked for or held is not wanted any more, and is rolled back. Close the connection then.

        @param reason: why it is not, for the daemon's log and counts.
        @return: nothing if nothing is left to be said, or if to close the connection says the same to the daemon.
        """
        is_understood = self.is_extended or (self._may_be_extended and not self.has_answered)
        data = b""
        if self._name and is_understood and self.is_engaged:
            is_told = reason is not WhyWithdrawn.GONE
            data = encode(Goodbye(self._name, reason) if is_told else Unlock(self._name, rollback=True))
        self.end()
        return data

    def unlock(self, name: str, rollback: bool = False, note: Note | None = None) -> bytes:
        """
        Release the lock.

        @param name: as in the L{Lock} message that was granted.
        @param rollback: put the number of a transactional sequence back, for the next holder.
        @param note: what is to be kept with the resource.
        @raise LocalProtocolError: C{name} is not held, or there is no room for C{note} beside it.
        """
        message = Unlock(name, rollback, note)
        data = encode(message)
        self.note_sent(message)
        return data

    def convert(self, name: str, mode: LockMode, *, wait: bool = True) -> bytes:
        """
        Change the mode of the lock; the last call counts.

        @param name: as in the L{Lock} message that was granted.
        @param wait: wait if the mode cannot be granted now.
        @raise LocalProtocolError: C{name} is not held, or the daemon has not said that it L{converts}.
        """
        if not self.converts:
            raise LocalProtocolError("the daemon has not said that it understands conversions")
        message = Convert(name, mode, wait, self._conversion % (2**31 - 1) + 1)
        self.note_sent(message)
        return encode(message)

    @property
    def conversion(self) -> int:
        """The number of the last conversion; 0 before the first one."""
        return self._conversion

    def shut_down(
        self, immediate: bool, peer_id: str | None = None, *, drain: bool = False, handover: bool = False
    ) -> bytes:
        """
        Order the daemon to end, by the only message of a connection; only a refusal is answered.

        @param drain: see L{Shutdown.drain}.
        @param handover: see L{Shutdown.handover}.
        @raise LocalProtocolError: another message was sent before.
        """
        return self._ask(Shutdown(immediate, peer_id, drain, handover))

    def revoke(self, name: str, number: int, peer_id: str | None = None, user: str = "") -> bytes:
        """
        End a lock of another client, by the only message of a connection.

        @param name: see L{Revoke}, as for C{number} and C{user}.
        @raise LocalProtocolError: another message was sent before, or C{name} is too long.
        """
        return self._ask(Revoke(name, number, peer_id, user))

    def order_hold(
        self, handle: str, peer_id: str | None = None, *, is_release: bool = False, ttl: float = 0.0, user: str = ""
    ) -> bytes:
        """
        Renew or release a hold without a process, by the last message of a connection.

        @param handle: see L{HoldOrder}, as for the others.
        @raise LocalProtocolError: a lock is asked for or held.
        """
        return self._ask(HoldOrder(handle, is_release, ttl, peer_id, user))

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
        Receive bytes as they arrived; yield what they mean. Nothing happens before the first event is asked for.

        @param data: any slice of the stream, even one byte.
        @raise RemoteProtocolError: they are no message, or none that is due. The connection can be used further only
            if a lock is held, which would be lost by closing it: what had come is forgotten then.
        """
        if data:
            self.has_answered = True
        if self.is_watching:
            yield from self._receive_statuses(data)
            return
        try:
            for message in self._reader.feed(data):
                event = self.meaning_of(message)
                if isinstance(message, Answer) and message.step == 16:
                    self.start = message.start or self.start
                    yield Introduced(message.peer_id, message)
                if not isinstance(event, StatusFollows):  # which is due only while statuses are
                    yield event
        except RemoteProtocolError:
            if self.holds:
                self._reader = FastReader(MAX_ANSWER_SIZE)
            raise

    def receive_end(self, *, in_order: bool) -> Unlocked | Lost:
        """
        Return what it means that the connection has ended. A daemon that does not answer unlocks has taken one if it
        has closed the connection in order; everything else is lost.

        @param in_order: true if the daemon has closed its side; false after a reset, or if it could not be reached.
        """
        was_held = self.holds or self.is_unlocking
        event = Unlocked() if in_order and self.awaits_close else Lost(was_held, self.has_answered)
        self.end()
        return event

    def _ask(self, message: Lock | Shutdown | StatusRequest | Revoke | HoldOrder) -> bytes:
        data = encode(message)
        self.note_sent(message)
        self.has_answered = False
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
                message = self.meaning_of(decode(self._received[:end]))
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


class ServerConnection(ServerSession):
    """
    The daemon's end: orders come out; what the daemon has decided becomes bytes to send, or C{None} if none are.
    """

    __slots__ = ("_is_introduced", "_peer_id", "_reader", "_start")

    def __init__(
        self, session: SessionId, peer_id: str | None, max_size: int = MAX_MESSAGE_SIZE, start: str = ""
    ) -> None:
        """
        @param session: names the connection in its L{LockRequest}s.
        @param peer_id: the daemon's own unique id.
        @param max_size: bytes of the longest message to accept.
        @param start: see L{Answer.start}.
        """
        super().__init__(session)
        self._reader = FastReader(max_size)
        self._peer_id = peer_id
        self._start = start
        self._is_introduced = False

    def receive(self, data: bytes) -> Iterable[Introduced | Order]:
        """
        Receive bytes as they arrived; return what the client orders by them, to be carried out one by one: what is next
        is found out when it is asked for. Nothing comes once L{is_over} is true.

        @param data: any slice of the stream, even one byte.
        @raise RemoteProtocolError: here, or when the next order is asked for: they are no message, or none that may
            come now; close the connection.
        """
        if self.is_over:
            return ()
        messages = self._reader.feed(data)
        if self._is_introduced and isinstance(messages, tuple):  # mostly: whole messages, after whole ones
            return filter(None, map(self.order_of, messages))
        return self._orders(messages)

    def _orders(self, messages: Iterable[Message]) -> Iterator[Introduced | Order]:
        try:
            for message in messages:
                if not self._is_introduced and isinstance(message, (Lock, Shutdown, StatusRequest, Revoke)):
                    self._is_introduced = True
                    yield Introduced(message.peer_id, message)
                if (order := self.order_of(message)) is not None:
                    yield order
            self.is_amid_message = bool(self._reader) or self.is_incomplete
        except RemoteProtocolError:
            if not self.is_over:  # or else it comes after our last word
                raise

    def answer(
        self,
        outcome: Outcome,
        element: str | None = None,
        token: int = 0,
        *,
        delayed: bool = False,
        session: str = "",
        terms: Terms = NO_TERMS,
        proof: str = "",
        told: Told | None = None,
        why: str = "",
        hold: HoldTold | None = None,
        part: int = 0,
        left: float = 0.0,
    ) -> bytes | None:
        """
        Say what became of the lock request; it may be the last word, see L{is_over}. That several locks are granted is
        said by as many answers, in the order of the request.

        @param element: what was granted, for sets, sequences and timestamps.
        @param token: of the grant, for a client that understands it.
        @param delayed: true if this request was answered before, by telling to wait.
        @param session: see L{Answer.session}; for an answer that is not delayed, to a client that L{is_extended}.
        @param terms: are told together with C{session}.
        @param proof: of the grant, see L{Answer.proof}; is told together with C{token}.
        @param told: see L{Answer.told}.
        @param hold: see L{Answer.hold}.
        @param why: see L{Answer.why}, which is cut short if need be; for a client that L{is_extended}.
        @param part: see L{Answer.part}.
        @param left: of the grant, see L{Answer.left}; likewise.
        @return: C{None} if the only way to say so is to close the connection.
        """
        data = self.plain_answer(outcome, element, delayed=delayed)
        if data is None:
            return None
        if session:
            data = add_session(data, session, terms)
        if told is not None or (why and self.is_extended):
            data = add_told(data, told, why)
        if part:
            data = add_part(data, part)
        if token and self.is_extended:
            data = add_token(add_left(data, left) if left else data, token, proof)
        return data if hold is None else add_hold(data, hold)

    def plain_answer(self, outcome: Outcome, element: str | None = None, *, delayed: bool = False) -> bytes | None:
        """Do as L{answer}, where no more is to be said than a daemon of FLoM's would say."""
        step = self.step_of(outcome, delayed=delayed)
        if step is None:
            return None
        if step == 16:
            data = encode_answer(16, outcome, element, self._peer_id, self.is_extended, self._start)
        else:
            data = encode_answer(step, outcome, element, None, self.is_late and not delayed)
        if not delayed:
            self.is_late = self.several is not None
        return data

    def more_wanted(self) -> bytes:
        """Say that the rest of a request that is L{Incomplete} may follow."""
        return add_wishes(encode_answer(16, Outcome.QUEUED, None, self._peer_id, True, self._start))

    def pong(self) -> bytes:
        """Answer a L{Ping}."""
        return _PONG

    def converted(
        self,
        outcome: Outcome,
        mode: LockMode,
        number: int,
        token: int = 0,
        proof: str = "",
        why: str = "",
        *,
        delayed: bool = False,
    ) -> bytes:
        """Say what became of a conversion; see L{ConvertAnswer} for the parameters."""
        return encode(ConvertAnswer(24 if delayed else 16, outcome, mode, number, token, proof, why))

    def unlocked(self) -> bytes | None:
        """Say that a L{Release} was taken; C{None} for a client that does not understand that."""
        return _UNLOCKED if self.is_extended else None

    def unlocked_with_note(self, why: str) -> bytes | None:
        """Say that a L{Release} was taken, and that its note is kept, or C{why} not; otherwise as L{unlocked}."""
        return encode(Unlocked(not why, why)) if self.is_extended else None

    def contested(self) -> bytes | None:
        """Say that another daemon has granted the lock too; C{None} for a client that does not understand that."""
        return _CONTESTED if self.is_extended else None

    def revoked(self, by: str, limit: float = 0.0) -> bytes | None:
        """
        Say that C{by} has ended what was held, or that it was held for more than C{limit} seconds; C{None} for a client
        that does not understand that.
        """
        return encode(Revoked(by, limit)) if self.is_extended else None

    def wanted(self) -> bytes:
        """Say that the client, which wished to know, stands in the way."""
        return _WANTED

    def answer_revoke(self, why: str) -> bytes:
        """Say that another client's lock was ended, or, if it is not empty, C{why} not."""
        return encode(RevokeAnswer(why))

    def answer_hold(self, hold: HoldTold | None, why: str = "") -> bytes:
        """Say what became of a L{HoldOrder}, see L{HoldAnswer}."""
        return encode(HoldAnswer(hold, why))

    def refuse_management(self) -> bytes:
        """Refuse to end, or to show what is held."""
        return _REFUSED

    def handed_over(self, leader: str, why: str = "") -> bytes:
        """Say that C{leader} leads now, or, if it is empty, C{why} this daemon still does, which may be cut short."""
        while True:
            try:
                return encode(HandedOver(leader, why))
            except LocalProtocolError:
                leader, why = leader[: len(leader) // 2], why[: len(why) // 2]

    def status(self, data: bytes) -> bytes:
        """Show what is held, which C{data} says as in L{StatusReceived}."""
        return encode(StatusFollows(len(data))) + data

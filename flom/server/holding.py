"""
What clients of a daemon ask of holds without a process (L{flom.server.holds}): to begin, adopt, renew and release one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.codes import Outcome
from flom.core.effects import Delivered, Granted
from flom.core.protocol.messages import HoldOrder, HoldTold, Wishes
from flom.core.requests import LockRequest
from flom.server.holds import Adopter, HoldError, told_of
from flom.text import one_line, truncate

if TYPE_CHECKING:
    from typing_extensions import Self

    from flom.core.holds import Hold
    from flom.core.protocol.connection import ServerConnection
    from flom.core.requests import SessionId
    from flom.server.arbiter import DeferredArbiter
    from flom.server.peer import Peer


class HoldClient(Protocol):
    """All that L{Holding} uses of a connection, which is a L{flom.server.connection.LockProtocol}."""

    @property
    def arbiter(self) -> DeferredArbiter:
        """What decides for this client."""

    @property
    def connection(self) -> ServerConnection:
        """This end of the conversation."""

    @property
    def id(self) -> SessionId:
        """The session of this client."""

    @property
    def is_listening(self) -> bool:
        """True as long as the client can be told anything."""

    @property
    def name(self) -> str:
        """Names the client for a log."""

    @property
    def host(self) -> str:
        """The address of the client's host; the empty string if that is this one."""

    def who(self) -> Peer:
        """Return the client."""

    def is_same_client(self, other: Self, secret: str) -> bool:
        """Return whether C{other}, which says C{secret}, is the client of this connection."""

    def leave_session(self) -> SessionId:
        """Go on as another session, and leave the one that this was, with all that it holds: return that."""

    def tell(self, effect: Delivered) -> None:
        """Send the client what C{effect} says."""

    def answer(
        self,
        outcome: Outcome,
        grant: Granted | None = None,
        *,
        delayed: bool = False,
        why: str = "",
        hold: HoldTold | None = None,
    ) -> None:
        """Answer the request of the client."""

    def send(self, data: bytes) -> None:
        """Send C{data} to the client."""

    def hang_up(self) -> None:
        """Close the connection as soon as everything that was said is sent, or the other end has had its time."""

    def abort(self) -> None:
        """End the connection, which is broken."""


class _Client(Adopter):
    """A connection that has adopted a hold, or is about to."""

    def __init__(self, client: HoldClient, wishes: Wishes) -> None:
        super().__init__(client.who, self._take, wishes.lineage, wishes.nested)
        self._client = client

    def _take(self, effect: Delivered) -> None:
        self._client.tell(effect)


class Holding:
    """
    What the clients of one daemon have to do with holds.

    @ivar adopting: the connections that have adopted one, or are about to.
    """

    _log = Logger()

    def __init__(self, adopting: dict[HoldClient, Adopter]) -> None:
        self.adopting = adopting

    def ask(self, client: HoldClient, request: LockRequest) -> None:
        """Decide a C{request} that wishes to begin a hold, or to adopt one."""
        wishes, arbiter = request.wishes, client.arbiter
        assert wishes is not None
        if wishes.adopts:
            self._adopt(client, request, wishes)
            return
        why = arbiter.kept_holds.why_not(wishes)
        if not why and arbiter.has_locks(client.id):
            why = "a connection on which something is held or waited for cannot begin a hold"
        if why:
            self._refuse(client, request, Outcome.IMPOSSIBLE, why)
        else:
            arbiter.request(request)

    def begin(self, client: HoldClient, grant: Granted) -> None:
        """Make C{grant}, which was to be a hold, one; the client is told when it is kept."""
        session = client.leave_session()
        begun = client.arbiter.kept_holds.begin(session, grant, client.who(), client.host)

        def tell(hold: HoldTold) -> None:
            if client.is_listening:
                client.answer(Outcome.GRANTED, grant, delayed=grant.delayed, hold=hold)
            else:
                self._log.info("{peer} has gone before it was told of its hold", peer=client.name)
                client.arbiter.kept_holds.end_of(hold.handle)

        def refuse(failure: Failure) -> None:
            failure.trap(HoldError)
            if client.is_listening:
                why = failure.getErrorMessage()
                self._refuse(client, grant.request, Outcome.IMPOSSIBLE, f"not held: {why}", delayed=grant.delayed)

        begun.addCallbacks(tell, refuse).addErrback(self._note_failure)

    def obey(self, client: HoldClient, order: HoldOrder) -> None:
        """Renew or release a hold, as C{client} orders; it is told when that is kept."""
        holds = client.arbiter.kept_holds
        done = holds.release(order.handle) if order.is_release else holds.renew(order.handle, order.ttl)

        def answer(hold: HoldTold | None, why: str = "") -> None:
            if client.is_listening:
                client.send(client.connection.answer_hold(hold, why))
                client.hang_up()

        def refuse(failure: Failure) -> None:
            failure.trap(HoldError)
            answer(None, one_line(failure.getErrorMessage()))

        done.addCallbacks(answer, refuse).addErrback(self._note_failure)

    def release(self, client: HoldClient) -> bool:
        """Note that C{client} releases what it has adopted, or has gone; return whether that was anything."""
        adopter = self.adopting.pop(client, None)
        if adopter is None:
            return False
        client.arbiter.kept_holds.leave(adopter)
        return True

    def _adopt(self, client: HoldClient, request: LockRequest, wishes: Wishes) -> None:
        handle, holds = wishes.adopts, client.arbiter.kept_holds
        if client.arbiter.has_locks(client.id) or client in self.adopting:
            why = "a connection on which something is held or waited for cannot adopt a hold"
            self._refuse(client, request, Outcome.IMPOSSIBLE, why)
            return
        for former, adopter in list(self.adopting.items()):
            if former.is_same_client(client, request.secret) and holds.is_adopted_by(handle, adopter):
                self.release(former)  # its connection is broken, which was not known here yet
                former.abort()
        adopter = self.adopting[client] = _Client(client, wishes)
        adopted = holds.adopt(handle, adopter)

        def tell(hold: Hold) -> None:
            if self.adopting.get(client) is adopter:
                grant = Granted(request, hold.token, hold.element)
                client.answer(Outcome.GRANTED, grant, hold=told_of(hold))
            else:
                holds.leave(adopter)

        def refuse(failure: Failure) -> None:
            failure.trap(HoldError)
            if self.adopting.get(client) is adopter:
                del self.adopting[client]
                self._refuse(client, request, Outcome.IMPOSSIBLE, failure.getErrorMessage())

        adopted.addCallbacks(tell, refuse).addErrback(self._note_failure)

    def _refuse(
        self, client: HoldClient, request: LockRequest, outcome: Outcome, why: str, *, delayed: bool = False
    ) -> None:
        name = truncate(one_line(request.name.text))
        self._log.info("{resource} refused to {peer}: {why}", resource=name, peer=client.name, why=why)
        client.answer(outcome, delayed=delayed, why=why)

    def _note_failure(self, failure: Failure) -> None:
        self._log.failure("a hold without a process", failure)

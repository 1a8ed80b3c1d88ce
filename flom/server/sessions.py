"""
Sessions over TCP, which outlive a connection that breaks: the client goes on by another one
(docs/reference/protocol.md, "Sessions").
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from flom.core.effects import Contested, Delivered, Dismissed, Revoked
from flom.core.locks.statistics import Loss
from flom.core.requests import SessionId
from flom.core.sessions import Owner, Session, SessionTable
from flom.server.arbiter import DeferredArbiter
from flom.server.log_throttle import LogThrottle
from flom.server.peer import Peer

if TYPE_CHECKING:
    from flom.core.locks.handover import Client

_SECRET: Final = 16
"""Bytes that name a session to its client alone."""


class Sessions:
    """The sessions of a daemon over TCP."""

    _log = Logger()

    def __init__(self, arbiter: DeferredArbiter, clock: IReactorTime, timeout: float, throttle: LogThrottle) -> None:
        """@param timeout: seconds for which a session is kept whose connection is broken; 0 for not at all."""
        self._arbiter = arbiter
        self._clock = clock
        self._timeout = timeout
        self._throttle = throttle
        self._table = SessionTable(timeout)
        self._timer: IDelayedCall | None = None
        self.are_kept = timeout > 0

    def keep_all(self) -> None:
        """Keep however many are broken: the lock of one that ends early could be granted while its holder uses it."""
        self._table.most_broken = float("inf")

    def begin(self, id: SessionId, owner: Owner, connection: Any) -> Session:
        """Return the session of C{connection}, which is C{id} to the arbiter."""
        session = Session(id, os.urandom(_SECRET).hex(), owner, connection)
        self._table.begin(session)
        return session

    def by_id(self) -> dict[SessionId, Session]:
        """Return all of them by their ids."""
        return {session.id: session for session in self._table}

    def inherit(self, client: Client) -> SessionId:
        """Keep the session of C{client}, which another daemon has handed over, as if its connection were broken."""
        peer = Peer(client.address, client.peer_id, user=client.user, command=client.command)
        id = self._arbiter.open(lambda effect: None, lambda: peer)
        owner = Owner(client.certificate.encode("latin-1"), client.peer_id)
        session = Session(id, client.secret, owner, None)
        session.is_contested = client.is_contested
        self._table.begin(session)
        self._keep(session)
        return id

    def drop(self, secret: str) -> None:
        """End the session of this C{secret}, if there is one, and all that it holds."""
        if (session := self._table.find(secret)) is not None:
            self.end(session)
            self._arbiter.drop(session.id)

    def end(self, session: Session) -> None:
        """Forget C{session}: its connection has ended in good order."""
        self._table.end(session)
        self._set_timer()

    def suspend(self, session: Session) -> bool:
        """Keep C{session}, whose connection is broken, until its client is back; return whether that can be."""
        if not self._keep(session):
            return False
        if self._arbiter.has_locks(session.id) and self._throttle.allows("broken connections"):
            peer = self._arbiter.peer(session.id)
            text = "the connection of {peer} is broken: its locks are kept for {seconds:g} s"
            self._log.info(text, peer=peer and peer.name, seconds=self._timeout)
        return True

    def _keep(self, session: Session) -> bool:
        def note(effect: Delivered) -> None:
            session.is_contested |= isinstance(effect, Contested)
            if isinstance(effect, (Dismissed, Revoked)):
                self.end(session)

        if not (self._table.suspend(session, self._clock.seconds()) and self._arbiter.suspend(session.id, note)):
            return False
        self._set_timer()
        return True

    def find(self, secret: str, owner: Owner) -> Session | None:
        """
        Return the session of this C{secret}; C{None} if there is none (any more).

        @raise PermissionError: it is another client's than C{owner}.
        """
        session = self._table.find(secret)
        if session is not None and not self._arbiter.knows(session.id):
            return None
        if session is not None and session.owner != owner:
            raise PermissionError
        return session

    def go_on(self, session: Session, connection: Any) -> None:
        """Note that the client of C{session} is back, by C{connection}."""
        self._table.go_on(session, connection)
        self._set_timer()

    def stop(self) -> None:
        """Forget all of them: the daemon ends."""
        for session in self._table:
            self.end(session)

    def _set_timer(self) -> None:
        """Set a timer for the first deadline; one that is set for an earlier one, which is none any more, is kept."""
        deadline = self._table.next_deadline
        if self._timer is None and deadline is not None:
            self._timer = self._clock.callLater(max(0.0, deadline - self._clock.seconds()), self._look)
        elif self._timer is not None and deadline is None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        for session in self._table.expire(self._clock.seconds()):
            if self._arbiter.has_locks(session.id) and self._throttle.allows("clients that did not come back"):
                peer = self._arbiter.peer(session.id)
                self._log.warn("{peer} has not come back: its locks end", peer=peer and peer.name)
            self._arbiter.note_loss(session.id, Loss.SESSION_TIMEOUT)
            self._arbiter.drop(session.id)
        self._set_timer()

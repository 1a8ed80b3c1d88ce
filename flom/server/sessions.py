"""
Sessions over TCP, which outlive a connection that breaks: the client goes on by another one (docs/protocol.md,
"Sessions").
"""

from __future__ import annotations

import os
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from flom.core.effects import Contested, Delivered, Dismissed
from flom.core.requests import SessionId
from flom.server.arbiter import DeferredArbiter
from flom.server.deadlines import Deadlines
from flom.server.log_throttle import LogThrottle

_SECRET: Final = 16
"""Bytes that name a session to its client alone."""

MOST_BROKEN: Final = 20_000
"""Sessions without a connection that are kept at one time; of one more, all ends with its connection."""


class Session:
    """
    What a client holds and waits for.

    @ivar id: names it to the arbiter.
    @ivar secret: names it to the client.
    @ivar certificate: the digest of the client's; empty without TLS.
    @ivar connection: the client's; C{None} while it is broken.
    @ivar is_contested: true if the client has to be told so when it is back.
    """

    __slots__ = ("certificate", "connection", "id", "is_contested", "secret")

    def __init__(self, id: SessionId, certificate: bytes, connection: Any) -> None:
        self.id = id
        self.secret = os.urandom(_SECRET).hex()
        self.certificate = certificate
        self.connection = connection
        self.is_contested = False


class Sessions:
    """The sessions of a daemon over TCP."""

    _log = Logger()

    def __init__(self, arbiter: DeferredArbiter, clock: IReactorTime, timeout: float, throttle: LogThrottle) -> None:
        """@param timeout: seconds for which a session is kept whose connection is broken; 0 for not at all."""
        self._arbiter = arbiter
        self._timeout = timeout
        self._throttle = throttle
        self._by_secret: dict[str, Session] = {}
        self._broken: Deadlines[Session] = Deadlines(clock, timeout, self._expire)
        self.are_kept = timeout > 0

    def begin(self, id: SessionId, certificate: bytes, connection: Any) -> Session:
        """Return the session of C{connection}, which is C{id} to the arbiter."""
        session = Session(id, certificate, connection)
        self._by_secret[session.secret] = session
        return session

    def end(self, session: Session) -> None:
        """Forget C{session}: its connection has ended in good order."""
        self._by_secret.pop(session.secret, None)
        self._broken.clear(session)

    def suspend(self, session: Session) -> bool:
        """Keep C{session}, whose connection is broken, until its client is back; return whether that can be."""

        def note(effect: Delivered) -> None:
            session.is_contested |= isinstance(effect, Contested)
            if isinstance(effect, Dismissed):
                self.end(session)

        if len(self._broken) >= MOST_BROKEN or not self._arbiter.suspend(session.id, note):
            return False
        session.connection = None
        self._broken.set(session)
        if self._throttle.allows("broken connections"):
            peer = self._arbiter.peer(session.id)
            text = "the connection of {peer} is broken: its locks are kept for {seconds:g} s"
            self._log.info(text, peer=peer and peer.name, seconds=self._timeout)
        return True

    def find(self, secret: str, certificate: bytes) -> Session | None:
        """
        Return the session of this C{secret}; C{None} if there is none (any more).

        @raise PermissionError: it is another client's.
        """
        session = self._by_secret.get(secret)
        if session is not None and not self._arbiter.knows(session.id):
            return None
        if session is not None and session.certificate != certificate:
            raise PermissionError
        return session

    def go_on(self, session: Session, connection: Any) -> None:
        """Note that the client of C{session} is back, by C{connection}."""
        session.connection = connection
        self._broken.clear(session)

    def stop(self) -> None:
        """Forget all of them: the daemon ends."""
        for session in list(self._by_secret.values()):
            self.end(session)

    def _expire(self, session: Session) -> None:
        if self._throttle.allows("clients that did not come back"):
            peer = self._arbiter.peer(session.id)
            self._log.warn("{peer} has not come back: its locks end", peer=peer and peer.name)
        self.end(session)
        self._arbiter.drop(session.id)

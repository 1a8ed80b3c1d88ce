"""
The sessions of a daemon, which outlive a connection that breaks (docs/reference/protocol.md, "Sessions"): which secret
names which, and until when one is kept that has no connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from flom.core.requests import SessionId

MOST_BROKEN: Final = 20_000
"""Sessions without a connection that are kept at one time, but under a quorum; of one more, all ends at once."""


class Owner(NamedTuple):
    """
    Tells clients apart.

    @ivar certificate: the digest of the client's; empty without TLS.
    @ivar peer_id: the unique id that the client says, if it says one.
    """

    certificate: bytes
    peer_id: str | None


class Session:
    """
    What a client holds and waits for.

    @ivar id: names it to the arbiter.
    @ivar secret: names it to the client.
    @ivar owner: the client alone that may go on with it.
    @ivar connection: the client's; C{None} while it is broken.
    @ivar is_contested: true if the client has to be told so when it is back.
    """

    __slots__ = ("connection", "id", "is_contested", "owner", "secret")

    def __init__(self, id: SessionId, secret: str, owner: Owner, connection: Any) -> None:
        self.id = id
        self.secret = secret
        self.owner = owner
        self.connection = connection
        self.is_contested = False


class SessionTable:
    """
    All sessions of a daemon. All times are in seconds of one monotonic clock.

    @ivar most_broken: sessions without a connection that are kept at one time.
    """

    def __init__(self, timeout: float) -> None:
        """@param timeout: seconds for which a session is kept whose connection is broken; 0 for not at all."""
        self.most_broken: float = MOST_BROKEN
        self._timeout = timeout
        self._by_secret: dict[str, Session] = {}
        self._broken: dict[Session, float] = {}  # when each ends; the one that does so first stands at the front

    def begin(self, session: Session) -> None:
        """Note that C{session} has begun, and has a connection."""
        self._by_secret[session.secret] = session

    def end(self, session: Session) -> None:
        """Forget C{session}: its connection has ended in good order, or its time is over."""
        self._by_secret.pop(session.secret, None)
        self._broken.pop(session, None)

    def find(self, secret: str) -> Session | None:
        """Return the session of this C{secret}, be its connection broken or not; C{None} if there is none."""
        return self._by_secret.get(secret)

    def suspend(self, session: Session, now: float) -> bool:
        """Keep C{session}, whose connection is broken since C{now}; return whether that can be."""
        if not self._timeout or len(self._broken) >= self.most_broken:
            return False
        session.connection = None
        self._broken.pop(session, None)
        self._broken[session] = now + self._timeout
        return True

    def go_on(self, session: Session, connection: Any) -> None:
        """Note that the client of C{session} is back, by C{connection}."""
        session.connection = connection
        self._broken.pop(session, None)

    @property
    def next_deadline(self) -> float | None:
        """When the next session ends unless its client is back by then; C{None} if all have a connection."""
        return next(iter(self._broken.values()), None)

    def expire(self, now: float) -> list[Session]:
        """Forget the sessions whose clients have not come back in time, and return them."""
        over = []
        while self._broken and next(iter(self._broken.values())) <= now:
            over.append(next(iter(self._broken)))
            self.end(over[-1])
        return over

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_secret.values()))

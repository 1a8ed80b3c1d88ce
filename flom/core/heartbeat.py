"""
The heartbeat of a lock: the daemon is asked, now and then, whether it is there, so that a connection that is broken is
noticed while its lock can still be reclaimed, and a lock that may be another client's is given up in time
(docs/reference/protocol.md, "Sessions").

The rules stand here, for all clients alike. A driver has the clock, which goes on while the machine sleeps, and the
connection, which is a L{Link} to us.
"""

from __future__ import annotations

from flom.core.lease import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Protocol

    from flom.core.lease import Lease
    from flom.core.protocol.messages import Terms

    class Link(Protocol):
        """
        A connection on which a lock is held.

        @ivar pongs: how many answers to L{ping} have come and were not counted yet.
        """

        pongs: int

        @property
        def is_confirmed(self) -> bool:
            """True if the kernel of the daemon's host has confirmed all that was sent."""

        def ping(self) -> None:
            """Ask whether the daemon is there."""

        def break_off(self) -> None:
            """End the connection, which is broken."""


LATE: Final = 0.5
"""Seconds: a program that wakes so much later than it wanted was stopped, or the machine was."""

_CHECK: Final = 1.0  # seconds at most that the daemon has to answer then


class Heartbeat:
    """
    Keeps a L{Lease} up to date. Call L{tend} at L{due}, and when the connection has had something to say; while there
    is none, L{left_to_lose} says for how long the lock can be reclaimed.
    """

    __slots__ = ("_asks_late", "_believes_kernel", "_due", "lease")

    def __init__(self, lease: Lease, *, believes_kernel: bool, asks_late: bool = True) -> None:
        """
        @param believes_kernel: whether a daemon that does not answer keeps the lock, as long as the kernel of its host
            confirms what is sent: where no other daemon takes over meanwhile.
        @param asks_late: whether a program that did not run until the time was over asks before it believes that the
            lock is lost. Under a quorum, it is.
        """
        self.lease = lease
        self._believes_kernel = believes_kernel
        self._asks_late = asks_late
        self._due = NEVER  # when we want to be woken

    def due(self) -> float:
        """Return when to call L{tend} next, and count on that; L{NEVER} if the daemon is not to be asked."""
        self._due = min(self.lease.next_ping, self.lease.doubtful_at)
        return self._due

    def left_to_lose(self, now: float) -> float:
        """
        Return the seconds until the lock may be another client's, 0 or less if it may be by now; they are counted on,
        so call this again when they are over.
        """
        self._note_delay(now)
        self._due = self.lease.lost_at
        return self._due - now

    def left_to_kill(self, now: float) -> float:
        """Return the seconds until what has the lock must have ended; 0 or less if it must have by now."""
        return self.lease.lost_at + self.lease.kill_after - now

    def tend(self, link: Link, now: float) -> None:
        """
        Note what has been answered by C{now}, and send what is due; if an answer is missing, take the connection for
        broken, or not.
        """
        lease = self.lease
        while link.pongs:
            link.pongs -= 1
            lease.answered()
        self._note_delay(now)
        if now >= lease.next_ping:
            lease.sent(now)
            link.ping()
        if now >= lease.doubtful_at:
            if self._believes_kernel and link.is_confirmed:
                lease.confirmed()
            else:
                link.break_off()

    def _note_delay(self, now: float) -> None:
        if self._asks_late and now >= self.lease.lost_at and now > self._due + LATE:
            self.lease.woke(now, min(_CHECK, self.lease.patience / 2))
        self._due = NEVER


def heartbeat_on(terms: Terms, lease: Lease, *, is_strict: bool, is_in_group: bool) -> Heartbeat:
    """
    Return the heartbeat of a lock that a daemon has granted on C{terms}.

    @param is_strict: whether the holder has to be gone before the leader of a group can have a successor.
    @param is_in_group: whether that is what has granted it.
    """
    believes_kernel = not (terms.quorum or (is_strict and is_in_group))
    return Heartbeat(lease, believes_kernel=believes_kernel, asks_late=not terms.quorum)

"""
The heartbeat of a lock over TCP: the daemon is asked, now and then, whether it is there, so that a connection that is
broken is noticed while its lock can still be reclaimed (docs/protocol.md, "Sessions").
"""

from __future__ import annotations

from time import monotonic

from flom.core.lease import NEVER
from flom.lean import boottime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.client.blocking.connection import Conversation
    from flom.core.lease import Lease

_LATE: Final = 0.5  # seconds; who wakes so much later than it wanted was stopped, or the machine was
_CHECK: Final = 1.0  # seconds at most that the daemon has to answer then


class Heartbeat:
    """
    Keeps a L{Lease} up to date. Call L{tend} whenever L{left} seconds are over, and when the connection has had
    something to say.

    @ivar lease: its times are those of L{boottime}.
    """

    def __init__(self, lease: Lease, *, believes_kernel: bool, asks_late: bool = True) -> None:
        """
        @param believes_kernel: whether a daemon that does not answer keeps the lock, as long as the kernel of its host
            confirms what is sent: where no other daemon takes over meanwhile.
        @param asks_late: whether the daemon is asked when the time was over while this process did not run; if not, the
            lock is lost then.
        """
        self._asks_late = asks_late
        self.lease = lease
        self._believes_kernel = believes_kernel
        self._due = NEVER  # when we want to be woken

    def left(self) -> float:
        """Return the seconds, from 0 on, until L{tend} has to be called."""
        self._due = min(self.lease.next_ping, self.lease.doubtful_at)
        return max(0.0, self._due - boottime())

    def left_to_lose(self) -> float:
        """Return the seconds until the lock may be another client's; 0 or less if it may be by now."""
        now = boottime()
        self._note_delay(now)
        self._due = self.lease.lost_at
        return self._due - now

    def left_to_kill(self) -> float:
        """Return the seconds until what has the lock must have ended; 0 or less if it must have by now."""
        return self.lease.lost_at + self.lease.kill_after - boottime()

    def tend(self, conversation: Conversation) -> None:
        """
        Note what has been answered, which C{conversation} has read, and send what is due; if an answer is missing, the
        connection is taken for broken, or not.
        """
        lease, now = self.lease, boottime()
        while conversation.pongs:
            conversation.pongs -= 1
            lease.answered()
        self._note_delay(now)
        if now >= lease.next_ping:
            lease.sent(now)
            conversation.ping()
        if now >= lease.doubtful_at:
            if self._believes_kernel and conversation.is_confirmed:
                lease.confirmed()
            else:
                conversation.break_off()

    def _note_delay(self, now: float) -> None:
        if self._asks_late and now >= self.lease.lost_at and now > self._due + _LATE:
            self.lease.woke(now, min(_CHECK, self.lease.patience / 2))
        self._due = NEVER


def deadline_of(lease: Lease) -> float:
    """Return when the lock may be another client's, as a time of C{time.monotonic}."""
    return monotonic() + lease.lost_at - boottime()

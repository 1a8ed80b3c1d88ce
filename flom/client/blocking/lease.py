"""
What may be believed of a lock that can outlive its connection, by the times that its daemon has told
(docs/explanation/guarantees.md, "A TCP connection that breaks").
"""

from __future__ import annotations

from time import monotonic

from flom.core.lease import NEVER, Lease, times_on
from flom.lean import boottime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flom.client.blocking.connection import Conversation
    from flom.config import Config


class HeldLease:
    """
    The L{Lease} of a lock, while connections and daemons come and go.

    @ivar lease: counts by L{boottime}.
    @ivar is_by_quorum: true if the daemon leads by a quorum: then nothing is believed of it but its answers.
    """

    def __init__(self, config: Config, held_on: Conversation, time_to_end: float | None, *, is_ended: bool) -> None:
        """
        L{flom.client.blocking.acquire.Acquirer.begin_lease} has the other parameters, and raises the same error.

        @param held_on: where the lock was granted; call L{renew} with it too.
        """
        self._default = config.session_timeout_ms / 1000  # for daemons that do not say how long they keep a lock
        self._is_ended = is_ended
        self.is_by_quorum = held_on.connection.terms.quorum
        times = times_on(held_on.connection.terms, time_to_end, self._default, is_strict=is_ended)
        self.lease = Lease(times.patience, times.interval, times.kill_after)

    def renew(self, held_on: Conversation, asked_at: float) -> None:
        """
        Note that the lock is C{held_on} this connection, by the times of its daemon.

        @param asked_at: when the daemon was asked what it has answered by the grant.
        """
        terms = held_on.connection.terms
        self.is_by_quorum = terms.quorum
        self.lease.renew(terms, asked_at, self._default, is_strict=self._is_ended)

    def is_over(self) -> bool:
        """Return whether what the lock is for was to end by now, and this process could not see to that."""
        is_known = self.is_by_quorum or (self._is_ended and self.lease.interval != NEVER)
        return is_known and self.lease.is_over(boottime())

    def expected_until(self) -> float:
        """Return the time of C{time.monotonic} until which the daemon keeps the lock for us."""
        now = boottime()
        if self.lease.interval == NEVER and not self.is_by_quorum:  # the daemon has not been asked whether it is there
            self.lease.woke(now, self.lease.patience)
        return monotonic() + self.lease.lost_at - now

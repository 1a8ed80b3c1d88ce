"""
What may be believed of a lock that can outlive its connection, by the times that its daemon has told
(docs/guarantees.md, "A TCP connection that breaks").
"""

from __future__ import annotations

from flom.client.blocking.heartbeat import deadline_of
from flom.core.lease import NEVER, Lease, Times, time_kept, time_to_come_back, times_on
from flom.lean import boottime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flom.client.blocking.connection import Conversation
    from flom.config import Config
    from flom.core.protocol.messages import Terms


class HeldLease:
    """
    The L{Lease} of a lock, while connections and daemons come and go.

    @ivar lease: counts by L{boottime}.
    @ivar is_by_quorum: true if the daemon leads by a quorum: then nothing is believed of it but its answers.
    """

    def __init__(
        self, config: Config, held_on: Conversation, time_to_end: float | None, *, is_ended: bool, asks: bool
    ) -> None:
        """
        L{flom.client.blocking.acquire.Acquirer.begin_lease} has the other parameters, and raises the same error.

        @param held_on: where the lock was granted; call L{renew} with it too.
        """
        self._config = config
        self._is_ended = is_ended
        self._asks = asks
        self.is_by_quorum = held_on.connection.terms.quorum
        self._come_back_in = 0.0  # seconds, when a connection is found broken whose daemon was not asked
        times = self._times(held_on.connection.terms, time_to_end)
        self.lease = Lease(times.patience, times.interval, times.kill_after)

    def renew(self, held_on: Conversation, asked_at: float) -> None:
        """
        Note that the lock is C{held_on} this connection, by the times of its daemon.

        @param asked_at: when the daemon was asked what it has answered by the grant.
        """
        lease, terms = self.lease, held_on.connection.terms
        whole, _ = time_kept(terms, self._config.session_timeout_ms / 1000, is_strict=self._is_ended)
        times = self._times(terms, min(lease.kill_after, whole / 2))
        self.is_by_quorum = terms.quorum
        asks = self._asks and terms.timeout > 0  # older daemons do not understand the question
        lease.patience, lease.interval = times.patience, times.interval if asks else NEVER
        lease.sent(asked_at)
        lease.answered()
        self._come_back_in = times.patience
        if not self._asks and terms.timeout and not terms.quorum:
            self._come_back_in = time_to_come_back(whole, held_on.probe_early())

    def is_over(self) -> bool:
        """Return whether what the lock is for was to end by now, and this process could not see to that."""
        is_known = self.is_by_quorum or (self._is_ended and self.lease.interval != NEVER)
        return is_known and self.lease.is_over(boottime())

    def expected_until(self, *, is_gone: bool) -> float:
        """
        Return the time of C{time.monotonic} until which the daemon keeps the lock for us.

        @param is_gone: whether the daemon, on another host, has gone.
        """
        if self.lease.interval == NEVER and not self.is_by_quorum:  # the daemon has not been asked whether it is there
            self.lease.woke(boottime(), self.lease.patience if is_gone else self._come_back_in)
        return deadline_of(self.lease)

    def _times(self, terms: Terms, time_to_end: float | None) -> Times:
        """Return how the time is divided for which the daemon keeps the lock."""
        default = self._config.session_timeout_ms / 1000
        return times_on(terms, time_to_end, default, is_strict=self._is_ended)

"""
What may be believed of a lock that can outlive its connection, by the times that its daemon has told
(docs/guarantees.md, "A TCP connection that breaks").
"""

from __future__ import annotations

from flom.client.blocking.heartbeat import deadline_of
from flom.core.lease import NEVER, Lease, time_to_come_back, times_within
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
        self._come_back_in = 0.0  # seconds, when a connection is found broken whose daemon was not asked
        whole, what = self._time_kept(held_on.connection.terms)
        times = times_within(whole, time_to_end, what=what)
        self.lease = Lease(times.patience, times.interval, times.kill_after)

    def renew(self, held_on: Conversation, asked_at: float) -> None:
        """
        Note that the lock is C{held_on} this connection, by the times of its daemon.

        @param asked_at: when the daemon was asked what it has answered by the grant.
        """
        lease, terms = self.lease, held_on.connection.terms
        whole, _ = self._time_kept(terms)
        times = times_within(whole, min(lease.kill_after, whole / 2))
        asks = self._asks and terms.timeout > 0  # older daemons do not understand the question
        lease.patience, lease.interval = times.patience, times.interval if asks else NEVER
        lease.sent(asked_at)
        lease.answered()
        self._come_back_in = times.patience
        if not self._asks and terms.timeout:
            self._come_back_in = time_to_come_back(whole, held_on.probe_early())

    def is_over(self) -> bool:
        """Return whether what the lock is for was to end by now, and nobody could see to that."""
        return self._is_ended and self.lease.interval != NEVER and self.lease.is_over(boottime())

    def expected_until(self, *, is_gone: bool) -> float:
        """
        Return the time of C{time.monotonic} until which the daemon keeps the lock for us.

        @param is_gone: whether the daemon, on another host, has gone.
        """
        if self.lease.interval == NEVER:  # the daemon has not been asked whether it is there
            self.lease.woke(boottime(), self.lease.patience if is_gone else self._come_back_in)
        return deadline_of(self.lease)

    def _time_kept(self, terms: Terms) -> tuple[float, str]:
        """Return the seconds after which another client may be granted the lock, and what they are."""
        whole = terms.timeout or self._config.session_timeout_ms / 1000
        if self._is_ended and 0 < terms.succession < whole:
            return terms.succession, "if the leader of the group goes"
        return whole, "the daemon's session-timeout"

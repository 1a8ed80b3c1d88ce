"""
One tenure of a leader: from when it may grant, and until when it may answer (docs/explanation/quorum.md).

All times are seconds of one clock of the leader's host, which goes on while the machine sleeps. A leader asks at each
grant and each answer, right before it is sent: it may have been stopped since it began to decide.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flom.core.quorum.times import QuorumTimes


class Tenure:
    """
    What a daemon may do that has won the leadership, until its lease ends or it resigns.

    @ivar ends_at: when the lease may have ended, unless it is L{kept} until then. From then on nothing is granted or
        answered.
    @ivar grants_from: when all sessions of the leader before have ended. Until then, only reclaims are granted.
    @ivar has_resigned: true once the leadership was given up, see L{resign}.
    """

    __slots__ = ("_times", "ends_at", "grants_from", "has_resigned")

    def __init__(self, times: QuorumTimes, *, won_at: float, sent_at: float, ttl: float, has_no_holders: bool) -> None:
        """
        @param won_at: when this daemon knew that it leads: when the answer was received that says so, be it the one to
            a later question.
        @param sent_at: when the last request was sent after which etcd has counted C{ttl} seconds: the one for the
            lease, or a keepalive of it.
        @param ttl: seconds of the lease, as etcd has answered.
        @param has_no_holders: true if this daemon knows all that is held: the leader before has left word, in the
            transaction by which it gave the leadership up, and the transaction that won has read and deleted that.
        """
        self._times = times
        self.has_resigned = False
        self.ends_at = sent_at + times.lead_within(ttl)
        self.grants_from = won_at if has_no_holders else won_at + times.wait

    def kept(self, sent_at: float, ttl: float) -> None:
        """
        Note that etcd has answered a keepalive of the lease, or the request for it.

        Answers may come in any order, and after L{ends_at}: the lease has not ended then, because etcd has renewed it.

        @param sent_at: when the keepalive was sent; etcd has received it later.
        @param ttl: seconds of the lease, as etcd has answered; more than 0.
        """
        if not self.has_resigned:
            self.ends_at = max(self.ends_at, sent_at + self._times.lead_within(ttl))

    def resign(self) -> None:
        """
        Grant and answer nothing more, for good.

        Call it before the transaction is sent that gives the leadership up, whatever becomes of that: etcd may carry it
        out long after it has answered that it could not.
        """
        self.has_resigned = True
        self.ends_at = float("-inf")

    def may_grant(self, now: float) -> bool:
        """Return whether a lock may be granted that reclaims nothing."""
        return self.grants_from <= now < self.ends_at

    def may_answer(self, now: float) -> bool:
        """Return whether a heartbeat or a reclaim may be answered, or anything by which a client believes to hold."""
        return now < self.ends_at

    def knows_holders(self, now: float) -> bool:
        """
        Return whether all that is held is known: holders of the leader before have reclaimed, or have lost their locks.

        Without that, no word may be left for the next leader of what is held.
        """
        return now >= self.grants_from

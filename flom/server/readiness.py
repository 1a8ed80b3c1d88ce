"""Whether a daemon does its part, as supervisors and load balancers want to know."""

from __future__ import annotations

from dataclasses import dataclass

from flom.core.protocol.messages import Role
from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters


@dataclass(frozen=True, slots=True)
class Readiness:
    """
    What a daemon is at this moment.

    @ivar is_ready: true if it serves clients, or stands by for a leader that does. A daemon in a grace period is ready:
        holders have to reach it to reclaim their locks.
    @ivar text: says it in some words.
    """

    is_ready: bool
    text: str


def readiness_of(arbiter: DeferredArbiter, counters: Counters) -> Readiness:
    """Return what the daemon of C{arbiter} is at this moment."""
    quorum = counters.quorum()
    where = counters.group or ("its quorum" if quorum is not None else "")
    if arbiter.is_closed:
        return Readiness(False, "closed")
    if arbiter.is_draining:
        return Readiness(False, "draining: nothing more is granted")
    if quorum is not None and quorum.problem:
        return Readiness(False, f"no quorum: {quorum.problem}")
    if not where:
        said = "serving"
    elif counters.role == Role.LEADER.value:
        said = f"leading {where}"
    elif counters.role == Role.STANDBY.value:
        leader = counters.leader if quorum is None else quorum.leader
        if quorum is not None and not leader:
            return Readiness(False, f"standing by in {where}: no daemon leads")
        return Readiness(True, f"standing by in {where}" + (f": {leader} leads" if leader else ""))
    else:
        return Readiness(False, f"{counters.role or Role.CANDIDATE.value} in {where}")
    if arbiter.is_in_grace:
        said += ", in a grace period: only holders of the daemon before are served"
    return Readiness(True, said)

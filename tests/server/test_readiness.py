"""Whether a daemon does its part."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.readiness import Readiness, readiness_of
from flom.status.model import QuorumStatus

GRACE = ", in a grace period: only holders of the daemon before are served"


@pytest.fixture
def arbiter() -> DeferredArbiter:
    return DeferredArbiter(Clock())


@pytest.mark.parametrize(
    ("role", "leader", "is_ready", "text"),
    [
        ("leader", "", True, "leading ff02::1"),
        ("standby", "host-b at 192.0.2.1", True, "standing by in ff02::1: host-b at 192.0.2.1 leads"),
        ("standby", "", True, "standing by in ff02::1"),
        ("candidate", "", False, "candidate in ff02::1"),
        ("leaving", "", False, "leaving in ff02::1"),
        ("", "", False, "candidate in ff02::1"),
    ],
)
def test_in_a_group_leader_and_standby_are_ready(
    arbiter: DeferredArbiter, role: str, leader: str, is_ready: bool, text: str
) -> None:
    counters = Counters(group="ff02::1", role=role, leader=leader)
    assert readiness_of(arbiter, counters) == Readiness(is_ready, text)


@pytest.mark.parametrize(
    ("role", "leader", "problem", "is_ready", "text"),
    [
        ("leader", "host-a", "", True, "leading its quorum"),
        ("standby", "host-a", "", True, "standing by in its quorum: host-a leads"),
        ("standby", "", "", False, "standing by in its quorum: no daemon leads"),
        ("leader", "host-a", "etcd has no majority", False, "no quorum: etcd has no majority"),
    ],
)
def test_under_a_quorum_it_is_ready_while_a_daemon_leads(
    arbiter: DeferredArbiter, role: str, leader: str, problem: str, is_ready: bool, text: str
) -> None:
    quorum = QuorumStatus(leader, None, 7, not problem, None, (), {}, problem)
    counters = Counters(role=role, quorum=lambda: quorum)
    assert readiness_of(arbiter, counters) == Readiness(is_ready, text)


def test_holders_can_reach_it_in_a_grace_period(arbiter: DeferredArbiter) -> None:
    arbiter.begin_grace(10.0)
    assert readiness_of(arbiter, Counters()) == Readiness(True, f"serving{GRACE}")
    arbiter.end_grace()
    assert readiness_of(arbiter, Counters()) == Readiness(True, "serving")


def test_one_that_grants_nothing_more_is_not_ready(arbiter: DeferredArbiter) -> None:
    arbiter.drain(lambda: None)
    assert readiness_of(arbiter, Counters()) == Readiness(False, "draining: nothing more is granted")
    arbiter.close()
    assert readiness_of(arbiter, Counters()) == Readiness(False, "closed")

"""A daemon whose leader a quorum decides, in its group; and what daemons without a quorum do beside it."""

from __future__ import annotations

from flom.core.group.appointment import Appointment
from flom.core.group.election import (
    Action,
    Announce,
    BecameCandidate,
    BecameStandby,
    Election,
    Follow,
    Lead,
    Outrank,
    Verify,
)
from flom.core.group.ranking import FLOM
from flom.core.group.timing import DEFAULT_TIMING
from flom.core.protocol.messages import Role, Standing

NOW, WALL = 1000.0, 1_700_000_000_000

CANDIDATE = Standing("c", Role.CANDIDATE, WALL - 5)
RIVAL = Standing("r", Role.LEADER, WALL - 3_600_000)
OTHER = Standing("o", Role.LEADER, WALL, quorum=True)


def member() -> Appointment:
    return Appointment("a", NOW, WALL)


def announced(actions: list[Action]) -> list[Standing]:
    return [action.standing for action in actions if isinstance(action, Announce)]


def test_it_leads_while_it_is_told_to() -> None:
    daemon = member()
    assert daemon.role is Role.STANDBY
    assert Lead() in daemon.appoint(NOW, WALL)
    assert daemon.appoint(NOW, WALL) == []
    assert announced(daemon.tick(NOW + 0.4, WALL + 400)) == [Standing("a", Role.LEADER, WALL, quorum=True)]
    assert BecameStandby() in daemon.dismiss(NOW + 1, WALL + 1000)
    assert daemon.role is Role.STANDBY
    assert daemon.dismiss(NOW + 1, WALL + 1000) == []


def test_it_never_stands_for_election() -> None:
    daemon = member()
    for seconds in range(1, 100):
        assert daemon.tick(NOW + seconds, WALL) == []
    assert daemon.role is Role.STANDBY


def test_it_follows_the_leader_of_the_quorum_until_that_is_silent() -> None:
    daemon = member()
    assert daemon.keeps_others_back
    assert daemon.hear(OTHER, NOW, WALL) == [Follow(OTHER)]
    assert not daemon.keeps_others_back
    assert daemon.tick(NOW + DEFAULT_TIMING.patience, WALL) == [BecameStandby()]
    assert daemon.keeps_others_back


def test_it_yields_to_no_daemon() -> None:
    daemon = member()
    daemon.appoint(NOW, WALL)
    assert Outrank(RIVAL) in daemon.hear(RIVAL, NOW + 1, WALL)
    assert Outrank(FLOM) in daemon.hear(FLOM, NOW + 10, WALL)
    assert daemon.yield_to(RIVAL, NOW + 1, WALL) == []
    assert daemon.lose_hearing(NOW + 1, WALL) == []
    assert daemon.role is Role.LEADER
    assert daemon.is_alone(NOW + 1)


def test_it_is_no_successor_of_a_leader_that_hands_over() -> None:
    daemon = member()
    daemon.hear(RIVAL, NOW, WALL)
    assert not daemon.can_succeed("r")
    assert daemon.hear_of(RIVAL, NOW, WALL) == []
    assert daemon.lead_alone(NOW, WALL) == []


def test_a_candidate_does_not_win_beside_one_that_stands_by() -> None:
    """As long as etcd is away, no daemon leads."""
    daemon, candidate = member(), Election("c", NOW, WALL)
    now = NOW
    for _ in range(1000):
        now += 0.01
        for standing in announced(candidate.tick(now, WALL)):
            candidate.hear(standing, now, WALL)
            for answer in announced(daemon.hear(standing, now, WALL)):
                candidate.hear(answer, now, WALL)
        assert candidate.role is not Role.LEADER


def test_it_stands_for_election_again_when_those_of_the_quorum_are_silent() -> None:
    candidate = Election("c", NOW, WALL)
    assert candidate.hear(member().standing, NOW, WALL) == [BecameStandby()]
    late = NOW + DEFAULT_TIMING.patience
    assert BecameCandidate() in candidate.tick(late, WALL)


def test_a_leader_without_a_quorum_yields_to_one_that_leads_by_it() -> None:
    """However long it has led."""
    leader = Election("r", NOW, WALL)
    leader.lead_alone(NOW, WALL - 3_600_000)
    assert Verify(OTHER) in leader.hear(OTHER, NOW, WALL)

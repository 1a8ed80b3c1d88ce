"""The process that is elected hands its office to the daemon that it has started."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from flom.core.protocol.messages import Role, Standing
from flom.server.group.handover import FRESH, Candidate, Successor

OFFICE = Standing("0123456789abcdef", Role.LEADER, 1_800_000_000_123)


class Handover:
    """
    The two ends, and what goes from one to the other when the test says so.

    @ivar elected: what the daemon has taken over, and whether there are orphans.
    @ivar is_beaten: whether there was nothing to take over.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        self.is_ready = False
        self.is_beaten = False
        self.elected: list[tuple[Standing | None, bool]] = []
        self.candidate = Candidate(self._take_ready, lambda: None)
        self.candidate_sends = StringTransport()
        self.candidate.makeConnection(self.candidate_sends)
        self.daemon = Successor(self.clock.seconds, self._take_office, self._take_defeat)
        self.daemon_sends = StringTransport()
        self.daemon.makeConnection(self.daemon_sends)

    def hand_over(self, seconds: float = 0.0, *, has_orphans: bool = False) -> None:
        """Let the candidate win, and the daemon hear of it some seconds later."""
        self.candidate.hand_over(OFFICE, self.clock.seconds(), has_orphans=has_orphans)
        self.clock.advance(seconds)
        self.daemon.dataReceived(self.candidate_sends.value())

    def _take_ready(self) -> None:
        self.is_ready = True

    def _take_office(self, elected: Standing | None, has_orphans: bool) -> None:
        self.elected.append((elected, has_orphans))

    def _take_defeat(self) -> None:
        self.is_beaten = True


@pytest.fixture
def handover() -> Handover:
    return Handover()


def test_the_daemon_says_when_it_could_lead(handover: Handover) -> None:
    assert not handover.is_ready
    handover.candidate.dataReceived(handover.daemon_sends.value())
    assert handover.is_ready


@pytest.mark.parametrize("has_orphans", [False, True])
def test_it_leads_in_the_place_of_its_candidate(handover: Handover, has_orphans: bool) -> None:
    handover.hand_over(has_orphans=has_orphans)
    assert handover.elected == [(OFFICE, has_orphans)]


def test_the_news_may_come_in_pieces(handover: Handover) -> None:
    handover.candidate.hand_over(OFFICE, handover.clock.seconds(), has_orphans=False)
    for byte in handover.candidate_sends.value():
        assert handover.elected == []
        handover.daemon.dataReceived(bytes([byte]))
    assert handover.elected == [(OFFICE, False)]


def test_a_victory_that_it_hears_of_too_late_is_none(handover: Handover) -> None:
    handover.hand_over(FRESH + 0.01)
    assert handover.elected == [(None, False)]  # it stands for election itself


def test_after_a_victory_its_candidate_may_go(handover: Handover) -> None:
    handover.hand_over()
    handover.daemon.connectionLost()
    assert not handover.is_beaten


def test_without_one_it_has_nothing_to_stay_for(handover: Handover) -> None:
    handover.daemon.connectionLost()
    assert handover.is_beaten
    assert handover.elected == []

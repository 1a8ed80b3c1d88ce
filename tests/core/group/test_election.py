"""The rules of the election, one by one (flom/core/election.py); what they lead to is in test_election_network.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flom.core.group.election import (
    Action,
    Announce,
    BecameCandidate,
    BecameStandby,
    Deaf,
    Election,
    Follow,
    Lead,
    Outrank,
    Relay,
    Verify,
    Yield,
    successor_of,
)
from flom.core.group.ranking import FLOM, rank
from flom.core.group.timing import DEFAULT_TIMING, ROUNDS, Timing
from flom.core.protocol.messages import Role, Standing

TIMING: Final = Timing(heartbeat=0.5, patience=2.0, campaign=0.375)  # a round is 1/64 s: sums of these are exact
WALL: Final = 1_700_000_000_000

BETTER: Final = Standing("a", Role.LEADER, WALL - 1000)
WORSE: Final = Standing("c", Role.LEADER, WALL + 3_600_000)


class Daemon:
    """An election with clocks, and a group that carries what it announces back to it."""

    def __init__(self, node: str = "b", *, is_deaf: bool = False, timing: Timing = TIMING) -> None:
        self.now = 1000.0
        self.is_deaf = is_deaf
        self.election = Election(node, *self.clocks, timing)

    @property
    def clocks(self) -> tuple[float, int]:
        return self.now, WALL + round((self.now - 1000.0) * 1000)

    @property
    def wall(self) -> int:
        return self.clocks[1]

    @property
    def role(self) -> Role:
        return self.election.role

    def hear(self, other: Standing) -> list[Action]:
        return self.do(self.election.hear(other, *self.clocks))

    def tick(self) -> list[Action]:
        return self.do(self.election.tick(*self.clocks))

    def do(self, actions: list[Action]) -> list[Action]:
        for action in actions:
            if isinstance(action, Announce) and not self.is_deaf:
                assert self.hear(action.standing) == []
        return actions

    def wait(self, seconds: float) -> list[Action]:
        """Advance the clock, and do what is due."""
        actions, end = [], self.now + seconds
        while self.election.deadline <= end:
            self.now = max(self.now, self.election.deadline)
            actions += self.tick()
        self.now = end
        return actions

    def stall(self, seconds: float) -> list[Action]:
        """Advance the clock without doing what is due; then catch up."""
        self.now += seconds
        return self.tick()

    def yield_to(self, rival: Standing) -> list[Action]:
        return self.election.yield_to(rival, *self.clocks)

    @property
    def candidacy(self) -> Standing:
        """What it says of itself if it has just stood for election."""
        return Standing("b", Role.CANDIDATE, self.wall)


def leader() -> Daemon:
    """A daemon that has just won."""
    daemon = Daemon()
    daemon.wait(TIMING.campaign)
    assert daemon.role is Role.LEADER
    return daemon


def follower(of: Standing = BETTER) -> Daemon:
    """A daemon that has just heard its leader for the first time, in the middle of its campaign."""
    daemon = Daemon()
    daemon.wait(TIMING.campaign / 2)
    assert daemon.hear(of) == [Follow(of)]
    return daemon


def yielding(to: Standing = BETTER) -> Daemon:
    """A daemon that has led, and some of whose clients still hold locks."""
    daemon = leader()
    assert daemon.yield_to(to) == [Yield(to)]
    return daemon


def other(role: Role, node: str = "c", since: int = WALL) -> Standing:
    return Standing(node, role, since)


class TestCandidate:
    """Who starts, or has lost its leader, announces itself for a while and then leads."""

    def test_it_announces_itself_when_it_starts(self) -> None:
        daemon = Daemon()
        assert daemon.tick() == [Announce(Standing("b", Role.CANDIDATE, WALL))]
        assert daemon.election.leader is None

    def test_it_does_so_again_every_round(self) -> None:
        daemon = Daemon()
        daemon.tick()
        assert daemon.election.deadline == daemon.now + TIMING.round
        assert daemon.wait(TIMING.round - 1 / 1024) == []
        assert daemon.wait(1 / 1024) == [Announce(Standing("b", Role.CANDIDATE, WALL))]

    def test_it_leads_if_nothing_is_heard_against_it(self) -> None:
        daemon = Daemon()
        announced = daemon.wait(TIMING.campaign - TIMING.round)
        assert announced == [Announce(Standing("b", Role.CANDIDATE, WALL))] * ROUNDS
        assert daemon.role is Role.CANDIDATE
        own = Standing("b", Role.LEADER, WALL + 375)
        assert daemon.wait(TIMING.round) == [Lead(), Announce(own)]
        assert daemon.election.standing == daemon.election.leader == own

    @pytest.mark.parametrize("heard", [FLOM, BETTER, WORSE], ids=["FLoM", "better", "worse"])
    def test_it_follows_whoever_leads(self, heard: Standing) -> None:
        daemon = Daemon()
        daemon.wait(TIMING.campaign - TIMING.round)
        assert daemon.hear(heard) == [Follow(heard)]
        assert (daemon.role, daemon.election.leader) == (Role.STANDBY, heard)
        assert Lead() not in daemon.wait(TIMING.patience - TIMING.round)

    @pytest.mark.parametrize("role", [Role.STANDBY, Role.LEAVING])
    def test_it_does_not_mind_who_does_not_want_to_lead(self, role: Role) -> None:
        daemon = Daemon()
        daemon.tick()
        assert daemon.hear(other(role, since=0)) == []
        assert Lead() in daemon.wait(TIMING.campaign)


class TestCount:
    """Only announcements in a row, that others could hear and object to, count."""

    @pytest.mark.parametrize("done", [0, 1, ROUNDS - 1])
    def test_a_long_round_starts_it_anew(self, done: int) -> None:
        daemon = Daemon()
        daemon.wait(done * TIMING.round)
        assert daemon.stall(TIMING.stall) == [Announce(daemon.election.standing)]
        assert Lead() not in daemon.wait(TIMING.campaign - TIMING.round)
        assert Lead() in daemon.wait(TIMING.round)

    def test_a_round_that_is_not_that_long_does_not(self) -> None:
        daemon = Daemon()
        daemon.wait(TIMING.campaign - TIMING.round)
        assert Lead() in daemon.stall(TIMING.stall - 1 / 1024)

    @pytest.mark.parametrize("done", [0, 1, ROUNDS - 1])
    def test_an_announcement_that_could_not_be_sent_starts_it_anew(self, done: int) -> None:
        daemon = Daemon()
        daemon.wait(done * TIMING.round)
        daemon.election.was_unheard()
        assert Lead() not in daemon.wait(TIMING.campaign)
        assert Lead() in daemon.wait(TIMING.round)

    def test_who_can_never_send_anything_never_leads(self) -> None:
        daemon = Daemon()
        for _ in range(10 * ROUNDS):
            assert Lead() not in daemon.wait(TIMING.round)
            daemon.election.was_unheard()


class TestResuming:
    """A campaign that was begun elsewhere is gone on with, if it can be believed."""

    @staticmethod
    def resumed(announced: int, heard: tuple[Standing, ...] = ()) -> Daemon:
        """A daemon whose last announcement was sent half a round ago, and that has heard that, or C{heard}."""
        daemon = Daemon()
        for standing in (*heard, Standing("b", Role.CANDIDATE, WALL)):
            daemon.hear(standing)
        daemon.election.resume(announced, daemon.now)
        daemon.now += TIMING.round / 2
        return daemon

    def test_its_announcements_count(self) -> None:
        daemon = self.resumed(ROUNDS - 2)
        assert daemon.wait(TIMING.round / 2) == [Announce(daemon.election.standing)]
        assert daemon.wait(TIMING.round) == [Announce(daemon.election.standing)]
        assert Lead() not in daemon.wait(TIMING.round - 1 / 1024)
        assert Lead() in daemon.wait(1 / 1024)

    def test_however_many_there_were_the_last_one_has_its_round(self) -> None:
        daemon = self.resumed(2 * ROUNDS)
        assert daemon.wait(TIMING.round / 2 - 1 / 1024) == []
        assert Lead() in daemon.wait(1 / 1024)

    @pytest.mark.parametrize("rival", [FLOM, WORSE, Standing("a", Role.CANDIDATE, WALL)], ids=repr)
    def test_what_was_heard_meanwhile_ends_it(self, rival: Standing) -> None:
        daemon = self.resumed(ROUNDS, heard=(rival,))
        assert daemon.role is Role.STANDBY
        assert Lead() not in daemon.wait(TIMING.campaign)

    def test_who_has_not_heard_itself_begins_anew(self) -> None:
        daemon = Daemon(is_deaf=True)
        daemon.election.resume(ROUNDS, daemon.now)
        daemon.is_deaf = False
        assert Lead() not in daemon.wait(TIMING.campaign - TIMING.round)

    def test_if_it_was_left_alone_for_long_it_begins_anew(self) -> None:
        daemon = self.resumed(ROUNDS)
        daemon.stall(TIMING.stall)
        assert Lead() not in daemon.wait(TIMING.campaign - TIMING.round)
        assert Lead() in daemon.wait(TIMING.round)


class TestDeaf:
    """Who does not hear its own announcements would not hear others either, and does not lead."""

    def test_it_says_so_once_instead_of_leading_and_stands_by(self) -> None:
        daemon = Daemon(is_deaf=True)
        assert Deaf() not in daemon.wait(TIMING.campaign - TIMING.round)
        complaint, *announced = daemon.wait(20 * TIMING.heartbeat)
        assert complaint == Deaf()
        assert set(announced) == {Announce(daemon.election.standing)}  # just to hear whether it is still so
        assert daemon.role is Role.STANDBY

    def test_it_leads_once_it_hears_itself(self) -> None:
        daemon = Daemon(is_deaf=True)
        daemon.wait(10 * TIMING.campaign)
        daemon.is_deaf = False
        assert Lead() in daemon.wait(2 * TIMING.heartbeat + TIMING.campaign)

    def test_it_listens_to_others_for_a_whole_campaign_first(self) -> None:
        daemon = Daemon(is_deaf=True)
        daemon.wait(10 * TIMING.campaign)
        daemon.is_deaf = False
        assert Lead() not in daemon.wait(TIMING.campaign - TIMING.round)

    def test_what_it_has_heard_in_an_earlier_election_does_not_matter(self) -> None:
        daemon = follower()
        daemon.is_deaf = True
        assert Deaf() in daemon.wait(TIMING.patience + TIMING.campaign)
        assert daemon.role is Role.STANDBY


CANDIDATES: Final = [  # from the one that stays to the one that defers to all others
    Standing("z", Role.CANDIDATE, WALL - 1),
    Standing("b", Role.CANDIDATE, WALL),
    Standing("c", Role.CANDIDATE, WALL),
    Standing("a", Role.CANDIDATE, WALL + 1),
]


class TestTwoCandidates:
    """The one that has stood for a shorter time stands back; if that is equal, the one with the greater node."""

    @pytest.mark.parametrize("own", CANDIDATES, ids=repr)
    def test_of_two_exactly_one_stands_back(self, own: Standing) -> None:
        for rival in CANDIDATES:
            election = Election(own.node, 0.0, own.since)
            assert election.standing == own
            stays = CANDIDATES.index(own) <= CANDIDATES.index(rival)
            assert election.hear(rival, 0.0, own.since) == ([] if stays else [BecameStandby()])
            assert election.role is (Role.CANDIDATE if stays else Role.STANDBY)

    def test_who_stands_back_is_silent_and_follows_whoever_leads_then(self) -> None:
        daemon = Daemon()
        daemon.tick()
        daemon.hear(other(Role.CANDIDATE, "a"))
        assert daemon.wait(TIMING.campaign) == []
        assert daemon.election.leader is None
        assert daemon.hear(WORSE) == [Follow(WORSE)]

    def test_who_stands_back_stands_again_if_nobody_leads(self) -> None:
        daemon = Daemon()
        daemon.hear(other(Role.CANDIDATE, "a"))
        assert daemon.wait(TIMING.patience - 1 / 1024) == []
        assert daemon.wait(1 / 1024) == [BecameCandidate(), Announce(daemon.candidacy)]
        assert Lead() in daemon.wait(TIMING.campaign)

    def test_as_long_as_others_stand_it_waits(self) -> None:
        daemon = Daemon()
        daemon.hear(other(Role.CANDIDATE, "a"))
        daemon.wait(TIMING.patience / 2)
        daemon.hear(other(Role.CANDIDATE, "c"))
        assert daemon.wait(TIMING.patience - 1 / 1024) == []
        assert daemon.wait(1 / 1024) == [BecameCandidate(), Announce(daemon.candidacy)]


class TestStandby:
    """Who follows a leader waits for its end."""

    def test_silence_makes_a_candidate(self) -> None:
        daemon = follower()
        assert daemon.wait(TIMING.patience - 1 / 1024) == []
        assert daemon.wait(1 / 1024) == [BecameCandidate(), Announce(daemon.candidacy)]
        assert daemon.role is Role.CANDIDATE
        assert daemon.election.leader is None
        assert Lead() not in daemon.wait(TIMING.campaign - TIMING.round)
        assert Lead() in daemon.wait(TIMING.round)

    def test_a_stall_that_is_as_long_as_silence_does_so_too(self) -> None:
        daemon = follower()
        assert daemon.stall(100.0) == [BecameCandidate(), Announce(daemon.candidacy)]

    def test_there_is_no_silence_as_long_as_the_leader_is_heard(self) -> None:
        daemon = follower()
        for _ in range(10):
            assert daemon.wait(TIMING.patience - 1 / 1024) == []
            assert daemon.hear(BETTER) == []

    def test_a_candidate_is_told_of_the_leader_that_it_does_not_hear(self) -> None:
        daemon = follower()
        daemon.wait(TIMING.patience - 1 / 1024)
        assert daemon.hear(other(Role.CANDIDATE)) == [Relay(BETTER)]
        daemon.wait(1 / 1024)
        assert daemon.hear(BETTER) == [Follow(BETTER)]

    def test_but_not_of_one_that_it_has_only_been_told_of(self) -> None:
        daemon = Daemon()
        assert daemon.election.hear_of(BETTER, daemon.now, WALL) == [Follow(BETTER)]
        assert daemon.hear(other(Role.CANDIDATE)) == []

    def test_of_a_leader_that_has_gone_it_cannot_be_told_again(self) -> None:
        daemon = follower()
        daemon.wait(TIMING.patience)
        assert daemon.role is Role.CANDIDATE
        assert daemon.election.hear_of(BETTER, daemon.now, WALL) == []

    @pytest.mark.parametrize("heard", [WORSE, other(Role.STANDBY), other(Role.LEAVING)], ids=repr)
    def test_others_do_not_end_the_silence(self, heard: Standing) -> None:
        daemon = follower()
        daemon.wait(TIMING.patience - 1 / 1024)
        assert daemon.hear(heard) == []
        assert daemon.election.leader == BETTER
        assert daemon.wait(1 / 1024) == [BecameCandidate(), Announce(daemon.candidacy)]

    def test_a_goodbye_of_its_leader_makes_a_candidate_at_once(self) -> None:
        daemon = follower()
        daemon.wait(TIMING.heartbeat)
        assert daemon.hear(BETTER.replace(role=Role.LEAVING)) == [BecameCandidate(), Announce(daemon.candidacy)]
        assert daemon.election.leader is None
        assert Lead() in daemon.wait(TIMING.campaign)

    def test_a_goodbye_that_comes_twice_is_heard_once(self) -> None:
        daemon = follower()
        daemon.hear(BETTER.replace(role=Role.LEAVING))
        daemon.wait(5 * TIMING.round)
        assert daemon.hear(BETTER.replace(role=Role.LEAVING)) == []
        assert Lead() in daemon.wait(TIMING.campaign - 5 * TIMING.round)

    def test_a_leader_that_is_heard_after_its_goodbye_is_there(self) -> None:
        daemon = follower()
        goodbye = BETTER.replace(role=Role.LEAVING)
        daemon.hear(goodbye)
        assert daemon.hear(BETTER) == [Follow(BETTER)]  # anybody can have sent the goodbye
        assert daemon.hear(goodbye) == [BecameCandidate(), Announce(daemon.candidacy)]

    def test_a_better_leader_is_followed_from_now_on(self) -> None:
        daemon = follower(WORSE)
        assert daemon.hear(BETTER) == [Follow(BETTER)]
        assert daemon.hear(WORSE) == []
        assert daemon.election.leader == BETTER
        assert daemon.hear(FLOM) == [Follow(FLOM)]

    def test_its_leader_is_followed_when_it_leads_for_the_second_time_too(self) -> None:
        daemon = follower()
        again = BETTER.replace(since=BETTER.since + 1)
        assert daemon.hear(again) == [Follow(again)]

    def test_it_says_nothing_while_it_follows_one_of_ours(self) -> None:
        daemon = follower()
        assert [daemon.wait(TIMING.heartbeat) for _ in range(3)] == [[], [], []]

    def test_it_asks_a_daemon_of_flom_at_every_heartbeat(self) -> None:
        """Whether it is still there."""
        daemon = follower(FLOM)
        question = Announce(Standing("b", Role.STANDBY, daemon.wall))
        assert daemon.wait(TIMING.heartbeat - 1 / 1024) == []
        assert daemon.wait(1 / 1024) == [question]
        for _ in range(10):
            assert daemon.hear(FLOM) == []
            assert daemon.wait(TIMING.heartbeat) == [question]
        questions = [question] * 3
        assert daemon.wait(TIMING.patience - TIMING.heartbeat) == [
            *questions[1:],
            BecameCandidate(),
            Announce(daemon.candidacy),
        ]


class TestAlone:
    """A leader is alone if it would have heard any other."""

    @staticmethod
    def is_alone(daemon: Daemon) -> bool:
        return daemon.election.is_alone(daemon.now)

    def test_who_was_elected_without_a_leader_is(self) -> None:
        daemon = leader()
        assert self.is_alone(daemon)
        daemon.wait(10 * TIMING.heartbeat)
        assert self.is_alone(daemon)

    @pytest.mark.parametrize("daemon", [Daemon(), follower(), yielding()], ids=["candidate", "standby", "yielding"])
    def test_who_does_not_lead_is_not(self, daemon: Daemon) -> None:
        daemon.wait(TIMING.round)
        assert not self.is_alone(daemon)

    @pytest.mark.parametrize("rival", [FLOM, BETTER, WORSE], ids=["FLoM", "better", "worse"])
    def test_another_leader_counts_for_as_long_as_its_silence_may_mean_nothing(self, rival: Standing) -> None:
        daemon = leader()
        daemon.hear(rival)
        daemon.wait(TIMING.patience - 1 / 1024)
        assert not self.is_alone(daemon)
        daemon.wait(1 / 1024)
        assert self.is_alone(daemon)

    def test_those_who_do_not_lead_do_not_count(self) -> None:
        daemon = leader()
        for role in (Role.CANDIDATE, Role.STANDBY, Role.LEAVING):
            daemon.hear(other(role))
        assert self.is_alone(daemon)

    def test_who_did_not_run_for_a_while_may_have_missed_another(self) -> None:
        daemon = leader()
        daemon.now += TIMING.heartbeat + TIMING.stall
        assert not self.is_alone(daemon)
        daemon.tick()
        assert not self.is_alone(daemon)
        daemon.wait(TIMING.patience)
        assert self.is_alone(daemon)


class TestLeader:
    """Who leads is heard, and sees to it that nobody else does."""

    def test_it_announces_itself_at_every_heartbeat(self) -> None:
        daemon = leader()
        announced = Announce(daemon.election.standing)
        assert daemon.wait(TIMING.heartbeat - 1 / 1024) == []
        assert daemon.wait(1 / 1024) == [announced]
        assert daemon.wait(10 * TIMING.heartbeat) == [announced] * 10
        assert daemon.role is Role.LEADER

    @pytest.mark.parametrize("since", [0, WALL, 2 * WALL])
    def test_it_answers_a_candidate(self, since: int) -> None:
        daemon = leader()
        assert daemon.hear(other(Role.CANDIDATE, since=since)) == [Announce(daemon.election.standing)]

    @pytest.mark.parametrize("role", [Role.STANDBY, Role.LEAVING])
    def test_it_does_not_mind_who_does_not_want_to_lead(self, role: Role) -> None:
        assert leader().hear(other(role, since=0)) == []

    @pytest.mark.parametrize("rival", [FLOM, BETTER], ids=["FLoM", "better"])
    def test_it_makes_sure_of_a_better_leader_and_leads_on(self, rival: Standing) -> None:
        daemon = leader()
        assert daemon.hear(rival)[0] == Verify(rival)
        assert daemon.hear(rival) == [Verify(rival)]
        assert daemon.role is Role.LEADER

    def test_it_tells_a_worse_leader_that_it_leads(self) -> None:
        daemon = leader()
        assert daemon.hear(WORSE) == [Outrank(WORSE), Announce(daemon.election.standing)]
        assert daemon.hear(WORSE) == []  # it was said a moment ago
        daemon.wait(TIMING.round)
        assert daemon.hear(WORSE) == [Announce(daemon.election.standing)]
        assert daemon.role is Role.LEADER

    def test_of_two_worse_leaders_it_says_so_at_some_distance(self) -> None:
        daemon = leader()
        reply = Announce(daemon.election.standing)
        even_worse = WORSE.replace(node="d")
        assert daemon.hear(WORSE) == [Outrank(WORSE), reply]
        daemon.wait(TIMING.round)
        assert daemon.hear(even_worse) == [reply]
        daemon.wait(TIMING.patience)
        assert daemon.hear(even_worse) == [Outrank(even_worse), reply]

    def test_of_a_worse_leader_that_leads_for_the_second_time_it_says_so_again(self) -> None:
        daemon = leader()
        reply = Announce(daemon.election.standing)
        daemon.hear(WORSE)
        daemon.wait(3600.0)
        again = WORSE.replace(since=WORSE.since + 3_600_000)
        assert daemon.hear(again) == [Outrank(again), reply]

    def test_of_two_leaders_exactly_one_makes_sure_and_the_other_insists(self) -> None:
        one, two = leader(), Daemon("c")
        two.wait(2 * TIMING.campaign)
        assert one.hear(two.election.standing)[-1] == Announce(one.election.standing)
        assert two.hear(one.election.standing) == [
            Verify(one.election.standing),
            Announce(two.election.standing),  # so that both know
        ]


class TestYielding:
    """Who has led, and yields to another leader, has to wait for its clients before it can be anything else."""

    @pytest.mark.parametrize("rival", [FLOM, BETTER], ids=["FLoM", "better"])
    def test_it_yields_when_it_is_told_that_the_better_leader_is_there(self, rival: Standing) -> None:
        daemon = leader()
        assert daemon.yield_to(rival) == [Yield(rival)]
        assert (daemon.role, daemon.election.leader) == (Role.STANDBY, rival)

    def test_it_yields_to_no_worse_one(self) -> None:
        daemon = leader()
        assert daemon.yield_to(WORSE) == []
        assert daemon.role is Role.LEADER

    @pytest.mark.parametrize("make", [Daemon, follower, yielding])
    def test_who_does_not_lead_has_nothing_to_yield(self, make: Callable[[], Daemon]) -> None:
        daemon = make()
        standing = daemon.election.standing
        assert daemon.yield_to(FLOM) == []
        assert daemon.election.standing == standing

    def test_it_does_not_stand_for_election_however_long_it_is_silent(self) -> None:
        daemon = yielding()
        assert daemon.wait(100.0) == []
        assert daemon.role is Role.STANDBY

    def test_it_does_not_stand_for_election_when_its_leader_says_goodbye(self) -> None:
        daemon = yielding()
        assert daemon.hear(BETTER.replace(role=Role.LEAVING)) == []
        assert daemon.wait(100.0) == []
        assert (daemon.role, daemon.election.leader) == (Role.STANDBY, None)
        assert daemon.hear(WORSE) == [Follow(WORSE)]

    def test_it_asks_a_daemon_of_flom_as_others_do(self) -> None:
        daemon = yielding(FLOM)
        assert daemon.wait(3 * TIMING.heartbeat) == [Announce(daemon.election.standing)] * 3

    def test_when_its_clients_have_finished_it_stands_for_election(self) -> None:
        """If there is no leader."""
        daemon = yielding()
        daemon.wait(100.0)
        daemon.election.finished()
        daemon.wait(TIMING.heartbeat)
        assert (daemon.role, daemon.election.leader) == (Role.CANDIDATE, None)
        assert Lead() in daemon.wait(TIMING.campaign)

    def test_when_its_clients_have_finished_it_follows_on(self) -> None:
        daemon = yielding()
        for _ in range(10):
            daemon.wait(TIMING.heartbeat)
            assert daemon.hear(BETTER) == []
        daemon.election.finished()
        assert daemon.wait(TIMING.patience - 1 / 1024) == []
        assert daemon.wait(1 / 1024) == [BecameCandidate(), Announce(daemon.candidacy)]


class TestGoodbye:
    """Who ends says so, if anybody could miss it."""

    def test_a_leader_says_that_it_is_leaving(self) -> None:
        daemon = leader()
        own = daemon.election.standing
        assert daemon.election.leave() == [Announce(own.replace(role=Role.LEAVING))]

    @pytest.mark.parametrize("make", [Daemon, follower, yielding])
    def test_nobody_else_does(self, make: Callable[[], Daemon]) -> None:
        assert make().election.leave() == []


@pytest.mark.parametrize("make", [Daemon, follower, leader, yielding])
@pytest.mark.parametrize("role", list(Role))
def test_what_it_has_said_itself_is_nothing_new(make: Callable[[], Daemon], role: Role) -> None:
    daemon = make()
    standing, followed = daemon.election.standing, daemon.election.leader
    for since in (0, standing.since, 2 * WALL):
        assert daemon.hear(Standing(standing.node, role, since)) == []
        assert (daemon.election.standing, daemon.election.leader) == (standing, followed)


@pytest.mark.parametrize("make", [Daemon, follower, leader, yielding])
def test_nothing_is_done_before_it_is_due(make: Callable[[], Daemon]) -> None:
    daemon = make()
    daemon.wait(0.0)
    assert daemon.election.deadline > daemon.now
    daemon.now = daemon.election.deadline - 1 / 1024
    assert daemon.tick() == []


@given(st.floats(0.0, 1e6), st.sampled_from([0.3, 1.3, 1.75, 1.8]))
def test_what_is_due_is_done_at_once(heard_at: float, patience: float) -> None:
    election = Election("b", heard_at, WALL, Timing(patience=patience))
    election.hear(BETTER, heard_at, WALL)
    while election.role is Role.STANDBY:
        now = election.deadline
        election.tick(now, WALL)
        assert election.deadline > now


class TestOrder:
    """All agree on who is to lead."""

    def test_flom_comes_before_leaders_and_leaders_come_before_candidates(self) -> None:
        everybody = [
            Standing("b", Role.CANDIDATE, WALL),
            Standing("b", Role.LEADER, WALL),
            Standing("z", Role.CANDIDATE, WALL - 2),
            Standing("z", Role.LEADER, WALL - 1),
            Standing("a", Role.CANDIDATE, WALL),
            FLOM,
            Standing("a", Role.LEADER, WALL),
        ]
        assert [(one.role, one.node) for one in sorted(everybody, key=rank)] == [
            (Role.LEADER, FLOM.node),
            (Role.LEADER, "z"),
            (Role.LEADER, "a"),
            (Role.LEADER, "b"),
            (Role.CANDIDATE, "z"),
            (Role.CANDIDATE, "a"),
            (Role.CANDIDATE, "b"),
        ]


class TestTiming:
    """How long all this takes."""

    @pytest.mark.parametrize("timing", [DEFAULT_TIMING, TIMING, Timing(campaign=60.0)], ids=repr)
    def test_a_campaign_is_so_many_rounds(self, timing: Timing) -> None:
        assert timing.round * ROUNDS == pytest.approx(timing.campaign)

    def test_a_stall_is_a_third_of_a_campaign(self) -> None:
        assert Timing(campaign=0.375).stall == 0.125

    def test_a_leader_may_lose_three_heartbeats(self) -> None:
        assert DEFAULT_TIMING.patience > 4 * DEFAULT_TIMING.heartbeat

    def test_a_candidate_has_won_before_those_who_stand_back_lose_patience(self) -> None:
        assert DEFAULT_TIMING.campaign + DEFAULT_TIMING.stall < DEFAULT_TIMING.patience

    def test_a_group_is_without_a_leader_for_little_more_than_two_seconds(self) -> None:
        assert DEFAULT_TIMING.patience + DEFAULT_TIMING.campaign <= 2.25


def test_a_daemon_that_does_not_hear_itself_any_more_says_goodbye() -> None:
    daemon = leader()
    goodbye = Announce(daemon.election.standing.replace(role=Role.LEAVING))
    daemon.is_deaf = True
    assert daemon.do(daemon.election.lose_hearing(*daemon.clocks)) == [goodbye, goodbye, goodbye, Deaf()]
    assert daemon.role is Role.STANDBY
    assert daemon.do(daemon.election.lose_hearing(*daemon.clocks)) == []


def test_a_daemon_that_is_alone_leads_at_once() -> None:
    daemon = Daemon()
    assert Lead() in daemon.do(daemon.election.lead_alone(*daemon.clocks))
    assert daemon.role is Role.LEADER


def test_the_successor_of_a_leader_leads_at_once_and_comes_before_it() -> None:
    """The leader may not know it yet, and is not contradicted; all others follow the successor."""
    daemon = Daemon()
    assert daemon.hear(BETTER) == [Follow(BETTER)]
    assert daemon.election.can_succeed("a")
    lead, announce = daemon.do(daemon.election.succeed(*daemon.clocks))
    assert (lead, type(announce)) == (Lead(), Announce)
    assert rank(daemon.election.standing) < rank(BETTER)
    assert daemon.hear(BETTER) == []
    assert daemon.election.is_alone(daemon.now)
    other = Daemon("d")
    other.hear(BETTER)
    assert other.hear(daemon.election.standing) == [Follow(daemon.election.standing)]


def test_a_leader_that_leads_on_is_contradicted_in_the_end() -> None:
    daemon = Daemon()
    daemon.hear(BETTER)
    daemon.do(daemon.election.succeed(*daemon.clocks))
    daemon.wait(TIMING.patience)
    assert Outrank(BETTER) in daemon.hear(BETTER)


def test_nobody_succeeds_one_that_is_not_its_leader() -> None:
    daemon = Daemon()
    assert not daemon.election.can_succeed("a")
    daemon.hear(BETTER)
    assert not daemon.election.can_succeed("c")


def test_a_leader_that_has_handed_over_stands_by() -> None:
    daemon = Daemon()
    daemon.wait(1.0)
    successor = successor_of(daemon.election.standing, "c")
    assert daemon.do(daemon.election.hand_over(successor, *daemon.clocks)) == [Follow(successor)]
    assert daemon.role is Role.STANDBY
    assert daemon.hear(successor) == []

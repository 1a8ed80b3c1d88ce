"""Daemons of one group elect one of them, whatever becomes of datagrams, clocks and the daemons themselves."""

from __future__ import annotations

from random import Random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flom.core.group.ranking import FLOM, rank
from flom.core.group.timing import DEFAULT_TIMING
from flom.core.protocol.messages import Role
from tests.core.network import Host, Network

TAKEOVER: Final = DEFAULT_TIMING.patience + DEFAULT_TIMING.campaign
"""Seconds that a group has to be without a leader, once the leader is silent."""

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(2, 6)
losses = st.sampled_from([0.0, 0.1, 0.2, 0.3])


def run(network: Network, seconds: float) -> None:
    """Advance the clock; of the hosts that hear each other, never do two lead."""
    for _ in network.run(seconds):
        assert not network.has_two_leaders, network.story


def start_all(network: Network, within: float = 0.0) -> None:
    """Start every daemon, each at a time of its own."""
    for host in network.hosts:
        network.after(network.dice.uniform(0.0, within), lambda host=host: network.start(host))  # type: ignore[misc]


def leader_of(network: Network, part: int = 0) -> Host:
    """Return the only leader in C{part} of the network."""
    leaders = [host for host in network.leaders if host.part == part]
    assert len(leaders) == 1, network.story
    return leaders[0]


def check_that_all_follow(network: Network, node: str, part: int = 0) -> None:
    """Check that whoever does not lead C{part} of the network stands by, and follows C{node}."""
    for host in network.up:
        if host.part == part:
            assert host.election is not None
            assert host.election.leader is not None, network.story
            assert host.election.leader.node == node, network.story
            assert host.role is Role.STANDBY or host.node == node, network.story


def settle(network: Network) -> Host:
    """Advance the clock by a second in which nothing gets lost; return the only leader, whom all follow."""
    network.loss = 0.0
    run(network, 1.0)
    leader = leader_of(network)
    check_that_all_follow(network, leader.node)
    return leader


def grow(seed: int, size: int, loss: float) -> Network:
    """Make a group that has elected a leader, whom all follow."""
    network = Network(Random(seed), size, loss=loss)
    start_all(network, within=2.0)
    run(network, 5.0)
    settle(network)
    network.loss = loss
    return network


def disturb(network: Network) -> None:
    """Disturb a daemon; oftener than not the leader."""
    dice = network.dice
    host = dice.choice(network.leaders if network.leaders and dice.random() < 0.6 else network.hosts)
    if host.election is None:
        network.start(host)
    elif host.role is not Role.LEADER and dice.random() < 0.3:
        network.stall(host, dice.uniform(0.0, 3.0))
    else:
        dice.choice([network.crash, network.leave])(host)
        if dice.random() < 0.7:
            network.after(dice.choice([0.0, dice.uniform(0.0, 3.0)]), lambda: restart(network, host))


def restart(network: Network, host: Host) -> None:
    """Start the daemon of C{host}, unless somebody else has."""
    if host.election is None:
        network.start(host)


@given(seeds, sizes, losses, st.booleans())
@settings(max_examples=100)
def test_of_those_who_start_at_the_same_time_one_leads(seed: int, size: int, loss: float, clocks_differ: bool) -> None:
    network = Network(Random(seed), size, loss=loss, clocks_differ=clocks_differ)
    start_all(network)
    run(network, 4.0)
    settle(network)


@given(seeds, sizes, losses)
@settings(max_examples=100)
def test_never_do_two_lead_and_in_the_end_one_does(seed: int, size: int, loss: float) -> None:
    network = Network(Random(seed), size, loss=loss)
    start_all(network, within=network.dice.choice([0.1, 1.0, 5.0]))
    for _ in range(12):
        run(network, network.dice.uniform(0.0, 2.0))
        disturb(network)
    run(network, 3.0)  # for those who have yet to start again
    restart(network, network.hosts[0])
    run(network, 5.0)
    settle(network)


@given(seeds, st.floats(0.0, 2.0))
@settings(max_examples=100)
def test_who_was_about_to_win_when_its_machine_stalled_leads_beside_nobody(seed: int, stall: float) -> None:
    network = Network(Random(seed), 2, lateness=0.0)
    first, second = network.hosts
    network.start(first)
    run(network, DEFAULT_TIMING.campaign - network.dice.uniform(0.0, 3.0) * DEFAULT_TIMING.round)
    network.stall(first, stall)
    network.after(network.dice.uniform(0.0, stall), lambda: network.start(second))
    run(network, 3.0)
    settle(network)


@given(seeds, sizes)
def test_who_has_won_leads_until_it_ends(seed: int, size: int) -> None:
    network = grow(seed, size, loss=0.3)
    leader = leader_of(network)
    for _ in range(4):
        host = network.dice.choice([host for host in network.hosts if host is not leader])
        network.dice.choice([network.crash, network.leave])(host) if host.election else network.start(host)
        run(network, 1.0)
        assert leader_of(network) is leader


@given(seeds, sizes)
def test_a_leader_that_dies_is_replaced_as_fast_as_silence_allows(seed: int, size: int) -> None:
    network = Network(Random(seed), size, lateness=0.0)
    start_all(network)
    run(network, 3.0 + network.dice.random())
    network.crash(leader_of(network))
    run(network, TAKEOVER + 0.05)
    leader_of(network)


@given(seeds, sizes)
def test_a_leader_that_says_goodbye_is_replaced_within_an_election(seed: int, size: int) -> None:
    network = Network(Random(seed), size, lateness=0.0)
    start_all(network)
    run(network, 3.0 + network.dice.random())
    leader = leader_of(network)
    while network.due_in(leader) > DEFAULT_TIMING.heartbeat - 0.05:  # the last heartbeat may yet come in
        run(network, 0.01)
    network.leave(leader)
    run(network, DEFAULT_TIMING.campaign + 0.1)
    leader_of(network)


@given(seeds, sizes, losses)
def test_after_a_partition_the_leader_that_led_for_longer_stays(seed: int, size: int, loss: float) -> None:
    network = Network(Random(seed), size, loss=loss)
    start_all(network, within=2.0)
    run(network, network.dice.choice([0.0, 0.5, 4.0]))
    border = network.dice.randrange(1, size)
    hosts = network.dice.sample(network.hosts, size)
    network.part([hosts[:border], hosts[border:]])
    run(network, 6.0)
    leaders = [leader_of(network, part) for part in (0, 1)]
    standings = [host.election.standing for host in leaders if host.election is not None]
    first = leaders[standings.index(min(standings, key=rank))]

    network.part([hosts])
    network.pass_time(3.0)

    assert leader_of(network) is first, network.story
    assert settle(network) is first


@given(seeds, sizes, losses)
def test_whatever_has_happened_one_leads_in_the_end(seed: int, size: int, loss: float) -> None:
    network = Network(Random(seed), size, loss=loss)
    start_all(network, within=2.0)
    for _ in range(10):
        network.pass_time(network.dice.uniform(0.0, 2.0))
        if network.dice.random() < 0.5:
            disturb(network)
        else:
            for host in network.hosts:
                host.part = network.dice.randrange(3)
    network.part([network.hosts])
    restart(network, network.hosts[0])
    network.pass_time(10.0)  # among others for those who have yielded to leaders that are gone
    settle(network)


class TestDeaf:
    """A daemon that can send, but to which nothing gets in."""

    @given(seeds, sizes, losses)
    @settings(max_examples=50)
    def test_it_never_leads(self, seed: int, size: int, loss: float) -> None:
        network = Network(Random(seed), size, loss=loss)
        deaf = network.hosts[0]
        deaf.is_deaf = True
        start_all(network, within=2.0)
        for _ in network.run(8.0):
            assert deaf.role is not Role.LEADER, network.story
            assert not network.has_two_leaders, network.story

    @given(seeds, sizes, losses)
    @settings(max_examples=50)
    def test_it_does_not_keep_others_from_leading(self, seed: int, size: int, loss: float) -> None:
        network = Network(Random(seed), size, loss=loss)
        network.hosts[0].is_deaf = True
        start_all(network, within=2.0)
        run(network, 8.0)
        leader_of(network)

    @given(seeds, sizes, losses, st.floats(0.0, 3.0))
    @settings(max_examples=50)
    def test_once_it_hears_it_follows_who_leads(self, seed: int, size: int, loss: float, lapse: float) -> None:
        network = grow(seed, size, loss)
        deaf = network.dice.choice([host for host in network.hosts if host.role is not Role.LEADER])
        deaf.is_deaf = True
        network.start(deaf)
        run(network, lapse)
        deaf.is_deaf = False
        run(network, 2.0)
        settle(network)

    @given(seeds)
    @settings(max_examples=50)
    def test_once_it_hears_it_leads_if_nobody_does(self, seed: int) -> None:
        network = Network(Random(seed), 1)
        network.hosts[0].is_deaf = True
        start_all(network)
        run(network, 3.0)
        network.hosts[0].is_deaf = False
        run(network, 1.0)
        settle(network)


class TestFlom:
    """A daemon of FLoM 1.7.2 in the same group, which answers but cannot yield."""

    @given(seeds, sizes, losses)
    @settings(max_examples=50)
    def test_nobody_leads_beside_it(self, seed: int, size: int, loss: float) -> None:
        network = Network(Random(seed), size, loss=loss)
        network.has_flom = True
        start_all(network, within=2.0)
        for _ in network.run(10.0):
            assert not network.leaders, network.story
        self.check_that_it_is_followed(network)

    @given(seeds, sizes, losses)
    @settings(max_examples=50)
    def test_a_leader_yields_to_it(self, seed: int, size: int, loss: float) -> None:
        network = grow(seed, size, loss)
        network.has_flom = True
        run(network, 8.0)
        assert not network.leaders, network.story
        self.check_that_it_is_followed(network)

    @given(seeds, sizes)
    @settings(max_examples=50)
    def test_when_it_ends_one_of_ours_leads(self, seed: int, size: int) -> None:
        network = Network(Random(seed), size)
        network.has_flom = True
        start_all(network)
        run(network, 2.0 + network.dice.random())
        network.has_flom = False
        run(network, TAKEOVER + 0.5)
        settle(network)

    def check_that_it_is_followed(self, network: Network) -> None:
        network.loss = 0.0
        network.pass_time(3.0)
        check_that_all_follow(network, FLOM.node)


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_the_same_seed_makes_the_same_story(size: int) -> None:
    stories = []
    for _ in range(2):
        network = Network(Random(28015), size, loss=0.3)
        start_all(network, within=1.0)
        network.pass_time(5.0)
        stories.append(network.story)
    assert stories[0] == stories[1]

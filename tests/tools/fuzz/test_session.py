"""The daemon's protocol in one process: random clients, cuts, disconnects and clocks, and a checker beside them."""

from __future__ import annotations

from random import Random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Lock, Message, Unlock
from flom.server.limits import Limits
from tests.fakes.connections import MemoryDaemon
from tests.tools.fuzz.malformed import cut, garbage
from tests.tools.fuzz.messages import NAMES, any_message, spelled, valid_lock
from tests.tools.fuzz.properties import check_sessions
from tests.tools.fuzz.scene import Scene

RANDOMS: Final = st.randoms(use_true_random=False)


@given(RANDOMS)
@settings(derandomize=True, deadline=None, max_examples=100)
def test_messages_in_any_order_make_orders_or_a_breach(random: Random) -> None:
    check_sessions(random)


@given(RANDOMS)
@settings(derandomize=True, deadline=None, max_examples=60)
def test_clients_of_a_short_scene_are_told_the_truth(random: Random) -> None:
    Scene(random).play(20)


@pytest.mark.parametrize("seed", range(40))
def test_clients_of_a_long_scene_are_told_the_truth(seed: int) -> None:
    Scene(Random(seed)).play(150)


@pytest.mark.parametrize("name", ["R1", "N[3]", "red.green.blue", "_s_q[2]", "_S_q[2]", "_t_%s#fff[2]", "/t"])
def test_clients_that_all_want_the_same_are_told_the_truth(name: str) -> None:
    names = [each for each in NAMES if each.startswith(name)] if name == "/t" else [name]
    for seed in range(6):
        Scene(Random(seed), names=names).play(100)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(connections=4),
        Limits(waiters=1),
        Limits(resources=2),
        Limits(locks_per_connection=2),
        Limits(5, 5, 2, 3, 3),
    ],
    ids=["connections", "waiters", "resources", "locks", "all"],
)
def test_a_client_beyond_a_limit_hears_why_and_the_others_go_on(limits: Limits) -> None:
    for seed in range(12):
        Scene(Random(seed), limits=limits).play(100)


@pytest.mark.parametrize("seed", range(12))
def test_the_same_is_answered_wherever_what_was_sent_is_cut(seed: int) -> None:
    random = Random(seed)
    script = [(random.randrange(5), _burst(random)) for _ in range(60)]
    at_once = _answers([(number, [burst]) for number, burst in script])
    in_pieces = _answers([(number, cut(random, burst)) for number, burst in script])
    byte_by_byte = _answers([(n, [burst[at : at + 1] for at in range(len(burst))]) for n, burst in script])
    assert at_once == in_pieces == byte_by_byte


def _burst(random: Random) -> bytes:
    """Make up what a client sends at a time: some messages about one resource, seldom something else."""
    if random.random() < 0.05:
        return garbage(random)
    if random.random() < 0.05:
        return spelled(any_message(random))
    name = random.choice(["R1", "N[3]"])
    messages: list[Message] = [
        valid_lock(random, name, extended=True) if random.random() < 0.6 else Unlock(name)
        for _ in range(random.randint(1, 5))
    ]
    return b"".join(encode(message) for message in messages)


def _answers(script: list[tuple[int, list[bytes]]]) -> list[bytes]:
    """Return what five clients hear; one whose connection the daemon closes goes, and comes again."""
    daemon = MemoryDaemon()
    clients = [daemon.connect() for _ in range(5)]
    heard = [b""] * 5
    for number, pieces in script:
        client = clients[number]
        for piece in pieces:
            if not client.transport.disconnecting:
                client.send(piece)
        if client.transport.disconnecting:
            client.leave()
            heard[number] += client.transport.value()
            clients[number] = daemon.connect()
    return [heard[number] + client.transport.value() for number, client in enumerate(clients)]


def test_whoever_was_refused_for_good_is_granted_nothing_any_more() -> None:
    daemon = MemoryDaemon()
    refused, other = daemon.connect(), daemon.connect()
    refused.send(encode(Lock("R1", wait=True, create=False)))
    refused.send(encode(Lock("R1", wait=False, create=False)))
    assert refused.transport.half_closed
    other.send(encode(Lock("R1", wait=True, create=True)))
    [resource] = daemon.arbiter.view().resources
    assert len(resource.holders) == 1

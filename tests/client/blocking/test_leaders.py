"""Which of several hosts is asked, at daemons that a test plays: each has an address of the loopback network."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from flom.client.blocking.acquire import Acquirer
from flom.client.blocking.leaders import NoLeader
from flom.core.protocol.messages import Ping, Terms
from flom.errors import ConfigError, DaemonUnreachable
from tests.fakes.hosts import SeveralHosts
from tests.fakes.leading import TERMS, grant
from tests.fakes.taking import REQUEST, Heard


class Scene(SeveralHosts):
    """The daemons, and a client."""

    def __init__(self) -> None:
        super().__init__()
        self.hooks = Heard()

    def acquirer(self, timeout: float | None = None) -> Acquirer:
        return Acquirer(self.config, self.hooks, timeout, may_start=True)


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    with scene:
        yield scene


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_standbys_are_left_for_the_one_that_leads(scene: Scene, pool: ThreadPoolExecutor) -> None:
    taken = pool.submit(scene.acquirer().acquire, REQUEST)
    for standby in scene.hosts[:2]:
        standby.accept()[0].close()
    conversation, asked = scene.hosts[2].accept()
    grant(conversation, asked)
    taken.result()[0].close()


def test_a_host_without_a_daemon_is_left_too(scene: Scene, pool: ThreadPoolExecutor) -> None:
    scene.hosts[0].close()
    taken = pool.submit(scene.acquirer().acquire, REQUEST)
    grant(*scene.hosts[1].accept())
    taken.result()[0].close()


def test_who_waits_goes_to_the_next_leader(scene: Scene, pool: ThreadPoolExecutor) -> None:
    taken = pool.submit(scene.acquirer().acquire, REQUEST)
    first, asked = scene.hosts[0].accept()
    first.wait_for_turn(TERMS)
    first.close()
    conversation, again = scene.hosts[1].accept()
    assert (asked.session, again.waited > 0) == ("", True)
    grant(conversation, again)
    taken.result()[0].close()


def test_while_none_leads_all_are_asked_again(scene: Scene, pool: ThreadPoolExecutor) -> None:
    taken = pool.submit(scene.acquirer().acquire, REQUEST)
    for _ in range(3):
        for standby in scene.hosts:
            standby.accept()[0].close()
    grant(*scene.hosts[0].accept())
    taken.result()[0].close()
    assert f"none of {scene.names} leads, waiting for one that does" in scene.hooks.said


def test_that_none_leads_is_what_a_timeout_says(scene: Scene, pool: ThreadPoolExecutor) -> None:
    scene.hosts[2].close()
    for standby in scene.hosts[:2]:
        standby.stand_by()
    with pytest.raises(
        NoLeader, match=rf"^R: none of {scene.names} leads \(127.0.0.4:\d+: no daemon is listening: .*\)$"
    ):
        scene.acquirer(0.5).acquire(REQUEST)


def test_who_is_not_to_wait_asks_each_once(scene: Scene) -> None:
    for standby in scene.hosts:
        standby.stand_by()
    with pytest.raises(DaemonUnreachable, match=f"^none of {scene.names} leads$"):
        scene.acquirer().acquire(REQUEST.replace(wait=False))
    assert [standby.connections for standby in scene.hosts] == [1, 1, 1]


def test_daemons_without_a_quorum_are_refused(scene: Scene, pool: ThreadPoolExecutor) -> None:
    """Another one might grant the same lock, as soon as the first cannot be reached."""
    taken = pool.submit(scene.acquirer().acquire, REQUEST)
    conversation, asked = scene.hosts[0].accept()
    grant(conversation, asked, Terms(timeout=10.0))
    unlocking = threading.Thread(target=conversation.unlock)
    unlocking.start()
    with pytest.raises(ConfigError, match=r"^unicast-address: 127.0.0.2:\d+ does not lead by a quorum"):
        taken.result()
    unlocking.join(20)


def test_what_is_held_is_reclaimed_from_the_next_leader(scene: Scene, pool: ThreadPoolExecutor) -> None:
    acquirer = scene.acquirer()
    taken = pool.submit(acquirer.acquire, REQUEST)
    conversation, asked = scene.hosts[0].accept()
    grant(conversation, asked)
    taken.result()[0].close()
    conversation.close()
    reclaimed = pool.submit(acquirer.reclaim, REQUEST)
    for host in scene.hosts[:2]:
        host.accept()[0].close()
    conversation, asked = scene.hosts[2].accept()
    assert asked.regains
    grant(conversation, asked)
    reclaimed.result().close()


def test_a_host_that_says_nothing_is_left_too(scene: Scene, pool: ThreadPoolExecutor) -> None:
    """Its daemon is stopped: the kernel connects to it all the same."""
    taken = pool.submit(scene.acquirer().acquire, REQUEST)
    scene.hosts[0].accept()
    grant(*scene.hosts[1].accept())
    taken.result()[0].close()


def test_a_leader_that_does_not_answer_any_more_is_left(scene: Scene, pool: ThreadPoolExecutor) -> None:
    taken = pool.submit(scene.acquirer().acquire, REQUEST)
    conversation, _ = scene.hosts[0].accept()
    conversation.wait_for_turn(TERMS.replace(timeout=0.2))
    assert conversation.read() == Ping(8)
    conversation.say(Ping(16))
    assert conversation.read() == Ping(8)
    next_conversation, asked = scene.hosts[1].accept()
    assert conversation.read() is None
    grant(next_conversation, asked)
    taken.result()[0].close()


def test_nobody_gives_up_while_none_leads(scene: Scene, pool: ThreadPoolExecutor) -> None:
    """Not even after the time for which the leader that has gone keeps its place."""
    taken = pool.submit(scene.acquirer().acquire, REQUEST)
    conversation, _ = scene.hosts[0].accept()
    conversation.wait_for_turn(TERMS.replace(timeout=0.2))
    conversation.close()
    for _ in range(4):
        for host in (*scene.hosts[1:], scene.hosts[0]):
            host.accept()[0].close()
    grant(*scene.hosts[1].accept())
    taken.result()[0].close()

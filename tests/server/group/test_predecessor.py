"""Whether the clients of the last leader know already that it has gone."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionRefusedError, NoRouteError, TimeoutError
from twisted.python.failure import Failure

from flom.core.group.timing import DEFAULT_TIMING
from flom.server.group.predecessor import Predecessor
from tests.fakes.connections import Transport
from tests.fakes.reactors import MemoryReactor

SERVER = ("fe80::9%eth0", 40009)
NOTICING = DEFAULT_TIMING.noticing
NOBODY: Any = None


class Scene:
    """A leader that was heard, and has been silent for 2 s: it is being reached."""

    def __init__(self) -> None:
        self.reactor = MemoryReactor()
        self.predecessor = Predecessor(self.reactor, DEFAULT_TIMING)
        self.predecessor.note_heard(SERVER)
        self.reactor.advance(2.0)
        self.predecessor.reach()
        [(host, port, self.factory, *_)] = self.reactor.tcpClients
        assert (host, port) == SERVER

    def fail(self, why: Exception) -> None:
        """Fail to connect to it."""
        self.factory.clientConnectionFailed(NOBODY, Failure(why))


def test_if_its_host_does_not_answer_they_have_yet_to_notice() -> None:
    scene = Scene()
    assert scene.predecessor.time_to_notice() == pytest.approx(NOTICING - 2.0)
    scene.reactor.advance(1.0)
    assert scene.predecessor.time_to_notice() == pytest.approx(NOTICING - 3.0)
    scene.reactor.advance(10.0)
    assert scene.predecessor.time_to_notice() == 0
    assert not scene.reactor.getDelayedCalls()


@pytest.mark.parametrize("why", [TimeoutError(), NoRouteError()])
def test_nor_do_they_know_it_where_there_is_no_way_to_it(why: Exception) -> None:
    scene = Scene()
    scene.fail(why)
    assert scene.predecessor.time_to_notice() > 0


def test_if_its_host_says_that_it_has_ended_it_has_told_them_too() -> None:
    scene = Scene()
    scene.fail(ConnectionRefusedError())
    assert scene.predecessor.time_to_notice() == 0


def test_one_that_accepts_connections_may_have_been_stopped() -> None:
    scene = Scene()
    protocol: Any = scene.factory.buildProtocol(NOBODY)
    transport = Transport()
    protocol.makeConnection(transport)
    assert scene.predecessor.time_to_notice() == 0
    assert transport.aborted


def test_one_that_says_goodbye_has_told_them() -> None:
    scene = Scene()
    scene.predecessor.forget()
    assert scene.predecessor.time_to_notice() == 0
    assert not scene.reactor.getDelayedCalls()


def test_one_that_is_heard_again_may_die_later() -> None:
    scene = Scene()
    scene.predecessor.note_heard(SERVER)
    assert scene.predecessor.time_to_notice() == pytest.approx(NOTICING)


def test_before_a_leader_was_heard_there_is_nothing_to_notice() -> None:
    reactor = MemoryReactor()
    predecessor = Predecessor(reactor, DEFAULT_TIMING)
    predecessor.reach()
    predecessor.note_heard(("192.0.2.1", 0))  # it does not say where
    predecessor.reach()
    assert predecessor.time_to_notice() == 0
    assert not reactor.tcpClients

"""When a daemon ends by itself (docs/compatibility.md, "End of an idle daemon")."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from flom.server.arbiter import DeferredArbiter
from flom.server.lifespan import FIRST_CLIENT_TIMEOUT, LifespanService


class Daemon:
    """A daemon reduced to its end."""

    def __init__(self, lifespan: float | None) -> None:
        self.clock = Clock()
        self.arbiter = DeferredArbiter(self.clock)
        self.ended = False
        self.service = LifespanService(self.arbiter, self.clock, lifespan, self.end)
        self.service.startService()

    def end(self) -> None:
        self.ended = True

    def is_gone_after(self, seconds: float) -> bool:
        self.clock.advance(seconds)
        return self.ended


def test_it_ends_after_its_lifespan_without_a_client() -> None:
    daemon = Daemon(10.0)
    session = daemon.arbiter.open(lambda effect: None)
    assert not daemon.is_gone_after(100.0)
    daemon.arbiter.drop(session)
    assert not daemon.is_gone_after(9.9)
    assert daemon.is_gone_after(0.1)


def test_a_resource_that_is_remembered_keeps_it() -> None:
    daemon = Daemon(1.0)
    daemon.arbiter.acquire("R1", lifespan=60.0).addCallback(lambda held: held.release())
    assert not daemon.is_gone_after(61.0)
    assert daemon.is_gone_after(1.0)


def test_a_client_that_comes_back_in_time_starts_it_anew() -> None:
    daemon = Daemon(10.0)
    for _ in range(5):
        daemon.clock.advance(9.0)
        daemon.arbiter.drop(daemon.arbiter.open(lambda effect: None))
    assert not daemon.ended
    assert daemon.is_gone_after(10.0)


def test_a_new_daemon_waits_a_while_for_whoever_has_started_it() -> None:
    daemon = Daemon(0.001)
    assert not daemon.is_gone_after(FIRST_CLIENT_TIMEOUT - 0.1)
    assert daemon.is_gone_after(0.1)


def test_without_a_lifespan_it_stays() -> None:
    assert not Daemon(None).is_gone_after(1e6)


@pytest.mark.parametrize("lifespan", [None, 60.0])
def test_told_to_quiesce_it_ends_when_the_last_client_is_gone(lifespan: float | None) -> None:
    daemon = Daemon(lifespan)
    session = daemon.arbiter.open(lambda effect: None)
    daemon.service.quiesce()
    assert not daemon.is_gone_after(59.0)
    daemon.arbiter.drop(session)
    assert daemon.is_gone_after(0.1)


def test_a_stopped_service_leaves_no_timer() -> None:
    daemon = Daemon(10.0)
    daemon.service.stopService()
    assert daemon.clock.getDelayedCalls() == []

"""Whose lock it is by the time that the client is back; tests/scenarios has real daemons that go."""

from __future__ import annotations

import pytest

from flom.client.deferred.heartbeat import LossPolicy
from tests.fakes.played import REFUSED, SECRET, PlayedDaemon, granted


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel of the daemon's host confirms nothing."""
    monkeypatch.setattr("flom.client.deferred.connection.has_arrived", lambda transport: False)


@pytest.mark.parametrize(("more", "is_lost"), [(' waits="1"', False), (' waits="1" quorum="1"', True)])
def test_a_daemon_that_has_gone_has_given_the_lock_to_nobody(more: str, is_lost: bool) -> None:
    daemon = PlayedDaemon(granted(more=more))
    daemon.refused = REFUSED
    daemon.connections[0].end()
    daemon.pass_time(60.0)
    assert bool(daemon.lost) is is_lost
    daemon.refused = None
    daemon.pass_time(2.0)
    if not is_lost:
        daemon.connections[1].say(granted(secret="f" * 32))
        assert daemon.pass_time_answering(30.0) in (8, 9)
        assert not daemon.lost


@pytest.mark.parametrize(("secret", "is_lost"), [(SECRET, False), ("f" * 32, True)], ids=["its own", "another"])
def test_a_sleeper_does_not_reclaim_from_another_daemon(secret: str, is_lost: bool) -> None:
    """Others may have been granted the lock by one that has gone by now, if what it protects is to end in time."""
    daemon = PlayedDaemon(granted(), LossPolicy(is_strict=True, time_to_end=None))
    daemon.clock.advance(1000.0)
    daemon.pass_time(0.6)
    assert daemon.connections[0].aborted
    daemon.connections[1].say(granted(secret=secret))
    assert bool(daemon.lost) is is_lost

"""What a daemon tells the program that supervises it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from flom.net.notify import take_notifier
from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.notify import COUNTING, SHOWING, NotifyService
from tests.fakes.supervisor import Supervisor

MakeDaemon = Callable[..., "Daemon"]


class Daemon:
    """A daemon reduced to what it says."""

    def __init__(self, path: str, watchdog: float | None, counters: Counters) -> None:
        self.supervisor = Supervisor(path, watchdog)
        notifier = take_notifier(dict(self.supervisor.environment))
        assert notifier is not None
        self.clock = Clock()
        self.arbiter = DeferredArbiter(self.clock)
        self.counters = counters
        self.service = NotifyService(self.clock, notifier, self.arbiter, self.counters)
        self.service.startService()

    def pings(self, seconds: float, step: float) -> int:
        """Pass C{seconds}, and return how many pings of the watchdog came meanwhile."""
        before = len(self.supervisor.heard)
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            while not self.supervisor.is_told_nothing():  # the kernel keeps a few for it, and no more
                pass
        return sum("WATCHDOG=1" in lines for lines in self.supervisor.heard[before:])


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[MakeDaemon]:
    made = []

    def make(watchdog: float | None = None, **counters: str) -> Daemon:
        made.append(Daemon(str(tmp_path / "notify"), watchdog, Counters(**counters)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for daemon in made:
        daemon.supervisor.__exit__(None, None, None)


def test_ready_is_said_once_when_the_reactor_runs(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    assert daemon.supervisor.is_told_nothing()
    daemon.clock.advance(0)
    ready, status = daemon.supervisor.hear()
    assert ready == "READY=1"
    assert status.startswith("STATUS=serving, since ")
    daemon.clock.pump([SHOWING] * 20)
    assert daemon.supervisor.is_told_nothing()  # nothing has changed, and no watchdog wants to hear of it


def test_a_candidate_is_not_ready_until_it_leads_or_stands_by(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(group="ff02::1", role="candidate")
    daemon.clock.pump([0.1] * 100)
    [status] = daemon.supervisor.hear()
    assert status.startswith("STATUS=candidate in ff02::1, since ")
    assert daemon.supervisor.is_told_nothing()
    daemon.counters.role, daemon.counters.leader = "standby", "host-b"
    daemon.clock.advance(0.1)
    ready, status = daemon.supervisor.hear()
    assert ready == "READY=1"
    assert status.startswith("STATUS=standing by in ff02::1: host-b leads, since ")


def test_the_status_follows_locks_and_clients_seldom(make_daemon: MakeDaemon) -> None:
    """However many locks come and go, it is at most one datagram in ten seconds."""
    daemon = make_daemon()
    daemon.clock.advance(0)
    assert "locks held: 0, clients: 0" in daemon.supervisor.hear()[1]
    for number in range(5):
        daemon.arbiter.acquire(f"R{number}")
    daemon.clock.pump([SHOWING] * 9)
    assert daemon.supervisor.is_told_nothing()
    daemon.clock.advance(COUNTING - 9 * SHOWING)
    assert "locks held: 5, clients: 5" in daemon.supervisor.hear()[0]


def test_another_role_shows_at_once(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(group="ff02::1", role="standby")
    daemon.clock.advance(0)
    daemon.supervisor.hear()
    daemon.counters.role = "leader"
    daemon.clock.advance(SHOWING)
    assert daemon.supervisor.hear()[0].startswith("STATUS=leading ff02::1, since ")


@pytest.mark.parametrize(("watchdog", "least"), [(3.0, 20), (60.0, 3)])
def test_the_watchdog_is_pinged_twice_in_its_time(make_daemon: MakeDaemon, watchdog: float, least: int) -> None:
    daemon = make_daemon(watchdog)
    assert daemon.pings(30.0, 0.05) >= least


def test_a_reload_is_said_before_and_after(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    said_before: list[list[str]] = []
    daemon.service.reload(lambda: None)
    assert daemon.supervisor.is_told_nothing()  # or the start would be over
    daemon.clock.advance(0)
    daemon.supervisor.hear()
    daemon.service.reload(lambda: said_before.append(daemon.supervisor.hear()))
    [(reloading, when)] = said_before
    assert reloading == "RELOADING=1"
    assert int(when.removeprefix("MONOTONIC_USEC=")) > 0
    assert daemon.supervisor.hear() == ["READY=1"]


def test_the_end_is_said_and_leaves_no_timer(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon()
    daemon.service.stopService()
    assert daemon.supervisor.hear() == ["STOPPING=1", "STATUS=ending"]
    assert daemon.clock.getDelayedCalls() == []


def test_what_could_not_be_said_is_said_again(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    daemon = make_daemon()
    (tmp_path / "notify").rename(tmp_path / "away")
    daemon.clock.advance(0)
    (tmp_path / "away").rename(tmp_path / "notify")
    assert daemon.supervisor.is_told_nothing()
    daemon.clock.advance(0.1)
    assert daemon.supervisor.hear()[0] == "READY=1"

"""Real daemons whose wall clock is set back and forth by an hour while they run."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from flom.server.lifespan import FIRST_CLIENT_TIMEOUT
from tests.fakes.clocks import HOUR, FakeWallClock, needs_faketime
from tests.fakes.daemon import BIN, FLOM_RUN, Daemon
from tests.fakes.programs import Programs, eventually

pytestmark = needs_faketime

steps = pytest.mark.parametrize("ahead", [-HOUR, HOUR], ids=["back", "forth"])


@pytest.fixture
def wall_clock(tmp_path: Path) -> FakeWallClock:
    """The wall clock of a test's daemon; it is right in the beginning."""
    return FakeWallClock(tmp_path)


@pytest.fixture
def daemon(tmp_path: Path, wall_clock: FakeWallClock) -> Iterator[Daemon]:
    """A daemon with that clock, which has had no client."""
    with Daemon("--socket-name", str(tmp_path / "flom.sock"), environment=wall_clock.environment) as daemon:
        yield daemon


def run(daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    """Run C{flom-run}, whose clock is right, for at most a minute."""
    command = [FLOM_RUN, "-s", daemon.socket, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@steps
def test_the_first_client_is_served_after_a_step(daemon: Daemon, wall_clock: FakeWallClock, ahead: float) -> None:
    wall_clock.set_ahead(ahead)
    done = run(daemon, "-o", "15000", "--", "echo", "ran")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")
    daemon.stop()
    assert "descriptors" not in daemon.log


@steps
def test_clients_of_each_side_of_a_step_are_served(daemon: Daemon, wall_clock: FakeWallClock, ahead: float) -> None:
    for seconds in (0.0, ahead, 0.0, -ahead, ahead):
        wall_clock.set_ahead(seconds)
        assert run(daemon, "-o", "15000", "--", "true").returncode == 0


@steps
def test_an_idle_daemon_ends_in_time_after_a_step(tmp_path: Path, wall_clock: FakeWallClock, ahead: float) -> None:
    words = ["--socket-name", str(tmp_path / "idle.sock"), "--daemon-lifespan", "500"]
    with Daemon(*words, environment=wall_clock.environment) as daemon:
        began = monotonic()
        wall_clock.set_ahead(ahead)
        daemon.wait_for_log("FLM004N ending")
        assert monotonic() - began > FIRST_CLIENT_TIMEOUT - 1  # of what a slow machine takes until it is ready
        assert daemon.stop() == 0


@steps
def test_an_idle_resource_is_remembered_as_asked(daemon: Daemon, wall_clock: FakeWallClock, ahead: float) -> None:
    """Ten minutes are not over after a step by an hour, and 0.3 s (and the usual 2 s) are, whichever way."""
    for name, lifespan in (("long", "600000"), ("short", "300")):
        assert run(daemon, "-r", name, "-i", lifespan, "--", "true").returncode == 0
    wall_clock.set_ahead(ahead)
    eventually(lambda: "short" not in resources(daemon), "short forgotten")
    assert "long" in resources(daemon)


SCRIPT = """
import sys
from flom import lock
from flom.client import LockTimeout
try:
    lock("_RESOURCE", socket=sys.argv[1], timeout=4).acquire()
except LockTimeout:
    sys.exit(98)
"""


@steps
@pytest.mark.parametrize(
    "command",
    [
        [FLOM_RUN, "-s", "SOCKET", "-o", "4000", "--", "true"],
        [str(BIN / "python"), "-m", "flom.client.deferred", "-s", "SOCKET", "-o", "4000", "--", "true"],
        [str(BIN / "python"), "-c", SCRIPT, "SOCKET"],
    ],
    ids=["flom-run", "Twisted", "flom.lock"],
)
def test_a_client_waits_as_long_as_asked(
    daemon: Daemon, programs: Programs, wall_clock: FakeWallClock, ahead: float, command: list[str]
) -> None:
    """A wait limit is over in time although the client's clock is set while it waits."""
    holder = programs.start("-s", daemon.socket, "--", "sh", "-c", "echo held; cat")
    assert holder.line() == "held"
    words = [daemon.socket if word == "SOCKET" else word for word in command]
    began = monotonic()
    waiter = programs.start_program(*words, environment=wall_clock.environment)
    eventually(lambda: "waits" in status(daemon), "a waiter")
    wall_clock.set_ahead(ahead)
    assert waiter.finish().returncode == 98
    assert monotonic() - began > 3.9
    holder.finish()


@steps
def test_the_status_says_how_long_the_daemon_is_up(daemon: Daemon, wall_clock: FakeWallClock, ahead: float) -> None:
    wall_clock.set_ahead(ahead)
    up = re.search(r" up (\d+) s ", status(daemon))
    assert up is not None
    assert int(up[1]) < 60


def status(daemon: Daemon) -> str:
    """Return what C{flomctl status} says of C{daemon}."""
    command = [str(BIN / "flomctl"), "status", "-s", daemon.socket]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def resources(daemon: Daemon) -> list[str]:
    """Return the names of the resources that C{daemon} remembers."""
    return [line.split("\t")[0] for line in status(daemon).splitlines()[2:]]

"""Groups of which some hosts have a wall clock that is set back and forth."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.fakes.clocks import HOUR, FakeWallClock, needs_faketime
from tests.fakes.netns import needs_network_namespaces
from tests.scenarios.lan.network import GROUP, Lan, await_leader, in_group

pytestmark = [needs_network_namespaces, needs_faketime]

steps = pytest.mark.parametrize("ahead", [-HOUR, HOUR], ids=["back", "forth"])


@pytest.fixture
def wall_clock(tmp_path: Path) -> FakeWallClock:
    """The wall clock of some of the programs; it is right in the beginning."""
    return FakeWallClock(tmp_path)


@contextmanager
def restless(wall_clock: FakeWallClock) -> Iterator[None]:
    """Set C{wall_clock} back and forth by an hour again and again."""
    is_over = Event()

    def step() -> None:
        for ahead in cycle((-HOUR, HOUR)):
            wall_clock.set_ahead(ahead)
            if is_over.wait(0.1):
                return

    steps = Thread(target=step)
    steps.start()
    try:
        yield
    finally:
        is_over.set()
        steps.join()


@steps
def test_a_standby_whose_clock_was_set_takes_over_and_serves(lan: Lan, wall_clock: FakeWallClock, ahead: float) -> None:
    one, two, three = lan.add_hosts(3)
    leader = one.join_group()
    await_leader([leader])
    standby = two.join_group(environment=wall_clock.environment)
    await_leader([leader, standby])
    holder = three.hold("R")
    wall_clock.set_ahead(ahead)
    leader.signal(signal.SIGKILL)
    await_leader([standby], 10)
    excluded = three.run_job(*in_group(GROUP, "-r", "R", "-o", "3000"))
    assert excluded.returncode == 98
    asked = three.flom(*in_group(GROUP, "-o", "15000", "-r", "S"), "--", "true")
    assert (asked.returncode, asked.stderr) == (0, "")
    ended = holder.finish()
    assert (ended.returncode, ended.stderr) == (0, "")


def test_one_is_elected_though_the_clock_goes_back_and_forth(lan: Lan, wall_clock: FakeWallClock) -> None:
    """The clock is that of the command: the daemon does not get its environment."""
    [host] = lan.add_hosts(1)
    with restless(wall_clock):
        started = host.start_flom("-A", GROUP, "--", "echo", "ran", environment=wall_clock.environment)
        done = started.finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


def test_a_wait_limit_is_kept_though_the_clock_goes_back_and_forth(lan: Lan, wall_clock: FakeWallClock) -> None:
    one, two = lan.add_hosts(2)
    with restless(wall_clock):
        await_leader([one.join_group(environment=wall_clock.environment)])
        holder = two.hold("R")
        words = in_group(GROUP, "-r", "R", "-o", "2000")
        waiter = two.start_job(*words, seconds=0, environment=wall_clock.environment)
        assert waiter.finish().returncode == 98
        assert holder.finish().returncode == 0

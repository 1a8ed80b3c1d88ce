"""A daemon at a fixed address is killed while commands of other hosts hold: they reclaim what they held."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from time import sleep

import pytest

from tests.fakes.exclusion import Marks
from tests.fakes.netns import needs_network_namespaces
from tests.fakes.programs import Running, complaints, eventually
from tests.scenarios.lan.network import PORT, Lan, LanHost, Member
from tests.scenarios.lan.test_reclaim import SCRIPTS, elements_given

pytestmark = needs_network_namespaces

GRACE = 3.0  # in which all come back at once, perhaps on a busy machine


class Scene:
    """
    A host with one daemon after another, and two hosts with commands.

    @ivar server: the host of the daemons.
    @ivar place: options that say where the daemons are; commands cannot start one there.
    """

    def __init__(self, lan: Lan, folder: Path, grace: float = GRACE) -> None:
        """@param grace: seconds that a daemon waits for holders."""
        self.server, self.ours, self.other = lan.add_hosts(3)
        self.place = ["-a", self.server.ipv4(), "-p", str(PORT)]
        self._state = folder / "state"
        self._grace = round(grace * 1000)
        self.start()

    def start(self) -> Member:
        """Start another daemon."""
        address = ["-a", "0.0.0.0", "--unicast-port", str(PORT), "--state", str(self._state)]
        self.daemon = self.server.start_daemon(*address, "--session-timeout", str(self._grace))
        self.daemon.await_log("FLM003N")
        return self.daemon

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.daemon.signal(number)
        self.daemon.wait()

    def hold(self, name: str, *words: str) -> Running:
        """Start a command on our host that holds C{name} until its stdin is closed."""
        holder = self.ours.start_job("-V", *self.place, "-r", name, *words)
        eventually(lambda: holder.line() == "held", "held")
        return holder

    def ask(self, name: str, host: LanHost | None = None) -> Running:
        """Start a command that waits for C{name}, by default on the other host."""
        return (host or self.other).start_job(*self.place, "-r", name, seconds=0)


@pytest.fixture
def scene(lan: Lan, tmp_path: Path) -> Scene:
    return Scene(lan, tmp_path)


def assert_well(*running: Running) -> None:
    ended = [one.finish() for one in running]
    assert [one.returncode for one in ended] == [0] * len(running)
    lines = [line for one in ended for line in complaints(one).splitlines()]
    assert [line for line in lines if not re.search("waiting for another one|is a set", line)] == []


def test_commands_reclaim_what_they_held_and_others_wait(scene: Scene, marks: Marks) -> None:
    """All types of resources; the first daemons that come end too, before they had time to come."""
    *names, number, time = ["R", "N[1]", "/a/b", "red.green", "_s_a[2]", "_t_%H%M%S[2]"]
    ending = scene.hold("E")
    holders = [scene.hold(name) for name in [*names, number, time]]
    waiters = [scene.ask(name) for name in ("R", "N[1]", "/a", "E")]
    eventually(lambda: all(scene.other.has_heard(waiter, scene.daemon) for waiter in waiters), "waiting")
    for number_of_signal in (signal.SIGKILL, signal.SIGTERM):
        scene.kill(number_of_signal)
        scene.start()
    scene.kill()
    ending.say("end")  # while there is none
    daemon = scene.start()
    late = [scene.ask(name) for name in ("R", "red.green", number)]
    assert "clients of other hosts held locks" in daemon.await_log("grace for 3 s")
    assert_well(ending)
    begun = len(marks.holdings())
    daemon.await_log("grace is over")
    assert_well(*late[1:], waiters.pop())
    assert len(marks.holdings()) == begun + 3
    given = elements_given(marks)
    assert given["red.green"] == ["red", "green"]
    assert given[number] == ["1", "2"]
    assert_well(*holders)
    assert_well(*waiters, late[0])


def test_after_an_end_in_good_order_where_nobody_holds_nobody_waits(scene: Scene) -> None:
    assert_well(scene.hold("R"))
    scene.kill(signal.SIGTERM)
    daemon = scene.start()
    assert scene.other.flom(*scene.place, "-r", "R", "-o", "0", "--", "true").returncode == 0
    assert "grace" not in daemon.log


def test_programs_reclaim_what_they_held(lan: Lan, tmp_path: Path, marks: Marks) -> None:
    scene = Scene(lan, tmp_path, grace=4.0)  # five programs come back at once, perhaps on a busy machine
    host, port = scene.place[1::2]
    (tmp_path / ".flom").write_text(f"[Daemon]\nUnicastAddress={host}\nUnicastPort={port}\nLifespan=0\n")
    holders = []
    names = [f"R{number}" for number in range(len(SCRIPTS))]
    for name, words in zip(names, SCRIPTS.values(), strict=True):
        command = marks.command("-r", name)
        values = {"NAME": [name], "QUANTITY": ["1"], "COMMAND": command}
        holder = scene.ours.start(*[value for word in words for value in values.get(word, [word])])
        assert holder.line() == "held"
        holders.append(holder)
    scene.kill()
    daemon = scene.start()
    waiters = [scene.ask(name) for name in names]
    daemon.await_log("grace is over")
    assert_well(*holders, *waiters)


def test_a_holder_asks_as_long_as_the_host_says_that_there_is_none(lan: Lan, tmp_path: Path) -> None:
    """If that host says nothing, a daemon may be at work there: then the command is ended."""
    scene = Scene(lan, tmp_path, grace=2.0)
    holder = scene.hold("R", "--session-timeout", "2000", "--on-lost", "terminate", "--kill-after", "0.2")
    scene.kill()
    sleep(3.0)  # more than its patience
    scene.start()
    eventually(lambda: "reclaimed" in holder.line(), "reclaimed")
    scene.kill()
    eventually(lambda: "looking for the one that takes over" in holder.line(), "the loss noticed")
    lan.cut_off(scene.server)
    assert holder.process.stderr is not None
    assert b"not reclaimed" in holder.process.stderr.readline()
    assert holder.finish().returncode == 95

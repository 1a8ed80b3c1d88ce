"""C{flomctl wait-for}: who blocks whom, as a tree."""

from __future__ import annotations

import json
import os
import pwd
import re

import pytest

from flom.codes import Outcome
from flom.core.modes import LockMode
from flom.ctl.output import DEADLOCK
from tests.ctl.peers import FLOMCTL, Locks, flomctl
from tests.fakes.daemon import BIN, Daemon
from tests.fakes.peers import is_locked
from tests.fakes.programs import Programs, Running, assert_refused, eventually
from tests.fakes.terminal import Terminal

PR, EX = LockMode.PR, LockMode.EX
GRANTED, QUEUED = Outcome.GRANTED, Outcome.QUEUED


class Scene:
    """Commands that hold and wait, each by a C{flom-run}."""

    def __init__(self, programs: Programs, daemon: Daemon) -> None:
        self._programs = programs
        self._path = daemon.socket

    def hold(self, name: str, *then: str) -> Running:
        """Hold C{name}, until told to go on with C{then}."""
        words = ["sh", "-c", 'echo held; read go; "$@"', "sh", *(then or ["true"])]
        running = self._programs.start("-s", self._path, "-r", name, "--", *words)
        assert running.line() == "held"
        return running

    def wait_for(self, name: str) -> Running:
        """Wait for C{name}, which is held."""
        waiters = self.count(name)
        running = self._programs.start("-s", self._path, "-r", name, "--", "true")
        eventually(lambda: self.count(name) == waiters + 1, f"another waiter for {name}")
        return running

    def asking(self, name: str) -> list[str]:
        """Return the words that ask for C{name}, by a program that does not say what it runs under."""
        return [str(BIN / "flom"), "-s", self._path, "-r", name, "--", "true"]

    def count(self, name: str) -> int:
        """Return how many waiters C{name} has."""
        return sum(" waits for " in line for line in self.show(name)[1] if line.startswith("  pid"))

    def show(self, *name: str) -> tuple[int, list[str]]:
        """Return status and output of C{flomctl wait-for}, without durations."""
        done = flomctl(self._programs, "wait-for", "-s", self._path, *name)
        assert done.stderr == ""
        return done.returncode, [line.rpartition(", ")[0] or line for line in done.stdout.splitlines()]


@pytest.fixture
def scene(programs: Programs, daemon: Daemon) -> Scene:
    return Scene(programs, daemon)


def test_a_waiter_and_its_blockers(scene: Scene) -> None:
    holder = scene.hold("R1")
    waiter = scene.wait_for("R1")
    user = pwd.getpwuid(os.getuid()).pw_name
    assert scene.show("R1") == (
        0,
        [
            "R1",
            f"  pid {waiter.pid} ({user}, true) waits for R1 (EX)",
            f"    pid {holder.pid} ({user}, sh) holds R1 (EX)",
        ],
    )


def test_what_a_lock_delay_keeps_is_said_to_be_free_later(scene: Scene, programs: Programs, daemon: Daemon) -> None:
    limits = ["--max-hold", "0.2", "--lock-delay", "50", "--on-lost", "kill"]
    assert programs.run("-s", daemon.socket, "-r", "R1", *limits, "--", "sleep", "30").returncode == 95
    scene.wait_for("R1")
    _, [_, _, why] = scene.show("R1")
    assert re.fullmatch(r"    R1 is free in \d\d s: its last holder was lost", why)
    [wait] = json.loads(flomctl(programs, "wait-for", "--json", "-s", daemon.socket).stdout)["waits"]
    assert [lost["name"] for lost in wait["lost"]] == ["R1"]
    assert "\tlost\t" in flomctl(programs, "status", "-s", daemon.socket).stdout


def test_a_resource_without_waiters(scene: Scene) -> None:
    scene.hold("R1")
    assert scene.show("R1") == (0, ["R1", "  no waiters"])


def test_only_those_in_the_way_are_shown(programs: Programs, daemon: Daemon, locks: Locks, scene: Scene) -> None:
    assert locks.ask("/t/a") == locks.ask("/t/b", PR) == GRANTED
    assert locks.ask("/t/b/c", EX) == QUEUED
    _, lines = scene.show("/t")
    assert [line.split(") ", 1)[1] for line in lines[1:]] == ["waits for /t/b/c (EX)", "holds /t/b (PR)"]
    assert scene.show("/t/a") == (0, ["/t/a", "  no waiters"])
    assert len(scene.show("/t/b")[1]) == 3


def test_what_blocks_the_blocker_is_below_it_be_it_its_command(scene: Scene) -> None:
    last = scene.hold("last")
    middle = scene.hold("middle", *scene.asking("last"))
    first = scene.wait_for("middle")
    middle.say("go")
    eventually(lambda: scene.count("last") == 1, "the command waits")
    status, lines = scene.show("middle")
    assert status == 0
    words = [line.split() for line in lines[1:]]
    assert [line[1] for line in words[:2]] == [str(first.pid), str(middle.pid)]
    assert words[2][:3] == ["its", "command's", "pid"]
    assert words[2][6:] == ["waits", "for", "last", "(EX)"]
    assert words[3] == ["pid", str(last.pid), f"({pwd.getpwuid(os.getuid()).pw_name},", "sh)", "holds", "last", "(EX)"]
    assert [len(line) - len(line.lstrip()) for line in lines] == [0, 2, 4, 6, 8]


def test_a_deadlock(scene: Scene, programs: Programs, daemon: Daemon, terminal: Terminal) -> None:
    one = scene.hold("A", *scene.asking("B"))
    other = scene.hold("B", *scene.asking("A"))
    third = scene.wait_for("A")
    one.say("go")
    eventually(lambda: scene.count("B") == 1, "one waits")
    assert scene.show("A")[0] == 0
    other.say("go")
    eventually(lambda: scene.count("A") == 2, "both wait")
    done = flomctl(programs, "wait-for", "-s", daemon.socket, "A")
    assert (done.returncode, done.stderr) == (DEADLOCK, "") == (3, "")
    *tree, last = done.stdout.splitlines()
    assert last.startswith("deadlock: ")
    assert f"waits for A held by pid {one.pid} " in last
    assert f"waits for B held by pid {other.pid} " in last
    assert str(third.pid) not in last  # it is not in the circle, although it waits for ever
    assert sum("as above" in line for line in tree) == 2
    assert terminal.finish(terminal.start(programs, FLOMCTL, "wait-for", "-s", daemon.socket, "A")).returncode == 3
    terminal.see("deadlock: ")
    assert b"\x1b[1;31mdeadlock" in terminal.written


def test_it_is_no_deadlock_when_enough_comes_back_from_others(
    locks: Locks, scene: Scene, programs: Programs, daemon: Daemon
) -> None:
    one = scene.hold("n[2]", *scene.asking("X"))
    other = scene.hold("X", *scene.asking("n[2]"))
    assert locks.ask("n[2]") == GRANTED
    one.say("go")
    other.say("go")
    eventually(lambda: scene.count("X") == scene.count("n[2]") == 1, "both wait")
    assert scene.show("X")[0] == 0


def test_a_program_with_many_tasks_does_not_block_itself(locks: Locks, scene: Scene) -> None:
    assert locks.ask("R1") == GRANTED
    assert locks.ask("R1") == QUEUED
    status, lines = scene.show("R1")
    assert (status, len(lines)) == (0, 3)


def test_a_waiter_for_the_creation_of_a_resource(locks: Locks, scene: Scene) -> None:
    assert locks.ask("R1", create=False) == Outcome.AWAITING_CREATION
    [_, line] = scene.show("R1")[1]
    assert line.endswith("waits until it is created")


def test_without_a_name_all_that_is_waited_for_is_shown(locks: Locks, scene: Scene) -> None:
    assert scene.show() == (0, ["no waiters"])
    for name in ("free", "R1", "N[1]", "/a/b"):
        assert locks.ask(name) == GRANTED
    for name in ("R1", "N[1]", "/a"):
        assert locks.ask(name) == QUEUED
    assert locks.ask("/x/y", create=False) == Outcome.AWAITING_CREATION
    _, lines = scene.show()
    assert [line for line in lines if not line.startswith((" ", "deadlock"))] == ["R1", "N[1]", "/a/b", "/x/y"]


def test_without_a_name_a_deadlock_is_reported_too(scene: Scene) -> None:
    one = scene.hold("A", *scene.asking("B"))
    other = scene.hold("B", *scene.asking("A"))
    one.say("go")
    other.say("go")
    eventually(lambda: scene.show()[0] == DEADLOCK, "a deadlock")


def test_many_waiters_of_the_same_holders_are_told_in_short(locks: Locks, scene: Scene) -> None:
    for _ in range(20):
        assert locks.ask("R1", PR) == GRANTED
    for _ in range(50):
        assert locks.ask("R1", EX) == QUEUED
    _, lines = scene.show("R1")
    assert len(lines) == 1 + 50 + 20 + 49
    assert lines.count("    blocked by the same 20") == 49


def test_there_is_no_such_resource(programs: Programs, daemon: Daemon, locks: Locks) -> None:
    locks.ask("/t/a")
    assert is_locked(daemon.socket, "/t/a")
    for name in ("R1", "/u", "/t/b"):
        done = flomctl(programs, "wait-for", "-s", daemon.socket, name)
        assert_refused(done, 1, f"no resource '{name}'")


def test_as_json(programs: Programs, daemon: Daemon, locks: Locks) -> None:
    assert [locks.ask("R1", mode) for mode in (PR, PR, EX, EX)] == [GRANTED, GRANTED, QUEUED, QUEUED]
    assert locks.ask("N", create=False) == Outcome.AWAITING_CREATION
    found = json.loads(flomctl(programs, "wait-for", "--json", "-s", daemon.socket).stdout)
    [wait] = found["waits"]
    numbers = {lock["number"]: (lock["name"], lock["mode"]) for lock in found["locks"]}
    assert found["format"] == 1
    assert (wait["resource"], wait["deadlocked"]) == ("R1", [])
    assert [numbers[number] for number in wait["waiters"]] == [("R1", "EX")] * 2
    assert [numbers[number] for number in wait["blockers"]] == [("R1", "PR")] * 2
    assert [numbers[number] for number in found["incubated"]] == [("N", "EX")]

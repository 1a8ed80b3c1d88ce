"""C{flomctl deadlocks}: which holders wait for one another."""

from __future__ import annotations

import json

from flom.ctl.output import DEADLOCK
from tests.ctl.peers import Locks, flomctl
from tests.ctl.test_wait_for import Scene
from tests.fakes.daemon import Daemon
from tests.fakes.programs import Programs, eventually


def test_there_are_none(programs: Programs, daemon: Daemon, locks: Locks) -> None:
    assert (locks.ask("R"), locks.ask("R")) == (0, 1)
    done = flomctl(programs, "deadlocks", "-s", daemon.socket)
    assert (done.returncode, done.stdout, done.stderr) == (0, "no deadlocks\n", "")
    done = flomctl(programs, "deadlocks", "-s", daemon.socket, "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"format": 1, "deadlocks": [], "locks": []})


def test_a_deadlock_is_told_in_words_and_as_json(programs: Programs, daemon: Daemon) -> None:
    scene = Scene(programs, daemon)
    one, other = scene.hold("A", *scene.asking("B")), scene.hold("B", *scene.asking("A"))
    one.say("go")
    other.say("go")
    eventually(lambda: scene.count("A") == scene.count("B") == 1, "both wait")
    done = flomctl(programs, "deadlocks", "-s", daemon.socket)
    assert (done.returncode, done.stderr) == (DEADLOCK, "")
    first, *lines = done.stdout.splitlines()
    assert first == "deadlock of 2 holders:"
    words = {line.split()[1]: line for line in lines}
    for holder, held, wanted in ((one, "A", "B"), (other, "B", "A")):
        line = words[str(holder.pid)]
        assert f" holds {held} (EX); its command's pid " in line
        assert f" has waited for {wanted} (EX) for " in line
    found = json.loads(flomctl(programs, "deadlocks", "-s", daemon.socket, "--json").stdout)
    [circle] = found["deadlocks"]
    locks = {lock["number"]: lock for lock in found["locks"]}
    assert {locks[step["holder"]]["pid"] for step in circle["steps"]} == {one.pid, other.pid}

"""Commands that take locks under the locks of other commands: what would never end is refused, with the reason."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.daemon import BIN, FLOM_RUN, Daemon
from tests.fakes.programs import Programs, Running, eventually, free_port

DEADLOCK = 93


@pytest.fixture(scope="module", params=["unix", "tcp"])
def where(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of C{flom-run} for an address."""
    if request.param == "tcp":
        return ["-a", "127.0.0.1", "-p", str(free_port())]
    return ["-s", str(tmp_path_factory.mktemp("nested") / "s")]


def daemon_at(where: list[str]) -> Daemon:
    names = {"-s": "--socket-name", "-a": "--unicast-address", "-p": "--unicast-port"}
    return Daemon(*[names.get(word, word) for word in where])


@pytest.fixture(scope="module")
def place(where: list[str]) -> Iterator[list[str]]:
    with daemon_at(where):
        yield where


def under(where: list[str], *options: str) -> list[str]:
    """Words that run what follows under a lock."""
    return [FLOM_RUN, *where, *options, "--"]


def status(programs: Programs, where: list[str]) -> dict[str, Any]:
    shown = programs.start_program(str(BIN / "flomctl"), "status", "--json", *where).finish()
    found: dict[str, Any] = json.loads(shown.stdout)
    return found


def waiters(programs: Programs, where: list[str]) -> int:
    return sum(len(resource["waiters"]) for resource in status(programs, where)["resources"])


def step_by_step(programs: Programs, where: list[str], *options: str) -> Running:
    """A command under a lock, which runs each line that it is told, and says its status."""
    script = 'echo held; while read -r line; do eval "$line"; echo status $?; done'
    running = programs.start_program(*under(where, *options), "sh", "-c", script)
    assert running.line() == "held"
    return running


def asks(where: list[str], *options: str) -> str:
    return " ".join([*under(where, *[f"'{option}'" for option in options]), "true"])


def test_what_the_outer_command_holds_is_refused_or_shared(programs: Programs, place: list[str]) -> None:
    outer = step_by_step(programs, place, "-r", "X")
    outer.say(asks(place, "-r", "X"))
    assert outer.line() == f"status {DEADLOCK}"
    line = outer.error_line()
    assert line.startswith("flom-run: X at ")
    assert "X (EX) is held by " in line
    assert ", sh), under whose command this one runs: it would wait for ever; --nested=share shares the lock" in line
    outer.say(asks(place, "-r", "X", "-l", "PR", "--nested=share"))
    assert outer.line() == "status 0"
    outer.say(asks(place, "-r", "X", "-o", "0"))
    assert outer.line() == "status 98"
    outer.say(f"{FLOM_RUN} {' '.join(place)} -r X --nested share -- sh -c 'echo $FLOM_TOKEN'; echo $FLOM_TOKEN")
    assert outer.line() == outer.line()


def test_what_is_free_beside_the_outer_command_is_granted(programs: Programs, place: list[str]) -> None:
    outer = step_by_step(programs, place, "-r", "X", "-l", "PR")
    for options in (["-r", "X", "-l", "PR"], ["-r", "Y"]):
        outer.say(asks(place, *options))
        assert outer.line() == "status 0"
    units = step_by_step(programs, place, "-r", "N[3]", "-q", "2")
    units.say(asks(place, "-r", "N[3]", "-q", "1"))
    assert units.line() == "status 0"
    units.say(asks(place, "-r", "N[3]", "-q", "2"))
    assert units.line() == f"status {DEADLOCK}"


def test_a_shared_lock_is_held_until_the_last_has_ended(programs: Programs, place: list[str], tmp_path: Path) -> None:
    end = tmp_path / "end"
    os.mkfifo(end)
    inner = " ".join([*under(place, "-r", "X", "--nested=share"), "sh", "-c", f"'echo shared; read line <{end}'"])
    outer = programs.start_program(*under(place, "-r", "X"), "sh", "-c", f"{inner} & read line")
    assert outer.line() == "shared"
    [resource] = [each for each in status(programs, place)["resources"] if each["name"] == "X"]
    first, second = resource["holders"]
    assert (first["token"], first["number"]) == (second["token"], second["shares"])
    assert first["lineage"] == second["lineage"][1:]
    outer.say("the outer command ends")
    assert outer.wait() == 0
    assert programs.run(*place, "-r", "X", "-o", "0", "--", "true").returncode == 98
    waiter = programs.start(*place, "-r", "X", "--", "echo", "mine")
    eventually(lambda: waiters(programs, place) == 1, "the wait")
    end.write_text("the inner one too\n")
    assert waiter.line() == "mine"


def test_of_two_that_cross_one_is_refused_and_the_other_goes_on(programs: Programs, place: list[str]) -> None:
    one, other = step_by_step(programs, place, "-r", "A"), step_by_step(programs, place, "-r", "B")
    one.say(asks(place, "-r", "B"))
    eventually(lambda: waiters(programs, place) == 1, "the wait for B")
    other.say(asks(place, "-r", "A"))
    assert other.line() == f"status {DEADLOCK}"
    line = other.error_line()
    for words in ("it would wait for ever: A (EX) is held by ", "waits for B (EX); B (EX) is held by "):
        assert words in line
    other.finish()
    assert one.line() == "status 0"


def test_who_asks_to_wait_waits_for_the_outer_command(programs: Programs, place: list[str]) -> None:
    outer = step_by_step(programs, place, "-r", "X")
    outer.say(" ".join([*under(place, "-r", "X", "--nested=wait"), "echo", "later", "&"]))
    assert outer.line() == "status 0"
    eventually(lambda: waiters(programs, place) == 1, "the wait")
    checked = programs.start_program(str(BIN / "flomctl"), "deadlocks", *place).finish()
    assert (checked.returncode, checked.stdout) == (0, "no deadlocks\n")
    assert outer.finish().stdout == "later\n"


SCRIPTS = {
    "flom.lock": "import flom\nwith flom.lock('X', **place): pass",
    "flom.aio": (
        "import asyncio, flom.aio\n"
        "async def main():\n    async with flom.aio.lock('X', **place): pass\n"
        "asyncio.run(main())"
    ),
    "Twisted": (
        "from twisted.internet import reactor, task\nfrom flom.client import Config, connect\n"
        "from twisted.internet.defer import Deferred\n"
        "async def main(reactor):\n"
        "    where = Config(socket_name=place['socket']) if 'socket' in place else "
        "Config(unicast_address=place['address'], unicast_port=place['port'])\n"
        "    arbiter = await connect(reactor, where)\n"
        "    async with arbiter.acquire('X'): pass\n"
        "task.react(lambda reactor: Deferred.fromCoroutine(main(reactor)))"
    ),
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_programs_under_a_command_are_refused_too(programs: Programs, place: list[str], script: str) -> None:
    given = {"socket": place[1]} if place[0] == "-s" else {"address": place[1], "port": int(place[3])}
    words = [sys.executable, "-c", f"place = {given}\n{script}"]
    done = programs.run(*place, "-r", "X", "--", *words)
    assert done.returncode == 1
    assert "LockDeadlock: X at " in done.stderr
    assert "under whose command this one runs" in done.stderr
    assert programs.run(*place, "-r", "Y", "--", *words).returncode == 0
    shared = [word.replace("'X'", "'X', nested='share'") for word in words]
    assert programs.run(*place, "-r", "X", "--", *shared).returncode == 0


def test_flom_tells_nothing_and_passes_on_what_it_has(programs: Programs, place: list[str]) -> None:
    outer = step_by_step(programs, place, "-r", "X")
    flom = " ".join([str(BIN / "flom"), *place])
    outer.say(f"{flom} -r Y -- sh -c 'test $FLOM_LINEAGE = '$FLOM_LINEAGE")
    assert outer.line() == "status 0"
    outer.say(f"{flom} -r X -o 100 -- true")
    assert outer.line() == "status 98"
    outer.say(f"{flom} -r Y -- {asks(place, '-r', 'X')}")
    assert outer.line() == f"status {DEADLOCK}"


def test_all_come_back_to_a_daemon_that_was_killed(programs: Programs, tmp_path: Path) -> None:
    """Both holders of a shared lock, and what is told of nesting."""
    where = ["-s", str(tmp_path / "s")]
    with daemon_at(where) as killed:
        outer = step_by_step(programs, where, "-r", "X", "-d", "0")
        inner = [
            *under(where, "-r", "X", "-l", "PR", "-d", "0", "--nested=share"),
            "sh",
            "-c",
            "'echo in; read line <&3'",
        ]
        outer.say(f"exec 3<&0; {' '.join(inner)}; {asks(where, '-r', 'X', '-d', '0')}")
        assert outer.line() == "in"
        killed.process.kill()
        killed.process.wait(30)
    with daemon_at(where):
        eventually(lambda: status(programs, where)["daemon"]["grace_left"] is None, "the end of the grace period")
        [resource] = status(programs, where)["resources"]
        first, second = sorted(resource["holders"], key=lambda holder: len(holder["lineage"]))
        assert first["token"] == second["token"]
        assert first["shares"] == second["shares"] is not None
        outer.say("end")
        assert outer.line() == f"status {DEADLOCK}"
        outer.finish()
        assert programs.run(*where, "-r", "X", "-o", "0", "--", "true").returncode == 0

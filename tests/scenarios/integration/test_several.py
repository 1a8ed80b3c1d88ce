"""A daemon is killed under several locks that were taken at once: each is reclaimed as it was, and nobody gets one."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Final

import pytest

from flom.client.blocking.status import open_status
from flom.config import Config
from tests.fakes.daemon import Daemon
from tests.fakes.programs import Programs, Running, eventually, free_port

SET: Final = ("-r", "a", "-r", "b[3]", "-q", "2", "-r", "x.y", "--type", "set", "-r", "/c/d", "-l", "PR")
HELD: Final = {"a": None, "b[3]": None, "x.y": "x", "/c/d": None}
"""The resources of L{SET}, and the elements that its first holder has."""

HOLD: Final = 'echo "$FLOM_RESOURCES"; read line; true'


class Place:
    """Where the daemons of one test are, one after another."""

    def __init__(self, directory: Path, kind: str) -> None:
        self._state = str(directory / "state")
        self._path, self._port = str(directory / "s"), free_port()
        self._is_unix = kind == "unix"
        self.words = ["-d", "0", *(["-s", self._path] if self._is_unix else ["-a", "127.0.0.1", "-p", str(self._port)])]

    def daemon(self) -> Daemon:
        """Return a daemon to be started."""
        where = ["--socket-name", self._path, "--unicast-address", "127.0.0.1", "--unicast-port", str(self._port)]
        return Daemon(*where, "--state", self._state, reserves=True)

    def view(self, kind: str = "holders") -> dict[str, list[tuple[str | None, str | None]]]:
        """Return the elements and tokens of all holders, or of all waiters, by their resources."""
        with open_status(Config(socket_name=self._path), lambda _: None) as reader:
            resources = reader.read().resources
        shown = {each.name: [(lock.element, lock.token) for lock in getattr(each, kind)] for each in resources}
        return {name: locks for name, locks in shown.items() if locks}


@pytest.fixture(params=["unix", "tcp"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(tmp_path, request.param)


def hold(programs: Programs, place: Place) -> tuple[Running, dict[str, list[tuple[str | None, str | None]]]]:
    """Start a command under L{SET}; return it, and what it has been told, as L{Place.view} shows it."""
    holder = programs.start(*place.words, *SET, "--", "sh", "-c", HOLD)
    lines = [holder.line().split("\t") for _ in HELD]
    return holder, {name: [(element or None, token)] for name, _, _, token, element in lines}


def kill(daemon: Daemon) -> None:
    daemon.process.kill()
    daemon.process.wait(30)


def test_the_next_daemon_leaves_all_of_them_to_their_holder(programs: Programs, place: Place) -> None:
    """Another command, which waits for two locks of which one is free, waits on there, and holds neither."""
    with place.daemon() as killed:
        holder, told = hold(programs, place)
        assert {name: held[0][0] for name, held in told.items()} == HELD
        waiter = programs.start(*place.words, "-r", "z", "-r", "a", "--", "echo", "ran")
        eventually(lambda: "a" in place.view("waiters"), "a waiter")
        kill(killed)
    with place.daemon() as daemon:
        late = programs.run(*place.words, "-r", "/c", "-o", "0", "--", "echo", "ran")
        assert (late.returncode, late.stdout) == (98, "")
        assert place.view() == told
        eventually(lambda: "a" in place.view("waiters"), "a waiter")
        assert programs.run(*place.words, "-r", "z", "-o", "0", "--", "true").returncode == 0
        ended = holder.finish()
        assert (ended.returncode, ended.stderr) == (0, "")
        ended = waiter.finish()
        assert (ended.returncode, ended.stdout) == (0, "ran\n")
        assert place.view() == {}
        daemon.stop()


@pytest.mark.parametrize("place", ["unix"], indirect=True)
def test_one_that_is_interrupted_leaves_no_lock(programs: Programs, place: Place) -> None:
    with place.daemon() as daemon:
        holder, _ = hold(programs, place)
        waiter = programs.start(*place.words, "-r", "z", "-r", "a", "--", "echo", "ran")
        eventually(lambda: "a" in place.view("waiters"), "a waiter")
        waiter.signal(signal.SIGTERM)
        assert waiter.finish().returncode == -signal.SIGTERM
        eventually(lambda: place.view("waiters") == {}, "an empty queue")
        holder.finish()
        assert place.view() == {}
        daemon.stop()


SHOW: Final = """
import sys
def show(held):
    print(*(f"{each.resource}={each.token}" for each in held.parts), flush=True)
    sys.stdin.readline()
    print("lost" if held.is_lost else "held", flush=True)
"""

APIS: Final = {
    "blocking": """
from flom import lock_all
with lock_all(["s1", "s2[3]"], socket=sys.argv[1], start=False) as held:
    show(held)
""",
    "asyncio": """
import asyncio, flom.aio
async def main():
    async with flom.aio.lock_all(["t1", "t2[3]"], socket=sys.argv[1], start=False) as held:
        await asyncio.to_thread(show, held)
asyncio.run(main())
""",
    "Twisted": """
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread
from flom.client import Config, connect
async def main(reactor):
    async with await connect(reactor, Config(socket_name=sys.argv[1])) as locks:
        async with locks.acquire_all(["u1", "u2[3]"]) as held:
            await deferToThread(show, held)
react(lambda reactor: Deferred.fromCoroutine(main(reactor)))
""",
}


@pytest.mark.parametrize("place", ["unix"], indirect=True)
def test_programs_reclaim_all_of_theirs_too(programs: Programs, place: Place) -> None:
    with place.daemon() as killed:
        running = [
            programs.start_program(sys.executable, "-c", SHOW + script, place.words[-1]) for script in APIS.values()
        ]
        told = dict(word.split("=") for each in running for word in each.line().split())
        kill(killed)
    with place.daemon() as daemon:
        eventually(lambda: len(place.view()) == len(told), "a reclaim")
        assert {name: token for name, [(_, token)] in place.view().items()} == told
        for each in running:
            each.say("end")
            assert each.line() == "held"
            ended = each.finish()
            assert (ended.returncode, ended.stderr) == (0, "")
        assert place.view() == {}
        daemon.stop()

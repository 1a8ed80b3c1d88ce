"""
A daemon is stopped while commands hold and wait, and another one is started in its place, from another installation:
nobody is harmed.

C{FLOM_UPGRADE_HOLDERS=50} makes it more commands than usual. C{FLOM_UPGRADE_FROM=DIR} names a checkout of the version
to begin with, instead of a copy of this one. Daemons older than this test let commands start another one at once, so
these may not then, and warn of that.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Final

import pytest

import flom
from flom._version import __version__
from tests.ctl.peers import flomctl
from tests.fakes.daemon import Daemon
from tests.fakes.exclusion import Marks
from tests.fakes.programs import Programs, Running, eventually, free_port

HOLDERS: Final = int(os.environ.get("FLOM_UPGRADE_HOLDERS") or 6)

TYPES: Final = (
    (["-r", "R{}"], 1),
    (["-r", "N{}[3]", "-q", "2"], 1),
    (["-r", "a{}.b", "--type", "set"], 2),
    (["-r", "/h{}/x"], 1),
    (["-r", "_s_s{}[1]", "-i", "60000"], 1),
    (["-r", "_S_S{}[1]", "-i", "60000"], 1),
)
"""Options of commands, and how many of them can hold beside each other."""

WITH_TOKEN: Final = 'echo "$FLOM_TOKEN" >> "$1"; shift; exec "$@"'

_ROOT: Final = Path(flom.__file__).parent.parent


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """The folder of another installation."""
    checkout, folder = Path(os.environ.get("FLOM_UPGRADE_FROM") or _ROOT), tmp_path / "former"
    for package in ("flom", "twisted"):
        shutil.copytree(checkout / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "*.cache"))
    with (folder / "flom" / "_version.py").open("a") as file:
        file.write('\n__version__ += "-former"\n')
    return folder


class Scene:
    """Commands that hold locks of a daemon, and others that wait for the same."""

    def __init__(self, programs: Programs, marks: Marks, where: list[str], may_start: list[str], folder: Path) -> None:
        """@param may_start: the options that say whether commands may start a daemon."""
        self._programs = programs
        self._marks = marks
        self._where = where
        self._may_start = may_start
        self._folder = folder
        kinds = [TYPES[number % len(TYPES)] for number in range(HOLDERS)]
        wanted = [[word.format(number) for word in words] for number, (words, _) in enumerate(kinds)]
        self._holders = [
            self._start(number, wanted[number]) for number, (_, beside) in enumerate(kinds) for _ in range(beside)
        ]
        assert [holder.line() for holder in self._holders] == ["held"] * len(self._holders)
        self._waiters = [self._start(number, words, seconds=0) for number, words in enumerate(wanted)]
        eventually(lambda: self.status()["waiters"] == HOLDERS, "the waiters")

    def status(self) -> dict[str, object]:
        """Return the version of the daemon, and how many hold and wait."""
        told = json.loads(flomctl(self._programs, "status", "--json", *self._where).stdout)
        counts = {kind: sum(len(each[kind]) for each in told["resources"]) for kind in ("holders", "waiters")}
        return {"version": told["daemon"]["version"], **counts}

    def check(self) -> None:
        """Check that the holders have not noticed anything, and that the others get their turns."""
        assert len(self._marks.holdings()) == len(self._holders)
        for running in [*self._holders, *self._waiters]:
            done = running.finish(60.0)
            assert (done.returncode, "" if self._may_start else done.stderr) == (0, "")
        assert self._marks.violations() == []
        assert len(self._marks.holdings()) == len(self._holders) + HOLDERS
        for number in range(HOLDERS):
            tokens = [int(token) for token in (self._folder / f"tokens-{number}").read_text().split()]
            assert len(set(tokens)) == len(tokens)
            assert tokens[-1] == max(tokens)  # the waiter's

    def _start(self, number: int, words: list[str], seconds: float | None = None) -> Running:
        command = self._marks.command(*words, seconds=seconds)
        token = ["sh", "-c", WITH_TOKEN, "sh", str(self._folder / f"tokens-{number}")]
        return self._programs.start(*self._where, *self._may_start, *words, "--", *token, *command)


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_commands_outlive_an_upgrade(
    programs: Programs, marks: Marks, tmp_path: Path, former: Path, transport: str
) -> None:
    """Commands may start a daemon, but leave it to the supervisor of this one."""
    if transport == "unix":
        where, words = ["-s", str(tmp_path / "s")], ["--socket-name", str(tmp_path / "s")]
    else:
        port = str(free_port())
        where, words = ["-a", "127.0.0.1", "-p", port], ["--unicast-address", "127.0.0.1", "--unicast-port", port]
    may_start = ["-d", "0"] if "FLOM_UPGRADE_FROM" in os.environ else []
    with Daemon(*words, environment={"PYTHONPATH": str(former)}, reserves=True) as daemon:
        scene = Scene(programs, marks, where, may_start, tmp_path)
        assert str(scene.status()["version"]).endswith("-former")
        assert daemon.stop() == -signal.SIGTERM
    with Daemon(*words, reserves=True):
        eventually(lambda: scene.status()["waiters"] == HOLDERS, "the waiters are back")
        assert scene.status()["version"] == __version__
        scene.check()

"""
A daemon is killed again and again under commands on all types of resources: no two hold what excludes each other, no
number comes twice, and none is harmed.

C{FLOM_STORM_KILLS=200} makes it more kills than usual.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.daemon import Daemon
from tests.fakes.exclusion import Marks
from tests.fakes.programs import Programs, command_line_of, eventually, free_port

KILLS: Final = int(os.environ.get("FLOM_STORM_KILLS") or 5)
PAUSE: Final = 3.0  # seconds between two kills, at least: a new command asks again once only
CROWD: Final = 2 if KILLS < 20 else 6  # commands for each resource

RESOURCES: Final = ("R", "P", "N[3]", "a.b", "/h/one", "/h", "_s_seq[2]", "_S_tra[2]", "_t_%H:%M:%S#fff[2]")

OPTIONS: Final = {
    "P": ["-l", "PR"],
    "/h": ["-l", "PR"],
    "a.b": ["--type", "set"],
    "_s_": ["-i", "600000"],  # remembered also at a moment at which nobody holds
    "_S_": ["-i", "600000"],
}


class Storm:
    """
    Commands that begin and end all the time, each of which has to end well.

    @ivar problems: what did not.
    """

    def __init__(self, programs: Programs, marks: Marks, where: list[str]) -> None:
        self._programs = programs
        self._marks = marks
        self._where = where
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self.problems: list[str] = []
        self.ran = 0
        self._threads = [
            threading.Thread(target=self._work, args=(name, number)) for name in RESOURCES for number in range(CROWD)
        ]

    def __enter__(self) -> Storm:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _work(self, name: str, number: int) -> None:
        options = [*self._where, "-r", name, *OPTIONS.get(name[:3], ())]
        while not self._is_over.is_set():
            with self._lock:
                running = self._programs.start(*self._marks.job(*options, seconds=0.3 + number % 3))
            done = running.finish(patience=120.0)
            self.ran += 1
            if "closed the connection without an answer" in done.stderr and not done.stdout:
                continue  # it has not begun: of two daemons in a row, none has answered it
            if (done.returncode, done.stderr) != (0, ""):
                self.problems.append(f"{name}: {done.returncode}, {done.stderr}")


def daemons(programs: Programs) -> list[int]:
    """Return the daemons that commands have started; others are starting, or are no daemons."""
    return [pid for pid in programs.daemons() if "flom/daemon" in command_line_of(pid)]


def check(storm: Storm, marks: Marks) -> None:
    assert storm.problems == []
    numbers = Counter((each.name, each.element) for each in marks.holdings() if each.name.startswith(("_s_", "_S_")))
    assert [value for value, times in numbers.items() if times > 1] == []
    assert storm.ran > len(RESOURCES)


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_commands_start_the_next_daemon(programs: Programs, marks: Marks, tmp_path: Path, transport: str) -> None:
    where = ["-s", str(tmp_path / "s")] if transport == "unix" else ["-a", "127.0.0.1", "-p", str(free_port())]
    with Storm(programs, marks, [*where, "-d", "60000"]) as storm:
        for _ in range(KILLS):
            time.sleep(PAUSE)
            eventually(lambda: daemons(programs), "a daemon", patience=60.0)
            for pid in daemons(programs):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: daemons(programs), "a daemon", patience=60.0)
    check(storm, marks)


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_a_supervisor_starts_the_next_daemon(programs: Programs, marks: Marks, tmp_path: Path, transport: str) -> None:
    if transport == "unix":
        where, words = ["-s", str(tmp_path / "s")], ["--socket-name", str(tmp_path / "s")]
    else:
        port = str(free_port())
        where, words = ["-a", "127.0.0.1", "-p", port], ["--unicast-address", "127.0.0.1", "--unicast-port", port]
    daemon = Daemon(*words, "--state", str(tmp_path / "kept"), reserves=True)
    with daemon, Storm(programs, marks, [*where, "-d", "60000"]) as storm:
        for _ in range(KILLS):
            time.sleep(PAUSE)
            daemon.process.kill()
            daemon.process.communicate(timeout=30)
            daemon.__enter__()
    check(storm, marks)

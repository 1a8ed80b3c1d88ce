"""
A daemon is killed again and again under commands on all types of resources: no two hold what excludes each other, no
number comes twice, tokens grow, and none is harmed.

C{FLOM_STORM_KILLS=200} makes it more kills than usual.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.fakes.daemon import Daemon
from tests.fakes.exclusion import Marks
from tests.fakes.programs import Programs, command_line_of, eventually, free_port
from tests.fakes.storm import KILLS, PAUSE, Storm


class Place:
    """
    Where the daemon is.

    @ivar options: of C{flom-run}.
    @ivar words: of C{twistd flom}.
    """

    def __init__(self, transport: str, folder: Path) -> None:
        self._path, self._port = str(folder / "s"), free_port()
        self._is_unix = transport == "unix"
        tcp = ["127.0.0.1", str(self._port)]
        self.options = ["-s", self._path] if self._is_unix else ["-a", tcp[0], "-p", tcp[1]]
        self.words = (
            ["--socket-name", self._path] if self._is_unix else ["--unicast-address", tcp[0], "--unicast-port", tcp[1]]
        )

    def connect(self) -> socket.socket:
        """Connect to it."""
        if not self._is_unix:
            return socket.create_connection(("127.0.0.1", self._port))
        connected = socket.socket(socket.AF_UNIX)
        try:
            connected.connect(self._path)
        except OSError:
            connected.close()
            raise
        return connected


@pytest.fixture(params=["unix", "tcp"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(request.param, tmp_path)


def daemons(programs: Programs) -> list[int]:
    """Return the daemons that commands have started; others are starting, or are no daemons."""
    return [pid for pid in programs.daemons() if "flom/daemon" in command_line_of(pid)]


def test_commands_start_the_next_daemon(programs: Programs, marks: Marks, place: Place) -> None:
    with Storm(programs, marks, [*place.options, "-d", "60000"], connect=place.connect) as storm:
        for _ in range(KILLS):
            time.sleep(PAUSE)
            eventually(lambda: daemons(programs), "a daemon", patience=60.0, interval=0.1)
            for pid in daemons(programs):
                storm.kill(pid)
        eventually(lambda: daemons(programs), "a daemon", patience=60.0, interval=0.1)
    storm.check()


def test_a_supervisor_starts_the_next_daemon(programs: Programs, marks: Marks, place: Place, tmp_path: Path) -> None:
    daemon = Daemon(*place.words, "--state", str(tmp_path / "kept"), reserves=True)
    with daemon, Storm(programs, marks, [*place.options, "-d", "60000"], connect=place.connect) as storm:
        for _ in range(KILLS):
            time.sleep(PAUSE)
            storm.kill(daemon.process.pid)
            daemon.process.communicate(timeout=30)
            daemon.__enter__()
    storm.check()

"""The daemon and the controls, each in a process of its own, on a UNIX socket and a TCP port."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.fakes.daemon import Daemon
from tests.tools.bench.control import READY

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_CLOSING: Final = 60.0  # seconds that a server has to close the connections that its clients have closed
_A_FEW: Final = 8  # descriptors that a server may open when it is first used


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, seen from outside."""

    name: str
    pid: int
    socket: str
    port: int

    def address(self, transport: str) -> str:
        """Say where it listens, as the load generator wants it; C{transport} is C{"unix"} or C{"tcp"}."""
        return f"unix:{self.socket}" if transport == "unix" else f"tcp:127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """Return the seconds of CPU that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss(self) -> int:
        """Return its resident memory in bytes."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE

    def descriptors(self) -> int:
        """Return how many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def wait_until_closed(self, descriptors: int) -> None:
        """Wait until it has about C{descriptors} open, so that what it still has to do disturbs no measurement."""
        descriptors += _A_FEW
        deadline = time.monotonic() + _CLOSING
        while self.descriptors() > descriptors:
            if time.monotonic() > deadline:
                raise SystemExit(f"bench: {self.name} does not close the connections of clients that have gone")
            time.sleep(0.01)


def most_descriptors() -> int:
    """Return how many descriptors a process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def allow_most_descriptors() -> None:
    """Allow this process, and those that it starts, as many descriptors as the system does."""
    most = most_descriptors()
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def running_daemon() -> Iterator[Server]:
    """A daemon, ready inside and gone outside."""
    with TemporaryDirectory() as folder:
        path, port = f"{folder}/flom.sock", _free_port()
        arguments = ("--socket-name", path, "--unicast-address", "127.0.0.1", "--unicast-port", str(port))
        with Daemon(*arguments, descriptors=most_descriptors()) as daemon:
            yield Server("daemon", daemon.process.pid, path, port)


@contextmanager
def running_control(slots: int = 0) -> Iterator[Server]:
    """
    A control, ready inside and gone outside.

    @param slots: how many may hold at a time; 0 for the strict control, which grants all requests at once.
    """
    with TemporaryDirectory() as folder:
        path, port = f"{folder}/control.sock", _free_port()
        arguments = [sys.executable, "-m", "tests.tools.bench.control", path, str(port), "--slots", str(slots)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                if process.stdout.readline().strip() != READY:
                    raise SystemExit("bench: the control does not start")
                yield Server("hand-over" if slots else "control", process.pid, path, port)
            finally:
                process.kill()


class Servers:
    """Starts servers when they are first asked for, and ends them all."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self._daemon: Server | None = None
        self._controls: dict[int, Server] = {}

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @property
    def daemon(self) -> Server:
        """The one daemon that most is measured with."""
        if self._daemon is None:
            self._daemon = self._running.enter_context(running_daemon())
        return self._daemon

    def control(self, slots: int = 0) -> Server:
        """Return the control with so many slots; see L{running_control}."""
        if slots not in self._controls:
            self._controls[slots] = self._running.enter_context(running_control(slots))
        return self._controls[slots]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

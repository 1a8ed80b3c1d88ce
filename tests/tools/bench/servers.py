"""Daemons and controls, each in a process of its own, on a UNIX socket and a TCP port."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.fakes.daemon import Daemon
from tests.fakes.programs import Programs, eventually, free_port
from tests.tools.bench.builds import OUR_BUILD, OURS, PEER, VS, Build
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
def running_daemon(build: Build = OUR_BUILD, *more: str) -> Iterator[Server]:
    """
    A daemon of ours or of another checkout, ready inside and gone outside.

    @param more: further options.
    """
    with TemporaryDirectory() as folder:
        path, port = f"{folder}/flom.sock", free_port()
        arguments = ("--socket-name", path, "--unicast-address", "127.0.0.1", "--unicast-port", str(port))
        # other checkouts may not know --reservation; a daemon that ends in good order leaves none
        with Daemon(*arguments, *more, descriptors=most_descriptors(), reserves=True, programs=build.bin) as daemon:
            try:
                yield Server("daemon" if build.name == OURS else build.name, daemon.process.pid, path, port)
            finally:
                daemon.stop()


@contextmanager
def running_peer(build: Build, transport: str) -> Iterator[Server]:
    """
    The daemon of another FLoM, ready inside and gone outside.

    @param transport: C{"unix"} or C{"tcp"}; FLoM's daemon listens at one of them only.
    """
    with TemporaryDirectory() as folder, Programs() as programs:
        path, port = f"{folder}/flom.sock", free_port()
        at = ["-s", path] if transport == "unix" else ["-a", "127.0.0.1", "-p", str(port)]
        started = programs.start_program(str(build.program("flom")), *at, "-d", "-1", "--", "true").finish()
        if started.returncode:
            raise SystemExit(f"bench: the daemon of {build.bin} does not start: {started.stderr.strip()}")
        eventually(lambda: len(programs.daemons()) == 1, "one daemon")  # its parents end, one after another
        [pid] = programs.daemons()
        yield Server(PEER, pid, path, port)


@contextmanager
def running_control(slots: int = 0) -> Iterator[Server]:
    """
    A control, ready inside and gone outside.

    @param slots: how many may hold at a time; 0 for the strict control, which grants all requests at once.
    """
    with TemporaryDirectory() as folder:
        path, port = f"{folder}/control.sock", free_port()
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

    def __init__(self, builds: Sequence[Build]) -> None:
        """
        @param builds: what is measured.
        """
        self._builds = {build.name: build for build in builds}
        self._running = ExitStack()
        self._daemons: dict[str, Server] = {}
        self._controls: dict[int, Server] = {}

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End all of them; they are started anew when they are asked for."""
        self._running.close()
        self._daemons.clear()
        self._controls.clear()

    @property
    def daemon(self) -> Server:
        """The one daemon that most is measured with."""
        return self._daemon_of(self._builds[OURS])

    @property
    def others(self) -> list[Server]:
        """The daemon of the checkout of C{--vs}, if there is one."""
        return [self._daemon_of(build) for name, build in self._builds.items() if name == VS]

    def peer(self, transport: str) -> AbstractContextManager[Server | None]:
        """Return the daemon of FLOM_PEER, if there is one, as a context manager; see L{running_peer}."""
        build = self._builds.get(PEER)
        return nullcontext() if build is None else running_peer(build, transport)

    def control(self, slots: int = 0) -> Server:
        """Return the control with so many slots; see L{running_control}."""
        if slots not in self._controls:
            self._controls[slots] = self._running.enter_context(running_control(slots))
        return self._controls[slots]

    def _daemon_of(self, build: Build) -> Server:
        if build.name not in self._daemons:
            self._daemons[build.name] = self._running.enter_context(running_daemon(build))
        return self._daemons[build.name]

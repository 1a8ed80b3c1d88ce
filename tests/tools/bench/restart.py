"""How soon 10,000 holders have their locks again when the daemon is killed and started anew, and others are served."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from select import EPOLLIN, EPOLLOUT, epoll
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from flom.core.modes import LockMode
from flom.core.protocol.connection import ClientConnection
from flom.core.protocol.events import Granted, Refused
from flom.core.protocol.messages import Lock
from flom.net.holding import Holding, files_for
from tests.fakes.daemon import Daemon
from tests.fakes.programs import free_port
from tests.tools.bench.report import Bench
from tests.tools.bench.servers import most_descriptors

HOLDERS: Final = 10_000
LIMIT: Final = 5.0
"""Seconds from SIGKILL until the last one is back; the start of the next daemon is among them."""

_MOST_ROUNDS: Final = 3
_PATIENCE: Final = 60.0  # seconds without any progress
_RETRY: Final = 0.02  # seconds until the next attempt while no daemon listens, or its queue of connections is full

Address = str | tuple[str, int]


class Holder:
    """
    One lock of many, and the connection by which it is asked for or held.

    @ivar granted: what was granted last.
    """

    __slots__ = ("_connected", "_connection", "_name", "granted")

    def __init__(self, name: str) -> None:
        self._name = name
        self._connected: socket.socket | None = None
        self._connection = ClientConnection()
        self.granted: Granted | None = None

    def connect(self, address: Address) -> socket.socket:
        """Begin a new connection; C{OSError} is raised if there is no daemon yet, or it is crowded."""
        self.close()
        self._connected = connected = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        connected.setblocking(False)
        try:
            connected.connect(address)
        except BlockingIOError:
            if isinstance(address, str):
                raise
        return connected

    def ask(self) -> None:
        """Ask for the lock, or to have it again; C{ConnectionError} is raised if there is no connection."""
        assert self._connected is not None
        if problem := self._connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise ConnectionError(problem)
        message = Lock(self._name, LockMode.EX, wait=True, create=True, extended=True)
        if self.granted is not None:
            granted, session = self.granted, self._connection.session if self.granted.proof else ""
            message = message.replace(
                wait=False, regains=True, token=granted.token or 0, proof=granted.proof, session=session
            )
        self._connection = ClientConnection()
        self._connected.sendall(self._connection.lock(message))

    def hear(self) -> str | None:
        """
        Hear what the daemon says.

        @return: the start of the daemon that has granted the lock; C{None} if it has not yet.
        """
        assert self._connected is not None
        if not (data := self._connected.recv(4096)):
            raise SystemExit(f"bench: the daemon has closed the connection of {self._name}")
        for event in self._connection.receive(data):
            if isinstance(event, Refused):
                raise SystemExit(f"bench: {self._name} is refused to its holder: {event}")
            if isinstance(event, Granted):
                self.granted = event
                return self._connection.start
        return None

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connected is not None:
            self._connected.close()


class Holders:
    """A program that holds many locks, each by a connection of its own; they come back as fast as they can."""

    def __init__(self, address: Address, names: Sequence[str]) -> None:
        self._address = address
        self._holders = [Holder(name) for name in names]
        self._holding: Holding | None = None

    def acquire(self) -> None:
        """Connect, ask for all locks, or for all of them again, and wait until they are granted."""
        waiting = list(reversed(self._holders))  # for a connection
        asked: dict[int, Holder] = {}  # by descriptors
        begun = time.monotonic()
        starts = set()
        with epoll() as poller:
            while waiting or asked:
                while waiting:
                    try:
                        connecting = waiting[-1].connect(self._address)
                    except OSError:  # there is no daemon yet, or it is crowded
                        break
                    asked[connecting.fileno()] = waiting.pop()
                    poller.register(connecting, EPOLLOUT)
                for descriptor, event in poller.poll(_RETRY if waiting else 1.0):
                    begun = time.monotonic()
                    holder = asked[descriptor]
                    if event & EPOLLIN:
                        if start := holder.hear():
                            starts.add(start)
                            poller.unregister(descriptor)
                            del asked[descriptor]
                        continue
                    try:
                        holder.ask()
                        poller.modify(descriptor, EPOLLIN)
                    except ConnectionError:
                        poller.unregister(descriptor)
                        waiting.append(asked.pop(descriptor))
                if time.monotonic() - begun > _PATIENCE:
                    raise SystemExit(f"bench: {len(waiting) + len(asked)} of {len(self._holders)} have no lock")
        [start] = starts
        self._hold(start)

    def close(self) -> None:
        """Release all locks."""
        for holder in self._holders:
            holder.close()
        if self._holding is not None:
            self._holding.release()

    def _hold(self, start: str) -> None:
        """Lock the holders file of the daemon of this C{start}, and leave that of the last one."""
        path = self._address if isinstance(self._address, str) else ""
        former = self._holding
        for file in files_for(self._address, path, start):
            with suppress(OSError):
                self._holding = Holding(file)
                break
        assert self._holding is not former
        if former is not None:
            former.release()


def restart(transport: str, number: int) -> tuple[float, float]:
    """Return the seconds from SIGKILL until all holders, C{number} of them, are back, and until another is served."""
    with TemporaryDirectory() as folder:
        path, port = str(Path(folder) / "flom.sock"), free_port()
        words = ["--socket-name", path, "--unicast-address", "127.0.0.1", "--unicast-port", str(port)]
        daemon = Daemon(*words, "--state", folder, descriptors=most_descriptors(), reserves=True)
        address: Address = path if transport == "unix" else ("127.0.0.1", port)
        holders = Holders(address, [f"held{number}" for number in range(number)])
        with daemon:
            holders.acquire()
            daemon.process.kill()
            killed = time.monotonic()
            daemon.process.communicate(timeout=30)
            daemon.__enter__()
            holders.acquire()
            back = time.monotonic() - killed
            other = Holders(address, ["other"])
            other.acquire()
            served = time.monotonic() - killed
            holders.close()
            other.close()
            daemon.stop()
        return back, served


def measure_restart(bench: Bench) -> None:
    """A daemon that holds 10,000 locks is killed; soon, the next one holds them, and grants others."""
    report = bench.report
    report.say(f"\nrestart: {HOLDERS} holders, whose daemon is killed and started anew at once")
    results = report.results["restart"] = {}
    for transport in bench.transports:
        runs = [restart(transport, HOLDERS) for _ in range(min(bench.rounds, _MOST_ROUNDS))]
        back, served = [run[0] for run in runs], [run[1] for run in runs]
        flag = report.judge(f"restart over {transport}: seconds until the last holder is back", max(back), most=LIMIT)
        report.say(
            f"  {transport:4}: all are back after {median(back):.2f} s (median), {max(back):.2f} s (longest){flag}; "
            f"others are served after {median(served):.2f} s"
        )
        results[transport] = {"back": back, "served": served}

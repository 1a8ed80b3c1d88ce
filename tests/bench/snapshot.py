"""
How long a snapshot of the daemon holds up grants, while 10,000 wait: C{make bench}.

One client locks and unlocks a resource of its own, again and again; every now and then somebody asks for the status.
What is told is the longest of the one client's waits in which a snapshot fell, beside those without.
"""

from __future__ import annotations

import resource
import socket
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

from flom.client.status import open_status
from flom.config import Config
from flom.core.messages import Lock, Unlock
from flom.core.modes import LockMode
from flom.core.wire import END_OF_MESSAGE, encode
from tests.daemon import Daemon

WAITERS: Final = 10_000
SNAPSHOTS: Final = 20
LIMIT: Final = 0.05
"""Seconds that a snapshot may hold up a grant."""

QUEUED: Final = encode(Lock("crowd", LockMode.EX, wait=True, create=True))
ROUND: Final = encode(Lock("own", LockMode.EX, wait=True, create=True)) + encode(Unlock("own"))


def connect(path: str) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX)
    connected.connect(path)
    return connected


def hear(connected: socket.socket) -> None:
    """Wait for one message."""
    heard = b""
    while END_OF_MESSAGE not in heard:
        heard += connected.recv(4096)


def measure(path: str) -> tuple[list[float], list[float]]:
    """Give the seconds that rounds took without a snapshot, and the longest during each snapshot."""
    own = connect(path)

    def rounds(is_over: Callable[[list[float]], bool]) -> list[float]:
        took: list[float] = []
        while not is_over(took):
            began = perf_counter()
            own.sendall(ROUND)
            hear(own)
            took.append(perf_counter() - began)
        return took

    ours, theirs = Pipe()
    asker = Process(target=ask, args=(path, theirs), daemon=True)
    asker.start()
    ours.recv()
    undisturbed, disturbed = rounds(lambda took: len(took) == 2000), []
    for _ in range(SNAPSHOTS):
        ours.send("now")
        disturbed.append(max(rounds(lambda took: ours.poll())))
        ours.recv()
    asker.kill()
    return undisturbed, disturbed


def ask(path: str, told: Connection) -> None:
    """Ask for the status, in a process of its own, whenever something comes by C{told}; then say so."""
    with open_status(Config(socket_name=path), print) as reader:
        while True:
            told.send("ready")
            told.recv()
            reader.read()


def main() -> int:
    """Measure, and tell whether it is little enough."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "flom.sock")
        with Daemon("--socket-name", path, descriptors=most):
            waiters = []
            for _ in range(WAITERS):
                waiters.append(connect(path))
                waiters[-1].sendall(QUEUED)
                hear(waiters[-1])
            undisturbed, disturbed = measure(path)
    print(f"{WAITERS} waiters, a round of lock, grant and unlock:")
    print(
        f"  without a snapshot  median {median(undisturbed) * 1000:7.2f} ms, longest {max(undisturbed) * 1000:7.2f} ms"
    )
    print(f"  during a snapshot   median {median(disturbed) * 1000:7.2f} ms, longest {max(disturbed) * 1000:7.2f} ms")
    is_little = max(disturbed) < LIMIT
    print(f"  a snapshot holds up grants for {'less' if is_little else 'MORE'} than {LIMIT * 1000:.0f} ms")
    return 0 if is_little else 1


if __name__ == "__main__":
    sys.exit(main())

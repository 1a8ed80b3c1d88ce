"""
How long a snapshot of the daemon holds up grants, while 10,000 wait.

One client locks and unlocks a resource of its own, again and again; every now and then another client asks for the
status. The result is the longest wait of the one client during a snapshot, beside its waits without one.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from statistics import median
from time import perf_counter
from typing import Final

from flom.client.blocking.status import open_status
from flom.config import Config
from flom.core.modes import LockMode
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import END_OF_MESSAGE
from flom.core.protocol.messages import Lock, Unlock
from tests.tools.bench.report import Bench
from tests.tools.bench.servers import running_daemon

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


def hear(connected: socket.socket) -> bytes:
    """Wait for one message; return it, with what has come behind it."""
    heard = b""
    while END_OF_MESSAGE not in heard:
        if not (more := connected.recv(4096)):
            raise SystemExit(f"bench: a connection ended after {heard!r}")
        heard += more
    return heard


def measure(path: str) -> tuple[list[float], list[float]]:
    """Return the seconds that rounds took without a snapshot, and the longest during each snapshot."""
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


def measure_snapshot(bench: Bench) -> None:
    """A snapshot holds up grants for little time, however much there is to show."""
    report = bench.report
    with running_daemon() as daemon, ExitStack() as waiters:
        for _ in range(WAITERS):
            waiter = waiters.enter_context(connect(daemon.socket))
            waiter.sendall(QUEUED)
            hear(waiter)
        undisturbed, disturbed = measure(daemon.socket)
    flag = report.judge("snapshot: longest ms that one holds up a grant", max(disturbed) * 1000, most=LIMIT * 1000)
    report.say(f"\nsnapshot: {WAITERS} waiters, a round of lock, grant and unlock")
    for when, took, note in (("without a snapshot", undisturbed, ""), ("during a snapshot", disturbed, flag)):
        middle, longest = median(took) * 1000, max(took) * 1000
        report.say(f"  {when:18}  median {middle:7.2f} ms, longest {longest:7.2f} ms{note}")
    report.results["snapshot"] = {"waiters": WAITERS, "without": undisturbed, "during": disturbed}

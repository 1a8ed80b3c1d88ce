"""Statuses of an arbiter in this process."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock

from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.snapshot import take_status
from flom.status.model import QuorumStatus, Status


def make_status(*names: str, quorum: Callable[[], QuorumStatus | None] = lambda: None) -> Status:
    """Return the status of an arbiter that was asked for C{names}; R9 waits until it is created."""
    arbiter = DeferredArbiter(Clock())
    for name in names:
        arbiter.acquire(name, create=name != "R9")
    return take_status(arbiter, Counters(started=0.0, quorum=quorum))

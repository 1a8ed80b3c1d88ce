"""What an arbiter holds, as a value that others may see."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from socket import gethostname
from time import monotonic
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator
from twisted.python.failure import Failure

from flom._version import __version__
from flom.core.locks.snapshot import LockView, ResourceView
from flom.core.locks.statistics import BOUNDS, Histogram
from flom.core.names import parse_name
from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.status.deadlocks import Search
from flom.status.json import json_pieces
from flom.status.model import (
    Counts,
    DaemonStatus,
    DoneStatus,
    LockStatus,
    LostStatus,
    ResourceStatus,
    Status,
    ValueStatus,
)

_PIECE: Final = 500
"""Locks that are looked at in one turn of the reactor."""

_TURN: Final = 0.01
"""Seconds after which a turn of the reactor is over in which a status is written."""


def take_status(arbiter: DeferredArbiter, counters: Counters, key: str | None = None) -> Status:
    """Return what C{arbiter} holds, in time proportional to that; C{key} is that of the only resource to show."""
    with _no_garbage_collection():
        *_, status = take_in_turns(arbiter, counters, key)
    assert status is not None
    return status


def take_in_turns(arbiter: DeferredArbiter, counters: Counters, key: str | None = None) -> Iterator[Status | None]:
    """
    Read the status of this moment in turns of at most 500 locks: yield C{None} after each, and the status in the end.

    Clients that leave in the meantime are left out.
    """
    view, now = arbiter.view(key), arbiter.now().monotonic
    daemon = _daemon(arbiter, counters)
    yield None
    counters.commands.begin()
    resources = []
    for resource in view.resources:
        holders: list[LockStatus] = []
        waiters: list[LockStatus] = []
        for views, locks in ((resource.holders, holders), (resource.waiters, waiters)):
            for start in range(0, len(views), _PIECE):
                locks += _locks(arbiter, counters, views[start : start + _PIECE], now)
                yield None
        resources.append(_resource(resource, tuple(holders), tuple(waiters), now))
    incubator = [lock for claim in view.incubator for lock in _locks(arbiter, counters, [claim], now)]
    status = Status(daemon, tuple(resources), tuple(incubator), values=_values(arbiter, key))
    if key is None:
        counters.outer_pids.begin()
        search = Search(status, counters.outer_pids)
        for _ in search.steps():
            yield None
        status = status.replace(deadlocks=search.circles) if search.circles else status
    yield status


def write_status(
    arbiter: DeferredArbiter, counters: Counters, clock: IReactorTime, key: str | None = None
) -> Deferred[bytes]:
    """Return what C{arbiter} holds at this moment, as JSON that is written in turns."""

    def pieces() -> Iterator[str]:
        for status in take_in_turns(arbiter, counters, key):
            yield from [""] if status is None else json_pieces(status)

    return write_in_turns(clock, pieces())


def write_in_turns(clock: IReactorTime, pieces: Iterable[str]) -> Deferred[bytes]:
    """Return all of C{pieces} in UTF-8, each made in a turn of C{clock}, so that locks are granted in between."""
    written: list[str] = []

    def finish(result: object) -> bytes:
        uncollected.close()
        if isinstance(result, Failure):
            result.raiseException()
        return "".join(written).encode()

    uncollected = ExitStack()
    uncollected.enter_context(_no_garbage_collection())
    cooperator = Cooperator(_turn_timer, scheduler=lambda step: clock.callLater(0, step))
    return cooperator.coiterate(map(written.append, pieces)).addBoth(finish)


def _turn_timer() -> Callable[[], bool]:
    """Return what says whether a turn of L{_TURN} seconds is over; Twisted's own timer reads the wall clock."""
    end = monotonic() + _TURN
    return lambda: monotonic() >= end


class Statuses:
    """Statuses for many clients, written one after another; requests that come while one is written share the next."""

    def __init__(self, arbiter: DeferredArbiter, counters: Counters, clock: IReactorTime) -> None:
        self._arbiter = arbiter
        self._counters = counters
        self._clock = clock
        self._asked: dict[str | None, list[Deferred[bytes]]] = {}
        self._is_writing = False

    def write(self, key: str | None) -> Deferred[bytes]:
        """Return what L{write_status} does; of a later moment if another one is being written. It can be cancelled."""
        waiting = self._asked.setdefault(key, [])
        asked: Deferred[bytes] = Deferred(waiting.remove)
        waiting.append(asked)
        self._write_next()
        return asked

    def _write_next(self) -> None:
        while self._asked and not self._is_writing:
            key, waiting = next(iter(self._asked.items()))
            del self._asked[key]
            if waiting:
                self._is_writing = True
                write_status(self._arbiter, self._counters, self._clock, key).addBoth(self._finish, waiting)

    def _finish(self, made: bytes | Failure, waiting: list[Deferred[bytes]]) -> None:
        self._is_writing = False
        while waiting:
            waiting.pop(0).callback(made)  # a failure too
        self._write_next()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Stop the garbage collector, which runs when many values are made, and would take longer than making them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _daemon(arbiter: DeferredArbiter, counters: Counters) -> DaemonStatus:
    statistics, now = arbiter.statistics, arbiter.now()
    return DaemonStatus(
        __version__,
        gethostname(),
        os.getpid(),
        counters.started,
        now.wall,
        round(now.monotonic - arbiter.began, 3),
        tuple(counters.endpoints),
        counters.group,
        counters.role,
        arbiter.is_draining,
        arbiter.sessions,
        statistics.grants_per_second(now.monotonic),
        Counts(
            statistics.granted,
            {outcome.name.lower(): times for outcome, times in statistics.refused.items()},
            _buckets(statistics.waited),
            round(statistics.waited.total, 6),
            _buckets(statistics.held),
            round(statistics.held.total, 6),
            counters.connections,
            counters.protocol_errors,
            counters.discoveries,
        ),
        arbiter.epoch,
        "" if (state := arbiter.epochs.state) is None else state.path,
        arbiter.state_problem or counters.key_problem,
        None if (left := arbiter.grace_left) is None else round(left, 3),
        counters.quorum(),
    )


def _buckets(histogram: Histogram) -> dict[str, int]:
    return dict(zip([*(f"{bound:g}" for bound in BOUNDS), "inf"], histogram.buckets, strict=True))


def _resource(
    view: ResourceView, holders: tuple[LockStatus, ...], waiters: tuple[LockStatus, ...], now: float
) -> ResourceStatus:
    name = parse_name(view.name)
    return ResourceStatus(
        view.number,
        view.name,
        name.type_name,
        round(now - view.since, 3),
        view.free,
        None if view.idle_until is None else round(max(0.0, view.idle_until - now), 3),
        holders,
        waiters,
        tuple(
            LostStatus(
                lost.number,
                lost.request.name.text,
                lost.request.mode.name if name.has_mode else None,
                lost.request.quantity if name.has_quantity else None,
                lost.element,
                round(max(0.0, lost.until - now), 3),
            )
            for lost in view.lost
        ),
    )


def _values(arbiter: DeferredArbiter, key: str | None) -> tuple[ValueStatus, ...]:
    """Return what is kept of resources beyond their holders; of one alone, if C{key} is its."""
    now = arbiter.now().wall
    return tuple(
        ValueStatus(
            name,
            kept.value,
            tuple(DoneStatus(done.key, round(now - done.at, 3), done.period, done.by) for done in kept.done),
        )
        for name, kept in arbiter.values.view().items()
        if key is None or parse_name(name).key == key
    )


def _locks(arbiter: DeferredArbiter, counters: Counters, views: list[LockView], now: float) -> list[LockStatus]:
    """Return the status of C{views}, all of them on one resource."""
    name = views[0].request.name
    return [
        LockStatus(
            number,
            *peer[:4],
            (held or request).name.text,
            (held or request).mode.name if name.has_mode else None,
            (held or request).quantity if name.has_quantity else None,
            element,
            round(now - since, 3),
            peer.user or (None if peer.uid is None else counters.users.find(peer.uid)),
            peer.command or (counters.commands.find(peer.pid, number, now - since) if peer.pid else None),
            peer.is_in_grace,
            str(token) if token else None,
            () if request.wishes is None else request.wishes.lineage,
            "" if request.wishes is None else request.wishes.nested,
            shares,
            peer.hold,
            beside,
            converts or None,
        )
        for number, request, since, element, token, _, beside, held, shares, converts, _ in views
        if (peer := arbiter.peer(request.session)) is not None
    ]

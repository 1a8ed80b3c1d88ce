"""What an arbiter holds, as a value that others may see."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from socket import gethostname
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator
from twisted.python.failure import Failure

from flom._version import __version__
from flom.core.locks.snapshot import Claim, ResourceView
from flom.core.locks.statistics import BOUNDS, Histogram
from flom.core.names import HierarchicalName, NumericName, SimpleName, parse_name
from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.status.model import TYPES, Counts, DaemonStatus, Party, ResourceStatus, Status

_PIECE: Final = 500
"""Parties that are told of at once."""


def take_status(arbiter: DeferredArbiter, counters: Counters, key: str | None = None) -> Status:
    """
    Tell what C{arbiter} holds, in time proportional to that.

    @param key: of the only resource to tell of; C{None} for all.
    """
    with _nothing_collected():
        *_, status = _take_pieces(arbiter, counters, key)
    assert status is not None
    return status


def write_status(
    arbiter: DeferredArbiter, counters: Counters, clock: IReactorTime, key: str | None = None
) -> Deferred[bytes]:
    """
    Tell what C{arbiter} holds at this moment, as JSON; a little at a time, so that grants may come in between.

    Whoever has gone when it is their turn is left out.

    @param key: see L{take_status}.
    """
    pieces: list[str] = []

    def write() -> Iterator[None]:
        for status in _take_pieces(arbiter, counters, key):
            if status is not None:
                for piece in status.json_pieces():
                    pieces.append(piece)
                    yield
            yield

    def finish(result: object) -> bytes:
        uncollected.close()
        if isinstance(result, Failure):
            result.raiseException()
        return "".join(pieces).encode()

    uncollected = ExitStack()
    uncollected.enter_context(_nothing_collected())
    cooperator = Cooperator(scheduler=lambda step: clock.callLater(0, step))
    return cooperator.coiterate(write()).addBoth(finish)


class Statuses:
    """Statuses for many who ask, written one after another; who asks while one is written shares the next."""

    def __init__(self, arbiter: DeferredArbiter, counters: Counters, clock: IReactorTime) -> None:
        """
        @param clock: has the turns in which work is done.
        """
        self._arbiter = arbiter
        self._counters = counters
        self._clock = clock
        self._asked: dict[str | None, list[Deferred[bytes]]] = {}
        self._is_writing = False

    def write(self, key: str | None) -> Deferred[bytes]:
        """See L{write_status}; the moment is a later one if another status is being written. May be cancelled."""
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
                write_status(self._arbiter, self._counters, self._clock, key).addBoth(self._tell, waiting)

    def _tell(self, made: bytes | Failure, waiting: list[Deferred[bytes]]) -> None:
        self._is_writing = False
        while waiting:
            waiting.pop(0).callback(made)  # a failure too
        self._write_next()


def _take_pieces(arbiter: DeferredArbiter, counters: Counters, key: str | None) -> Iterator[Status | None]:
    """Take the status in pieces, of which the last is the whole."""
    view, now = arbiter.view(key), arbiter.now().monotonic
    daemon = _daemon(arbiter, counters)
    yield None
    resources = []
    for resource in view.resources:
        holders: list[Party] = []
        waiters: list[Party] = []
        for claims, parties in ((resource.holders, holders), (resource.waiters, waiters)):
            for start in range(0, len(claims), _PIECE):
                parties += _parties(arbiter, claims[start : start + _PIECE], now)
                yield None
        resources.append(_resource(resource, tuple(holders), tuple(waiters), now))
    incubator = [party for claim in view.incubator for party in _parties(arbiter, [claim], now)]
    yield Status(daemon, tuple(resources), tuple(incubator))


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Keep Python from looking for garbage, which takes longer than this, because many values are made at once."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _daemon(arbiter: DeferredArbiter, counters: Counters) -> DaemonStatus:
    tally, now = arbiter.tally, arbiter.now()
    return DaemonStatus(
        __version__,
        gethostname(),
        os.getpid(),
        counters.started,
        now.wall,
        tuple(counters.endpoints),
        counters.group,
        counters.role,
        arbiter.sessions,
        tally.grants_per_second(now.monotonic),
        Counts(
            tally.granted,
            {outcome.name.lower(): times for outcome, times in tally.refused.items()},
            _buckets(tally.waited),
            round(tally.waited.total, 6),
            _buckets(tally.held),
            round(tally.held.total, 6),
            counters.connections,
            counters.protocol_errors,
            counters.discoveries,
        ),
    )


def _buckets(histogram: Histogram) -> dict[str, int]:
    return dict(zip([*(f"{bound:g}" for bound in BOUNDS), "inf"], histogram.buckets, strict=True))


def _resource(view: ResourceView, holders: tuple[Party, ...], waiters: tuple[Party, ...], now: float) -> ResourceStatus:
    return ResourceStatus(
        view.number,
        view.name,
        TYPES[parse_name(view.name).type_number],
        round(now - view.since, 3),
        holders,
        waiters,
        view.free,
        None if view.idle_until is None else round(max(0.0, view.idle_until - now), 3),
    )


def _parties(arbiter: DeferredArbiter, claims: list[Claim], now: float) -> list[Party]:
    """Tell who has made C{claims}, all of them to one resource."""
    name = claims[0].request.name
    has_mode, has_quantity = isinstance(name, SimpleName | HierarchicalName), isinstance(name, NumericName)
    return [
        Party(
            number,
            *peer,
            request.name.text,
            request.mode.name if has_mode else None,
            request.quantity if has_quantity else None,
            element,
            round(now - since, 3),
        )
        for number, request, since, element in claims
        if (peer := arbiter.peer(request.session)) is not None
    ]

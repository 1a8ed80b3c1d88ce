"""What an arbiter holds, as a value that others may see."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from socket import gethostname

from flom import __version__
from flom.core.names import HierarchicalName, NumericName, SimpleName, parse_name
from flom.core.tally import BOUNDS, Histogram
from flom.core.view import Claim, ResourceView
from flom.server.arbiter import DeferredArbiter
from flom.status import TYPES, Counts, DaemonStatus, Party, ResourceStatus, Status


@dataclass(slots=True)
class Census:
    """
    What is known of a daemon beside its locks.

    @ivar endpoints: where it listens.
    @ivar group: the multicast group, or the empty string.
    @ivar role: see L{DaemonStatus.role}.
    @ivar connections: how many there were.
    @ivar protocol_errors: how many of them broke the protocol.
    @ivar discoveries: how many questions of its group it was asked.
    """

    started: float = field(default_factory=time.time)
    endpoints: list[str] = field(default_factory=list)
    group: str = ""
    role: str = ""
    connections: int = 0
    protocol_errors: int = 0
    discoveries: int = 0


def take_status(arbiter: DeferredArbiter, census: Census, key: str | None = None) -> Status:
    """
    Tell what C{arbiter} holds, in time proportional to that.

    @param key: of the only resource to tell of; C{None} for all.
    """
    with _nothing_collected():
        view, now = arbiter.view(key), arbiter.now().monotonic
        return Status(
            _daemon(arbiter, census),
            tuple(_resource(arbiter, resource, now) for resource in view.resources),
            tuple(_parties(arbiter, [claim], now)[0] for claim in view.incubator),
        )


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


def _daemon(arbiter: DeferredArbiter, census: Census) -> DaemonStatus:
    tally, now = arbiter.tally, arbiter.now()
    return DaemonStatus(
        __version__,
        gethostname(),
        os.getpid(),
        census.started,
        now.wall,
        tuple(census.endpoints),
        census.group,
        census.role,
        arbiter.sessions,
        tally.grants_per_second(now.monotonic),
        Counts(
            tally.granted,
            {outcome.name.lower(): times for outcome, times in tally.refused.items()},
            _buckets(tally.waited),
            round(tally.waited.total, 6),
            _buckets(tally.held),
            round(tally.held.total, 6),
            census.connections,
            census.protocol_errors,
            census.discoveries,
        ),
    )


def _buckets(histogram: Histogram) -> dict[str, int]:
    return dict(zip([*(f"{bound:g}" for bound in BOUNDS), "inf"], histogram.buckets, strict=True))


def _resource(arbiter: DeferredArbiter, view: ResourceView, now: float) -> ResourceStatus:
    return ResourceStatus(
        view.number,
        view.name,
        TYPES[parse_name(view.name).type_number],
        round(now - view.since, 3),
        _parties(arbiter, view.holders, now),
        _parties(arbiter, view.waiters, now),
        view.free,
        None if view.idle_until is None else round(max(0.0, view.idle_until - now), 3),
    )


def _parties(arbiter: DeferredArbiter, claims: list[Claim], now: float) -> tuple[Party, ...]:
    """Tell who has made C{claims}, all of them to one resource."""
    if not claims:
        return ()
    name = claims[0].request.name
    has_mode, has_quantity = isinstance(name, SimpleName | HierarchicalName), isinstance(name, NumericName)
    peer = arbiter.peer
    return tuple(
        Party(
            number,
            *peer(request.session),
            request.name.text,
            request.mode.name if has_mode else None,
            request.quantity if has_quantity else None,
            element,
            round(now - since, 3),
        )
        for number, request, since, element in claims
    )

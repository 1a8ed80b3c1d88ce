"""
What a daemon holds and has done, for Prometheus.

No resource and no client is a label: there may be any number of them, and Prometheus would keep a series for each of
them for ever. C{/status.json} has the names. So there are some 120 series, and their number never grows.

All is counted anyway, or found when the metrics are asked for: a grant costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from flom._version import __version__
from flom.codes import Outcome
from flom.core.locks.statistics import BOUNDS, Histogram
from flom.core.protocol.messages import Role
from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.snapshot import take_in_turns, write_in_turns
from flom.status.model import LockStatus, QuorumStatus, Status

NO_GROUP: Final = "none"
"""The role of a daemon that is in no group; to Prometheus, an empty label is no label."""

_REASONS: Final = (Outcome.BUSY, Outcome.CANNOT_WAIT, Outcome.IMPOSSIBLE, Outcome.INVALID_TIMESTAMP_FORMAT)

_VERSIONS: Final = ("", "1.0.0")
"""Versions of the formats that a scraper may ask for; text 0.0.4, the default, it need not ask for."""


def take_metrics(arbiter: DeferredArbiter, counters: Counters, clock: IReactorTime) -> Deferred[list[Metric]]:
    """Return what is known of a daemon at this moment, found out in turns of C{clock}."""
    found: list[Metric] = []

    def turns() -> Iterator[str]:
        for status in take_in_turns(arbiter, counters):
            if status is not None:
                found.extend(_families(arbiter, counters, status))
            yield ""

    return write_in_turns(clock, turns()).addCallback(lambda _: found)


def choose_text(accept: bytes) -> tuple[Callable[[list[Metric]], bytes], str]:
    """
    Return what writes metrics in the format that a scraper likes best, and the type of that.

    @param accept: the header of that name.
    """
    write, content_type = choose_encoder(_understood(accept.decode("latin-1")))
    return partial(_write, write), content_type


def _understood(accept: str) -> str:
    """
    Return what C{accept} has of formats that there are, the best first: L{choose_encoder} takes the first one, fails if
    its version is no number, and claims any other version to be what it writes.
    """
    wishes: list[tuple[float, str]] = []
    for wish in accept.split(","):
        kind, *parameters = (part.strip() for part in wish.split(";"))
        said = {name.strip(): value.strip() for name, _, value in (each.partition("=") for each in parameters)}
        try:
            weight = float(said.pop("q", "1"))
        except ValueError:
            continue
        if said.get("version", "") in _VERSIONS and weight > 0:
            wishes.append((-weight, ";".join([kind, *(f"{name}={value}" for name, value in said.items())])))
    return ",".join(wish for _, wish in sorted(wishes, key=lambda pair: pair[0]))


def _write(write: Callable[[Collector], bytes], families: list[Metric]) -> bytes:
    registry = CollectorRegistry(auto_describe=False)  # our own: the global one would mix up daemons in one process
    registry.register(_Found(families))
    return write(registry)


class _Found(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families(arbiter: DeferredArbiter, counters: Counters, status: Status) -> Iterator[Metric]:
    statistics, resources = arbiter.statistics, status.resources
    yield InfoMetricFamily("flom", "The daemon.", value={"version": __version__})
    yield GaugeMetricFamily("flom_start_time_seconds", "When the daemon began.", value=counters.started)
    yield _roles(counters.role)
    yield GaugeMetricFamily("flom_resources", "Resources that are remembered.", value=len(resources))
    holders = [lock for resource in resources for lock in resource.holders]
    yield GaugeMetricFamily("flom_holders", "Locks that are held.", value=len(holders))
    waiters = [lock for resource in resources for lock in resource.waiters]
    yield GaugeMetricFamily("flom_waiters", "Requests that wait for a lock.", value=len(waiters))
    incubated = "Requests that wait for a resource to be made."
    yield GaugeMetricFamily("flom_incubated", incubated, value=len(status.incubator))
    wait = "How long the waiter has waited that waits for the longest time; 0 if there is none."
    yield GaugeMetricFamily("flom_oldest_wait_seconds", wait, value=_longest(waiters))
    hold = "How long the lock has been held that is held for the longest time; 0 if there is none."
    yield GaugeMetricFamily("flom_oldest_hold_seconds", hold, value=_longest(holders))
    deadlocks = "Circles of processes that wait for each other's locks, and will do so for ever."
    yield GaugeMetricFamily("flom_deadlocks", deadlocks, value=len(status.deadlocks))
    yield GaugeMetricFamily("flom_connections", "Clients that are connected.", value=arbiter.sessions)
    broken = "Clients whose connection is broken, and which may come back."
    yield GaugeMetricFamily("flom_sessions_in_grace", broken, value=arbiter.sessions_in_grace)
    grace = "1 while only those are served that held a lock of the daemon before."
    yield GaugeMetricFamily("flom_in_grace", grace, value=int(arbiter.is_in_grace))
    draining = "1 while the daemon grants nothing more, because it ends when nothing is held."
    yield GaugeMetricFamily("flom_draining", draining, value=int(arbiter.is_draining))
    problem = "1 while something is not remembered in the state directory that should be."
    yield GaugeMetricFamily("flom_state_problem", problem, value=int(bool(status.daemon.state_problem)))
    if (quorum := status.daemon.quorum) is not None:
        yield from _quorum(quorum)
    opened = "Connections of clients so far."
    yield CounterMetricFamily("flom_connections_opened", opened, value=counters.connections)
    yield CounterMetricFamily("flom_grants", "Locks granted.", value=statistics.granted)
    yield _refusals(statistics.refused)
    withdrawals = "Requests withdrawn while they waited, by what the client has said, or gone if it said nothing."
    yield _by_reason("flom_withdrawals", withdrawals, statistics.withdrawn.items())
    lost = "Locks that ended while their holder may still have used them, as far as the daemon knows."
    yield _by_reason("flom_lost_locks", lost, statistics.lost.items())
    breaches = "Connections closed because they broke the protocol."
    yield CounterMetricFamily("flom_protocol_errors", breaches, value=counters.protocol_errors)
    questions = "Questions asked of its group that it has heard."
    yield CounterMetricFamily("flom_discovery_requests", questions, value=counters.discoveries)
    yield _histogram("flom_wait_seconds", "From request to grant.", statistics.waited)
    yield _histogram("flom_hold_seconds", "From grant to release.", statistics.held)
    yield from ProcessCollector(registry=None).collect()
    yield from PlatformCollector(registry=None).collect()


def _longest(locks: list[LockStatus]) -> float:
    return max((lock.seconds for lock in locks), default=0.0)


def _quorum(quorum: QuorumStatus) -> Iterator[Metric]:
    """Write what is known of a quorum, which most daemons do not have."""
    granting = "1 while this daemon, of those under the quorum, grants locks."
    yield GaugeMetricFamily("flom_quorum_granting", granting, value=int(quorum.granting))
    has_leader = "1 if this daemon knows which one leads."
    yield GaugeMetricFamily("flom_quorum_has_leader", has_leader, value=int(bool(quorum.leader)))
    lease = "Seconds until this daemon stops if it hears nothing of etcd; 0 if it does not lead."
    yield GaugeMetricFamily("flom_quorum_lease_seconds", lease, value=quorum.lease_left or 0.0)
    well = sum(not problem for problem in quorum.etcd.values())
    yield GaugeMetricFamily("flom_quorum_endpoints_well", "Endpoints of etcd whose last answer was good.", value=well)
    yield GaugeMetricFamily("flom_quorum_endpoints", "Endpoints of etcd.", value=len(quorum.etcd))


def _roles(present: str) -> Metric:
    family = GaugeMetricFamily("flom_role", "What the daemon is to its group: 1 for its role.", labels=["role"])
    for role in (NO_GROUP, *(role.value for role in Role)):
        family.add_metric([role], float(role == (present or NO_GROUP)))
    return family


def _by_reason(name: str, documentation: str, counts: Iterable[tuple[str, int]]) -> Metric:
    """Count by reason; every reason is there from the start, so that its first one shows as an increase."""
    family = CounterMetricFamily(name, documentation, labels=["reason"])
    for reason, times in counts:
        family.add_metric([str(reason)], times)
    return family


def _refusals(refused: Mapping[Outcome, int]) -> Metric:
    counts = dict.fromkeys(_REASONS, 0) | dict(refused)
    by_name = ((outcome.name.lower(), times) for outcome, times in counts.items())
    return _by_reason("flom_refusals", "Requests refused.", by_name)


def _histogram(name: str, documentation: str, histogram: Histogram) -> Metric:
    """Write C{histogram}; each of Prometheus' buckets counts those below it too."""
    bounds = [floatToGoString(bound) for bound in (*BOUNDS, float("inf"))]
    cumulative = [float(times) for times in accumulate(histogram.buckets)]
    return HistogramMetricFamily(
        name, documentation, buckets=list(zip(bounds, cumulative, strict=True)), sum_value=histogram.total
    )

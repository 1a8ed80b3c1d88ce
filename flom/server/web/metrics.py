"""
What a daemon holds and has done, for Prometheus.

No resource and no client is a label: there may be any number of them, and Prometheus would keep a series for each of
them for ever. C{/status.json} has the names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from flom._version import __version__
from flom.codes import Outcome
from flom.core.locks.statistics import BOUNDS, Histogram
from flom.core.protocol.messages import Role
from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.status.model import QuorumStatus

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"  # OpenMetrics has no flom_connections beside a _total

NO_GROUP: Final = "none"
"""The role of a daemon that is in no group; to Prometheus, an empty label is no label."""

_REASONS: Final = (Outcome.BUSY, Outcome.CANNOT_WAIT, Outcome.IMPOSSIBLE, Outcome.INVALID_TIMESTAMP_FORMAT)


def write_metrics(arbiter: DeferredArbiter, counters: Counters) -> bytes:
    """Write what is known of a daemon in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)  # our own: the global one would mix up daemons in one process
    registry.register(_Collector(arbiter, counters))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, arbiter: DeferredArbiter, counters: Counters) -> None:
        self._arbiter = arbiter
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        counters, statistics, view = self._counters, self._arbiter.statistics, self._arbiter.view()
        holders = sum(len(resource.holders) for resource in view.resources)
        waiters = sum(len(resource.waiters) for resource in view.resources)
        yield InfoMetricFamily("flom", "The daemon.", value={"version": __version__})
        yield GaugeMetricFamily("flom_start_time_seconds", "When the daemon began.", value=counters.started)
        yield _roles(counters.role)
        yield GaugeMetricFamily("flom_resources", "Resources that are remembered.", value=len(view.resources))
        yield GaugeMetricFamily("flom_holders", "Locks that are held.", value=holders)
        yield GaugeMetricFamily("flom_waiters", "Requests that wait for a lock.", value=waiters)
        yield GaugeMetricFamily(
            "flom_incubated", "Requests that wait for a resource to be made.", value=len(view.incubator)
        )
        yield GaugeMetricFamily("flom_connections", "Clients that are connected.", value=self._arbiter.sessions)
        yield GaugeMetricFamily(
            "flom_sessions_in_grace",
            "Clients whose connection is broken, and which may come back.",
            value=self._arbiter.sessions_in_grace,
        )
        yield GaugeMetricFamily(
            "flom_in_grace",
            "1 while only those are served that held a lock of the daemon before.",
            value=int(self._arbiter.is_in_grace),
        )
        if (quorum := counters.quorum()) is not None:
            yield from _quorum(quorum)
        yield CounterMetricFamily("flom_connections", "Connections of clients so far.", value=counters.connections)
        yield CounterMetricFamily("flom_grants", "Locks granted.", value=statistics.granted)
        yield _refusals(statistics.refused)
        yield CounterMetricFamily(
            "flom_protocol_errors",
            "Connections closed because they broke the protocol.",
            value=counters.protocol_errors,
        )
        yield CounterMetricFamily(
            "flom_discovery_requests", "Questions asked of its group that it has heard.", value=counters.discoveries
        )
        yield _histogram("flom_wait_seconds", "From request to grant.", statistics.waited)
        yield _histogram("flom_hold_seconds", "From grant to release.", statistics.held)


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


def _refusals(refused: Mapping[Outcome, int]) -> Metric:
    """Count refusals; every reason is there from the start, so that its first one shows as an increase."""
    family = CounterMetricFamily("flom_refusals", "Requests refused.", labels=["reason"])
    for outcome, times in (dict.fromkeys(_REASONS, 0) | dict(refused)).items():
        family.add_metric([outcome.name.lower()], times)
    return family


def _histogram(name: str, documentation: str, histogram: Histogram) -> Metric:
    """Write C{histogram}; each of Prometheus' buckets counts those below it too."""
    bounds = [floatToGoString(bound) for bound in (*BOUNDS, float("inf"))]
    cumulative = [float(times) for times in accumulate(histogram.buckets)]
    return HistogramMetricFamily(
        name, documentation, buckets=list(zip(bounds, cumulative, strict=True)), sum_value=histogram.total
    )

"""The metrics, as Prometheus reads them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flom.core.locks.statistics import BOUNDS
from flom.core.protocol.messages import Role
from flom.server.snapshot import take_status
from flom.status.model import QuorumStatus
from tests.fakes.web import Web, lock_some


def test_metrics_tell_what_the_snapshot_tells(web: Web) -> None:
    lock_some(web)
    web.counters.connections, web.counters.protocol_errors, web.counters.discoveries = 12, 3, 4
    status, metrics = take_status(web.arbiter, web.counters), web.metrics()
    counts = status.daemon.counts
    assert metrics[f"flom_info{{version={status.daemon.version}}}"] == 1
    assert metrics["flom_start_time_seconds"] == 1000.5
    assert metrics["flom_resources"] == len(status.resources) == 2
    assert metrics["flom_holders"] == sum(len(resource.holders) for resource in status.resources) == 2
    assert metrics["flom_waiters"] == sum(len(resource.waiters) for resource in status.resources) == 2
    assert metrics["flom_incubated"] == len(status.incubator) == 1
    assert metrics["flom_connections"] == status.daemon.connected == 5
    assert metrics["flom_connections_total"] == 12
    assert metrics["flom_protocol_errors_total"] == 3
    assert metrics["flom_discovery_requests_total"] == 4
    assert metrics["flom_grants_total"] == counts.granted == 3
    assert metrics["flom_refusals_total{reason=busy}"] == counts.refused["busy"] == 1
    assert metrics["flom_refusals_total{reason=impossible}"] == counts.refused["impossible"] == 1
    assert metrics["flom_refusals_total{reason=cannot_wait}"] == 0
    assert metrics["flom_wait_seconds_count"] == 3
    assert metrics["flom_wait_seconds_sum"] == counts.waited_seconds == 0.7
    assert metrics["flom_hold_seconds_count"] == 1
    assert metrics["flom_hold_seconds_sum"] == counts.held_seconds == 0.7


def test_buckets_count_those_below_them_too(web: Web) -> None:
    lock_some(web)
    metrics = web.metrics()
    waits = {bound: metrics[f"flom_wait_seconds_bucket{{le={bound}}}"] for bound in (*BOUNDS, "+Inf")}
    assert list(waits.values()) == [2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3]


def test_no_name_of_a_resource_is_a_label(web: Web) -> None:
    web.arbiter.acquire("secret")
    assert b"secret" not in web.ask("/metrics").body


def test_there_are_metrics_of_a_quorum_if_there_is_one(web: Web) -> None:
    assert not [name for name in web.metrics() if name.startswith("flom_quorum")]
    etcd = {"http://h1:2379": "", "http://h2:2379": "it does not answer"}
    web.counters.quorum = lambda: QuorumStatus("host-a", None, 7, True, 1.5, (), etcd, "")
    web.clock.advance(10)  # they are kept for a moment
    metrics = web.metrics()
    assert metrics["flom_quorum_granting"] == metrics["flom_quorum_has_leader"] == 1
    assert metrics["flom_quorum_lease_seconds"] == 1.5
    assert (metrics["flom_quorum_endpoints_well"], metrics["flom_quorum_endpoints"]) == (1, 2)


@pytest.mark.parametrize("role", ["", *(role.value for role in Role)])
def test_one_role_is_the_present_one(web: Web, role: str) -> None:
    web.counters.role = role
    present = {name: value for name, value in web.metrics().items() if name.startswith("flom_role")}
    assert len(present) == 1 + len(Role)
    assert [name for name, value in present.items() if value] == [f"flom_role{{role={role or 'none'}}}"]


def test_a_grace_period_is_told(web: Web) -> None:
    web.arbiter.begin_grace(10.0)
    assert web.metrics()["flom_in_grace"] == 1
    web.clock.advance(10.0)
    assert web.metrics()["flom_in_grace"] == 0


def test_sessions_whose_connections_are_broken_are_counted(web: Web) -> None:
    session = web.arbiter.open(lambda effect: None)
    web.arbiter.suspend(session, lambda effect: None)
    metrics = web.metrics()
    assert (metrics["flom_sessions_in_grace"], metrics["flom_connections"]) == (1, 0)


def test_two_daemons_in_one_process_do_not_mix(web: Web) -> None:
    other = Web()
    other.arbiter.acquire("backup")
    assert (web.metrics()["flom_holders"], other.metrics()["flom_holders"]) == (0, 1)


def test_without_http_its_libraries_are_not_imported() -> None:
    libraries = "{'prometheus_client', 'twisted.web', 'flom.server.web'}"
    code = f"import sys, flom.tap; sys.exit(bool({libraries} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

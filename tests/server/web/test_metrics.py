"""The metrics, as Prometheus reads them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable

import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as text_parser

from flom.core.locks.statistics import BOUNDS, Loss
from flom.core.protocol.messages import Role, WhyWithdrawn
from flom.server.snapshot import take_status
from flom.status.model import QuorumStatus
from tests.fakes.sessions import Session
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
    assert metrics["flom_connections_opened_total"] == 12
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


PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
    "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
"""What Prometheus 3 accepts."""

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT_1 = "text/plain; version=1.0.0; charset=utf-8"
TEXT_0 = "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        (None, TEXT_0),
        ("", TEXT_0),
        ("*/*", TEXT_0),
        ("text/html", TEXT_0),
        ("text/plain", TEXT_0),
        ("text/plain;version=0.0.4", TEXT_0),
        ("text/plain;version=1.0.0", f"{TEXT_1}; escaping=underscores"),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", f"{TEXT_1}; escaping=allow-utf-8"),
        ("application/openmetrics-text; version=1.0.0", f"{OPENMETRICS}; escaping=underscores"),
        (PROMETHEUS, f"{OPENMETRICS}; escaping=allow-utf-8"),
        ("application/openmetrics-text;version=1.0.0;q=0,*/*", TEXT_0),
        (
            "application/openmetrics-text;version=1.0.0;q=0.1,text/plain;version=1.0.0",
            f"{TEXT_1}; escaping=underscores",
        ),
        ("application/openmetrics-text;version=99.0.0,text/plain;version=0.0.4", TEXT_0),
        ("text/plain;version=new", TEXT_0),
        ("application/openmetrics-text;version=1.0.0;q=much", TEXT_0),
        (";;,=;q=,\xff", TEXT_0),
    ],
)
def test_the_format_is_the_one_that_the_scraper_likes_best(web: Web, accept: str | None, answer: str) -> None:
    reply = web.ask("/metrics", accept=accept)
    assert (reply.code, reply.headers["content-type"], reply.headers["vary"]) == (200, answer, "accept")
    assert reply.body.endswith(b"# EOF\n") == answer.startswith("application/")


def test_both_formats_say_the_same(web: Web) -> None:
    lock_some(web)
    openmetrics = web.ask("/metrics", accept=PROMETHEUS).body.decode()
    text = web.ask("/metrics", accept="text/plain;version=1.0.0").body.decode()
    assert samples_of(openmetrics_parser(openmetrics)) == samples_of(text_parser(text))


def test_promtool_has_nothing_to_complain_of(web: Web) -> None:
    lock_some(web)
    for quorum in (None, QuorumStatus("host-a", None, 7, True, 1.5, (), {}, "")):
        web.counters.quorum = lambda quorum=quorum: quorum  # type: ignore[misc]
        web.clock.advance(10)
        body = web.ask("/metrics").body
        ours = b"".join(line + b"\n" for line in body.splitlines() if b"python_info" not in line)  # which has no unit
        checked = subprocess.run(["promtool", "check", "metrics"], input=ours, capture_output=True, timeout=30)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_the_oldest_wait_and_the_oldest_lock_are_told(web: Web) -> None:
    assert (web.metrics()["flom_oldest_wait_seconds"], web.metrics()["flom_oldest_hold_seconds"]) == (0, 0)
    web.arbiter.acquire("first")
    web.clock.advance(5)
    web.arbiter.acquire("second")
    web.clock.advance(2)
    web.arbiter.acquire("first")
    web.clock.advance(3)
    web.arbiter.acquire("second")
    web.arbiter.acquire("to come", create=False).addErrback(lambda _: None)
    metrics = web.metrics()
    assert (metrics["flom_oldest_wait_seconds"], metrics["flom_oldest_hold_seconds"]) == (3, 10)


def test_deadlocks_are_counted(web: Web) -> None:
    first, second = Session(web.arbiter), Session(web.arbiter)  # a session each, but of one process: see below
    first.ask("R1"), second.ask("R2")
    assert web.metrics()["flom_deadlocks"] == 0
    first.ask("R2"), second.ask("R1")
    web.clock.advance(10)
    status = take_status(web.arbiter, web.counters)
    assert web.metrics()["flom_deadlocks"] == len(status.deadlocks) == 1


def test_every_reason_of_a_withdrawal_or_a_loss_is_there_from_the_start(web: Web) -> None:
    metrics = web.metrics()
    for reason in WhyWithdrawn:
        assert metrics[f"flom_withdrawals_total{{reason={reason.value}}}"] == 0
    for loss in Loss:
        assert metrics[f"flom_lost_locks_total{{reason={loss.value}}}"] == 0
    web.arbiter.statistics.lost[Loss.CONTESTED] += 2
    web.arbiter.acquire("R1")
    web.arbiter.acquire("R1").addErrback(lambda _: None).cancel()
    web.clock.advance(10)
    metrics = web.metrics()
    assert metrics["flom_lost_locks_total{reason=contested}"] == 2
    assert metrics["flom_withdrawals_total{reason=gone}"] == 1


def test_the_process_is_measured_too(web: Web) -> None:
    metrics = web.metrics()
    assert metrics["process_open_fds"] > 0
    assert metrics["process_resident_memory_bytes"] > 1e6
    assert metrics["process_cpu_seconds_total"] > 0


def test_what_the_daemon_is_about_to_do_is_told(web: Web) -> None:
    assert (web.metrics()["flom_draining"], web.metrics()["flom_state_problem"]) == (0, 0)
    web.counters.key_problem = "no key"
    web.arbiter.acquire("R1")
    web.arbiter.drain(lambda: None)
    web.clock.advance(10)
    assert (web.metrics()["flom_draining"], web.metrics()["flom_state_problem"]) == (1, 1)


def test_the_number_of_series_does_not_grow(web: Web) -> None:
    few = len(web.metrics())
    for number in range(100):
        web.arbiter.acquire(f"R{number}")
    web.clock.advance(10)
    assert len(web.metrics()) == few < 130


def samples_of(families: Iterable[Metric]) -> dict[str, float]:
    """Return the samples that do not change from one moment to the next."""
    found = [sample for family in families for sample in family.samples]
    return {f"{sample.name}{sample.labels}": sample.value for sample in found if not sample.name.startswith("process_")}

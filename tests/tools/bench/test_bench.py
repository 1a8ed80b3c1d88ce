"""The benchmark works; how fast anything is, is no matter of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tools.bench.generator import Generator, compiled
from tests.tools.bench.patterns import PATTERNS, Pattern, messages
from tests.tools.bench.report import Report
from tests.tools.bench.servers import Server, running_control, running_daemon

CLIENTS = 10


@pytest.fixture(scope="module")
def generator() -> Iterator[Generator]:
    with compiled() as generator:
        yield generator


@pytest.fixture(scope="module", params=["daemon", "control", "hand-over"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The daemon, the strict control, and the one that hands over."""
    running = {"daemon": running_daemon, "control": running_control, "hand-over": lambda: running_control(slots=1)}
    with running[request.param]() as server:
        yield server


@pytest.mark.parametrize("transport", ["unix", "tcp"])
@pytest.mark.parametrize("pattern", [PATTERNS["own"], PATTERNS["same"], PATTERNS["churn"]], ids=lambda it: it.name)
def test_all_clients_get_grants(generator: Generator, server: Server, transport: str, pattern: Pattern) -> None:
    lines = messages(map(pattern.resource, range(CLIENTS)))
    flags = ["churn"] if pattern.churns else []
    run = generator.run(server, transport, lines, CLIENTS, *flags, seconds=0.1)
    assert run.grants > 0
    assert run.served == CLIENTS
    assert run.errors == 0


def test_a_queue_is_served_to_its_end(generator: Generator) -> None:
    with running_daemon() as daemon:
        run = generator.run(daemon, "unix", messages(["queue"] * CLIENTS), CLIENTS, "once", "gated")
    assert run.served == CLIENTS
    assert run.errors == 0


def test_a_missed_limit_is_told() -> None:
    report = Report()
    assert not report.judge("ratio", 0.8, least=0.7)
    assert report.judge("seconds", 1.5, most=1)
    assert [str(verdict) for verdict in report.missed] == ["seconds: 1.5, at most 1 wanted"]

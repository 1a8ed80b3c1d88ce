"""What a daemon counts beside its locks."""

from __future__ import annotations

import time

from flom.server.counters import Counters
from tests.fakes.connections import MemoryDaemon


def test_a_daemon_has_counted_nothing_when_it_starts() -> None:
    before = time.time()
    counters, other = Counters(), Counters()
    assert before <= counters.started <= time.time()
    assert (counters.connections, counters.protocol_errors, counters.discoveries) == (0, 0, 0)
    counters.endpoints.append("127.0.0.1:28015")
    assert other.endpoints == []


def test_connections_and_breaches_of_the_protocol_are_counted() -> None:
    daemon = MemoryDaemon()
    daemon.connect().leave()
    daemon.connect().send(b"<msg no message</msg>")
    assert (daemon.factory.counters.connections, daemon.factory.counters.protocol_errors) == (2, 1)

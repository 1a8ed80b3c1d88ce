"""Log lines about locks: refusals always, grants and releases if wanted."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, formatEvent

from flom.core.modes import LockMode
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Lock
from flom.server.arbiter import DeferredArbiter
from tests.fakes.connections import MemoryDaemon, lock


def lines(log: list[LogEvent], level: LogLevel) -> list[str | None]:
    return [formatEvent(event) for event in log if event.get("log_level") is level]


def test_a_refusal_is_one_line(log: list[LogEvent]) -> None:
    daemon = MemoryDaemon()
    daemon.connect().send(lock())
    daemon.connect("192.0.2.7").send(lock(mode=3, wait=0))
    assert lines(log, LogLevel.info) == ["R1 (PR) refused to 192.0.2.7/40000: busy"]
    assert lines(log, LogLevel.debug) == []


@pytest.mark.parametrize("name", ["/a/\udcb7", "/a/\u2028b", "/a/\u200fb"])
def test_a_name_that_does_not_print_is_spelled_as_python_does(name: str, log: list[LogEvent]) -> None:
    daemon = MemoryDaemon()
    daemon.connect().send(encode(Lock(name, LockMode.EX, create=True)))
    daemon.connect("192.0.2.7").send(encode(Lock(name, LockMode.EX)))
    assert lines(log, LogLevel.info) == [f"{ascii(name)[1:-1]} (EX) refused to 192.0.2.7/40000: busy"]


def test_grants_are_logged_if_that_is_wanted_with_the_times(log: list[LogEvent]) -> None:
    clock = Clock()
    arbiter = DeferredArbiter(clock, log_grants=True)
    arbiter.acquire("R1").addCallback(lambda held: clock.callLater(1.5, held.release))
    arbiter.acquire("R1")
    clock.advance(1.5)
    here = arbiter.view().resources[0].holders[0].request.session
    peer = arbiter.peer(here)
    assert peer is not None
    assert lines(log, LogLevel.debug) == [
        f"R1 (EX) granted to {peer.name} after 0.000 s, token {(1 << 32) + 1}",
        f"R1 (EX) released by {peer.name} after 1.500 s",
        f"R1 (EX) granted to {peer.name} after 1.500 s, token {(1 << 32) + 2}",
    ]
    granted = log[-1]
    assert (granted["resource"], granted["mode"], granted["waited"]) == ("R1", "EX", 1.5)

"""What the tests of the daemon share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import provider

from tests.fakes.group import FakePort, fake_ports


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> list[FakePort]:
    """The ports that daemons open: fakes."""
    return fake_ports(monkeypatch, "flom.server.group.member")


@pytest.fixture
def log() -> Iterator[list[LogEvent]]:
    """What was logged."""
    logged: list[LogEvent] = []

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        logged.append(event)

    globalLogPublisher.addObserver(observe)
    yield logged
    globalLogPublisher.removeObserver(observe)

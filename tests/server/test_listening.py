"""A service that listens while it runs."""

from __future__ import annotations

from typing import NoReturn

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from zope.interface import implementer

from flom.server.listening import ListeningService


@implementer(IListeningPort)
class Port:
    """A port that notes its end."""

    def __init__(self, events: list[str]) -> None:
        self._events = events

    def startListening(self) -> None:
        raise NotImplementedError

    def stopListening(self) -> Deferred[None]:
        self._events.append("stopped")
        return succeed(None)

    def getHost(self) -> NoReturn:
        raise NotImplementedError


@implementer(IStreamServerEndpoint)
class Endpoint:
    """An endpoint that listens at once, or cannot."""

    def __init__(self, events: list[str], problem: Exception | None = None) -> None:
        self._events = events
        self._problem = problem

    def listen(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        return succeed(Port(self._events)) if self._problem is None else fail(self._problem)


def service(endpoint: Endpoint, events: list[str]) -> ListeningService:
    return ListeningService(
        endpoint, Factory(), lambda port: events.append("open"), lambda port: events.append("closing")
    )


def test_it_listens_while_it_runs_and_may_be_started_again() -> None:
    events: list[str] = []
    listening = service(Endpoint(events), events)
    for _ in range(2):
        listening.privilegedStartService()
        listening.startService()
        listening.stopService()
    assert events == ["open", "closing", "stopped"] * 2


def test_it_fails_to_start_where_it_cannot_listen() -> None:
    events: list[str] = []
    with pytest.raises(CannotListenError):
        service(Endpoint(events, CannotListenError("", 1, OSError())), events).startService()
    assert events == []

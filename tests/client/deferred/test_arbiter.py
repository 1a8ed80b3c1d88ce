"""
A daemon goes away while a client waits: in a group it asks the next one, elsewhere that is the end
(docs/compatibility.md, "Protocol: daemon").
"""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.acquisition import Held
from flom.client.deferred.arbiter import RemoteArbiter
from flom.client.deferred.connection import LockClient
from flom.core.protocol.framing import MessageReader
from flom.core.protocol.messages import Lock
from flom.errors import DaemonLost, LockBusy
from tests.fakes.connections import Transport, xml

GRANTED = xml(1, 16, '<session peerid="x"/><answer rc="0"/>')
QUEUED = xml(1, 16, '<session peerid="x"/><answer rc="1"/>')
GRANTED_LATER = xml(1, 24, '<answer rc="0"/>')
BUSY = xml(1, 16, '<answer rc="4"/>')


@implementer(IStreamClientEndpoint)
class Daemons:
    """
    Leads to a daemon that the test plays, and after its end to the next one.

    @ivar clients: one for each connection.
    """

    def __init__(self) -> None:
        self.clients: list[LockClient] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        client = protocolFactory.buildProtocol(None)  # type: ignore[arg-type]
        assert isinstance(client, LockClient)
        client.makeConnection(Transport())
        self.clients.append(client)
        return succeed(client)

    def say(self, *messages: bytes) -> None:
        for message in messages:
            self.clients[-1].dataReceived(message)

    def go(self) -> None:
        """End the daemon."""
        self.clients[-1].connectionLost()


class Asking:
    """
    A request for a lock.

    @ivar outcome: what has become of it.
    """

    def __init__(self, *, is_in_group: bool) -> None:
        self.clock = Clock()
        self.daemons = Daemons()
        self.outcome: list[Held | BaseException] = []
        arbiter = RemoteArbiter(self.daemons, "the daemon", self.clock, forget=(lambda: None) if is_in_group else None)
        self.waiting = arbiter.acquire("R1")
        self.waiting.addCallbacks(self.outcome.append, self._take)

    def pass_time(self) -> None:
        """Advance the clock by enough to ask again."""
        self.clock.advance(0.5)

    def asked(self) -> list[str]:
        """Return what each daemon was asked for."""
        names = []
        for client in self.daemons.clients:
            [message] = MessageReader().feed(client.transport.value())
            assert isinstance(message, Lock)
            names.append(message.name)
        return names

    def _take(self, failure: Failure) -> None:
        assert failure.value is not None
        self.outcome.append(failure.value)


def test_in_a_group_who_waits_goes_on_waiting_at_the_next_daemon() -> None:
    asking = Asking(is_in_group=True)
    for _ in range(50):
        asking.daemons.say(QUEUED)
        asking.daemons.go()
        assert asking.outcome == []
        asking.pass_time()
    asking.daemons.say(QUEUED, GRANTED_LATER)
    [held] = asking.outcome
    assert not isinstance(held, BaseException)
    assert asking.asked() == ["R1"] * 51


def test_in_a_group_the_next_daemon_may_take_a_while_to_lead() -> None:
    asking = Asking(is_in_group=True)
    for _ in range(5):  # one that stands by, or ends just now, closes at once
        asking.daemons.go()
        asking.pass_time()
    asking.daemons.say(GRANTED)
    [held] = asking.outcome
    assert not isinstance(held, BaseException)


def test_in_a_group_the_next_daemon_is_not_pestered() -> None:
    asking = Asking(is_in_group=True)
    asking.daemons.say(QUEUED)
    asking.daemons.go()
    assert len(asking.daemons.clients) == 1
    asking.pass_time()
    assert len(asking.daemons.clients) == 2


def test_in_a_group_too_silence_is_not_put_up_with_for_ever() -> None:
    asking = Asking(is_in_group=True)
    for _ in range(100):
        if not asking.outcome:
            asking.daemons.go()
            asking.pass_time()
    assert isinstance(asking.outcome[0], DaemonLost)
    assert len(asking.daemons.clients) < 50
    assert asking.clock.getDelayedCalls() == []


def test_in_a_group_a_refusal_is_one() -> None:
    asking = Asking(is_in_group=True)
    asking.daemons.say(QUEUED)
    asking.daemons.go()
    asking.pass_time()
    asking.daemons.say(BUSY)
    assert isinstance(asking.outcome[0], LockBusy)


def test_in_a_group_a_cancelled_request_asks_no_more() -> None:
    asking = Asking(is_in_group=True)
    asking.daemons.say(QUEUED)
    asking.daemons.go()
    asking.waiting.cancel()
    asking.pass_time()
    assert isinstance(asking.outcome[0], CancelledError)
    assert len(asking.daemons.clients) == 1


def test_elsewhere_a_daemon_that_ends_has_no_successor() -> None:
    asking = Asking(is_in_group=False)
    asking.daemons.say(QUEUED)
    asking.daemons.go()
    assert isinstance(asking.outcome[0], DaemonLost)
    assert len(asking.daemons.clients) == 1


def test_elsewhere_one_that_has_said_nothing_is_tried_once_more_at_once() -> None:
    asking = Asking(is_in_group=False)
    asking.daemons.go()
    assert len(asking.daemons.clients) == 2
    asking.daemons.say(GRANTED)
    assert not isinstance(asking.outcome[0], BaseException)


def test_elsewhere_two_that_say_nothing_are_enough() -> None:
    asking = Asking(is_in_group=False)
    asking.daemons.go()
    asking.daemons.go()
    assert isinstance(asking.outcome[0], DaemonLost)
    assert len(asking.daemons.clients) == 2


@pytest.mark.parametrize("is_in_group", [False, True], ids=["elsewhere", "in a group"])
def test_a_lock_that_is_lost_is_told(is_in_group: bool) -> None:
    asking = Asking(is_in_group=is_in_group)
    asking.daemons.say(GRANTED)
    [held] = asking.outcome
    assert not isinstance(held, BaseException)
    asking.daemons.go()
    assert held.lost.called
    assert len(asking.daemons.clients) == 1

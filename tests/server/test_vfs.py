"""The daemon's end of the connection to the process that shows what it holds."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from flom.core.names import parse_name
from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import END_OF_MESSAGE
from flom.core.protocol.messages import Lock, Message, Shutdown, StatusFollows, StatusRequest
from flom.core.requests import LockRequest
from flom.net.clock import system_instant
from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.vfs import StatusProtocol
from flom.status.json import from_json
from flom.status.model import Status


class Asker:
    """The process, and an arbiter without clients."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.arbiter = DeferredArbiter(self.clock, system_instant)
        self.transport = StringTransport()
        self.connection = StatusProtocol(self.arbiter, self.clock, Counters())
        self.connection.makeConnection(self.transport)

    def ask(self) -> Status:
        self.connection.dataReceived(encode(StatusRequest()))
        assert self.transport.value() == b""  # grants may come in between
        self.clock.advance(0)
        head, end, body = self.transport.value().partition(END_OF_MESSAGE)
        assert decode(head + end) == StatusFollows(len(body))
        self.transport.clear()
        return from_json(body)


def test_the_process_is_answered_and_is_no_client() -> None:
    asker = Asker()
    status = asker.ask()
    assert (status.resources, status.incubator) == ((), ())
    assert (status.daemon.connected, status.daemon.counts.connections) == (0, 0)
    assert asker.arbiter.is_idle


def test_what_is_held_is_shown() -> None:
    asker = Asker()
    session = asker.arbiter.open(lambda effect: None)
    asker.arbiter.request(LockRequest(session, parse_name("R1")))
    [resource] = asker.ask().resources
    assert (resource.name, len(resource.holders)) == ("R1", 1)


@pytest.mark.parametrize("message", [Lock("R1"), Shutdown(immediate=True), StatusRequest("R1")], ids=repr)
def test_it_can_do_nothing_but_see_everything(message: Message) -> None:
    asker = Asker()
    asker.connection.dataReceived(encode(message))
    assert asker.transport.disconnecting
    assert asker.transport.value() == b""


def test_what_is_no_message_ends_the_connection() -> None:
    asker = Asker()
    asker.connection.dataReceived(b"<msg>not & XML</msg>")
    assert asker.transport.disconnecting


def test_nothing_is_sent_once_it_has_gone() -> None:
    asker = Asker()
    asker.connection.dataReceived(encode(StatusRequest()))
    asker.transport.connected = False
    asker.clock.advance(0)

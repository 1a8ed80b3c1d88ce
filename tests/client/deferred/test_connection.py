"""
The client's end of a connection: what it takes for a grant, and what it never does
(docs/compatibility.md, "Protocol: client").
"""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from flom.client.deferred.connection import LockClient
from flom.client.retry import CLOSE_TIMEOUT
from flom.core.modes import LockMode
from flom.core.protocol.events import Granted
from flom.core.protocol.framing import MessageReader
from flom.core.protocol.messages import Lock, Unlock
from flom.errors import DaemonLost, LocalProtocolError, LockRefused, RemoteProtocolError
from flom.net.keepalive import DEFAULT_KEEPALIVE
from tests.fakes.connections import Transport, xml
from tests.fakes.results import error

LOCK = Lock("R1", LockMode.EX, wait=True, create=True)
GRANTED = xml(1, 16, '<session peerid="x"/><answer rc="0"/>')
GRANTED_BY_OURS = GRANTED.replace(b'step="16"', b'step="16" extended="1"')  # by a daemon that answers unlocks
QUEUED = xml(1, 16, '<session peerid="x"/><answer rc="1"/>')
INCUBATED = xml(1, 16, '<session peerid="x"/><answer rc="2"/>')
STILL_QUEUED = xml(1, 24, '<answer rc="1"/>')
GRANTED_LATER = xml(1, 24, '<answer rc="0"/>')


class Conversation:
    """A client that asks for a lock, and a daemon that the test plays."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.transport = Transport()
        self.client = LockClient("the daemon", self.clock, DEFAULT_KEEPALIVE)
        self.client.makeConnection(self.transport)
        self.outcome: list[Granted | Exception] = []
        self.client.lock(LOCK).addCallbacks(self.outcome.append, self._take)

    def hear(self, *messages: bytes) -> list[Granted | Exception]:
        """Pass C{messages} to the client; return what has become of its request."""
        for message in messages:
            self.client.dataReceived(message)
        return self.outcome

    def _take(self, failure: Failure) -> None:
        assert isinstance(failure.value, Exception)
        self.outcome.append(failure.value)


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([GRANTED], 0),
        ([QUEUED, GRANTED_LATER], 0),
        ([QUEUED + GRANTED_LATER], 0),
        ([QUEUED, STILL_QUEUED, STILL_QUEUED, GRANTED_LATER], 0),
        ([INCUBATED, STILL_QUEUED, GRANTED_LATER], 0),
        ([QUEUED, xml(1, 32, '<answer rc="0"/>')], 0),
        ([xml(1, 16, '<answer rc="4"/>')], 4),
        ([xml(1, 16, '<answer rc="-14"/>')], -14),
        ([INCUBATED, xml(1, 24, '<answer rc="6"/>')], 6),
        ([QUEUED, xml(1, 24, '<answer rc="4"/>')], 4),
        ([QUEUED, xml(1, 32, '<answer rc="6"/>')], 6),
    ],
)
def test_the_code_of_an_answer_decides_whatever_its_step(messages: list[bytes], code: int) -> None:
    [decision] = Conversation().hear(*messages)
    if isinstance(decision, Granted):
        assert code == 0
    else:
        assert isinstance(decision, LockRefused)
        assert decision.outcome == code != 0


@pytest.mark.parametrize("messages", [[], [QUEUED], [INCUBATED], [QUEUED, STILL_QUEUED]])
def test_until_then_it_waits(messages: list[bytes]) -> None:
    assert Conversation().hear(*messages) == []


@pytest.mark.parametrize(
    "messages",
    [
        [xml(1, 16)],
        [xml(1, 16, "<answer/>")],
        [QUEUED, xml(1, 24)],
        [xml(1, 16, '<answer rc="77"/>')],
        [GRANTED_LATER],
        [QUEUED, GRANTED],
        [xml(2, 8, '<resource name="UjE="/>')],
        [b"hello</msg>"],
        [b"x" * 1024],
        [xml(1, 16, '<answer rc="0"/>', level=4)],
    ],
)
def test_what_is_no_answer_is_no_grant(messages: list[bytes]) -> None:
    conversation = Conversation()
    [error] = conversation.hear(*messages)
    assert isinstance(error, RemoteProtocolError)
    assert "the daemon" in str(error)
    assert conversation.transport.aborted


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([], "the daemon closed the connection without an answer; it may want TLS, or have reached a limit"),
        ([QUEUED], "the daemon closed the connection"),
    ],
    ids=["at once", "later"],
)
def test_a_daemon_that_goes_away_is_no_grant(messages: list[bytes], why: str) -> None:
    conversation = Conversation()
    conversation.hear(*messages)
    conversation.client.connectionLost()
    [error] = conversation.outcome
    assert isinstance(error, DaemonLost)
    assert str(error) == why


def test_a_daemon_that_speaks_tls_is_told_from_others_that_make_no_sense() -> None:
    alert = b"\x15\x03\x03\x00\x02\x02\x28"
    [error] = Conversation().hear(alert)
    assert str(error) == "the daemon: it speaks TLS, which is not spoken here"


def test_while_the_lock_is_held_nothing_the_daemon_says_ends_it() -> None:
    conversation = Conversation()
    conversation.hear(GRANTED, b"hello</msg>", STILL_QUEUED)
    assert not conversation.transport.disconnecting
    assert not conversation.client.lost.called


def test_a_lock_that_is_lost_is_told() -> None:
    conversation = Conversation()
    conversation.hear(GRANTED)
    reasons: list[Exception] = []
    conversation.client.lost.addCallback(reasons.append)
    conversation.client.connectionLost()
    assert isinstance(reasons[0], DaemonLost)


def test_an_unlock_closes_our_side_and_waits_for_the_daemons() -> None:
    conversation = Conversation()
    conversation.hear(GRANTED)
    conversation.transport.clear()
    done = conversation.client.unlock("R1")
    assert list(MessageReader().feed(conversation.transport.value())) == [Unlock("R1")]
    assert conversation.transport.half_closed
    assert not done.called
    conversation.client.connectionLost()
    assert done.called
    assert not conversation.clock.getDelayedCalls()


def test_a_daemon_that_does_not_close_is_not_waited_for_for_ever() -> None:
    conversation = Conversation()
    conversation.hear(GRANTED)
    done = conversation.client.unlock("R1")
    conversation.clock.advance(CLOSE_TIMEOUT)
    assert conversation.transport.aborted
    conversation.client.connectionLost(Failure(ConnectionAborted()))
    assert "has not confirmed the unlock within 5 s" in str(error(done))


@pytest.mark.parametrize(
    ("granted", "how"),
    [(GRANTED, ConnectionLost()), (GRANTED_BY_OURS, ConnectionLost()), (GRANTED_BY_OURS, ConnectionDone())],
    ids=["FLoM's, reset", "ours, reset", "ours, closed"],
)
def test_an_end_that_confirms_no_unlock_is_a_loss(granted: bytes, how: Exception) -> None:
    conversation = Conversation()
    conversation.hear(granted)
    done = conversation.client.unlock("R1")
    conversation.client.connectionLost(Failure(how))
    assert "has not confirmed the unlock before the connection ended" in str(error(done))
    assert not conversation.clock.getDelayedCalls()


def test_what_would_be_too_long_for_the_daemon_is_not_sent() -> None:
    client = LockClient("the daemon", Clock(), DEFAULT_KEEPALIVE)
    client.makeConnection(Transport())
    with pytest.raises(LocalProtocolError, match="too long"):
        client.lock(Lock("R" * 400))


def test_cancelling_closes_the_connection() -> None:
    transport = Transport()
    client = LockClient("the daemon", Clock(), DEFAULT_KEEPALIVE)
    client.makeConnection(transport)
    waiting = client.lock(LOCK)
    waiting.addErrback(lambda failure: None)
    waiting.cancel()
    assert transport.aborted

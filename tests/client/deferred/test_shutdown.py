"""
A daemon is ordered to end: it obeys or refuses, and has not obeyed while somebody still listens
(docs/compatibility.md, "Shutdown").
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.client.deferred.shutdown import shut_down
from flom.client.retry import HANDSHAKE_TIMEOUT
from flom.codes import ReturnCode
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import MessageReader
from flom.core.protocol.messages import ManagementRefused, Message, Shutdown
from flom.errors import DaemonLost, DaemonUnreachable, ShutdownNotAllowed, TlsError
from flom.net.machine_id import unique_id
from tests.fakes.connections import FakeTls, Transport, xml

REFUSAL = encode(ManagementRefused())

GONE = [
    ConnectionRefusedError(),
    DaemonUnreachable(ReturnCode.CONNECT_ERROR, "no daemon is listening, and daemon-lifespan 0 forbids to start one"),
]
"""How endpoints tell that nobody listens."""


@implementer(IStreamClientEndpoint)
class Daemon:
    """
    Leads to a daemon that the test plays.

    @ivar gone: why nobody can connect; C{None} as long as the daemon listens.
    @ivar connections: those that were made, the one with the order first.
    """

    def __init__(self) -> None:
        self.gone: Exception | None = None
        self.connections: list[Any] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        if self.gone is not None:
            return fail(self.gone)
        protocol = protocolFactory.buildProtocol(None)  # type: ignore[arg-type]
        assert protocol is not None
        protocol.makeConnection(Transport())
        self.connections.append(protocol)
        return succeed(protocol)

    def heard(self) -> list[Message]:
        """Give what it was told on the first connection."""
        return list(MessageReader().feed(self.connections[0].transport.value()))

    def say(self, data: bytes) -> None:
        """Answer the order."""
        self.connections[0].dataReceived(data)

    def hang_up(self) -> None:
        """Close the connection with the order."""
        self.connections[0].connectionLost()


class Ordering:
    """
    Somebody who orders a daemon to end.

    @ivar outcome: what has become of it: C{None} if it is obeyed, or the reason why not.
    """

    def __init__(
        self, immediate: bool = True, *, gone: Exception | None = None, is_in_pool: bool = False, tls: Any = None
    ) -> None:
        self.clock = Clock()
        self.daemon = Daemon()
        self.daemon.gone = gone
        self.outcome: list[BaseException | None] = []
        order = shut_down(self.clock, self.daemon, "the daemon", immediate, is_in_pool=is_in_pool, tls=tls)
        Deferred.fromCoroutine(order).addCallbacks(self.outcome.append, self._take)

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0.01] * round(seconds / 0.01))

    def is_over(self) -> bool:
        """Tell whether no connection is left, and nothing that is still to come."""
        are_closed = all(connection.transport.aborted for connection in self.daemon.connections)
        return are_closed and not self.clock.getDelayedCalls()

    def _take(self, failure: Failure) -> None:
        self.outcome.append(failure.value)


@pytest.mark.parametrize("immediate", [False, True])
def test_the_daemon_is_told_how_to_end_and_who_wants_it(immediate: bool) -> None:
    assert Ordering(immediate).daemon.heard() == [Shutdown(immediate, unique_id())]


@pytest.mark.parametrize("gone", GONE, ids=["refused", "not started"])
def test_it_has_ended_when_it_has_closed_the_connection_and_nobody_listens(gone: Exception) -> None:
    ordering = Ordering()
    ordering.daemon.gone = gone
    assert ordering.outcome == []
    ordering.daemon.hang_up()
    assert ordering.outcome == [None]
    assert ordering.is_over()


def test_it_may_need_a_moment_to_end() -> None:
    ordering = Ordering()
    ordering.daemon.hang_up()
    ordering.pass_time(0.5)
    assert ordering.outcome == []
    ordering.daemon.gone = ConnectionRefusedError()
    ordering.pass_time(0.2)
    assert ordering.outcome == [None]
    assert ordering.is_over()


def test_whoever_still_listens_after_a_second_has_not_ended() -> None:
    ordering = Ordering()
    ordering.daemon.hang_up()
    ordering.pass_time(1.1)
    [refusal] = ordering.outcome
    assert isinstance(refusal, ShutdownNotAllowed)
    assert str(refusal).startswith("the daemon has closed the connection, but has not ended")
    assert ordering.is_over()


@pytest.mark.parametrize("has_ended", [False, True])
def test_in_a_group_another_daemon_may_lead_at_once(monkeypatch: pytest.MonkeyPatch, has_ended: bool) -> None:
    ordering = Ordering(is_in_pool=True)
    there = Daemon()
    there.gone = ConnectionRefusedError() if has_ended else None
    addresses = []

    def stream_endpoint(reactor: object, host: str, port: int) -> Daemon:
        addresses.append((host, port))
        return there

    monkeypatch.setattr("flom.client.deferred.shutdown.stream_endpoint", stream_endpoint)
    ordering.daemon.hang_up()
    ordering.pass_time(1.1)
    peer = ordering.daemon.connections[0].transport.getPeer()
    assert addresses == [(peer.host, peer.port)]
    [outcome] = ordering.outcome
    assert (outcome is None) is has_ended
    assert len(ordering.daemon.connections) == 1


@pytest.mark.parametrize("is_in_pool", [False, True])
def test_a_refusal_is_one_whether_the_daemon_goes_away_or_not(is_in_pool: bool) -> None:
    ordering = Ordering(is_in_pool=is_in_pool)
    ordering.daemon.gone = ConnectionRefusedError()
    ordering.daemon.say(REFUSAL)
    [refusal] = ordering.outcome
    assert isinstance(refusal, ShutdownNotAllowed)
    assert str(refusal).startswith("the daemon refuses to end")
    assert ordering.is_over()
    ordering.daemon.hang_up()
    assert len(ordering.outcome) == 1


def test_a_refusal_may_come_byte_by_byte() -> None:
    ordering = Ordering()
    for byte in REFUSAL:
        ordering.daemon.say(bytes([byte]))
    assert isinstance(ordering.outcome[0], ShutdownNotAllowed)


def test_who_says_nothing_for_a_second_obeys_and_ends_when_nobody_needs_it() -> None:
    ordering = Ordering(immediate=False)
    ordering.pass_time(0.9)
    assert ordering.outcome == []
    ordering.pass_time(0.2)
    assert ordering.outcome == [None]
    assert ordering.is_over()


@pytest.mark.parametrize(
    "words", [b"hello</msg>", b"\x15\x03\x03\x00\x02", b"x" * 2000, xml(1, 16, '<answer rc="6"/>'), xml(3, 16)]
)
def test_other_words_are_no_refusal(words: bytes) -> None:
    ordering = Ordering()
    ordering.daemon.say(words)
    assert ordering.outcome == []
    ordering.daemon.gone = ConnectionRefusedError()
    ordering.daemon.hang_up()
    assert ordering.outcome == [None]


@pytest.mark.parametrize("gone", GONE, ids=["refused", "not started"])
def test_without_a_daemon_there_is_nobody_to_order(gone: Exception) -> None:
    ordering = Ordering(gone=gone)
    assert ordering.outcome == [gone]
    assert ordering.is_over()


# over TLS


def test_the_daemon_has_a_second_for_a_refusal_after_the_handshake() -> None:
    ordering = Ordering(tls=FakeTls())
    ordering.pass_time(5)
    ordering.daemon.connections[0].handshakeCompleted()
    ordering.pass_time(0.9)
    assert ordering.outcome == []
    ordering.pass_time(0.2)
    assert ordering.outcome == [None]
    assert ordering.is_over()


def test_a_handshake_that_does_not_end_is_given_up() -> None:
    ordering = Ordering(tls=FakeTls())
    ordering.pass_time(HANDSHAKE_TIMEOUT + 0.1)
    assert ordering.daemon.connections[0].transport.aborted
    ordering.daemon.hang_up()
    [problem] = ordering.outcome
    assert isinstance(problem, TlsError)
    assert str(problem) == f"the daemon: no TLS handshake within {HANDSHAKE_TIMEOUT:g} s; it may not speak TLS"
    assert ordering.is_over()


def test_a_daemon_that_closes_during_the_handshake_may_not_speak_tls() -> None:
    ordering = Ordering(tls=FakeTls())
    ordering.daemon.hang_up()
    [problem] = ordering.outcome
    assert isinstance(problem, DaemonLost)
    assert "it may not speak TLS" in str(problem)


def test_a_daemon_that_has_ended_without_an_answer_has_obeyed() -> None:
    """Ours says that it refuses, if it does."""
    ordering = Ordering(tls=FakeTls())
    ordering.daemon.connections[0].handshakeCompleted()
    ordering.daemon.gone = ConnectionRefusedError()
    ordering.daemon.hang_up()
    assert FakeTls.own_name != unique_id()
    assert ordering.outcome == [None]
    assert ordering.is_over()


def test_a_daemon_that_closes_without_an_answer_and_goes_on_does_not_obey() -> None:
    """FLoM's does that if it checks peer ids."""
    ordering = Ordering(tls=FakeTls())
    ordering.daemon.connections[0].handshakeCompleted()
    ordering.daemon.hang_up()
    ordering.pass_time(1.1)
    assert isinstance(ordering.outcome[0], ShutdownNotAllowed)
    assert ordering.is_over()

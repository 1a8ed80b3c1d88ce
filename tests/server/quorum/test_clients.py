"""What clients are told under a quorum, and until when what they hold is kept."""

from __future__ import annotations

import json

import pytest
from twisted.internet.error import ConnectionLost

from flom.core.protocol.messages import Answer, Ping, Unlocked
from flom.core.quorum.times import DEFAULT
from flom.server.limits import Limits
from flom.server.options import ServerOptions
from flom.server.quorum.clients import TURNS
from tests.fakes.connections import MemoryClient, TcpTransport, Transport, lock, unlock, xml
from tests.fakes.quorum import QuorumDaemon, UnixTransport

PING = xml(3, 8)
BY_EVERY_WAY = pytest.mark.parametrize("kind", [TcpTransport, UnixTransport], ids=["TCP", "UNIX"])


def extended(name: str = "R1", **attributes: object) -> bytes:
    """Write the lock of a client that comes back, and sends heartbeats."""
    return lock(name, **attributes).replace(b"<msg", b'<msg extended="2"', 1)


def answer_of(client: MemoryClient) -> Answer:
    """Return the only message that the client has got: an answer."""
    [answer] = client.received()
    assert isinstance(answer, Answer)
    return answer


@pytest.fixture
def daemon() -> QuorumDaemon:
    daemon = QuorumDaemon()
    daemon.lead()
    return daemon


@BY_EVERY_WAY
def test_a_client_is_told_the_terms(daemon: QuorumDaemon, kind: type[Transport]) -> None:
    answer = answer_of(daemon.connect(kind).send(extended()))
    assert answer.code == 0
    assert answer.session
    assert (answer.terms.quorum, answer.terms.required, answer.terms.timeout) == (True, True, DEFAULT.told)
    assert not answer.start


@BY_EVERY_WAY
def test_a_client_without_a_session_is_refused(daemon: QuorumDaemon, kind: type[Transport]) -> None:
    client = daemon.connect(kind).send(lock())
    assert answer_of(client).code == 6
    assert client.transport.disconnecting


def test_with_sessions_optional_it_is_let_in_and_not_heard() -> None:
    daemon = QuorumDaemon(ServerOptions(limits=Limits(session_timeout=DEFAULT.session)))
    daemon.lead()
    client = daemon.connect().send(lock())
    assert answer_of(client).code == 0
    daemon.elector.keep_for(2 * DEFAULT.session)
    assert not client.transport.disconnecting


@BY_EVERY_WAY
def test_a_connection_that_a_proxy_closes_ends_no_session_then_either(kind: type[Transport]) -> None:
    daemon = QuorumDaemon(ServerOptions(limits=Limits(session_timeout=DEFAULT.session)))
    daemon.lead()
    holder = daemon.connect(kind).send(extended())
    held = answer_of(holder)
    assert held.terms.required
    holder.leave()
    assert answer_of(daemon.connect(kind).send(extended(wait=0, regains=1, session=held.session))).code == 0


@BY_EVERY_WAY
def test_what_a_client_holds_that_is_not_heard_ends(daemon: QuorumDaemon, kind: type[Transport]) -> None:
    holder, waiter = daemon.connect(kind).send(extended()), daemon.connect().send(extended())
    daemon.elector.keep_for(DEFAULT.session)
    assert not holder.transport.disconnecting
    daemon.elector.keep_for(2 * DEFAULT.session / TURNS)
    assert holder.transport.disconnecting
    holder.leave(ConnectionLost())
    assert [message.code for message in waiter.received() if isinstance(message, Answer)] == [1, 0]


@BY_EVERY_WAY
def test_heartbeats_keep_it(daemon: QuorumDaemon, kind: type[Transport]) -> None:
    holder = daemon.connect(kind).send(extended())
    for _ in range(5):
        daemon.elector.keep_for(DEFAULT.session - 0.5)
        holder.send(PING)
    assert not holder.transport.disconnecting
    assert holder.received().count(Ping(16)) == 5


def test_a_waiter_need_not_be_heard_until_it_is_granted_the_lock(daemon: QuorumDaemon) -> None:
    holder, waiter = daemon.connect().send(extended()), daemon.connect().send(extended())
    for _ in range(4):
        daemon.elector.keep_for(DEFAULT.session - 0.5)
        holder.send(PING)
    holder.send(unlock())
    daemon.elector.keep_for(DEFAULT.session - 0.5)
    assert not waiter.transport.disconnecting
    daemon.elector.keep_for(1.5)
    assert waiter.transport.disconnecting


def test_after_the_daemon_has_been_busy_it_reads_before_it_judges(daemon: QuorumDaemon) -> None:
    holder = daemon.connect().send(extended())
    daemon.elector.keep_for(DEFAULT.session - 1.0)
    daemon.clock.advance(1.6)
    daemon.elector.keep()
    assert not holder.transport.disconnecting


def test_a_heartbeat_is_not_answered_when_the_tenure_is_over(daemon: QuorumDaemon) -> None:
    holder = daemon.connect().send(extended())
    holder.received()
    daemon.elector.slept = 3.0
    assert holder.send(PING).received() == []
    daemon.elector.keep()
    assert holder.send(PING).received() == [Ping(16)]


def test_neither_is_a_release_in_a_pause(daemon: QuorumDaemon) -> None:
    holder = daemon.connect().send(extended())
    holder.received()
    daemon.elector.slept = 3.0
    daemon.connect().send(extended("S"))
    assert daemon.arbiter.is_paused
    assert holder.send(unlock()).received() == []
    daemon.elector.keep()
    assert holder.received() == [Unlocked()]


def test_nor_does_a_session_go_on_meanwhile(daemon: QuorumDaemon) -> None:
    holder = daemon.connect().send(extended())
    secret = answer_of(holder).session
    holder.leave(ConnectionLost())
    daemon.elector.slept = 3.0
    again = daemon.connect().send(extended(wait=0, regains=1, session=secret))
    assert again.received() == []
    assert again.transport.disconnecting
    daemon.elector.keep()
    assert answer_of(daemon.connect().send(extended(wait=0, regains=1, session=secret))).code == 0


def test_a_client_over_a_unix_socket_comes_back_to_its_session(daemon: QuorumDaemon) -> None:
    holder = daemon.connect(UnixTransport).send(extended())
    secret = answer_of(holder).session
    holder.leave()
    again = daemon.connect(UnixTransport).send(extended(wait=0, regains=1, session=secret))
    assert answer_of(again).code == 0


def test_a_standby_closes_the_connection_of_a_client_that_wants_a_lock() -> None:
    client = QuorumDaemon().connect().send(extended())
    assert client.received() == []
    assert client.transport.disconnecting


def test_a_standby_shows_its_status() -> None:
    daemon = QuorumDaemon()
    daemon.elector.follow("host-b")
    client = daemon.connect(host="127.0.0.1").send(extended("statusprobe0123", wait=0, create=0))
    assert answer_of(client).code == 5
    client.send(xml(5, 8, '<session peerid="0123"/><status/>'))
    daemon.clock.pump([0.0] * 10)
    found = json.loads(client.transport.value().partition(b"</msg>")[2])
    assert found["daemon"]["role"] == "standby"
    assert found["daemon"]["quorum"]["leader"] == "host-b"


def test_a_token_of_a_higher_epoch_is_not_reclaimed() -> None:
    daemon = QuorumDaemon()
    daemon.elector.win()
    high = ((daemon.arbiter.epoch + 1) << 32) + 5
    client = daemon.connect().send(extended(wait=0, regains=1, token=high))
    assert answer_of(client).code == 4
    former = ((daemon.arbiter.epoch - 1) << 32) + 5
    assert answer_of(daemon.connect().send(extended(wait=0, regains=1, token=former))).code == 0

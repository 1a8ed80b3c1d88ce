"""
Locks over TLS: what travels is the same as in plain text, however it is cut into records
(docs/compatibility.md, "When TLS is used", "One silent client blocks all others", "Two messages in one TLS record").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.logger import LogEvent

from flom.client.deferred.arbiter import RemoteArbiter
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import MAX_ANSWER_SIZE, MessageReader
from flom.core.protocol.messages import ManagementRefused, Message, Shutdown
from flom.errors import DaemonLost, FlomError
from flom.interfaces import IHeld
from flom.net.machine_id import unique_id
from flom.server.limits import DEFAULT_LIMITS
from tests.fakes.authority import Files
from tests.fakes.connections import first, later, lock, unlock, xml
from tests.fakes.logs import warnings
from tests.fakes.tls_network import (
    PEER,
    Bare,
    ByHand,
    Endpoint,
    MemoryNetwork,
    NetworkDaemon,
    ask,
    bare_client,
    bare_context,
    bare_daemon,
    is_served,
)
from tests.scenarios.tls.conftest import SOMEBODY

GRANTED = xml(1, 16, '<session peerid="x"/><answer rc="0"/>')
QUEUED = xml(1, 16, '<session peerid="x"/><answer rc="1"/>')
GRANTED_LATER = xml(1, 24, '<answer rc="0"/>')


@pytest.fixture
def daemon(network: MemoryNetwork, good: Files) -> NetworkDaemon:
    """A daemon that speaks TLS."""
    return NetworkDaemon(network, good.tls())


def answers(end: Bare) -> list[Message]:
    """Return what C{end} has been answered since the last call."""
    data, end.received = end.received, b""
    return list(MessageReader(MAX_ANSWER_SIZE).feed(data))


# records


def test_several_messages_may_come_in_one_record(
    network: MemoryNetwork, daemon: NetworkDaemon, good: Files, version: int
) -> None:
    data = lock() + unlock() + lock() + unlock()
    end = bare_client(network, daemon.endpoint, bare_context(good), Bare(data))
    assert end.transport.getHandle().get_protocol_version() == version
    assert answers(end) == [first(0), first(0)]
    assert is_served(network, daemon, good.tls())  # the lock is free, while the connection is still there
    assert end.lost is None


def test_a_message_may_come_in_many_records(
    network: MemoryNetwork, daemon: NetworkDaemon, good: Files, version: int
) -> None:
    data = [bytes([byte]) for byte in lock() + unlock()]
    end = bare_client(network, daemon.endpoint, bare_context(good), Bare(*data))
    assert answers(end) == [first(0)]
    assert is_served(network, daemon, good.tls())


def test_several_answers_may_come_in_one_record(network: MemoryNetwork, good: Files, version: int) -> None:
    [held] = ask(network, bare_daemon(network, bare_context(good), lambda: Bare(QUEUED + GRANTED_LATER)), good.tls())
    assert IHeld.providedBy(held)


# other clients


def test_a_slow_handshake_keeps_no_other_client_waiting(
    network: MemoryNetwork, daemon: NetworkDaemon, good: Files, version: int
) -> None:
    slow = ByHand(network, daemon.endpoint, bare_context(good))
    while flight := slow.next_of_handshake():
        for byte in flight:
            slow.end.transport.write(bytes([byte]))
            network.settle()
        assert is_served(network, daemon, good.tls())
    slow.say(lock())
    assert list(MessageReader(MAX_ANSWER_SIZE).feed(slow.hear())) == [first(0)]


@pytest.mark.parametrize("breach", [b"hello</msg>", xml(3, 8), unlock(), b"\0" * 600, lock(mode=99)])
def test_a_client_that_breaks_the_protocol_harms_no_other(
    network: MemoryNetwork, daemon: NetworkDaemon, good: Files, log: list[LogEvent], breach: bytes
) -> None:
    holder = bare_client(network, daemon.endpoint, bare_context(good), Bare(lock()))
    offender = bare_client(network, daemon.endpoint, bare_context(good), Bare(breach))
    assert (offender.received, isinstance(offender.lost, ConnectionDone)) == (b"", True)
    assert len(warnings(log)) == 1
    assert (answers(holder), holder.lost) == ([first(0)], None)


# the end


@pytest.mark.parametrize("says_so", [True, False], ids=["with close_notify", "without"])
def test_a_client_that_leaves_frees_the_lock_and_is_no_breach(
    network: MemoryNetwork, daemon: NetworkDaemon, good: Files, log: list[LogEvent], version: int, says_so: bool
) -> None:
    holder = bare_client(network, daemon.endpoint, bare_context(good), Bare(lock()))
    waiter = bare_client(network, daemon.endpoint, bare_context(good), Bare(lock()))
    (holder.transport if says_so else holder.transport.transport).loseConnection()
    network.settle()
    assert answers(waiter) == [first(1), later(0)]
    assert holder.lost is not None
    assert warnings(log) == []


def test_after_a_last_word_the_daemon_closes_even_if_the_client_does_not(
    network: MemoryNetwork, daemon: NetworkDaemon, good: Files
) -> None:
    client = ByHand(network, daemon.endpoint, bare_context(good))
    client.shake_hands()
    client.say(lock("1bad"))
    assert list(MessageReader(MAX_ANSWER_SIZE).feed(client.hear())) == [first(-14)]
    with pytest.raises(SSL.ZeroReturnError):
        client.hear()
    assert client.end.lost is None
    network.pass_time(DEFAULT_LIMITS.message_timeout)
    assert client.end.lost is not None


ENDS: Mapping[str, Callable[[NetworkDaemon], None]] = {
    "that stands by": lambda daemon: daemon.arbiter.retire(),
    "that ends": NetworkDaemon.end,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_a_daemon_need_not_be_heard_by_those_it_sends_away(
    network: MemoryNetwork,
    daemon: NetworkDaemon,
    good: Files,
    version: int,
    log: list[LogEvent],
    end: Callable[[NetworkDaemon], None],
) -> None:
    holder = bare_client(network, daemon.endpoint, bare_context(good), Bare(lock()))
    waiter = ByHand(network, daemon.endpoint, bare_context(good))
    waiter.shake_hands()
    waiter.say(lock())
    assert list(MessageReader(MAX_ANSWER_SIZE).feed(waiter.hear())) == [first(1)]
    end(daemon)
    network.pass_time(DEFAULT_LIMITS.message_timeout - 1)
    assert waiter.end.lost is None
    network.pass_time(1)
    assert waiter.end.lost is not None
    holder.transport.loseConnection()
    network.settle()
    network.pass_time(3600)
    assert daemon.arbiter.is_deserted
    daemon.end()  # a client that was still connected would be given time once more
    assert network.clock.getDelayedCalls() == []
    assert warnings(log) == []


def test_a_waiter_that_gives_up_leaves_the_queue(network: MemoryNetwork, daemon: NetworkDaemon, good: Files) -> None:
    arbiter = RemoteArbiter(daemon.endpoint, PEER, network.clock, tls=good.tls())
    [held] = ask(network, daemon.endpoint, good.tls())
    assert not isinstance(held, FlomError)
    waiting = arbiter.acquire("R1")
    network.settle()
    waiting.addErrback(lambda failure: None)
    waiting.cancel()
    network.settle()
    held.release()
    network.settle()
    assert is_served(network, daemon, good.tls())


def test_a_lock_that_is_lost_with_its_daemon_is_told(
    network: MemoryNetwork, daemon: NetworkDaemon, good: Files, version: int
) -> None:
    [held] = ask(network, daemon.endpoint, good.tls())
    assert not isinstance(held, FlomError)
    told: list[FlomError] = []
    held.lost.addCallback(told.append)
    daemon.end()
    network.settle()
    [why] = told
    assert isinstance(why, DaemonLost)


# the end of the daemon


def order(
    network: MemoryNetwork, endpoint: Endpoint, context: SSL.Context | None, *, immediate: bool = True
) -> list[Message]:
    """Order a daemon to end; return what it says."""
    end = bare_client(network, endpoint, context, Bare(encode(Shutdown(immediate, unique_id()))))
    network.pass_time(1.0)
    return list(MessageReader(MAX_ANSWER_SIZE).feed(end.received)) if b"</msg>" in end.received else []


@pytest.mark.parametrize("kind", ["good", "somebody's", "nameless"])
@pytest.mark.parametrize("immediate", [True, False])
def test_every_good_certificate_may_end_the_daemon_wherever_its_owner_is(
    network: MemoryNetwork, daemon: NetworkDaemon, files: Mapping[str, Files], version: int, immediate: bool, kind: str
) -> None:
    assert order(network, daemon.endpoint, bare_context(files[kind]), immediate=immediate) == []
    assert daemon.shutdowns == [immediate]


@pytest.mark.parametrize("immediate", [True, False])
def test_an_order_to_end_is_refused_if_the_peer_id_does_not_match(
    network: MemoryNetwork, files: Mapping[str, Files], log: list[LogEvent], immediate: bool
) -> None:
    """A client that fails the check of peer ids learns that the daemon does not end."""
    daemon = NetworkDaemon(network, files["good"].tls(checks_peer_id=True))
    context = bare_context(files["somebody's"])
    assert order(network, daemon.endpoint, context, immediate=immediate) == [ManagementRefused()]
    assert daemon.shutdowns == []
    [breach] = warnings(log)
    assert breach.endswith(f"its unique id is '{unique_id()}', and its certificate has the common name '{SOMEBODY}'")
    assert is_served(network, daemon, files["good"].tls())


@pytest.mark.parametrize("kind", ["expired", None], ids=["a bad certificate", "no TLS"])
def test_other_clients_cannot_end_a_daemon_that_speaks_tls(
    network: MemoryNetwork, daemon: NetworkDaemon, files: Mapping[str, Files], version: int, kind: str | None
) -> None:
    assert order(network, daemon.endpoint, None if kind is None else bare_context(files[kind])) == []
    assert daemon.shutdowns == []
    assert is_served(network, daemon, files["good"].tls())


def test_an_order_over_tls_does_not_end_a_daemon_that_does_not_speak_it(network: MemoryNetwork, good: Files) -> None:
    daemon = NetworkDaemon(network, None)
    assert order(network, daemon.endpoint, bare_context(good)) == []
    assert daemon.shutdowns == []
    assert is_served(network, daemon, None)

"""What exceeds a limit is closed or refused, with a line in the log, and the rest do not notice."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import UNIXAddress
from twisted.logger import LogEvent

from flom.core.names import MAX_TEXT
from flom.server.limits import Limits
from flom.server.options import ServerOptions
from flom.server.peer import Credentials
from tests.fakes.connections import MemoryClient, MemoryDaemon, first, later, lock, unlock
from tests.fakes.logs import informed, warnings

HOLD = lock()


def limited(**limits: Any) -> MemoryDaemon:
    return MemoryDaemon(ServerOptions(limits=Limits(**limits)))


def is_served(daemon: MemoryDaemon, host: str = "192.0.2.99", name: str = "another") -> bool:
    """Return whether a new client is granted a lock."""
    client = daemon.connect(host).send(lock(name) + unlock(name))
    client.leave()
    return client.received() == [first(0)]


# connections


def test_a_connection_too_many_is_closed_at_once_and_those_before_it_go_on(log: list[LogEvent]) -> None:
    daemon = limited(connections=2)
    holder, waiter = daemon.connect().send(HOLD), daemon.connect().send(HOLD)
    surplus = daemon.connect("192.0.2.7")
    assert surplus.transport.disconnecting
    surplus.leave()
    assert warnings(log) == ["max-connections: closing 192.0.2.7:40000: there are 2 connections"]
    holder.leave()
    assert waiter.received() == [first(1), later(0)]
    assert is_served(daemon)


def test_one_host_cannot_take_all_connections(log: list[LogEvent]) -> None:
    daemon = limited(connections_per_peer=2)
    greedy = [daemon.connect("192.0.2.7") for _ in range(3)]
    assert [client.transport.disconnecting for client in greedy] == [False, False, True]
    assert warnings(log) == ["max-connections-per-peer: closing 192.0.2.7:40000: 192.0.2.7 has 2 connections"]
    assert is_served(daemon, "192.0.2.8")
    for client in greedy:
        client.leave()
    assert is_served(daemon, "192.0.2.7")


def test_nor_can_one_user_over_unix_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = limited(connections_per_peer=2)
    user = 7
    monkeypatch.setattr("flom.server.peer.credentials", lambda transport: Credentials(1, user, 1))
    monkeypatch.setattr("tests.fakes.connections.IPv4Address", lambda kind, host, port: UNIXAddress(None))
    assert [daemon.connect().transport.disconnecting for _ in range(3)] == [False, False, True]
    user = 8
    assert not daemon.connect().transport.disconnecting


def test_0_is_for_no_limit() -> None:
    daemon = limited(connections=0, connections_per_peer=0, waiters=0, resources=0)
    clients = [daemon.connect().send(lock(f"R{number % 2}")) for number in range(100)]
    assert [client.received() for client in clients] == [[first(0)]] * 2 + [[first(1)]] * 98


def test_a_connection_closed_at_once_is_no_session() -> None:
    daemon = limited(connections=1)
    client = daemon.connect()
    daemon.connect().leave()
    client.leave()
    assert daemon.arbiter.is_idle


# waiters and resources


def test_a_waiter_too_many_is_told_that_it_is_locked(log: list[LogEvent]) -> None:
    daemon = limited(waiters=1)
    daemon.connect().send(HOLD)
    daemon.connect().send(HOLD)
    assert daemon.connect("192.0.2.7").send(HOLD).received() == [first(4)]
    assert warnings(log) == ["max-waiters: R1 (EX) refused to 192.0.2.7/40000"]
    assert informed(log) == []
    assert is_served(daemon)


def test_one_resource_too_many_is_locked(log: list[LogEvent]) -> None:
    daemon = limited(resources=1)
    daemon.connect().send(HOLD)
    assert daemon.connect("192.0.2.7").send(lock("R2")).received() == [first(4)]
    assert warnings(log) == ["max-resources: R2 (EX) refused to 192.0.2.7/40000"]
    assert daemon.connect().send(HOLD).received() == [first(1)]


def test_one_lock_too_many_of_one_connection_is_locked(log: list[LogEvent]) -> None:
    daemon = limited(locks_per_connection=2)
    greedy = daemon.connect("192.0.2.7")
    for _ in range(3):
        greedy.send(lock("R1", mode=0))
    assert greedy.received() == [first(0), first(0), first(4)]
    assert warnings(log) == ["max-locks-per-connection: R1 (NL) refused to 192.0.2.7/40000"]
    assert daemon.connect().send(lock("R1", mode=0)).received() == [first(0)]


# messages


def test_a_message_may_be_as_long_as_the_limit_says() -> None:
    daemon = limited(message_size=600)
    assert daemon.connect().send(HOLD.replace(b"<msg ", b"<msg".ljust(600 - len(HOLD) + 5))).received() == [first(0)]
    offender = daemon.connect().send(HOLD.replace(b"<msg ", b"<msg".ljust(601 - len(HOLD) + 5)))
    assert (offender.received(), offender.transport.disconnecting) == ([], True)


def test_an_element_that_no_answer_can_tell_makes_no_name() -> None:
    daemon = limited(message_size=2000)
    longest, too_long = ("e" * length + ".f" for length in (MAX_TEXT, MAX_TEXT + 1))
    assert daemon.connect().send(lock(longest)).received() == [first(0, "e" * MAX_TEXT)]
    assert daemon.connect().send(lock(too_long)).received() == [first(-14)]


def test_a_client_has_its_time_for_its_first_message(log: list[LogEvent]) -> None:
    daemon = limited(message_timeout=5.0)
    client = daemon.connect("192.0.2.7")
    daemon.clock.advance(4.9)
    assert not client.transport.aborted
    daemon.clock.advance(0.1)
    assert client.transport.aborted
    assert warnings(log) == ["message-timeout: closing 192.0.2.7:40000: no whole message within 5 s"]


def test_a_byte_a_second_does_not_make_that_any_longer() -> None:
    daemon = limited(message_timeout=5.0)
    newcomer, holder = daemon.connect(), daemon.connect().send(HOLD)
    daemon.clock.advance(3600)
    newcomer = daemon.connect()
    for number in range(5):
        newcomer.send(HOLD[number : number + 1])
        holder.send(unlock()[number : number + 1])
        daemon.clock.advance(1)
    assert newcomer.transport.aborted
    assert holder.transport.aborted


# answers


def test_who_reads_nothing_for_too_long_is_sent_away(log: list[LogEvent]) -> None:
    daemon = limited(unread_timeout=5.0)
    client = daemon.connect("192.0.2.7").send(HOLD)
    client.transport.dataBuffer = b"answers"
    client.protocol.pauseProducing()
    daemon.clock.advance(4.9)
    assert not client.transport.aborted
    daemon.clock.advance(0.1)
    assert client.transport.aborted
    assert warnings(log) == ["unread-timeout: closing 192.0.2.7:40000: it has read no answer within 5 s"]
    client.leave()
    assert is_served(daemon, name="R1")


def test_who_reads_slowly_may_go_on() -> None:
    daemon = limited(unread_timeout=5.0)
    client = daemon.connect().send(HOLD)
    client.transport.dataBuffer = b"answers"
    client.protocol.pauseProducing()
    for number in range(7):
        client.transport.offset = number
        daemon.clock.advance(4)
    client.transport.dataBuffer = b"more answers"
    daemon.clock.advance(5)
    assert not client.transport.aborted
    client.protocol.resumeProducing()
    daemon.clock.advance(3600)
    assert not client.transport.aborted


def test_a_client_that_has_read_everything_is_left_alone() -> None:
    daemon = limited(unread_timeout=5.0)
    client = daemon.connect().send(HOLD)
    client.protocol.pauseProducing()
    client.protocol.pauseProducing()  # Twisted does so at every write to a buffer that is full
    client.protocol.resumeProducing()
    daemon.clock.advance(3600)
    assert not client.transport.aborted


def test_half_a_message_does_not_count_while_it_is_we_who_do_not_read() -> None:
    daemon = limited(unread_timeout=50.0, message_timeout=5.0)
    client = daemon.connect().send(HOLD).send(unlock()[:5])
    client.protocol.pauseProducing()
    daemon.clock.advance(49)
    assert not client.transport.aborted
    client.protocol.resumeProducing()
    daemon.clock.advance(5)
    assert client.transport.aborted


@pytest.mark.parametrize("end", ["leave", "refuse", "stop"])
def test_who_has_gone_is_not_watched(end: str, log: list[LogEvent]) -> None:
    daemon = limited()
    client = daemon.connect()
    client.protocol.pauseProducing()
    if end == "leave":
        client.leave()
    elif end == "refuse":
        client.send(lock("1bad"))
    else:
        client.protocol.stopProducing()
    daemon.clock.advance(3600)
    assert not [text for text in warnings(log) if "unread" in text]


# storms


def test_waiters_that_vanish_at_once_leave_nothing_behind() -> None:
    daemon = limited()
    holder = daemon.connect().send(HOLD)
    crowd = [daemon.connect().send(HOLD) for _ in range(500)]
    for waiter in crowd:
        waiter.leave()
    daemon.clock.advance(85)
    late = [daemon.connect().send(HOLD) for _ in range(100)]
    holder.send(unlock())
    served: list[MemoryClient] = []
    for client in late:
        assert client.received() == [first(1), later(0)]
        assert not any(other.received() for other in served)
        client.send(unlock())
        client.leave()
        served.append(client)
    holder.leave()
    daemon.clock.advance(2)
    assert daemon.arbiter.is_idle
    assert not daemon.arbiter.view().resources

"""The daemon's end of a connection: what is answered, and what ends it without harm to other clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import provider

from flom.core.modes import LockMode
from flom.core.protocol.encode import encode, extend
from flom.core.protocol.messages import (
    Answer,
    Challenge,
    Contested,
    Lock,
    ManagementRefused,
    Message,
    Proof,
    Revoke,
    RevokeAnswer,
    Revoked,
    Unlocked,
)
from flom.server.connection import POSTPONED, SHORT_QUEUE, LockFactory
from flom.server.limits import DEFAULT_LIMITS
from flom.server.options import DEFAULT_OPTIONS, ServerOptions
from tests.fakes.connections import FakeTls, MemoryClient, MemoryDaemon, first, later, lock, unlock, xml
from tests.fakes.logs import warnings

HOLD = lock()

TLS_HELLO = b"\x16\x03\x01\x02\x00"

BREACHES = {
    "text that is no XML": b"hello</msg>",
    "tags that do not match": b"<msg level='3' verb='1' step='8'><a></b></msg>",
    "an unknown entity": b"<msg level='3' verb='1' step='8'>&nope;</msg>",
    "an entity of its own": b"<!DOCTYPE msg [<!ENTITY a 'b'>]><msg level='3' verb='1' step='8'>&a;</msg>",
    "invalid UTF-8": b"<msg level='3' verb='1' step='8'>\xff\xfe</msg>",
    "NUL bytes": b"\0\0\0\0</msg>",
    "verb 0": xml(0, 8),
    "verb 9": xml(9, 8),
    "an unlock before any lock": unlock(),
    "a ping": xml(3, 8),
    "an answer to a ping": xml(3, 16),
    "discovery on a stream": xml(4, 8),
    "an answer": xml(1, 16, '<answer rc="0"/>'),
    "a lock that names nothing": xml(1, 8, '<resource mode="5"/>'),
    "a lock without a resource": xml(1, 8),
    "management without an order": xml(5, 8),
    "a shutdown that does not say how": xml(5, 8, "<shutdown/>"),
    "a resource before the message": b'<resource name="UjE="/>' + xml(1, 8),
    "another level": xml(1, 8, '<resource name="UjE="/>', level=4),
    "a mode out of range": lock(mode=6),
    "a mode far out of range": lock(mode=100000000),
    "a negative mode": lock(mode=-1),
    "a negative quantity": lock("N[3]", quantity=-2),
    "a quantity that overflows": lock("N[3]", quantity=2**32 + 1),
    "a timestamp that never changes": lock("_t_%Y[1]"),
    "a timestamp too long to be told": lock("_t_" + "%c" * 15 + "[1]"),
    "a TLS handshake": TLS_HELLO,
    "a message without an end": b"<msg" + b" " * 511,
    "a message of 512 bytes": lock()[:-6] + b" " * (512 - len(lock())) + b"</msg>",
}

LATER_BREACHES = {what: breach for what, breach in BREACHES.items() if what != "an unlock before any lock"} | {
    "an unlock of another name": unlock("R2"),
    "an unlock of no name": unlock("no name"),
    "a lock of another name": lock("R2"),
    "an unlock with a mode": xml(2, 8, '<resource name="UjE=" mode="5"/>'),
    "a lock with a rollback": lock(rollback=0),
    "a shutdown": xml(5, 8, '<shutdown immediate="1"/>'),
}


@pytest.fixture
def breaches() -> Iterator[list[LogEvent]]:
    """What was logged as a breach of the protocol."""
    logged: list[LogEvent] = []

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event["log_level"] is LogLevel.warn:
            logged.append(event)

    globalLogPublisher.addObserver(observe)
    yield logged
    globalLogPublisher.removeObserver(observe)


def test_the_lock_of_a_lost_connection_goes_to_the_next_waiter() -> None:
    daemon = MemoryDaemon()
    holder = daemon.connect().send(HOLD)
    waiter = daemon.connect().send(HOLD)
    assert waiter.received() == [first(1)]
    holder.leave()
    assert waiter.received() == [later(0)]


def test_messages_may_come_byte_by_byte() -> None:
    daemon = MemoryDaemon()
    client = daemon.connect()
    for byte in HOLD + unlock() + HOLD:
        client.send(bytes([byte]))
    assert client.received() == [first(0), first(0)]


def test_messages_may_come_all_at_once() -> None:
    client = MemoryDaemon().connect().send(HOLD + unlock() + HOLD + unlock())
    assert client.received() == [first(0), first(0)]


@pytest.mark.parametrize("breach", BREACHES.values(), ids=BREACHES.keys())
def test_a_first_message_that_breaks_the_protocol_ends_only_its_connection(
    breach: bytes, breaches: list[LogEvent]
) -> None:
    daemon = MemoryDaemon()
    holder = daemon.connect().send(HOLD)
    waiter = daemon.connect().send(HOLD)
    offender = daemon.connect().send(breach)
    assert offender.transport.disconnecting
    assert offender.received() == []
    assert len(breaches) == 1
    offender.send(HOLD)  # it may go on sending until it notices
    offender.leave()
    assert [client.transport.disconnecting for client in (holder, waiter)] == [False, False]
    holder.send(unlock())
    assert waiter.received() == [first(1), later(0)]


@pytest.mark.parametrize("breach", LATER_BREACHES.values(), ids=LATER_BREACHES.keys())
def test_a_later_message_that_breaks_the_protocol_costs_the_lock(breach: bytes, breaches: list[LogEvent]) -> None:
    daemon = MemoryDaemon()
    offender = daemon.connect().send(HOLD)
    waiter = daemon.connect().send(HOLD)
    offender.send(breach)
    assert offender.transport.disconnecting
    assert len(breaches) == 1
    offender.leave()
    assert waiter.received() == [first(1), later(0)]


def test_what_comes_before_a_breach_in_one_segment_is_served() -> None:
    client = MemoryDaemon().connect().send(HOLD + b"hello</msg>")
    assert client.received() == [first(0)]
    assert client.transport.disconnecting


def test_after_a_breach_nothing_of_the_connection_is_served() -> None:
    daemon = MemoryDaemon()
    offender = daemon.connect().send(b"hello</msg>" + HOLD)
    offender.send(HOLD)
    assert offender.received() == []
    assert daemon.connect().send(lock(wait=0)).received() == [first(0)]


@pytest.mark.parametrize(
    ("request_", "code"), [(lock("1bad"), -14), (lock("R1", create=0, wait=0), 5)], ids=["invalid name", "can't wait"]
)
def test_after_a_last_word_our_side_is_closed_and_nothing_more_is_granted(request_: bytes, code: int) -> None:
    daemon = MemoryDaemon()
    client = daemon.connect().send(request_)
    assert client.received() == [first(code)]
    assert client.transport.half_closed
    client.send(HOLD)
    assert client.received() == []
    assert daemon.connect().send(lock(wait=0)).received() == [first(0)]


def test_a_peer_that_never_says_anything_is_sent_away() -> None:
    daemon = MemoryDaemon()
    client = daemon.connect()
    daemon.clock.advance(DEFAULT_LIMITS.message_timeout)
    assert client.transport.aborted


def test_a_peer_that_stops_in_the_middle_of_a_message_is_sent_away(breaches: list[LogEvent]) -> None:
    daemon = MemoryDaemon()
    client = daemon.connect().send(HOLD + unlock()[:20])
    for byte in unlock()[20:29]:  # nor does a byte now and then help
        daemon.clock.advance(DEFAULT_LIMITS.message_timeout / 10)
        client.send(bytes([byte]))
    assert not client.transport.aborted
    daemon.clock.advance(DEFAULT_LIMITS.message_timeout / 10)
    assert client.transport.aborted
    assert len(breaches) == 1


def test_a_peer_between_messages_may_take_its_time() -> None:
    daemon = MemoryDaemon()
    holder = daemon.connect().send(HOLD)
    waiter = daemon.connect().send(HOLD)
    daemon.clock.advance(24 * 3600)
    assert not holder.transport.aborted
    assert not waiter.transport.aborted


def test_a_refused_peer_that_does_not_close_is_closed() -> None:
    daemon = MemoryDaemon()
    client = daemon.connect().send(lock("1bad"))
    daemon.clock.advance(DEFAULT_LIMITS.message_timeout)
    assert client.transport.aborted


def test_a_peer_that_does_not_read_its_answers_is_not_read_either() -> None:
    client = MemoryDaemon().connect()
    assert (client.transport.producer, client.transport.streaming) == (client.protocol, True)
    client.protocol.pauseProducing()
    assert client.transport.producerState == "paused"
    client.protocol.resumeProducing()
    assert client.transport.producerState == "producing"


def test_holders_and_waiters_that_vanish_together_leave_the_rest_in_order() -> None:
    daemon = MemoryDaemon()
    clients = [daemon.connect().send(HOLD) for _ in range(5)]
    for gone in (1, 0, 2, 3):
        clients[gone].leave()
    assert clients[4].received() == [first(1), later(0)]


def test_a_waiter_is_never_refused_by_step_24() -> None:
    daemon = MemoryDaemon()
    waiter = daemon.connect().send(lock("N[3]", quantity=5, create=0))
    daemon.connect().send(lock("N[3]", quantity=1))
    assert waiter.received() == [first(2), Answer(32, 6)]


ELSEWHERE = "192.0.2.66"

SECURED: Any = FakeTls()


def order(daemon: MemoryDaemon, host: str, immediate: int = 1) -> MemoryClient:
    """Order the daemon to end, from C{host}; over TLS, if it speaks that."""
    client = daemon.connect(host)
    if daemon.options.tls is not None:
        client.protocol.handshakeCompleted()
    return client.send(xml(5, 8, f'<session peerid="0123"/><shutdown immediate="{immediate}"/>'))


@pytest.mark.parametrize(
    ("host", "options"),
    [
        ("127.0.0.1", ServerOptions(allow_local_shutdown=True)),
        (ELSEWHERE, ServerOptions(allow_remote_shutdown=True)),
        (ELSEWHERE, ServerOptions(tls=SECURED)),
    ],
    ids=["from this host where its users may", "from elsewhere where every client may", "with a certificate"],
)
@pytest.mark.parametrize(
    ("immediate", "kind"), [(0, "FLM008N quiesce"), (1, "FLM007N immediate"), (-7, "FLM007N immediate")]
)
def test_a_shutdown_ordered_by_a_trusted_client_is_carried_out(
    host: str, options: ServerOptions, immediate: int, kind: str, log: list[LogEvent]
) -> None:
    daemon = MemoryDaemon(options)
    client = order(daemon, host, immediate)
    assert daemon.shutdowns == [immediate != 0]
    assert client.received() == []
    assert not client.transport.disconnecting
    assert f"{kind} shutdown ordered by {host}:40000" in map(formatEvent, log)


def test_that_a_drain_has_begun_shows_in_the_end_of_the_connection(log: list[LogEvent]) -> None:
    daemon = MemoryDaemon(ServerOptions(allow_local_shutdown=True))
    client = daemon.connect().send(xml(5, 8, '<session peerid="0123"/><shutdown immediate="0" drain="1"/>'))
    assert daemon.shutdowns == [False]
    assert client.received() == []
    assert client.transport.disconnecting
    assert "FLM008N drain shutdown ordered by 127.0.0.1:40000" in map(formatEvent, log)


@pytest.mark.parametrize(("immediate", "kind"), [(0, "quiesce"), (1, "immediate")])
@pytest.mark.parametrize(
    ("host", "options"),
    [
        ("127.0.0.1", DEFAULT_OPTIONS),
        (ELSEWHERE, ServerOptions(allow_local_shutdown=True)),
    ],
    ids=["from this host", "from elsewhere where its host may"],
)
def test_a_shutdown_ordered_by_another_client_is_refused(
    host: str, options: ServerOptions, immediate: int, kind: str, log: list[LogEvent]
) -> None:
    daemon = MemoryDaemon(options)
    client = order(daemon, host, immediate)
    assert daemon.shutdowns == []
    assert client.received() == [ManagementRefused()]
    assert client.transport.disconnecting
    assert warnings(log) == [f"{kind} shutdown refused to {host}:40000"]


@pytest.mark.parametrize("host", [ELSEWHERE, "127.0.0.1"])
def test_a_shutdown_under_another_name_than_the_certificate_s_is_refused(host: str, log: list[LogEvent]) -> None:
    tls: Any = FakeTls("4567")
    daemon = MemoryDaemon(ServerOptions(tls=tls, allow_remote_shutdown=True))
    client = order(daemon, host)
    assert daemon.shutdowns == []
    assert client.received() == [ManagementRefused()]
    assert client.transport.disconnecting
    assert warnings(log) == [f"FLM013E closing {host}:40000: shutdown refused, its unique id '0123' is not '4567'"]


def test_after_a_refused_order_nothing_of_the_connection_is_served() -> None:
    daemon = MemoryDaemon()
    client = order(daemon, ELSEWHERE).send(HOLD)
    assert client.received() == [ManagementRefused()]
    assert daemon.connect().send(lock(wait=0)).received() == [first(0)]


def test_the_log_tells_of_a_peer_that_speaks_tls_where_that_is_not_spoken(log: list[LogEvent]) -> None:
    client = MemoryDaemon().connect()
    for byte in TLS_HELLO:
        client.send(bytes([byte]))
    assert client.transport.disconnecting
    assert warnings(log) == ["closing 127.0.0.1:40000: it speaks TLS, which is not spoken here"]


# more than FLoM says


def extended(name: str = "R1", **attributes: Any) -> bytes:
    """Write a lock message of a client of ours that wants to hear of its unlocks."""
    return lock(name, **attributes).replace(b'step="8"', b'step="8" extended="1"')


def first_of_ours(code: int, element: str | None = None, grant: int = 0) -> Message:
    """Return an answer to a client of ours; C{grant} counts those of the daemon, 0 if it is none."""
    return first(code, element).replace(extended=True, converts=True, token=(1 << 32) + grant if grant else 0)


def test_a_client_of_ours_hears_that_its_unlock_was_taken() -> None:
    daemon = MemoryDaemon()
    holder, waiter = daemon.connect(), daemon.connect()
    assert holder.send(extended()).received() == [first_of_ours(0, grant=1)]
    assert waiter.send(extended()).received() == [first_of_ours(1)]
    assert holder.send(unlock()).received() == [Unlocked()]
    assert waiter.received() == [later(0).replace(token=(1 << 32) + 2)]


def test_a_client_of_floms_hears_of_no_token() -> None:
    daemon = MemoryDaemon()
    holder, waiter = daemon.connect(), daemon.connect()
    assert holder.send(lock()).received() == [first(0)]
    waiter.send(lock())
    holder.send(unlock())
    assert waiter.received()[1:] == [later(0)]


def test_it_may_ask_and_give_back_in_one_breath() -> None:
    client = MemoryDaemon().connect()
    assert client.send((extended() + unlock()) * 3).received() == [
        answer for grant in (1, 2, 3) for answer in (first_of_ours(0, grant=grant), Unlocked())
    ]


def test_it_hears_that_it_gave_up_waiting() -> None:
    daemon = MemoryDaemon()
    holder, waiter = daemon.connect().send(lock()), daemon.connect().send(extended())
    assert waiter.send(unlock()).received() == [first_of_ours(1), Unlocked()]
    holder.leave()
    assert waiter.received() == []


def test_an_unlock_of_flom_s_clients_is_not_answered() -> None:
    client = MemoryDaemon().connect().send(HOLD)
    assert client.received() == [first(0)]
    assert client.send(unlock()).received() == []


# groups


CHALLENGE = encode(Challenge("ff02::1", "0123456789abcdef", "n"))


def test_a_holder_of_ours_is_told_that_its_lock_is_contested() -> None:
    daemon = MemoryDaemon()
    holder, other = daemon.connect().send(extended("R1")), daemon.connect().send(lock("R2"))
    assert (len(holder.received()), len(other.received())) == (1, 1)
    daemon.arbiter.contest(each.holders[0].request.session for each in daemon.arbiter.view().resources)
    assert holder.received() == [Contested()]
    assert other.received() == []  # a client of FLoM would not understand it
    assert holder.send(unlock()).received() == [Unlocked()]


def test_a_daemon_in_no_group_proves_nothing_to_another_one() -> None:
    client = MemoryDaemon().connect().send(CHALLENGE)
    assert client.received() == [Proof(None)]
    assert client.transport.disconnecting


def test_a_challenge_comes_first_or_not_at_all() -> None:
    client = MemoryDaemon().connect().send(HOLD + CHALLENGE)
    assert client.received() == [first(0)]
    assert client.transport.disconnecting


def test_a_retired_daemon_is_there_for_challenges_while_it_has_holders() -> None:
    daemon = MemoryDaemon()
    holder = daemon.connect().send(HOLD)
    daemon.arbiter.retire()
    client, rival = daemon.connect().send(lock("R2")), daemon.connect().send(CHALLENGE)
    assert client.received() == []
    assert client.transport.disconnecting
    assert rival.received() == [Proof(None)]
    for each in (client, rival, holder):
        each.leave()
    assert daemon.factory.buildProtocol(None) is None


# programs that grant locks themselves


def test_a_daemon_that_is_part_of_another_program_is_ended_by_no_client() -> None:
    daemon = MemoryDaemon()
    factory = LockFactory(daemon.arbiter, daemon.clock)  # whose options say of no way to end
    client = MemoryClient(factory, "127.0.0.1").send(xml(5, 8, '<shutdown immediate="1"/>'))
    assert client.received() == [ManagementRefused()]
    assert daemon.shutdowns == []


class TestPostponing:
    """Where a connection can be written to at once, the answer that a client has to wait is sent a little later."""

    @pytest.fixture
    def daemon(self, monkeypatch: pytest.MonkeyPatch) -> MemoryDaemon:
        monkeypatch.setattr("flom.server.connection.sends_at_once", lambda transport: True)
        return MemoryDaemon()

    def test_it_is_sent_when_it_is_time(self, daemon: MemoryDaemon) -> None:
        daemon.connect().send(HOLD)
        waiter = daemon.connect().send(HOLD)
        assert waiter.received() == []
        daemon.clock.advance(POSTPONED)
        assert waiter.received() == [first(1)]
        assert daemon.clock.getDelayedCalls() == []

    def test_behind_a_long_queue_it_is_sent_at_once(self, daemon: MemoryDaemon) -> None:
        daemon.connect().send(HOLD)
        *_, last_of_short, first_of_long = [daemon.connect().send(HOLD) for _ in range(SHORT_QUEUE + 2)]
        assert [waiter.received() for waiter in (last_of_short, first_of_long)] == [[], [first(1)]]

    def test_it_is_sent_with_the_grant_if_that_comes_before(self, daemon: MemoryDaemon) -> None:
        holder = daemon.connect().send(HOLD)
        waiter = daemon.connect().send(HOLD)
        holder.send(unlock())
        assert waiter.received() == [first(1), later(0)]
        daemon.clock.advance(POSTPONED)
        assert waiter.received() == []

    def test_a_second_one_is_sent_at_once_with_the_first(self, daemon: MemoryDaemon) -> None:
        daemon.connect().send(HOLD)
        waiter = daemon.connect().send(HOLD + HOLD)
        assert waiter.received() == [first(1), first(1)]

    def test_other_answers_are_not_postponed(self, daemon: MemoryDaemon) -> None:
        assert daemon.connect().send(HOLD).received() == [first(0)]
        assert daemon.connect().send(lock(wait=0)).received() == [first(4)]

    def test_it_is_sent_before_the_connection_is_closed(self, daemon: MemoryDaemon) -> None:
        daemon.connect().send(HOLD)
        waiter = daemon.connect().send(HOLD)
        waiter.protocol.hang_up()
        assert waiter.received() == [first(1)]

    def test_a_lost_connection_is_not_written_to(self, daemon: MemoryDaemon) -> None:
        daemon.connect().send(HOLD)
        waiter = daemon.connect().send(HOLD)
        waiter.leave()
        daemon.clock.advance(POSTPONED)
        assert waiter.received() == []


def ours(**others: Any) -> bytes:
    """Write a lock message of a client of ours that has a session."""
    return encode(extend(Lock("R1", LockMode.EX, wait=True, create=True, peer_id="0123", **others)))


def test_a_holder_is_told_that_an_administrator_has_ended_its_lock() -> None:
    daemon = MemoryDaemon(ServerOptions(allow_local_shutdown=True))
    holder, waiter = daemon.connect().send(ours()), daemon.connect().send(lock("R1"))
    [told], _ = holder.received(), waiter.received()
    assert isinstance(told, Answer)
    [held] = daemon.arbiter.view("R1").resources[0].holders
    administrator = daemon.connect().send(encode(Revoke("R1", held.number, user="root")))
    assert administrator.received() == [RevokeAnswer()]
    assert administrator.transport.disconnecting
    assert holder.received() == [Revoked("root, 127.0.0.1/40000")]
    assert holder.transport.disconnecting
    assert [message.code for message in waiter.received() if isinstance(message, Answer)] == [0]
    again = ours(regains=True, session=told.session)
    assert [message.code for message in daemon.connect().send(again).received() if isinstance(message, Answer)] == [4]


@pytest.mark.parametrize(("name", "ahead"), [("R1", 1), ("R2", 0), ("no name", 0)])
def test_only_what_is_held_under_both_name_and_number_is_ended(name: str, ahead: int) -> None:
    daemon = MemoryDaemon(ServerOptions(allow_remote_shutdown=True))
    holder = daemon.connect().send(lock("R1"))
    [held] = daemon.arbiter.view("R1").resources[0].holders
    [answer] = daemon.connect("10.0.0.1").send(encode(Revoke(name, held.number + ahead))).received()
    assert isinstance(answer, RevokeAnswer)
    assert answer.why
    assert not holder.transport.disconnecting


@pytest.mark.parametrize(
    ("options", "host"),
    [
        (ServerOptions(), "127.0.0.1"),
        (ServerOptions(allow_local_shutdown=True), "10.0.0.1"),
        (ServerOptions(status_for_all=True), "10.0.0.1"),
    ],
)
def test_a_client_that_may_not_end_the_daemon_ends_no_lock(options: ServerOptions, host: str) -> None:
    daemon = MemoryDaemon(options)
    holder = daemon.connect().send(lock("R1"))
    [held] = daemon.arbiter.view("R1").resources[0].holders
    assert daemon.connect(host).send(encode(Revoke("R1", held.number))).received() == [ManagementRefused()]
    assert not holder.transport.disconnecting

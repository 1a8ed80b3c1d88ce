"""A TCP connection that breaks does not end what its client holds and waits for: the client comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost, TimeoutError
from twisted.logger import LogEvent

from flom.codes import Outcome
from flom.core.locks import handover
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import HAS_SESSIONS, Answer, Lock, More, Revoke, RevokeAnswer, Unlock, Unlocked
from flom.core.sessions import MOST_BROKEN
from flom.server.limits import DEFAULT_LIMITS
from flom.server.options import DEFAULT_OPTIONS, ServerOptions
from flom.server.snapshot import take_status
from tests.fakes.connections import FakeTls, MemoryDaemon, TcpTransport, Transport
from tests.fakes.logs import informed, warnings

TIMEOUT = DEFAULT_LIMITS.session_timeout


class Client:
    """A client of ours, over TCP unless something else is said."""

    def __init__(self, daemon: MemoryDaemon, kind: type[Transport] = TcpTransport) -> None:
        self._daemon = daemon
        self.connection = daemon.connect(kind=kind)
        self.secret = ""

    def ask(self, name: str = "R1", **wanted: Any) -> list[tuple[int, str | None]]:
        """Ask for a lock, and wait for it; return the codes and elements of the answers so far."""
        message = Lock(name, LockMode.EX, 1, wait=True, create=True, extended=HAS_SESSIONS).replace(**wanted)
        self.connection.send(encode(message))
        return self.answers()

    def answers(self) -> list[tuple[int, str | None]]:
        """Return the codes and elements of the answers that have come since."""
        self._daemon.clock.advance(0.01)
        answers = [answer for answer in self.connection.received() if isinstance(answer, Answer)]
        self.secret = next((answer.session for answer in answers if answer.session), self.secret)
        self.token = next((answer.token for answer in answers if answer.token), 0)
        return [(answer.code or 0, answer.element) for answer in answers]

    def unlock(self, name: str = "R1") -> None:
        self.connection.send(encode(Unlock(name)))

    def lose(self, why: Exception | None = None) -> Client:
        """Lose the connection, by a reset by default."""
        self.connection.leave(why or ConnectionLost())
        return self

    def come_back(self, name: str = "R1", **wanted: Any) -> list[tuple[int, str | None]]:
        """Come back on a new connection, to what was held unless C{wanted} has C{regains}; return the answers."""
        self.connection = self._daemon.connect(kind=TcpTransport)
        return self.ask(name, **{"session": self.secret, "regains": True, "wait": False} | wanted)


GRANTED, QUEUED, BUSY = (0, None), (1, None), (4, None)
RELEASED = (Outcome.CANNOT_WAIT, None)


@pytest.mark.parametrize("why", [ConnectionLost(), TimeoutError()], ids=["reset", "time-out"])
def test_a_holder_whose_connection_breaks_comes_back_to_its_lock(why: Exception) -> None:
    daemon = MemoryDaemon()
    holder, waiter = Client(daemon), Client(daemon)
    assert holder.ask() == [GRANTED]
    assert waiter.ask() == [QUEUED]
    holder.lose(why)
    daemon.clock.advance(TIMEOUT - 1)
    assert waiter.answers() == []
    assert holder.come_back() == [GRANTED]
    daemon.clock.advance(TIMEOUT)
    assert waiter.answers() == []
    holder.unlock()
    assert waiter.answers() == [GRANTED]


def test_it_may_come_back_again_and_again() -> None:
    daemon = MemoryDaemon()
    holder = Client(daemon)
    holder.ask()
    secret = holder.secret
    for _ in range(3):
        daemon.clock.advance(TIMEOUT - 1)
        assert holder.lose().come_back() == [GRANTED]
    assert holder.secret == secret
    assert len(secret) == 32


def test_a_holder_that_does_not_come_back_in_time_has_lost_its_lock() -> None:
    daemon = MemoryDaemon()
    holder, waiter = Client(daemon), Client(daemon)
    holder.ask()
    waiter.ask()
    holder.lose()
    daemon.clock.advance(TIMEOUT)
    assert waiter.answers() == [GRANTED]
    assert holder.come_back() == [BUSY]


def test_a_waiter_whose_connection_breaks_keeps_its_place() -> None:
    daemon = MemoryDaemon()
    holder, first, second = (Client(daemon) for _ in range(3))
    assert [client.ask() for client in (holder, first, second)] == [[GRANTED], [QUEUED], [QUEUED]]
    first.lose()
    assert first.come_back(regains=False, wait=True) == [QUEUED]
    holder.unlock()
    assert (first.answers(), second.answers()) == ([GRANTED], [])


def test_a_waiter_gets_what_was_granted_to_it_meanwhile() -> None:
    daemon = MemoryDaemon()
    holder, waiter = Client(daemon), Client(daemon)
    holder.ask("_s_number[1]")
    waiter.ask("_s_number[1]")
    waiter.lose()
    holder.unlock("_s_number[1]")
    assert waiter.come_back("_s_number[1]", regains=False, wait=True) == [(0, "2")]


def test_elements_and_tokens_come_back_too() -> None:
    daemon = MemoryDaemon()
    holder, other = Client(daemon), Client(daemon)
    assert holder.ask("red.green.blue") == [(0, "red")]
    token = holder.token
    assert token
    other.ask("red.green.blue")
    assert holder.lose().come_back("red.green.blue") == [(0, "red")]
    assert holder.token == token


def test_who_waits_for_the_creation_of_a_resource_goes_on_waiting() -> None:
    daemon = MemoryDaemon()
    waiter, maker = Client(daemon), Client(daemon)
    assert waiter.ask(create=False) == [(2, None)]
    assert waiter.lose().come_back(regains=False, wait=True, create=False) == [(2, None)]
    maker.ask()
    maker.unlock()
    assert waiter.answers()[-1] == GRANTED


def test_an_unlock_without_an_answer_is_done_once_it_was_received() -> None:
    """The client asks whether it was: it is told that it holds nothing, which is another answer than a loss."""
    daemon = MemoryDaemon()
    holder, waiter = Client(daemon), Client(daemon)
    holder.ask()
    holder.unlock()
    holder.lose()
    waiter.ask()
    assert holder.come_back() == [RELEASED]
    daemon.clock.advance(TIMEOUT)
    assert holder.come_back() == [BUSY]


def test_who_comes_back_replaces_a_connection_that_seems_to_be_alive() -> None:
    """The client has changed its address, and the daemon has heard nothing of the end of the other connection."""
    daemon = MemoryDaemon()
    holder, waiter = Client(daemon), Client(daemon)
    holder.ask()
    waiter.ask()
    former = holder.connection
    assert holder.come_back() == [GRANTED]
    assert former.transport.aborted
    former.leave(ConnectionAborted())
    assert waiter.answers() == []
    holder.unlock()
    assert waiter.answers() == [GRANTED]


def test_what_the_former_connection_still_says_has_no_effect() -> None:
    daemon = MemoryDaemon()
    holder, waiter = Client(daemon), Client(daemon)
    holder.ask()
    waiter.ask()
    former = holder.connection
    holder.come_back()
    former.send(encode(Unlock("R1")))
    assert waiter.answers() == []


@pytest.mark.parametrize("end", ["close", "abort"])
def test_a_connection_that_is_closed_ends_its_locks_at_once(end: str) -> None:
    daemon = MemoryDaemon()
    holder, waiter = Client(daemon), Client(daemon)
    holder.ask()
    waiter.ask()
    if end == "close":
        holder.connection.leave()
    else:
        holder.lose(ConnectionAborted())
    assert waiter.answers() == [GRANTED]


def test_a_client_that_breaks_the_protocol_has_no_session_to_come_back_to() -> None:
    daemon = MemoryDaemon()
    holder, waiter = Client(daemon), Client(daemon)
    holder.ask()
    waiter.ask()
    holder.connection.send(b"hello</msg>")
    holder.lose()
    assert waiter.answers() == [GRANTED]


def test_there_are_none_over_unix_sockets_or_with_a_timeout_of_0() -> None:
    without = replace(DEFAULT_OPTIONS, limits=replace(DEFAULT_LIMITS, session_timeout=0.0))
    for client in (Client(MemoryDaemon(), Transport), Client(MemoryDaemon(without))):
        client.ask()
        assert not client.secret


def test_clients_of_flom_have_none() -> None:
    client = Client(MemoryDaemon())
    assert client.ask(extended=False) == [GRANTED]
    assert not client.secret


def test_the_secret_is_told_once_on_a_connection() -> None:
    client = Client(MemoryDaemon())
    client.ask()
    client.secret = ""
    client.unlock()
    client.answers()
    assert client.ask() == [GRANTED]
    assert not client.secret


def test_a_secret_that_names_nothing_gets_nothing() -> None:
    daemon = MemoryDaemon()
    holder, thief = Client(daemon), Client(daemon)
    holder.ask()
    assert thief.come_back(session=holder.secret[:-1] + ("0" if holder.secret[-1] != "0" else "1")) == [BUSY]
    assert thief.come_back(session="0" * 32, regains=False, wait=True) == [QUEUED]


def test_another_resource_than_the_session_s_gets_nothing() -> None:
    daemon = MemoryDaemon()
    holder, other = Client(daemon), Client(daemon)
    holder.ask("R1")
    other.ask("R2")
    assert other.come_back("R2", session=holder.secret) == [RELEASED]
    holder.unlock("R1")


def test_the_session_of_another_certificate_gets_nothing() -> None:
    tls = _Certificates()
    daemon = MemoryDaemon(replace(DEFAULT_OPTIONS, tls=tls))  # type: ignore[arg-type]
    holder = Client(daemon)
    holder.ask()
    holder.lose()
    tls.digest = b"thief"
    assert holder.come_back() == [BUSY]
    assert holder.come_back(regains=False, wait=True) == [BUSY]
    tls.digest = b"client"
    assert holder.come_back() == [GRANTED]


def test_what_was_held_before_another_daemon_led_is_not_taken_for_released() -> None:
    daemon = MemoryDaemon()
    holder = Client(daemon)
    holder.ask()
    holder.lose()
    daemon.arbiter.retire()
    daemon.arbiter.resume(grace=1.0)
    assert holder.come_back() == [GRANTED]  # as a holder of the last leader reclaims


def test_the_status_shows_who_is_expected_back() -> None:
    daemon = MemoryDaemon()
    holder = Client(daemon)
    holder.ask()
    holder.lose()

    def shown() -> tuple[bool, int]:
        status = take_status(daemon.arbiter, daemon.factory.counters)
        return status.resources[0].holders[0].in_grace, status.daemon.connected

    assert shown() == (True, 0)
    holder.come_back()
    assert shown() == (False, 1)


def test_a_storm_of_broken_connections_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flom.core.sessions.MOST_BROKEN", 2)
    assert MOST_BROKEN > 2
    daemon = MemoryDaemon()
    clients = [Client(daemon) for _ in range(3)]
    for number, client in enumerate(clients):
        client.ask(f"R{number}")
        client.lose()
    assert [client.come_back(f"R{number}") for number, client in enumerate(clients)] == [[GRANTED], [GRANTED], [BUSY]]


def test_a_daemon_that_ends_waits_for_nobody() -> None:
    daemon = MemoryDaemon()
    holder = Client(daemon)
    holder.ask()
    holder.lose()
    daemon.arbiter.close()
    daemon.factory.disconnect_all()
    assert daemon.clock.getDelayedCalls() == []


# where sessions are required

REQUIRED = replace(DEFAULT_OPTIONS, sessions_are_required=True)
IN_ORDER = ConnectionDone()


def test_where_they_are_required_an_end_without_a_goodbye_is_none() -> None:
    daemon = MemoryDaemon(REQUIRED)
    holder, first, second = (Client(daemon) for _ in range(3))
    assert [client.ask() for client in (holder, first, second)] == [[GRANTED], [QUEUED], [QUEUED]]
    for client in (holder, first):
        client.lose(IN_ORDER)
    daemon.clock.advance(TIMEOUT - 1)
    assert second.answers() == []
    assert first.come_back(regains=False, wait=True) == [QUEUED]
    assert holder.come_back() == [GRANTED]
    holder.unlock()
    assert (first.answers(), second.answers()) == ([GRANTED], [])


def test_who_does_not_come_back_then_loses_its_lock_and_its_place() -> None:
    daemon = MemoryDaemon(REQUIRED)
    holder, first, second = (Client(daemon) for _ in range(3))
    for client in (holder, first, second):
        client.ask()
    for client in (first, holder):
        client.lose(IN_ORDER)
    daemon.clock.advance(TIMEOUT)
    assert second.answers() == [GRANTED]
    assert holder.come_back() == [BUSY]


@pytest.mark.parametrize("name", ["R1", "N[1]", "/a/b", "_s_a[1]", "_S_a[1]", "_t_%T[1]"])
def test_a_goodbye_leaves_nothing_behind(name: str, log: list[LogEvent]) -> None:
    daemon = MemoryDaemon(REQUIRED)
    holder, first, second = (Client(daemon) for _ in range(3))
    for client in (holder, first, second):
        client.ask(name)
    for client in (first, holder):
        client.unlock(name)
        assert Unlocked() in client.connection.received()
        client.lose(IN_ORDER)
    daemon.clock.advance(1.0)  # a time is given once
    assert [code for code, _ in second.answers()] == [0]
    assert warnings(log) == []
    assert [line.partition(" ")[0] for line in informed(log)] == [name]  # that it waits no longer
    assert daemon.arbiter.sessions == 1


def test_a_goodbye_that_crosses_the_grant_gives_the_lock_back() -> None:
    daemon = MemoryDaemon(REQUIRED)
    holder, first, second = (Client(daemon) for _ in range(3))
    for client in (holder, first, second):
        client.ask("_S_a[1]")
    holder.unlock("_S_a[1]")
    assert first.answers() == [(0, "2")]
    first.connection.send(encode(Unlock("_S_a[1]", rollback=True)))
    first.lose(IN_ORDER)
    assert second.answers() == [(0, "2")]


def test_a_goodbye_is_one_although_a_daemon_is_about_to_hand_over() -> None:
    daemon = MemoryDaemon(REQUIRED)
    holder, waiter = Client(daemon), Client(daemon)
    for client in (holder, waiter):
        client.ask()
    daemon.arbiter.freeze()
    holder.unlock()
    holder.lose(IN_ORDER)
    daemon.arbiter.thaw()
    assert waiter.answers() == [GRANTED]


@pytest.mark.parametrize("extended", [0, 1])
def test_a_client_without_a_session_is_refused(extended: int, log: list[LogEvent]) -> None:
    daemon = MemoryDaemon(REQUIRED)
    for _ in range(3):
        client = Client(daemon)
        assert client.ask(extended=extended) == [(Outcome.IMPOSSIBLE, None)]
        assert client.connection.transport.disconnecting
    assert warnings(log) == ["sessions: 127.0.0.1:40000 refused: it has no session, as clients of FLoM have none"]
    assert daemon.arbiter.view().resources == []


def test_such_clients_may_ask_what_is_held() -> None:
    assert Client(MemoryDaemon(REQUIRED)).ask("statusprobe01", extended=1, wait=False, create=False) == [RELEASED]


def test_over_a_unix_socket_they_are_not_required() -> None:
    daemon = MemoryDaemon(REQUIRED)
    holder, waiter = Client(daemon, Transport), Client(daemon, Transport)
    assert holder.ask(extended=0) == [GRANTED]
    waiter.ask()
    holder.lose(IN_ORDER)
    assert waiter.answers() == [GRANTED]


# what gets nothing


def test_over_a_unix_socket_a_secret_gets_nothing() -> None:
    daemon = MemoryDaemon()
    holder, thief = Client(daemon), Client(daemon, Transport)
    holder.ask()
    assert thief.ask(session=holder.secret, regains=True, wait=False) == [BUSY]


def test_the_session_of_another_machine_gets_nothing(log: list[LogEvent]) -> None:
    daemon = MemoryDaemon()
    holder = Client(daemon)
    holder.ask(peer_id="ours")
    holder.lose()
    assert holder.come_back(peer_id="theirs") == [BUSY]
    assert warnings(log) == ["session-timeout: 127.0.0.1:40000 names the session of another client"]
    assert holder.come_back(peer_id="ours") == [GRANTED]


def test_a_session_that_has_ended_gets_nothing() -> None:
    daemon = MemoryDaemon()
    holder, other = Client(daemon), Client(daemon)
    holder.ask()
    holder.unlock()
    holder.lose(IN_ORDER)
    assert other.ask() == [GRANTED]
    assert holder.come_back() == [BUSY]
    assert holder.come_back(regains=False, wait=True) == [QUEUED]


LONG = "R" * 236


def test_a_long_name_comes_back_in_two_messages() -> None:
    daemon = MemoryDaemon()
    holder, waiter = Client(daemon), Client(daemon)
    holder.ask(LONG)
    waiter.ask(LONG)
    holder.lose()
    holder.connection = daemon.connect(kind=TcpTransport)
    assert holder.ask(LONG, more=True, regains=True, wait=False) == [QUEUED]
    holder.connection.send(encode(More(session=holder.secret)))
    assert holder.answers() == [GRANTED]
    assert waiter.answers() == []


MORE = encode(More(session="0" * 32, token=7))


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ([MORE], "more after a lock"),
        ([encode(Lock("R1", more=True, extended=HAS_SESSIONS)), MORE, MORE], "more after a lock"),
        ([encode(Lock("R1", more=True, extended=HAS_SESSIONS))] * 2, "lock in the place of what was to follow"),
        (
            [encode(Lock("R1", more=True, extended=HAS_SESSIONS)), MORE.replace(b"0" * 32, b"0" * 500)],
            "more than 511 b",
        ),
        ([encode(Lock("R1", more=True, extended=HAS_SESSIONS)), MORE.replace(b"7", b"&")], "not XML"),
    ],
    ids=["unasked", "twice", "another lock", "huge", "no XML"],
)
def test_what_must_not_follow_ends_the_connection_with_one_line(
    sent: list[bytes], why: str, log: list[LogEvent]
) -> None:
    daemon = MemoryDaemon()
    client = Client(daemon)
    client.ask()
    for data in sent:
        client.connection.send(data)
    [line] = warnings(log)
    assert line.startswith(f"closing 127.0.0.1:40000: {why}") or why in line
    assert client.connection.transport.disconnecting


@pytest.mark.parametrize(
    "had", [b' session="none"', b' session=""', b' token="x"', b' token="-7" proof="x" holder="99999999999"', b""]
)
def test_what_follows_and_means_nothing_gets_nothing(had: bytes) -> None:
    daemon = MemoryDaemon()
    holder, thief = Client(daemon), Client(daemon)
    holder.ask()
    assert thief.ask(more=True, regains=True, wait=False) == [QUEUED]
    thief.connection.send(b'<msg level="3" verb="1" step="12"><resource%b/></msg>' % had)
    assert thief.answers() == [BUSY]


def test_a_client_of_which_nothing_follows_is_not_waited_for_ever(log: list[LogEvent]) -> None:
    daemon = MemoryDaemon()
    client = Client(daemon)
    client.ask()
    client.unlock()
    client.ask(more=True)
    daemon.clock.advance(DEFAULT_LIMITS.message_timeout * 2)
    assert client.connection.transport.aborted
    assert warnings(log) == ["message-timeout: closing 127.0.0.1:40000: no whole message within 30 s"]


class _Certificates(FakeTls):
    """
    @ivar digest: of the certificate of the client that comes next.
    """

    digest = b"client"

    def peer_certificate(self, transport: Any) -> bytes:
        return self.digest

    def has_broken(self, transport: Any, reason: Any) -> bool:
        return reason.check(ConnectionLost) is not None


def take_over() -> MemoryDaemon:
    """Return a daemon to which another one has handed over R1: client "a" holds it, and client "b" waits."""
    daemon = MemoryDaemon()
    arbiter, sessions = daemon.factory.arbiter, daemon.factory.sessions
    arbiter.retire()
    arbiter.resume()
    clients = [handover.Client(secret * 32, "", "10.0.0.1/4711", None, "ann", None, False) for secret in "ab"]
    held = handover.Claim(0, parse_name("R1"), LockMode.EX, 1, True, 0.0, None, (5 << 32) + 1, 0.0)
    waits = held._replace(client=1, token=0, waited=1.0)
    estate = handover.Estate(5, [], clients, [held, waits])
    arbiter.take_over(estate, [sessions.inherit(client) for client in clients])
    return daemon


def test_what_another_daemon_has_handed_over_is_found_again() -> None:
    daemon = take_over()
    holder, waiter, other = Client(daemon), Client(daemon), Client(daemon)
    assert other.ask() == [QUEUED]
    waiter.secret = "b" * 32
    assert waiter.come_back(regains=False, wait=True) == [QUEUED]
    holder.secret = "a" * 32
    assert holder.come_back() == [GRANTED]
    assert holder.token == (5 << 32) + 1
    holder.unlock()
    assert waiter.answers() == [GRANTED]
    assert waiter.token > holder.token
    assert other.answers() == []


def test_a_client_that_does_not_come_for_it_has_lost_it() -> None:
    daemon = take_over()
    other = Client(daemon)
    assert other.ask() == [QUEUED]
    daemon.clock.advance(TIMEOUT - 1)
    assert other.answers() == []
    daemon.clock.advance(1.1)
    assert other.answers() == [GRANTED]


def test_no_other_client_reclaims_what_was_handed_over() -> None:
    daemon = take_over()
    assert Client(daemon).ask(regains=True, wait=False, token=(5 << 32) + 1) == [BUSY]


def test_an_administrator_ends_a_lock_whose_connection_is_broken() -> None:
    daemon = MemoryDaemon(ServerOptions(allow_local_shutdown=True))
    holder, waiter = Client(daemon), Client(daemon)
    assert (holder.ask(), waiter.ask()) == ([GRANTED], [QUEUED])
    holder.lose()
    [held] = daemon.arbiter.view("R1").resources[0].holders
    assert daemon.connect().send(encode(Revoke("R1", held.number))).received() == [RevokeAnswer()]
    assert waiter.answers() == [GRANTED]
    assert holder.come_back() == [BUSY]

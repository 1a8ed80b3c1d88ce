"""Both ends of a connection as pure objects: bytes in, events and orders out."""

from __future__ import annotations

from typing import Any

import pytest

from flom.codes import Outcome
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.protocol.connection import ClientConnection, ServerConnection
from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode, extend
from flom.core.protocol.events import Convert as ConvertOrder
from flom.core.protocol.events import (
    Converted,
    Converting,
    Event,
    Granted,
    Incomplete,
    Introduced,
    InvalidLock,
    Lost,
    MoreWanted,
    NotConverted,
    Pong,
    Refused,
    Release,
    StatusReceived,
    Waiting,
    Withdraw,
)
from flom.core.protocol.framing import MAX_ANSWER_SIZE, MAX_MESSAGE_SIZE
from flom.core.protocol.messages import (
    HAS_SESSIONS,
    STATUS_PROBE,
    Answer,
    Contested,
    Convert,
    ConvertAnswer,
    Goodbye,
    Lock,
    ManagementRefused,
    Message,
    More,
    Note,
    Ping,
    Shutdown,
    StatusFollows,
    StatusRequest,
    Terms,
    Told,
    Unlock,
    Unlocked,
    WhyWithdrawn,
    Wishes,
)
from flom.core.requests import LockRequest, SessionId
from flom.errors import LocalProtocolError, RemoteProtocolError

LOCK = Lock("R1", LockMode.EX, wait=True, create=True, peer_id="client", extended=True)
INTRODUCED = Introduced("server", Answer(16, 0, None, "server", True, converts=True))


def answer(step: int, code: int, element: str | None = None, extended: bool = True) -> bytes:
    first = step == 16
    is_ours = extended and first
    return encode(Answer(step, code, element, "server" if first else None, is_ours, converts=is_ours))


def events(client: ClientConnection, data: bytes) -> list[Event]:
    """Return what C{data} means, but for introductions."""
    return [event for event in client.receive(data) if not isinstance(event, Introduced)]


def holding(*, extended: bool = True) -> ClientConnection:
    client = ClientConnection()
    client.lock(LOCK)
    assert events(client, answer(16, 0, extended=extended)) == [Granted(None)]
    return client


class TestClient:
    """The client's end."""

    def test_a_lock_is_asked_for_and_granted(self) -> None:
        client = ClientConnection()
        assert decode(client.lock(LOCK)) == LOCK
        assert list(client.receive(answer(16, 0))) == [INTRODUCED, Granted(None)]
        assert client.holds
        assert client.is_extended
        assert not client.is_idle

    def test_an_element_comes_with_the_grant(self) -> None:
        client = ClientConnection()
        client.lock(Lock("a.b"))
        assert events(client, answer(16, 0, "a")) == [Granted("a")]

    def test_a_token_comes_with_a_grant_even_if_there_is_hardly_room(self) -> None:
        """An answer may be longer than a request: FLoM's clients, too, read 1023 bytes."""
        client, server, element = ClientConnection(), ServerConnection(SessionId(7), "server"), "x" * 345
        list(server.receive(client.lock(Lock("a.b", extended=True))))
        data = server.answer(Outcome.GRANTED, element, 2**63 - 1)
        assert data
        assert MAX_MESSAGE_SIZE < len(data) <= MAX_ANSWER_SIZE
        assert events(client, data) == [Granted(element, 2**63 - 1)]

    def test_the_wait_may_be_for_a_creation_and_then_for_holders(self) -> None:
        client = ClientConnection()
        client.lock(LOCK)
        assert events(client, answer(16, 2) + answer(24, 1)) == [Waiting(True), Waiting(False)]
        assert events(client, answer(24, 0)) == [Granted(None)]

    @pytest.mark.parametrize("outcome", [Outcome.BUSY, Outcome.CANNOT_WAIT, Outcome.IMPOSSIBLE, Outcome.INVALID_NAME])
    def test_a_refusal_names_its_outcome(self, outcome: Outcome) -> None:
        client = ClientConnection()
        client.lock(LOCK)
        assert events(client, answer(16, outcome)) == [Refused(outcome)]
        assert not client.holds

    def test_data_may_be_cut_anywhere(self) -> None:
        client = ClientConnection()
        client.lock(LOCK)
        data = answer(16, 1) + answer(24, 0)
        heard = [event for byte in data for event in events(client, bytes([byte]))]
        assert heard == [Waiting(False), Granted(None)]

    def test_an_unlock_is_answered_by_a_daemon_of_ours(self) -> None:
        client = holding()
        assert decode(client.unlock("R1", rollback=True)) == Unlock("R1", rollback=True)
        assert not client.awaits_close
        assert not client.is_idle
        assert events(client, encode(Unlocked())) == [Unlocked()]
        assert client.is_idle
        assert client.is_reusable

    def test_an_unlock_without_an_answer_is_taken_by_the_end(self) -> None:
        client = holding(extended=False)
        client.unlock("R1")
        assert client.awaits_close
        assert not client.is_reusable
        assert client.receive_end(in_order=True) == Unlocked()
        assert not client.is_idle

    def test_a_reset_confirms_no_unlock(self) -> None:
        client = holding(extended=False)
        client.unlock("R1")
        assert client.receive_end(in_order=False) == Lost(was_held=True, has_answered=True)

    def test_an_end_is_no_answer_to_an_unlock_where_one_is_due(self) -> None:
        client = holding()
        client.unlock("R1")
        assert client.receive_end(in_order=True) == Lost(was_held=True, has_answered=True)

    def test_any_other_end_is_a_loss(self) -> None:
        client = ClientConnection()
        assert client.receive_end(in_order=True) == Lost(was_held=False, has_answered=False)
        client = ClientConnection()
        client.lock(LOCK)
        assert client.receive_end(in_order=True) == Lost(was_held=False, has_answered=False)
        client = ClientConnection()
        client.lock(LOCK)
        assert events(client, answer(16, 1)) == [Waiting(False)]
        assert client.receive_end(in_order=True) == Lost(was_held=False, has_answered=True)
        assert holding().receive_end(in_order=True) == Lost(was_held=True, has_answered=True)

    def test_each_request_starts_unanswered(self) -> None:
        client = holding()
        client.unlock("R1")
        events(client, encode(Unlocked()))
        client.lock(LOCK)
        assert not client.has_answered
        assert client.receive_end(in_order=True) == Lost(was_held=False, has_answered=False)

    def test_nothing_can_be_asked_after_the_end(self) -> None:
        client = ClientConnection()
        client.receive_end(in_order=True)
        with pytest.raises(LocalProtocolError):
            client.lock(LOCK)

    def test_nonsense_while_a_lock_is_held_leaves_the_connection_usable(self) -> None:
        client = holding()
        with pytest.raises(RemoteProtocolError):
            events(client, answer(24, 0))
        with pytest.raises(RemoteProtocolError):
            events(client, b"x" * (MAX_ANSWER_SIZE + 1))
        client.unlock("R1")
        assert events(client, encode(Unlocked())) == [Unlocked()]

    def test_a_contested_lock_remains_held(self) -> None:
        client = holding()
        assert events(client, encode(Contested())) == [Contested()]
        assert client.holds
        client.unlock("R1")
        assert events(client, encode(Contested()) + encode(Unlocked())) == [Contested(), Unlocked()]

    @pytest.mark.parametrize(
        "message", [Unlocked(), Contested(), StatusFollows(3), ManagementRefused(), LOCK, Answer(24, 0)]
    )
    def test_what_is_not_due_blames_the_daemon(self, message: Message) -> None:
        client = ClientConnection()
        client.lock(LOCK)
        with pytest.raises(RemoteProtocolError):
            events(client, encode(message))

    def test_what_must_not_be_asked_now_blames_the_caller(self) -> None:
        client = ClientConnection()
        with pytest.raises(LocalProtocolError):
            client.unlock("R1")
        client.lock(LOCK)
        for ask in (lambda: client.lock(LOCK), client.request_status, lambda: client.shut_down(True)):
            with pytest.raises(LocalProtocolError):
                ask()
        assert events(client, answer(16, 0)) == [Granted(None)]

    def test_a_message_that_is_too_long_changes_nothing(self) -> None:
        client = ClientConnection()
        with pytest.raises(LocalProtocolError):
            client.lock(Lock("R" * 500))
        assert client.is_idle

    def test_an_order_to_end_may_be_refused(self) -> None:
        client = ClientConnection()
        assert decode(client.shut_down(True, "client")) == Shutdown(True, "client")
        assert events(client, encode(ManagementRefused())) == [ManagementRefused()]

    def test_an_order_to_end_is_obeyed_by_closing(self) -> None:
        client = ClientConnection()
        client.shut_down(False)
        assert client.receive_end(in_order=True) == Lost(was_held=False, has_answered=False)

    @pytest.mark.parametrize("size", [1, 3, 10_000])
    def test_statuses_come_one_after_another_cut_anywhere(self, size: int) -> None:
        client = ClientConnection()
        assert decode(client.request_status("R1", "client")) == StatusRequest("R1", "client")
        client.request_status()
        one, two = b'{"locks": "</msg>"}', b"x" * 3000
        data = b"".join(encode(StatusFollows(len(each))) + each for each in (one, two)) + encode(ManagementRefused())
        heard = [event for at in range(0, len(data), size) for event in client.receive(data[at : at + size])]
        assert heard == [StatusReceived(one), StatusReceived(two), ManagementRefused()]

    def test_a_status_may_follow_a_lock_that_was_refused(self) -> None:
        client = ClientConnection()
        client.lock(LOCK)
        events(client, answer(16, Outcome.CANNOT_WAIT))
        client.request_status()
        assert events(client, encode(StatusFollows(2)) + b"{}") == [StatusReceived(b"{}")]
        with pytest.raises(LocalProtocolError):
            client.lock(LOCK)

    @pytest.mark.parametrize("data", [b"x" * (MAX_ANSWER_SIZE + 1), b"nonsense</msg>", answer(16, 0)])
    def test_what_is_no_status_blames_the_daemon(self, data: bytes) -> None:
        client = ClientConnection()
        client.request_status()
        with pytest.raises(RemoteProtocolError):
            events(client, data)


def server(*messages: Message) -> ServerConnection:
    connection = ServerConnection(SessionId(7), "server")
    for message in messages:
        for _ in connection.receive(encode(message)):
            pass
    return connection


class TestConversions:
    """A lock changes its mode while it is held."""

    @pytest.fixture
    def client(self) -> ClientConnection:
        client = holding()
        assert decode(client.convert("R1", LockMode.PR)) == Convert("R1", LockMode.PR, True, 1)
        assert client.holds
        assert client.is_converting
        return client

    def test_it_may_wait_and_is_granted(self, client: ClientConnection) -> None:
        assert events(client, converted(16, 1, LockMode.PR, 1)) == [Converting(1)]
        assert client.is_converting
        assert events(client, converted(24, 0, LockMode.PR, 1, 7, "f" * 32)) == [Converted(LockMode.PR, 1, 7, "f" * 32)]
        assert client.holds
        assert not client.is_converting

    @pytest.mark.parametrize("outcome", [Outcome.BUSY, Outcome.DEADLOCK, Outcome.IMPOSSIBLE])
    def test_it_may_be_refused_and_the_lock_is_held(self, client: ClientConnection, outcome: Outcome) -> None:
        assert events(client, converted(16, outcome, LockMode.PR, 1)) == [NotConverted(1, outcome)]
        assert client.holds
        assert not client.is_converting

    def test_the_daemon_may_say_why(self, client: ClientConnection) -> None:
        daemon = server(LOCK)
        answer = daemon.converted(Outcome.DEADLOCK, LockMode.PR, 1, why='db is held by "x"')
        assert events(client, answer) == [NotConverted(1, Outcome.DEADLOCK, 'db is held by "x"')]

    def test_the_last_one_counts(self, client: ClientConnection) -> None:
        assert decode(client.convert("R1", LockMode.EX, wait=False)) == Convert("R1", LockMode.EX, False, 2)
        assert events(client, converted(24, 0, LockMode.PR, 1, 7)) == [Converted(LockMode.PR, 1, 7)]
        assert client.is_converting
        assert events(client, converted(16, 0, LockMode.EX, 2, 8)) == [Converted(LockMode.EX, 2, 8)]
        assert not client.is_converting

    def test_the_lock_may_be_released_meanwhile(self, client: ClientConnection) -> None:
        client.unlock("R1")
        assert events(client, converted(16, 0, LockMode.PR, 1, 7) + encode(Unlocked())) == [
            Converted(LockMode.PR, 1, 7),
            Unlocked(),
        ]
        assert client.is_reusable

    def test_a_goodbye_gives_the_lock_back(self, client: ClientConnection) -> None:
        assert decode(client.goodbye()) == Unlock("R1", rollback=True)

    def test_what_the_daemon_does_not_know_is_not_sent(self) -> None:
        client = ClientConnection()
        client.lock(LOCK)
        assert events(client, encode(Answer(16, 0, None, "server", True))) == [Granted(None)]
        with pytest.raises(LocalProtocolError, match="conversions"):
            client.convert("R1", LockMode.PR)
        assert client.holds

    def test_what_is_not_held_is_not_converted(self) -> None:
        with pytest.raises(LocalProtocolError):
            holding().convert("R2", LockMode.PR)
        client = ClientConnection()
        client.converts = True
        with pytest.raises(LocalProtocolError):
            client.convert("R1", LockMode.PR)

    @pytest.mark.parametrize("data", [b"", b"99"])
    def test_an_answer_without_a_decision_is_none(self, client: ClientConnection, data: bytes) -> None:
        answer = converted(16, 0, LockMode.PR, 1).replace(b'rc="0"', b'rc="%b"' % data if data else b"")
        with pytest.raises(RemoteProtocolError):
            events(client, answer)
        assert client.holds

    def test_an_answer_to_no_conversion_is_none(self) -> None:
        client = holding()
        with pytest.raises(RemoteProtocolError):
            events(client, converted(16, 0, LockMode.PR, 1))

    def test_the_daemon_hears_what_is_to_be_done(self) -> None:
        connection = server(LOCK)
        order = ConvertOrder(parse_name("R1"), LockMode.PR, False, 3)
        assert list(connection.receive(encode(Convert("R1", LockMode.PR, False, 3)))) == [order]
        assert connection.converted(Outcome.GRANTED, LockMode.PR, 3, 7, "f" * 32, delayed=True) == converted(
            24, 0, LockMode.PR, 3, 7, "f" * 32
        )

    @pytest.mark.parametrize("first", [None, Lock("R1"), Lock("R2", extended=True), StatusRequest()])
    def test_it_must_come_from_one_of_ours_on_its_resource(self, first: Message | None) -> None:
        connection = server() if first is None else server(first)
        with pytest.raises(RemoteProtocolError):
            list(connection.receive(encode(Convert("R1", LockMode.PR))))

    @pytest.mark.parametrize("what", [b'mode="3"', b'number="1"', b'name="UjE="'])
    @pytest.mark.parametrize("instead", [b"", b'mode="6"', b'number="0"', b'number="2147483648"'])
    def test_one_that_makes_no_sense_is_none(self, what: bytes, instead: bytes) -> None:
        with pytest.raises(RemoteProtocolError):
            list(server(LOCK).receive(encode(Convert("R1", LockMode.PR)).replace(what, instead)))


def converted(step: int, code: int, mode: LockMode, number: int, token: int = 0, proof: str = "") -> bytes:
    return encode(ConvertAnswer(step, code, mode, number, token, proof))


class TestServer:
    """The daemon's end."""

    def test_the_first_order_introduces_the_client(self) -> None:
        introduced, request = server().receive(encode(LOCK))
        assert introduced == Introduced("client", LOCK)
        assert isinstance(request, LockRequest)
        assert (request.session, request.name, request.mode) == (7, parse_name("R1"), LockMode.EX)

    def test_it_is_introduced_once(self) -> None:
        connection = server(LOCK)
        assert list(connection.receive(encode(Unlock("R1")))) == [Release(parse_name("R1"), rollback=False)]

    @pytest.mark.parametrize("reason", [WhyWithdrawn.TIMEOUT, WhyWithdrawn.SIGNAL])
    def test_a_goodbye_with_a_reason_withdraws(self, reason: WhyWithdrawn) -> None:
        client, connection = ClientConnection(), server()
        assert list(connection.receive(client.lock(LOCK)))
        goodbye = client.goodbye(reason)
        assert list(connection.receive(goodbye)) == [Withdraw(parse_name("R1"), reason)]
        assert goodbye.replace(b' reason="%b"' % reason.value.encode(), b"") == encode(Unlock("R1", rollback=True))

    def test_a_reason_that_is_not_known_is_none(self) -> None:
        connection = server(LOCK)
        goodbye = encode(Goodbye("R1", WhyWithdrawn.SIGNAL)).replace(b"signal", b"gone")
        assert list(connection.receive(goodbye)) == [Release(parse_name("R1"), rollback=True)]

    def test_data_may_be_cut_anywhere(self) -> None:
        connection = server()
        data = encode(LOCK) + encode(Unlock("R1"))
        orders = [order for byte in data for order in connection.receive(bytes([byte]))]
        assert [type(order) for order in orders] == [Introduced, LockRequest, Release]
        assert not connection.is_amid_message

    def test_it_tells_whether_a_message_has_begun(self) -> None:
        connection = server()
        assert list(connection.receive(encode(LOCK)[:20])) == []
        assert connection.is_amid_message

    def test_answers_say_whether_they_are_the_first(self) -> None:
        connection = server(LOCK)
        assert connection.answer(Outcome.QUEUED) == answer(16, 1)
        assert connection.answer(Outcome.GRANTED, delayed=True) == answer(24, 0)

    def test_an_outcome_that_is_never_said_has_no_bytes(self) -> None:
        assert server(LOCK).answer(Outcome.INVALID_TIMESTAMP_FORMAT) is None

    def test_unlocks_are_answered_to_those_who_want_it(self) -> None:
        assert server(LOCK).unlocked() == encode(Unlocked())
        assert server(Lock("R1")).unlocked() is None

    def test_a_contested_lock_is_told_to_those_who_understand_it(self) -> None:
        assert server(LOCK).contested() == encode(Contested())
        assert server(Lock("R1")).contested() is None

    def test_after_the_last_word_nothing_is_heard(self) -> None:
        connection = server(Lock("R1"))
        assert connection.answer(Outcome.CANNOT_WAIT) is not None
        assert connection.is_over
        assert list(connection.receive(encode(Unlock("R1")) + b"nonsense</msg>")) == []

    def test_what_follows_the_end_in_one_read_is_ignored(self) -> None:
        connection = server()
        orders = connection.receive(encode(Shutdown(False)) + b"nonsense</msg>")
        assert [type(order) for order in orders] == [Introduced, Shutdown]

    def test_orders_before_what_is_wrong_are_heard(self) -> None:
        orders = iter(server().receive(encode(LOCK) + encode(Unlock("other"))))
        assert isinstance(next(orders), Introduced)
        assert isinstance(next(orders), LockRequest)
        with pytest.raises(RemoteProtocolError):
            next(orders)

    def test_a_name_that_is_none_is_an_order_to_say_so(self) -> None:
        connection = server()
        assert list(connection.receive(raw_lock("!")))[1:] == [InvalidLock("!")]

    def test_a_status_is_shown_or_refused(self) -> None:
        connection = server()
        assert list(connection.receive(encode(StatusRequest("R1"))))[1:] == [StatusRequest("R1")]
        client = ClientConnection()
        client.request_status("R1")
        client.request_status("R1")
        assert events(client, connection.status(b"{}") + connection.refuse_management()) == [
            StatusReceived(b"{}"),
            ManagementRefused(),
        ]

    def test_both_ends_understand_each_other(self) -> None:
        client, connection = ClientConnection(), server()
        _, request = connection.receive(client.lock(LOCK))
        assert isinstance(request, LockRequest)
        granted = connection.answer(Outcome.GRANTED, "element")
        assert granted is not None
        assert events(client, granted) == [Granted("element")]
        (release,) = connection.receive(client.unlock("R1"))
        assert isinstance(release, Release)
        assert events(client, connection.unlocked() or b"") == [Unlocked()]


def raw_lock(name: str) -> bytes:
    """Return a lock message for a name that L{encode} would not take."""
    from base64 import b64encode

    lock = encode(Lock("R1"))
    return lock.replace(b64encode(b"R1"), b64encode(name.encode()))


SECRET = "0123456789abcdef" * 2
TERMS = Terms(timeout=10.0, succession=2.75, waits=True, required=True, quorum=True)
HAD: dict[str, Any] = {"session": SECRET, "element": "red", "token": 7, "proof": "a" * 32, "holder": 3}


def bound(message: Lock) -> tuple[ClientConnection, ServerConnection, list[object]]:
    """Return both ends of a connection on which C{message} was asked for, and what the daemon is ordered by it."""
    client, server = ClientConnection(), ServerConnection(SessionId(1), "server")
    return client, server, list(server.receive(client.lock(message)))


class TestSessions:
    def test_a_client_is_told_the_secret_of_its_session_and_the_terms(self) -> None:
        client, server, _ = bound(LOCK)
        said = server.answer(Outcome.GRANTED, token=7, session=SECRET, terms=TERMS, proof="a" * 32)
        assert said is not None
        assert events(client, said) == [Granted(None, 7, "a" * 32)]
        assert (client.session, client.terms) == (SECRET, TERMS)

    def test_a_daemon_answers_that_it_is_there(self) -> None:
        client, server, _ = bound(LOCK)
        events(client, server.answer(Outcome.QUEUED, session=SECRET) or b"")
        for _ in range(2):
            assert list(server.receive(client.ping())) == [Ping(8)]
            assert events(client, server.pong()) == [Pong()]
        assert events(client, server.answer(Outcome.GRANTED, delayed=True) or b"") == [Granted(None)]
        assert events(client, server.pong()) == [Pong()]

    def test_without_a_session_it_is_not_asked(self) -> None:
        with pytest.raises(LocalProtocolError):
            holding().ping()

    @pytest.mark.parametrize("data", [encode(Ping(8)), encode(Ping(16)), encode(More())])
    def test_a_client_that_is_not_extended_must_say_nothing_of_the_kind(self, data: bytes) -> None:
        _, server, _ = bound(LOCK.replace(extended=False))
        with pytest.raises(RemoteProtocolError):
            list(server.receive(data))

    @pytest.mark.parametrize("data", [encode(Ping(16)), encode(More())])
    def test_nor_may_one_of_ours_say_what_was_not_asked(self, data: bytes) -> None:
        _, server, _ = bound(LOCK)
        with pytest.raises(RemoteProtocolError):
            list(server.receive(data))

    @pytest.mark.parametrize("heard", [None, Outcome.QUEUED, Outcome.GRANTED])
    def test_who_leaves_says_so(self, heard: Outcome | None) -> None:
        """Also if it has heard nothing yet; what is granted at this moment is rolled back."""
        client, server, _ = bound(LOCK)
        if heard is not None:
            events(client, server.answer(heard) or b"")
        assert list(server.receive(client.goodbye())) == [Release(parse_name("R1"), rollback=True)]
        assert client.goodbye() == b""

    def test_who_has_released_a_lock_has_nothing_to_say(self) -> None:
        client = holding()
        client.unlock("R1")
        assert client.goodbye() == b""

    @pytest.mark.parametrize("code", [0, 1])
    def test_a_daemon_of_flom_is_told_by_the_end_of_the_connection(self, code: int) -> None:
        client, _, _ = bound(LOCK)
        events(client, answer(16, code, extended=False))
        assert client.goodbye() == b""

    def test_so_is_any_daemon_by_a_client_that_is_not_extended(self) -> None:
        client, _, _ = bound(LOCK.replace(extended=0))
        assert client.goodbye() == b""


class TestMore:
    LONG = Lock("R" * 220, wait=True, create=True, peer_id="client", extended=True, **HAD)

    def test_what_has_no_room_follows_when_the_daemon_wants_it(self) -> None:
        client, server, orders = bound(self.LONG)
        assert orders[1:] == [Incomplete()]
        assert events(client, server.more_wanted()) == [MoreWanted()]
        [request] = server.receive(client.more())
        assert isinstance(request, LockRequest)
        assert {field: getattr(request, field) for field in ("element", "proof", "holder")} == {
            field: HAD[field] for field in ("element", "proof", "holder")
        }
        assert request.secret == SECRET

    @pytest.mark.parametrize(
        ("outcome", "expected"),
        [
            (Outcome.GRANTED, Granted("red", 7)),
            (Outcome.QUEUED, Waiting(is_for_creation=False)),
            (Outcome.BUSY, Refused(Outcome.BUSY)),
            (Outcome.CANNOT_WAIT, Refused(Outcome.CANNOT_WAIT)),
        ],
    )
    def test_it_is_answered_like_any_other(self, outcome: Outcome, expected: Event) -> None:
        client, server, _ = bound(self.LONG)
        events(client, server.more_wanted())
        list(server.receive(client.more()))
        has = ("red", 7) if outcome == Outcome.GRANTED else (None, 0)
        said = server.answer(outcome, *has, session=SECRET, terms=TERMS)
        assert said is not None
        assert events(client, said) == [expected]
        assert (client.session, client.terms) == (SECRET, TERMS)
        assert not server.is_late

    def test_a_daemon_that_decides_at_once_gets_no_more(self) -> None:
        client, _, _ = bound(self.LONG)
        assert events(client, answer(16, 0)) == [Granted(None)]
        with pytest.raises(LocalProtocolError):
            client.more()

    def test_a_daemon_of_flom_has_the_client_wait(self) -> None:
        client, _, _ = bound(self.LONG)
        assert events(client, answer(16, 1, extended=False)) == [Waiting(is_for_creation=False)]

    def test_nothing_but_a_goodbye_may_come_in_its_place(self) -> None:
        client, server, _ = bound(self.LONG)
        assert server.is_amid_message
        assert list(server.receive(client.goodbye())) == [Release(parse_name("R" * 220), rollback=True)]
        with pytest.raises(RemoteProtocolError, match="in the place of what was to follow"):
            list(server.receive(encode(Lock("R" * 220))))


class TestWishes:
    """What FLoM does not know: a daemon that would ignore it grants nothing."""

    WISHED = extend(Lock("R1", LockMode.EX, wait=True, create=True, peer_id="0" * 32, wishes=Wishes(max_hold=60.0)))

    def test_a_daemon_is_asked_whether_it_understands_them(self) -> None:
        client, server = ClientConnection(), ServerConnection(SessionId(1), "d" * 32)
        _, order = server.receive(client.lock(self.WISHED))
        assert order == Incomplete()
        assert events(client, server.more_wanted()) == [MoreWanted()]
        [request] = server.receive(client.more())
        assert isinstance(request, LockRequest)
        assert (request.name.text, request.mode, request.wait, request.create) == ("R1", LockMode.EX, True, True)
        assert request.wishes == Wishes(max_hold=60.0)
        assert events(client, server.answer(Outcome.GRANTED, token=7) or b"") == [Granted(None, 7)]
        assert list(server.receive(client.unlock("R1"))) == [Release(parse_name("R1"), rollback=False)]

    def test_the_same_connection_may_wish_again(self) -> None:
        client, server = ClientConnection(), ServerConnection(SessionId(1), "d" * 32)
        for _ in range(2):
            list(server.receive(client.lock(self.WISHED)))
            events(client, server.more_wanted())
            [request] = server.receive(client.more())
            assert isinstance(request, LockRequest)
            events(client, server.answer(Outcome.GRANTED, token=7) or b"")
            list(server.receive(client.unlock("R1")))
            events(client, server.unlocked() or b"")

    @pytest.mark.parametrize("code", [Outcome.CANNOT_WAIT, Outcome.QUEUED, Outcome.GRANTED])
    def test_one_that_does_not_is_told_no_resource(self, code: Outcome) -> None:
        client = ClientConnection()
        question = decode(client.lock(self.WISHED))
        assert isinstance(question, Lock)
        assert question.name.startswith(STATUS_PROBE)
        assert (question.wait, question.create, question.wishes) == (False, False, None)
        answer = Answer(16, code, peer_id="d" * 32, extended=code == Outcome.QUEUED)  # the latter, of an older one
        why = "this daemon is one of FLoM's, or an older one, which does not know --max-hold (max_hold)"
        assert events(client, encode(answer)) == [Refused(Outcome.UNSUPPORTED, why)]

    def test_hints_travel_in_the_request_itself(self) -> None:
        hinted = self.WISHED.replace(wishes=Wishes(lineage=("0123456789abcdef", "f" * 16), nested="share"))
        client, server = ClientConnection(), ServerConnection(SessionId(1), "d" * 32)
        _, request = server.receive(client.lock(hinted))
        assert isinstance(request, LockRequest)
        assert request.wishes == hinted.wishes

    def test_hints_have_no_room_beside_the_longest_names(self) -> None:
        lineage = tuple(f"{number:016x}" for number in range(9))
        hinted = self.WISHED.replace(wishes=Wishes(lineage), user="root", command="backup")
        assert decode(encode(hinted)) == hinted
        plain = self.WISHED.replace(name="R" * 220, wishes=None)
        assert decode(encode(hinted.replace(name=plain.name))) == plain

    @pytest.mark.parametrize("name", ["R1", STATUS_PROBE])
    def test_what_follows_is_what_was_announced(self, name: str) -> None:
        server = ServerConnection(SessionId(1), "d" * 32)
        list(server.receive(encode(Lock(name, extended=HAS_SESSIONS, more=True))))
        wrong = More(token=7) if name == STATUS_PROBE else More(lock=Lock("R1"))
        with pytest.raises(RemoteProtocolError):
            list(server.receive(encode(wrong)))

    def test_a_name_that_is_none_leaves_the_connection_free(self) -> None:
        server = ServerConnection(SessionId(1), "d" * 32)
        question = encode(Lock(STATUS_PROBE, extended=HAS_SESSIONS, more=True))
        list(server.receive(question))
        resource = b'<resource name="YSAg" mode="5" wait="1" create="1" lifespan="0"/>'
        [order] = server.receive(b'<msg level="3" verb="1" step="12">' + resource + b"</msg>")
        assert isinstance(order, InvalidLock)
        with pytest.raises(RemoteProtocolError):
            list(server.receive(encode(Unlock("R1"))))


class TestKept:
    """What is kept with a resource: told with the grant, noted with the unlock (docs/reference/protocol.md)."""

    WISHED = TestWishes.WISHED.replace(wishes=Wishes(value=True, key=""))

    def held(self) -> tuple[ClientConnection, ServerConnection]:
        client, server = ClientConnection(), ServerConnection(SessionId(1), "d" * 32)
        list(server.receive(client.lock(self.WISHED)))
        events(client, server.more_wanted())
        [request] = server.receive(client.more())
        assert isinstance(request, LockRequest)
        assert request.wishes == Wishes(value=True, key="")
        return client, server

    @pytest.mark.parametrize("told", [Told(), Told("tape 7"), Told('ü<&"', 0.5, "one"), Told("", 86400.0)])
    def test_it_is_told_with_the_grant(self, told: Told) -> None:
        client, server = self.held()
        answer = server.answer(Outcome.GRANTED, token=7, proof="f" * 32, told=told) or b""
        assert events(client, answer) == [Granted(None, 7, "f" * 32, told)]

    def test_it_is_told_to_a_waiter_too(self) -> None:
        client, server = self.held()
        events(client, server.answer(Outcome.QUEUED) or b"")
        answer = server.answer(Outcome.GRANTED, token=7, delayed=True, told=Told("x")) or b""
        assert events(client, answer) == [Granted(None, 7, told=Told("x"))]

    @pytest.mark.parametrize("note", [Note("tape 7"), Note(""), Note(key=""), Note("ü", "monday", 3600.0, "one")])
    def test_what_is_to_be_kept_comes_with_the_unlock(self, note: Note) -> None:
        client, server = self.held()
        events(client, server.answer(Outcome.GRANTED, token=7) or b"")
        assert list(server.receive(client.unlock("R1", note=note))) == [Release(parse_name("R1"), False, note)]
        assert events(client, server.unlocked_with_note("") or b"") == [Unlocked(kept=True)]

    def test_why_it_is_not_kept_is_one_line_that_may_be_cut_short(self) -> None:
        client, server = self.held()
        events(client, server.answer(Outcome.GRANTED, token=7) or b"")
        list(server.receive(client.unlock("R1", note=Note("x"))))
        [unlocked] = events(client, server.unlocked_with_note("no\nroom" * 200) or b"")
        assert isinstance(unlocked, Unlocked)
        assert not unlocked.kept
        assert unlocked.why.startswith("no\\nroomno")

    def test_a_refusal_has_its_reason(self) -> None:
        client, server = self.held()
        answer = server.answer(Outcome.IMPOSSIBLE, why="it is <full>" * 100) or b""
        [refused] = events(client, answer)
        assert isinstance(refused, Refused)
        assert refused.why.startswith("it is <full>it is")
        assert len(answer) <= 1023

    def test_the_longest_of_all_has_room(self) -> None:
        client, server = self.held()
        told = Told("x" * 64, 2_147_483.0, "&" * 64)
        said = {"session": "0" * 32, "terms": Terms(10.0, 2.75, True, True, True), "proof": "f" * 32}
        answer = server.answer(Outcome.GRANTED, token=2**63 - 1, told=told, **said) or b""  # type: ignore[arg-type]
        assert len(answer) <= 1023
        assert events(client, answer) == [Granted(None, 2**63 - 1, "f" * 32, told)]

    def test_a_note_that_has_no_room_beside_the_name_is_not_sent(self) -> None:
        """The lock is still held, and can be released without."""
        client, server = ClientConnection(), ServerConnection(SessionId(1), "d" * 32)
        list(server.receive(client.lock(self.WISHED.replace(name="R" * 220, wishes=None))))
        events(client, server.answer(Outcome.GRANTED, token=7) or b"")
        with pytest.raises(LocalProtocolError, match="name is too long"):
            client.unlock("R" * 220, note=Note("x" * 64, "y" * 64, 60.0, "z" * 64))
        assert [type(order) for order in server.receive(client.unlock("R" * 220))] == [Release]

    @pytest.mark.parametrize("said", ['value="x"', f'key="{"A" * 200}"', 'key="AA=="'])
    def test_what_is_no_value_or_key_ends_the_connection(self, said: str) -> None:
        _, server = self.held()
        unlock = f'<msg level="3" verb="2" step="8"><resource name="UjE=" rollback="0" {said}/></msg>'
        with pytest.raises(RemoteProtocolError):
            list(server.receive(unlock.encode()))

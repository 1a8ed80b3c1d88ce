"""Which message may follow which on one connection (docs/compatibility.md, "Protocol: client", "Protocol: daemon")."""

from __future__ import annotations

import pytest

from flom.codes import Outcome
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.protocol.decode import decode
from flom.core.protocol.events import Granted, InvalidLock, Order, Release, Waiting
from flom.core.protocol.messages import Answer, Discover, Discovered, Lock, Message, Ping, Shutdown, Unlock, Unlocked
from flom.core.protocol.session import ClientSession, ServerSession
from flom.core.requests import LockRequest, SessionId
from flom.errors import LocalProtocolError, RemoteProtocolError

LOCK = Lock("R1", LockMode.EX, wait=True, create=True)
PEER_ID = "0123456789abcdef0123456789abcdef"


def ask(session: ServerSession, message: Lock = LOCK) -> LockRequest:
    request = session.order_of(message)
    assert isinstance(request, LockRequest)
    return request


def say(
    session: ServerSession, outcome: Outcome, peer_id: str, element: str | None = None, *, delayed: bool = False
) -> Answer | None:
    """Return the answer that C{session} allows for C{outcome}, as L{ServerConnection.answer} writes it."""
    step = session.step_of(outcome, delayed=delayed)
    if step is None:
        return None
    return Answer(16, outcome, element, peer_id, session.is_extended) if step == 16 else Answer(step, outcome, element)


def answers(*outcomes: Outcome) -> list[Answer | None]:
    """Return the answers of a daemon to one request, by C{outcomes} one after another."""
    session = ServerSession(SessionId(7))
    ask(session)
    return [say(session, outcome, PEER_ID, delayed=number > 0) for number, outcome in enumerate(outcomes)]


class TestServer:
    """The daemon's end."""

    def test_a_lock_becomes_a_request(self) -> None:
        message = Lock("N[5]", LockMode.PW, 3, wait=True, create=True, lifespan=1.5, peer_id=PEER_ID)
        request = ask(ServerSession(SessionId(7)), message)
        assert (request.session, request.name, request.mode) == (7, parse_name("N[5]"), LockMode.PW)
        assert (request.quantity, request.wait, request.create, request.lifespan) == (3, True, True, 1.5)

    @pytest.mark.parametrize(
        ("message", "order"),
        [
            (Lock("no name!"), InvalidLock("no name!")),
            (Lock(""), InvalidLock("")),
            (Shutdown(immediate=False), Shutdown(immediate=False)),
            (Shutdown(immediate=True, peer_id=PEER_ID), Shutdown(immediate=True, peer_id=PEER_ID)),
        ],
    )
    def test_a_first_message_may_order_this(self, message: Message, order: Order) -> None:
        assert ServerSession(SessionId(7)).order_of(message) == order

    @pytest.mark.parametrize(
        "message", [Unlock("R1"), Ping(8), Ping(16), Discover(), Discovered("", 1), Answer(16, 0), Answer(24, 0)]
    )
    def test_no_other_message_may_come_first(self, message: Message) -> None:
        with pytest.raises(RemoteProtocolError, match="before any lock"):
            ServerSession(SessionId(7)).order_of(message)

    @pytest.mark.parametrize("rollback", [True, False])
    def test_an_unlock_may_follow_a_lock(self, rollback: bool) -> None:
        session = ServerSession(SessionId(7))
        ask(session)
        assert session.order_of(Unlock("R1", rollback)) == Release(parse_name("R1"), rollback)

    def test_a_lock_may_follow_a_lock(self) -> None:
        session = ServerSession(SessionId(7))
        assert ask(session) != ask(session)

    @pytest.mark.parametrize(
        "message",
        [
            *(Ping(8), Ping(16), Discover(), Discovered("", 1), Answer(16, 0), Shutdown(immediate=True)),
            *(Unlock("R2"), Unlock("r1"), Unlock("no name!"), Unlock("")),
            *(Lock("R2"), Lock("/R1"), Lock("no name!"), Lock("")),
        ],
        ids=repr,
    )
    def test_nothing_but_locks_and_unlocks_of_its_resource_may_follow_a_lock(self, message: Message) -> None:
        session = ServerSession(SessionId(7))
        ask(session)
        with pytest.raises(RemoteProtocolError):
            session.order_of(message)

    def test_of_a_tree_any_node_may_follow(self) -> None:
        session = ServerSession(SessionId(7))
        ask(session, Lock("/h/x"))
        assert ask(session, Lock("/h/y")).name == parse_name("/h/y")
        assert session.order_of(Unlock("/h/x/y")) == Release(parse_name("/h/x/y"), rollback=False)
        with pytest.raises(RemoteProtocolError):
            session.order_of(Unlock("/i/x"))

    @pytest.mark.parametrize(
        "outcome", [Outcome.GRANTED, Outcome.QUEUED, Outcome.AWAITING_CREATION, Outcome.BUSY, Outcome.IMPOSSIBLE]
    )
    def test_the_first_answer_has_step_16_and_leaves_the_connection_usable(self, outcome: Outcome) -> None:
        session = ServerSession(SessionId(7))
        ask(session)
        assert say(session, outcome, PEER_ID) == Answer(16, outcome, peer_id=PEER_ID)
        assert not session.is_over
        assert ask(session)

    def test_the_element_is_told_early_or_late(self) -> None:
        session = ServerSession(SessionId(7))
        ask(session, Lock("a.b"))
        assert say(session, Outcome.GRANTED, PEER_ID, "a") == Answer(16, 0, "a", PEER_ID)
        assert say(session, Outcome.GRANTED, PEER_ID, "b", delayed=True) == Answer(24, 0, "b")

    def test_a_delayed_grant_has_step_24_and_no_peer_id(self) -> None:
        assert answers(Outcome.QUEUED, Outcome.GRANTED)[1:] == [Answer(24, 0)]

    def test_an_incubated_request_is_queued_by_step_24_and_granted_by_another(self) -> None:
        assert answers(Outcome.AWAITING_CREATION, Outcome.QUEUED, Outcome.GRANTED)[1:] == [Answer(24, 1), Answer(24, 0)]

    @pytest.mark.parametrize("wait", [Outcome.QUEUED, Outcome.AWAITING_CREATION])
    @pytest.mark.parametrize("refusal", [Outcome.BUSY, Outcome.CANNOT_WAIT, Outcome.IMPOSSIBLE, Outcome.INVALID_NAME])
    def test_a_waiter_is_never_refused_by_step_24(self, wait: Outcome, refusal: Outcome) -> None:
        """A client of FLoM takes that for a grant."""
        assert answers(wait, refusal)[1:] == [Answer(32, refusal)]

    def test_an_invalid_timestamp_format_is_not_answered(self) -> None:
        assert answers(Outcome.INVALID_TIMESTAMP_FORMAT) == [None]

    @pytest.mark.parametrize(
        "late", [LOCK, Unlock("R1"), Shutdown(immediate=True), Ping(8), Lock("no name!")], ids=repr
    )
    def test_after_cannot_wait_nothing_has_an_effect(self, late: Message) -> None:
        session = ServerSession(SessionId(7))
        ask(session)
        assert say(session, Outcome.CANNOT_WAIT, PEER_ID) == Answer(16, 5, peer_id=PEER_ID)
        assert session.is_over
        assert session.order_of(late) is None

    @pytest.mark.parametrize(
        "late", [LOCK, Unlock("R1"), Shutdown(immediate=True), Ping(8), Lock("no name!")], ids=repr
    )
    def test_after_an_invalid_name_nothing_has_an_effect(self, late: Message) -> None:
        session = ServerSession(SessionId(7))
        assert session.order_of(Lock("no name!")) == InvalidLock("no name!")
        assert say(session, Outcome.INVALID_NAME, PEER_ID) == Answer(16, -14, peer_id=PEER_ID)
        assert session.is_over
        assert session.order_of(late) is None

    def test_after_a_shutdown_nothing_has_an_effect(self) -> None:
        session = ServerSession(SessionId(7))
        session.order_of(Shutdown(immediate=False))
        assert session.is_over
        assert session.order_of(LOCK) is None


def asked(*received: Answer) -> ClientSession:
    """A client that has asked for C{LOCK} and was told this."""
    session = ClientSession()
    session.note_sent(LOCK)
    for answer in received:
        session.meaning_of(answer)
    return session


QUEUED, INCUBATED, STILL_QUEUED = Answer(16, 1), Answer(16, 2), Answer(24, 1)


class TestClient:
    """The other end."""

    @pytest.mark.parametrize(
        "received",
        [
            [Answer(16, 0)],
            [QUEUED, Answer(24, 0)],
            [INCUBATED, Answer(24, 0)],
            [INCUBATED, STILL_QUEUED, Answer(24, 0)],
            [QUEUED, STILL_QUEUED, STILL_QUEUED, STILL_QUEUED, Answer(24, 0)],
            [QUEUED, Answer(32, 0)],
        ],
    )
    def test_these_answers_end_in_a_lock(self, received: list[Answer]) -> None:
        session = asked(*received[:-1])
        assert not session.holds
        assert session.meaning_of(received[-1]) == Granted(None)
        assert session.holds

    @pytest.mark.parametrize(
        "received",
        [
            *([Answer(16, code)] for code in (4, 5, 6, -14)),
            *([waiting, Answer(24, 6)] for waiting in (QUEUED, INCUBATED)),
            *([waiting, Answer(32, code)] for waiting in (QUEUED, INCUBATED) for code in (4, 5, 6, -14)),
        ],
    )
    def test_these_answers_end_in_a_refusal(self, received: list[Answer]) -> None:
        session = asked(*received)
        assert not session.holds
        with pytest.raises(LocalProtocolError):
            session.note_sent(LOCK)
        with pytest.raises(LocalProtocolError):
            session.note_sent(Unlock("R1"))

    @pytest.mark.parametrize("before", [[], [QUEUED], [INCUBATED], [INCUBATED, STILL_QUEUED]])
    @pytest.mark.parametrize("code", [None, 3, 7, -1, -2, 99])
    def test_an_answer_that_says_nothing_is_no_grant(self, before: list[Answer], code: int | None) -> None:
        session = asked(*before)
        with pytest.raises(RemoteProtocolError):
            session.meaning_of(Answer(24 if before else 16, code))
        assert not session.holds

    @pytest.mark.parametrize(
        ("before", "message"),
        [
            ([], Answer(24, 0)),
            ([], Answer(32, 4)),
            ([QUEUED], Answer(16, 0)),
            ([INCUBATED], QUEUED),
            ([Answer(16, 0)], Answer(16, 0)),
            ([Answer(16, 0)], Answer(24, 0)),
            ([Answer(16, 4)], Answer(16, 0)),
            ([Answer(16, 4)], Answer(24, 0)),
            ([], LOCK),
            ([], Unlock("R1")),
            ([], Ping(16)),
            ([], Discovered("::1", 28015)),
            ([QUEUED], Shutdown(immediate=True)),
        ],
    )
    def test_nothing_else_may_come(self, before: list[Answer], message: Message) -> None:
        session = asked(*before)
        held = session.holds
        with pytest.raises(RemoteProtocolError):
            session.meaning_of(message)
        assert session.holds is held

    @pytest.mark.parametrize("step", [16, 24, 32])
    def test_nothing_may_come_to_who_has_not_asked(self, step: int) -> None:
        with pytest.raises(RemoteProtocolError):
            ClientSession().meaning_of(Answer(step, 0))

    def test_a_lock_given_back_may_be_asked_for_again(self) -> None:
        session = asked(Answer(16, 0))
        session.note_sent(Unlock("R1"))
        assert not session.holds
        session.note_sent(LOCK)
        session.meaning_of(Answer(16, 0))
        assert session.holds

    @pytest.mark.parametrize(
        ("received", "message"),
        [
            ([], LOCK),
            ([], Unlock("R1")),
            ([QUEUED], LOCK),
            ([QUEUED], Unlock("R1")),
            ([Answer(16, 0)], LOCK),
            ([Answer(16, 0)], Unlock("R2")),
        ],
    )
    def test_a_message_out_of_turn_is_not_sent(self, received: list[Answer], message: Lock | Unlock) -> None:
        session = asked(*received)
        held = session.holds
        with pytest.raises(LocalProtocolError):
            session.note_sent(message)
        assert session.holds is held

    def test_what_was_never_asked_for_cannot_be_given_back(self) -> None:
        with pytest.raises(LocalProtocolError):
            ClientSession().note_sent(Unlock("R1"))

    def test_a_connection_is_for_one_resource(self) -> None:
        session = asked(Answer(16, 0))
        session.note_sent(Unlock("R1"))
        with pytest.raises(LocalProtocolError):
            session.note_sent(Lock("R2"))

    def test_an_answer_without_an_answer_tag_is_no_grant(self) -> None:
        session = asked()
        with pytest.raises(RemoteProtocolError):
            session.meaning_of(decode(b'<msg level="3" verb="1" step="16"></msg>'))
        assert not session.holds


def test_both_ends_understand_each_other_through_a_queue() -> None:
    client, server = ClientSession(), ServerSession(SessionId(1))
    client.note_sent(LOCK)
    ask(server)
    for number, outcome in enumerate((Outcome.AWAITING_CREATION, Outcome.QUEUED, Outcome.GRANTED)):
        answer = say(server, outcome, PEER_ID, delayed=number > 0)
        assert answer is not None
        assert client.meaning_of(answer) == (Waiting(number == 0) if number < 2 else Granted(None))
    assert client.holds


# more than FLoM says


EXTENDED = Lock("/a/b", LockMode.EX, wait=True, create=True, extended=True)


def test_an_extended_client_is_answered_so_from_the_first_answer_on() -> None:
    session = ServerSession(SessionId(7))
    assert not session.is_extended
    ask(session, EXTENDED)
    assert session.is_extended
    assert say(session, Outcome.QUEUED, PEER_ID) == Answer(16, 1, None, PEER_ID, extended=True)
    assert say(session, Outcome.GRANTED, PEER_ID, delayed=True) == Answer(24, 0)


def test_a_client_that_does_not_is_told_what_flom_says() -> None:
    session = ServerSession(SessionId(7))
    ask(session)
    ask(session, Lock("R1", extended=True))  # it is the first lock that tells
    assert not session.is_extended
    assert say(session, Outcome.GRANTED, PEER_ID) == Answer(16, 0, None, PEER_ID)


def extended(*received: Answer) -> ClientSession:
    """A client that has asked, and has heard C{received}."""
    session = ClientSession()
    session.note_sent(EXTENDED)
    for answer in received:
        session.meaning_of(answer)
    return session


GRANTED_MORE = Answer(16, 0, extended=True)


def test_a_client_waits_until_its_unlock_was_taken_and_may_ask_again_then() -> None:
    session = extended(GRANTED_MORE)
    assert session.is_extended
    session.note_sent(Unlock("/a/b"))
    assert not session.is_idle
    with pytest.raises(LocalProtocolError):
        session.note_sent(EXTENDED)
    assert session.meaning_of(Unlocked()) == Unlocked()
    assert session.is_idle
    session.note_sent(Lock("/a/c"))  # another node of the tree that the connection is bound to


def test_with_a_daemon_of_flom_nothing_is_waited_for() -> None:
    session = extended(Answer(16, 0))
    session.note_sent(Unlock("/a/b"))
    assert session.is_idle
    with pytest.raises(RemoteProtocolError):
        session.meaning_of(Unlocked())


@pytest.mark.parametrize("code", [4, 5, 6])
def test_a_refusal_for_now_lets_the_client_ask_again(code: int) -> None:
    session = extended(Answer(16, code, extended=True))
    session.note_sent(EXTENDED)
    assert not session.holds


def test_a_last_word_does_not() -> None:
    with pytest.raises(LocalProtocolError):
        extended(Answer(16, -14, extended=True)).note_sent(EXTENDED)


@pytest.mark.parametrize("received", [[], [GRANTED_MORE], [Answer(16, 1, extended=True)]])
def test_an_unlock_that_nobody_has_sent_was_not_taken(received: list[Answer]) -> None:
    session = extended(*received)
    held = session.holds
    with pytest.raises(RemoteProtocolError):
        session.meaning_of(Unlocked())
    assert session.holds is held

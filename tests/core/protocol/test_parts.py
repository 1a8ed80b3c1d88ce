"""Several locks in one request (docs/reference/protocol.md, "Several locks"): what travels, and what it means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from flom.codes import Outcome
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.protocol.connection import ClientConnection, ServerConnection
from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode, extend
from flom.core.protocol.events import (
    Event,
    Granted,
    Introduced,
    InvalidLock,
    MoreWanted,
    PartGranted,
    Refused,
    ReleaseAll,
    Waiting,
    WithdrawAll,
)
from flom.core.protocol.framing import MAX_MESSAGE_SIZE
from flom.core.protocol.messages import (
    MOST_PARTS,
    STATUS_PROBE,
    Convert,
    Lock,
    More,
    Unlock,
    Unlocked,
    WhyWithdrawn,
    Wishes,
)
from flom.core.protocol.parts import again, parts_held, show_locks, spell_parts, together
from flom.core.requests import LockRequest, SessionId, SetRequest
from flom.errors import LocalProtocolError, RemoteProtocolError

THREE = [
    Lock("a", LockMode.EX, wait=True, create=True, peer_id="0" * 32),
    Lock("b[5]", quantity=2, wait=True, create=True),
    Lock("/c/d", LockMode.PR, wait=True, create=False, lifespan=1.5),
]
GRANTS = (Granted(None, 7, "a" * 32), Granted(None, 8, "b" * 32), Granted(None, 9, "c" * 32))


class Ends:
    """Both ends of a connection on which several locks are asked for."""

    def __init__(self, locks: Iterable[Lock] = THREE, **more: Any) -> None:
        self.message = extend(together(list(locks))).replace(**more)
        self.client, self.server = ClientConnection(), ServerConnection(SessionId(1), "d" * 32)

    def ask(self) -> Any:
        """Return what the daemon gets."""
        list(self.server.receive(self.client.lock(self.message)))
        assert self.told(self.server.more_wanted()) == [MoreWanted()]
        return next(iter(self.server.receive(self.client.more())))

    def told(self, data: bytes | None) -> list[Event]:
        """Return what the client makes of C{data}."""
        return [event for event in self.client.receive(data or b"") if not isinstance(event, Introduced)]


@pytest.fixture
def ends() -> Ends:
    return Ends()


def as_asked(request: LockRequest) -> tuple[object, ...]:
    return (
        *(request.name.text, request.mode, request.quantity, request.wait, request.create, request.lifespan),
        *(request.regains, request.element, request.token, request.proof),
    )


def test_several_locks_are_one_request(ends: Ends) -> None:
    request = ends.ask()
    assert isinstance(request, SetRequest)
    assert [as_asked(part) for part in request.parts] == [
        ("a", LockMode.EX, 0, True, True, 0.0, False, None, 0, ""),
        ("b[5]", LockMode.NL, 2, True, True, 0.0, False, None, 0, ""),
        ("/c/d", LockMode.PR, 0, True, False, 1.5, False, None, 0, ""),
    ]


def test_they_are_granted_one_by_one_and_held_when_all_are(ends: Ends) -> None:
    """A daemon under a quorum may tell of a sequence later than of the others."""
    ends.ask()
    answers = [ends.server.answer(Outcome.GRANTED, None, token, part=part) for part, token in [(2, 8), (1, 7), (3, 9)]]
    assert [ends.told(answer) for answer in answers[:2]] == [[PartGranted()], [PartGranted()]]
    assert not ends.client.holds
    [granted] = ends.told(answers[2])
    assert granted == Granted(None, 7, parts=(Granted(None, 7), Granted(None, 8), Granted(None, 9)))
    assert ends.client.holds


def test_all_of_them_end_when_the_first_one_does(ends: Ends) -> None:
    """So a client that reclaims them says for how long it may hold all of them."""
    ends.ask()
    for part, left in [(1, 0.0), (2, 5.0), (3, 2.0)]:
        events = ends.told(ends.server.answer(Outcome.GRANTED, None, 6 + part, part=part, left=left))
    [granted] = events
    assert isinstance(granted, Granted)
    assert (granted.left, [part.left for part in granted.parts]) == (2.0, [0.0, 5.0, 2.0])


def test_they_are_waited_for_and_released_together(ends: Ends) -> None:
    ends.ask()
    assert ends.told(ends.server.answer(Outcome.QUEUED)) == [Waiting(is_for_creation=False)]
    for part in (1, 2, 3):
        events = ends.told(ends.server.answer(Outcome.GRANTED, None, 6 + part, delayed=True, part=part))
    assert isinstance(events[0], Granted)
    assert list(ends.server.receive(ends.client.unlock("a", rollback=True))) == [ReleaseAll(rollback=True)]
    assert ends.told(ends.server.unlocked()) == [Unlocked()]
    assert not ends.client.is_reusable


def test_a_refusal_says_because_of_which(ends: Ends) -> None:
    ends.ask()
    number = ends.server.number_of(parse_name("b[5]"))
    assert ends.told(ends.server.answer(Outcome.IMPOSSIBLE, part=number)) == [Refused(Outcome.IMPOSSIBLE, part=2)]
    assert ends.message.name_of(2) == "b[5]"


@pytest.mark.parametrize("reason", [WhyWithdrawn.TIMEOUT, WhyWithdrawn.GONE])
def test_a_goodbye_withdraws_all_of_them(reason: WhyWithdrawn, ends: Ends) -> None:
    ends.ask()
    [order] = ends.server.receive(ends.client.goodbye(reason))
    assert order == (ReleaseAll(True) if reason is WhyWithdrawn.GONE else WithdrawAll(reason))


def test_one_of_them_cannot_be_converted(ends: Ends) -> None:
    """The daemon would not know which; it would close the connection, and the locks would be lost."""
    ends.ask()
    for part in (1, 2, 3):
        ends.told(ends.server.answer(Outcome.GRANTED, None, 6 + part, part=part))
    with pytest.raises(LocalProtocolError, match="one of several locks"):
        ends.client.note_sent(Convert("a", LockMode.PR, True, 1))
    assert ends.client.holds


def test_a_goodbye_may_come_before_what_was_to_follow(ends: Ends) -> None:
    list(ends.server.receive(ends.client.lock(ends.message)))
    ends.told(ends.server.more_wanted())
    parts = ends.client.more()
    first = parts[: parts.index(b"</msg>") + len(b"</msg>")]
    assert list(ends.server.receive(first)) == []
    assert ends.server.is_amid_message
    list(ends.server.receive(ends.client.goodbye()))


def test_a_reclaim_says_what_each_of_them_was(ends: Ends) -> None:
    reclaims = again(ends.message, GRANTS[0].replace(parts=GRANTS)).replace(session="f" * 32, holder=5)
    request = Ends(THREE, wishes=reclaims.wishes, regains=True, wait=False, session="f" * 32, holder=5).ask()
    assert [(part.token, part.proof, part.regains, part.create, part.wait) for part in request.parts] == [
        (7, "a" * 32, True, True, False),
        (8, "b" * 32, True, True, False),
        (9, "c" * 32, True, True, False),
    ]
    assert [(part.secret, part.holder) for part in request.parts] == [("f" * 32, 5)] * 3


def test_hints_are_those_of_all() -> None:
    hints = Wishes(lineage=("0123456789abcdef",), nested="share")
    locks = [THREE[0].replace(wishes=hints), *THREE[1:]]
    assert [part.wishes for part in Ends(locks).ask().parts] == [hints] * 3


@pytest.mark.parametrize("length", [2, 100, 200, 240])
def test_no_message_is_too_long_for_a_daemon(length: int) -> None:
    """Of a long name, what was granted follows in a message of its own, so nothing is left out."""
    locks = [Lock("a" * length, LockMode.EX), Lock("b" * length, LockMode.EX), Lock("c" * (length - 1) + ".d")]
    had = (Granted(None, 2**60 + 1, "a" * 32), Granted(None, 2**60 + 2, "b" * 32), Granted("d", 2**60 + 3, "c" * 32))
    message = again(together(locks), had[0].replace(parts=had)).replace(session="f" * 32, holder=2**32 - 1, waited=9.5)
    assert max(len(encode(each)) for each in spell_parts(message)) <= MAX_MESSAGE_SIZE
    ends = Ends(locks)
    ends.message = extend(message)
    request = ends.ask()
    assert [(part.element, part.token, part.proof) for part in request.parts] == [
        (granted.element, granted.token, granted.proof) for granted in had
    ]
    assert (request.secret, request.parts[0].holder, request.parts[2].waited) == ("f" * 32, 2**32 - 1, 9.5)


def test_a_name_that_is_too_long_is_said_before_anything_is_sent() -> None:
    with pytest.raises(LocalProtocolError, match="too long"):
        Ends([THREE[0], Lock("b" * 400)]).ask()


def test_a_name_that_is_none_asks_for_nothing(ends: Ends) -> None:
    list(ends.server.receive(ends.client.lock(ends.message)))
    bad = b'<msg level="3" verb="1" step="12"><resource name="YSAg" mode="5" wait="1" create="1" lifespan="0"/></msg>'
    first = encode(More(lock=Lock("a", wait=True, more=True)))
    assert list(ends.server.receive(first + bad)) == [InvalidLock("a  ")]
    assert ends.server.several is None


def follow(*messages: More) -> object:
    """Return what a daemon makes of C{messages} after a question whether it understands wishes."""
    server = ServerConnection(SessionId(1), "d" * 32)
    list(server.receive(encode(extend(Lock(STATUS_PROBE, more=True)))))
    return list(server.receive(b"".join(map(encode, messages))))


def part(name: str, *, more: bool = True, **asked: Any) -> More:
    return More(lock=Lock(name, LockMode.EX, more=more, **asked))


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([part("a"), part("a", more=False)], "a"),
        ([part("/a/b"), part("/a/c", more=False)], "/a/"),
        ([part(f"a{n}") for n in range(MOST_PARTS + 1)], f"more than {MOST_PARTS}"),
        ([part("a"), part("b", wait=True, more=False)], "some wait"),
        ([part("a"), More(token=7, more=True), More(token=8)], "no part of a request"),
        ([More(token=7, more=True)], "not what was to follow"),
    ],
    ids=["twice", "one hierarchy", "too many", "not alike", "too much of one", "of none"],
)
def test_a_peer_that_asks_for_nonsense_is_disconnected(messages: list[More], why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why):
        follow(*messages)


def test_as_many_as_there_can_be_are_taken() -> None:
    locks = [Lock(f"a{n}", LockMode.EX) for n in range(MOST_PARTS)]
    assert len(Ends(locks).ask().parts) == MOST_PARTS


@pytest.mark.parametrize("number", [0, 4, 1])
def test_a_daemon_that_grants_what_is_no_part_is_at_fault(number: int, ends: Ends) -> None:
    ends.ask()
    ends.told(ends.server.answer(Outcome.GRANTED, token=7, part=1))
    with pytest.raises(RemoteProtocolError, match=f"a grant of lock {number} of 3"):
        ends.told(ends.server.answer(Outcome.GRANTED, token=8, part=number))


def test_nothing_but_these_locks_is_asked_for_on_the_connection(ends: Ends) -> None:
    ends.ask()
    with pytest.raises(RemoteProtocolError, match="after a request for several locks"):
        list(ends.server.receive(encode(extend(Lock("a", LockMode.EX)))))


def test_an_unlock_of_another_resource_closes_the_connection(ends: Ends) -> None:
    ends.ask()
    with pytest.raises(RemoteProtocolError, match="bound to"):
        list(ends.server.receive(encode(Unlock("z"))))


def test_one_lock_is_a_plain_request() -> None:
    assert together(THREE[:1]) == THREE[0]
    assert (THREE[0].parts, THREE[0].title, THREE[0].is_of_several) == ((THREE[0],), "a", False)


def test_what_is_held_is_shown_with_each_lock(ends: Ends) -> None:
    assert ends.message.title == "a, b[5] and /c/d"
    held = parts_held(ends.message, GRANTS[0].replace(parts=GRANTS))
    assert [(each.resource, each.token) for each in held] == [("a", 7), ("b[5]", 8), ("/c/d", 9)]
    shown = show_locks(ends.message, [None, None, None], "held")
    assert shown == "<locks 'a' EX, 'b[5]' 2 units, '/c/d' PR, held>"


def test_a_message_that_continues_a_part_is_read_as_it_was_written() -> None:
    said = More("f" * 32, "red", 2**60 + 1, "a" * 32, 7, 3.5, more=True)
    assert decode(encode(said)) == said

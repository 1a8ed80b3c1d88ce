"""What is handed over to another daemon: nothing of it is lost on the way, and a daemon goes on with it as before."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from flom.core.effects import Ended, Granted, Instant, Refused
from flom.core.locks.handover import Claim, Client, Estate, Lost, read_estate
from flom.core.locks.positions import Kept
from flom.core.locks.table import LockTable
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.requests import LockRequest, SessionId
from flom.errors import RemoteProtocolError

NOW = Instant(1000.0, 1_700_000_000.0)
CLIENT = Client("ab" * 16, "", "10.0.0.1/4711", "id", "ann", None, False)


def make_table() -> LockTable:
    return LockTable(lambda format, seconds: time.strftime(format, time.gmtime(seconds)))


def ask(table: LockTable, session: int, name: str, **wishes: Any) -> Any:
    """Ask for a lock; return the effect for this request."""
    request = LockRequest(SessionId(session), parse_name(name), **wishes)
    [effect] = table.request(request, NOW)
    return effect


def hand_over(table: LockTable) -> LockTable:
    """Return another table that goes on with the resources of C{table}, and with what is held there."""
    other = make_table()
    other.outrank(table.epoch)
    other.recall(table.keep(NOW), NOW)
    held = [lock for resource in table.view().resources for lock in resource.holders]
    for lock in sorted(held, key=lambda each: each.number):
        request, about = lock.request, {"regains": True, "element": lock.element, "token": lock.token}
        effect = ask(other, request.session, request.name.text, mode=request.mode, quantity=request.quantity, **about)
        assert (effect.element, effect.token) == (lock.element, lock.token)
    return other


def test_what_is_written_is_read() -> None:
    estate = Estate(
        7,
        [Kept(parse_name("_S_n[2]"), 61.0, 3.5, True, (4, 2))],
        [CLIENT],
        [
            Claim(0, parse_name("/a/\udcff"), LockMode.EX, 1, True, 0.0, "a", 4294967297, 0.0),
            Claim(0, parse_name("R"), LockMode.EX, 1, True, 0.0, None, 0, 2.5, 7),
            Claim(0, parse_name("S"), LockMode.PR, 1, True, 0.0, None, 0, 2.5, 7),
            Claim(0, parse_name("T"), LockMode.PR, 1, True, 0.0, None, 5, 0.0, 0, ("a" * 16, "0" * 16), "share"),
            Claim(0, parse_name("U"), LockMode.PR, 1, True, 0.0, None, 5, 0.0, 0, ("a" * 16,)),
            Claim(0, parse_name("V"), LockMode.EX, 1, True, 0.0, None, 0, 0.0, 0, (), "", True, ("",)),
            Claim(0, parse_name("W"), LockMode.EX, 1, True, 0.0, None, 0, 0.0, 0, (), "", False, ("monday",)),
            Claim(
                0, parse_name("X"), LockMode.EX, 1, True, 0, None, 6, 0, 0, (), "", False, (), 60.0, (0.0,), True, 9.5
            ),
        ],
        [Lost(parse_name("a.b"), LockMode.EX, 1, "b", 4294967299, 12.5)],
    )
    assert read_estate(estate.write()) == estate
    assert estate.write().isascii()
    assert "\n" not in estate.write()


@pytest.mark.parametrize(
    "change",
    [
        lambda estate: estate.pop(),
        lambda estate: estate.__setitem__(0, -1),
        lambda estate: estate[1][0].__setitem__(0, ""),
        lambda estate: estate[1][0].__setitem__(1, "soon"),
        lambda estate: estate[1][0].__setitem__(4, ["x"]),
        lambda estate: estate[2][0].__setitem__(0, ""),
        lambda estate: estate[2][0].pop(),
        lambda estate: estate[3][0].__setitem__(0, 1),
        lambda estate: estate[3][0].__setitem__(2, 6),
        lambda estate: estate[3][0].__setitem__(3, -1),
        lambda estate: estate[3][0].__setitem__(7, 2**63),
        lambda estate: estate[3][0].__setitem__(8, float("nan")),
        lambda estate: estate[3][0].extend([0, [], "", True, ["x" * 65]]),
        lambda estate: estate[3][0].extend([0, [], "", True, [], -1.0]),
        lambda estate: estate[3][0].extend([0, [], "", True, [], 0.0, ["soon"]]),
        lambda estate: estate[3][0].extend([0, [], "", True, [], 0.0, [], False, -1.0]),
        lambda estate: estate.append([["", 5, 1, None, 1, 2.0]]),
        lambda estate: estate.append([["R", 5, 1, None, 1, -2.0]]),
        lambda estate: estate.append([["R", 5, 1]]),
        lambda estate: estate.append(7),
    ],
)
def test_what_no_daemon_writes_is_refused(change: Any) -> None:
    kept, claim = (
        Kept(parse_name("R"), 2.0, 2.0, False, ()),
        Claim(0, parse_name("R"), LockMode.EX, 1, True, 0, None, 1, 0),
    )
    written = json.loads(Estate(1, [kept], [CLIENT], [claim]).write())
    change(written)
    with pytest.raises(RemoteProtocolError, match="what it hands over cannot be read"):
        read_estate(json.dumps(written))


def test_a_claim_that_stands_alone_has_the_fields_that_it_always_had() -> None:
    """Daemons of before read claims of nine fields."""
    claim = Claim(0, parse_name("R"), LockMode.EX, 1, True, 0.0, None, 0, 2.5)
    written = json.loads(Estate(1, [], [CLIENT], [claim]).write())
    assert len(written) == 4
    assert len(written[3][0]) == 9


@pytest.mark.parametrize(
    "claims",
    [
        [(0, "R", 0, 7)],
        [(0, "R", 0, 7), (1, "S", 0, 7)],
        [(0, "R", 0, 7), (0, "R", 0, 7)],
        [(0, "/h/x", 0, 7), (0, "/h/y", 0, 7)],
        [(0, "R", 1, 7), (0, "S", 1, 7)],
        [(0, "R", 0, -1), (0, "S", 0, -1)],
    ],
)
def test_what_cannot_be_one_request_is_refused(claims: list[tuple[int, str, int, int]]) -> None:
    written = [
        Claim(client, parse_name(name), LockMode.EX, 1, True, 0.0, None, token, 0.0, joint)
        for client, name, token, joint in claims
    ]
    with pytest.raises(RemoteProtocolError, match="what it hands over cannot be read"):
        read_estate(Estate(1, [], [CLIENT, CLIENT], written).write())


@pytest.mark.parametrize("text", ["", "{}", "[" * 100_000, "null", "[1,[],[]]"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        read_estate(text)


def test_tokens_grow() -> None:
    table = make_table()
    token = ask(table, 1, "R").token
    other = hand_over(table)
    assert ask(other, 2, "S").token > token


@pytest.mark.parametrize("name", ["N[3]", "a.b.c", "_s_n[3]", "_S_n[3]", "/h", "P"])
def test_others_get_what_they_would_have_got(name: str) -> None:
    """The two daemons grant the next locks alike, until nothing is left."""
    table = make_table()
    for session in (1, 2):
        ask(table, session, name, mode=LockMode.PR)
    table.drop(SessionId(1), NOW)
    other = hand_over(table)
    for session in range(3, 7):
        wishes = {"mode": LockMode.PR if session < 5 else LockMode.EX, "wait": False}
        here, there = ask(table, session, name, **wishes), ask(other, session, name, **wishes)
        assert type(here) is type(there)
        if isinstance(here, Granted):
            assert here.element == there.element
    assert isinstance(there, Refused)


def test_a_sequence_that_nobody_holds_goes_on() -> None:
    table = make_table()
    ask(table, 1, "_s_n[1]")
    table.drop(SessionId(1), NOW)
    assert ask(hand_over(table), 2, "_s_n[1]").element == "2"


def test_a_time_is_not_given_again() -> None:
    table = make_table()
    ask(table, 1, "_t_%T[1]")
    table.drop(SessionId(1), NOW)
    assert isinstance(ask(hand_over(table), 2, "_t_%T[1]", wait=False), Refused)


def test_what_is_idle_is_forgotten_when_it_would_have_been() -> None:
    table = make_table()
    ask(table, 1, "_s_n[1]", lifespan=10.0)
    table.drop(SessionId(1), NOW)
    other = hand_over(table)
    other.expire(Instant(1010.0, NOW.wall))
    assert other
    other.expire(Instant(1011.5, NOW.wall))
    assert not other


def test_what_was_remembered_of_a_sequence_here_gives_way() -> None:
    """The successor has a state directory, and has led before: it does not forget the sequence when it would have."""
    table, other = make_table(), make_table()
    ask(table, 1, "_s_n[1]", lifespan=60.0)
    table.drop(SessionId(1), NOW)
    ask(other, 1, "_s_n[1]", lifespan=1.0)
    other.drop(SessionId(1), NOW)
    other.recall(table.keep(NOW), NOW)
    other.expire(Instant(1005.0, NOW.wall))
    assert ask(other, 2, "_s_n[1]").element == "2"


@pytest.mark.parametrize("name", ["R", "N[1]", "a", "_S_n[1]", "/h/x"])
def test_what_was_lost_is_kept_from_others_for_the_rest_of_the_delay(name: str) -> None:
    table = make_table()
    request = LockRequest(SessionId(9), parse_name(name), element=hand_over_of(name), token=2**32 + 5, regains=True)
    kept = make_table()
    ask(kept, 1, name)
    table.recall(kept.keep(NOW), NOW)
    table.recall_lost(request, 3.0, NOW)
    assert (table.held, table.lost) == (0, 1)
    ask(table, 1, name)
    assert table.expire(Instant(1002.9, NOW.wall)) == []
    [granted] = table.expire(Instant(1003.0, NOW.wall))
    assert isinstance(granted, Granted)
    assert granted.token > request.token
    assert table.lost == 0


def hand_over_of(name: str) -> str | None:
    """Return which element of C{name} is held first."""
    return ask(make_table(), 1, name).element  # type: ignore[no-any-return]


def test_what_was_lost_and_is_shared_is_free_after_all_have_ended() -> None:
    table = make_table()
    kept = make_table()
    ask(kept, 1, "N[2]", quantity=2)
    table.recall(kept.keep(NOW), NOW)
    how: dict[str, Any] = {"quantity": 2, "token": 2**32 + 5, "regains": True}
    ask(table, 1, "N[2]", **how)
    table.recall_lost(LockRequest(SessionId(9), parse_name("N[2]"), **how), 3.0, NOW)
    ask(table, 2, "N[2]")
    assert [type(effect) for effect in table.release(SessionId(1), parse_name("N[2]"), NOW)] == [Ended]
    assert [type(effect) for effect in table.expire(Instant(1003.0, NOW.wall))] == [Granted]


@pytest.mark.parametrize(("name", "memory"), [("R", (1,)), ("_s_n[1]", (2**32,)), ("_s_n[1]", (5, 0)), ("a.b", ())])
def test_what_a_resource_cannot_remember_is_refused(name: str, memory: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (Python's own, too)
        make_table().recall([Kept(parse_name(name), 2.0, 2.0, False, memory)], NOW)

"""Which holds without a process there are, and until when (L{flom.core.holds})."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flom.core.effects import Instant
from flom.core.handles import id_of, make_handle
from flom.core.holds import MAX_TTL, Hold, HoldTable, digest_of, read_hold
from flom.core.modes import LockMode
from flom.core.names import parse_name

FIRST, SECOND = make_handle(bytes(20)), make_handle(bytes(range(20)))
WALL = 1_790_000_000.0


def at(seconds: float, clock_set_by: float = 0.0) -> Instant:
    """Return the moment C{seconds} after the first hold was begun."""
    return Instant(100.0 + seconds, WALL + seconds + clock_set_by)


def hold(handle: str = FIRST, ttl: float = 60.0, **more: Any) -> Hold:
    about: dict[str, Any] = {"title": "deploy", "user": "root", "host": "one", **more}
    name = parse_name("db")
    return Hold(id_of(handle), digest_of(handle), name, LockMode.EX, 1, 0.0, None, 7, ttl, WALL, 100.0 + ttl, **about)


def test_a_hold_is_found_by_its_whole_handle_alone() -> None:
    table = HoldTable()
    table.put(hold())
    assert table.find(FIRST) == table[id_of(FIRST)] == hold()
    for other in (SECOND, FIRST[:-1] + "1", id_of(FIRST), "db", ""):
        assert table.find(other) is None
    assert FIRST not in table[id_of(FIRST)].write(at(0))


def test_a_hold_ends_when_its_time_is_over() -> None:
    table = HoldTable()
    table.put(hold(SECOND, 30.0))
    table.put(hold())
    assert table.next_deadline == 130.0
    assert table.expire(at(29.9)) == []
    assert [one.id for one in table.expire(at(100))] == [id_of(SECOND), id_of(FIRST)]
    assert len(table) == 0
    assert table.find(FIRST) is None
    assert table.next_deadline is None


def test_to_renew_it_begins_its_time_anew() -> None:
    table = HoldTable()
    table.put(hold().renewed(at(50)))
    assert table.next_deadline == 210.0
    table.put(table[id_of(FIRST)].renewed(at(70), 5.0))
    assert table.next_deadline == 175.0
    assert table[id_of(FIRST)].ttl == 5.0


def test_the_time_of_an_adopted_one_begins_when_its_command_has_ended() -> None:
    table = HoldTable()
    table.put(hold().adopted())
    assert (table.next_deadline, table.expire(at(1000))) == (None, [])
    table.put(table[id_of(FIRST)].renewed(at(1000), 5.0))
    assert table.next_deadline is None
    table.put(table[id_of(FIRST)].left(at(2000)))
    assert table.next_deadline == 2105.0


@pytest.mark.parametrize(
    ("written", "read", "left"),
    [
        (at(0), at(20), 40.0),
        (at(0), at(60), None),
        (at(0), at(20, clock_set_by=-3600), 60.0),  # never more than all of it
        (at(0), at(20, clock_set_by=30), 10.0),
        (at(0), at(20, clock_set_by=3600), None),
    ],
)
def test_the_next_daemon_goes_on_by_the_wall_clock(written: Instant, read: Instant, left: float | None) -> None:
    found = read_hold(hold().write(written), read)
    assert (found and found.ends and found.ends - read.monotonic) == left


def test_an_adopted_one_has_all_of_its_time_there() -> None:
    found = read_hold(hold().adopted().write(at(0)), at(1000))
    assert found == hold().left(at(1000))


def test_all_of_it_is_written_down() -> None:
    whole = hold(SECOND, 5.5)
    for name, element in (("s.a.b", "b"), ("_S_a[1]", "17"), ("n[5]", None), ("/a/b", None)):
        one = Hold(whole.id, whole.digest, parse_name(name), LockMode.PR, 3, 9.0, element, 2**62, 5.5, WALL, 105.5)
        assert read_hold(one.write(at(0)), at(0)) == one


GOOD: dict[str, Any] = json.loads(hold().write(at(0)))


@pytest.mark.parametrize(
    "text",
    ["", "{", "7", "[]", "null", "{}", "[" * 100_000]
    + [json.dumps({key: value for key, value in GOOD.items() if key != left_out}) for left_out in GOOD]
    + [
        json.dumps({**GOOD, key: 7 if isinstance(value, str) else "7"})
        for key, value in GOOD.items()
        if key != "element"
    ]
    + [json.dumps({**GOOD, "ttl": ttl}) for ttl in (0, -1, MAX_TTL + 1, 1e300, True, float("nan"))]
    + [json.dumps({**GOOD, "token": token}) for token in ("0", "-7", "x", str(2**63))]
    + [json.dumps({**GOOD, "name": ""}), json.dumps({**GOOD, "mode": "XX"}), json.dumps({**GOOD, "quantity": -1})],
)
def test_what_no_daemon_has_written_is_no_hold(text: str) -> None:
    with pytest.raises(ValueError, match=r"^it is no hold$"):
        read_hold(text, at(0))

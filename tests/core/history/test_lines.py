"""The lines of a history, and what is none."""

from __future__ import annotations

import json
import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flom.core.history.lines import BadLine, History


def line(event: str, time: int, id: str = "x", **fields: object) -> str:
    always = {"format": 1, "event": event, "id": id, "clock": "c", "boottime_ns": time, "wall_ns": time + 1000}
    return json.dumps(always | fields)


def read(*lines: str) -> History:
    history = History()
    for number, each in enumerate(lines, 1):
        history.add(each, f"h:{number}")
    return history


WHOLE = [
    line("request", 1, name="_S_n[2]", lifespan=2.5, pid=7, host="h1", on_lost="terminate", command="job"),
    line("grant", 2, element="3", token="4294967299"),
    line("begin", 3, name="_S_n[2]", pid=8),
    line("reclaim", 4),
    line("reclaim", 5),
    line("end", 6, status=1),
    line("release", 7, rollback=True),
]


def test_lines_of_one_id_are_one_holding() -> None:
    [holding] = read(*WHOLE).holdings()
    assert (holding.who, holding.name, holding.host, holding.command) == (8, "_S_n[2]", "h1", "job")
    assert (holding.asked, holding.begin, holding.end, holding.released) == (1, 3, 6, 7)
    assert holding.wall == (1003, 1006, 1001, 1007)
    assert (holding.element, holding.token, holding.is_kept, holding.lifespan) == ("3", 4294967299, False, 2.5e9)
    assert holding.place == "h:3"


def test_a_command_marks_itself_by_two_lines() -> None:
    [holding] = read(line("begin", 3, name="R", mode="PR"), line("end", 6)).holdings()
    assert (holding.begin, holding.end, holding.mode, holding.is_kept) == (3, 6, "PR", None)


def test_a_command_without_an_end_holds_for_ever() -> None:
    history = read(*WHOLE[:4])
    assert [holding.end for holding in history.holdings()] == [math.inf]
    assert history.without_end == 1


@pytest.mark.parametrize(("on_lost", "end"), [("warn", 4), ("signal:USR1", 4), ("terminate", 6), ("kill", 6)])
def test_a_command_that_may_go_on_without_its_lock_holds_until_the_loss(on_lost: str, end: int) -> None:
    lines = [line("begin", 3, name="R", on_lost=on_lost), line("loss", 4), line("loss", 5), line("end", 6)]
    assert [holding.end for holding in read(*lines).holdings()] == [end]


def test_a_grant_without_a_command_has_not_begun() -> None:
    [holding] = read(*WHOLE[:2]).holdings()
    assert (holding.begin, holding.end, holding.has_begun) == (2, 2, False)


def test_what_was_asked_for_and_has_no_outcome_is_undecided() -> None:
    asked = [line("request", 1, id, name=f"R{id}") for id in "abc"]
    history = read(*asked, line("refusal", 2, "a"), line("grant", 2, "b"))
    assert history.undecided() == {"Rc"}
    assert [holding.name for holding in history.holdings()] == ["Rb"]


def test_the_step_of_a_wall_clock_is_seen() -> None:
    [clock] = read(line("begin", 3, name="R", host="h1"), line("end", 6, wall_ns=2006)).clocks()
    assert (clock.id, clock.host, clock.step) == ("c", "h1", 1000)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON"),
        ('{"format": 1, "ev', "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("7", "no object"),
        ("{}", "its format is None, and this program knows 1"),
        (line("begin", 3, format=2), "its format is 2"),
        (line("begin", 3, format=True), "its format is True"),
        ('{"format": 1, "event": "begin"}', "it has no id"),
        (line("begin", 3, ""), "id: it is empty"),
        (line("start", 3), "event: 'start' is none of request, "),
        (line("begin", -1), "boottime_ns: -1 is not between"),
        (line("begin", 3, boottime_ns=1.5), "boottime_ns: 1.5 is no number"),
        (line("begin", 3, clock=7), "clock: 7 is no text"),
        (line("begin", 3, name="a b"), "name: 'a b' is not a valid name"),
        (line("begin", 3, name=7), "name: 7 is not what it can be"),
        (line("begin", 3, mode="XX"), "mode: 'XX' is none of NL, "),
        (line("begin", 3, quantity=-1), "quantity: -1 is not between"),
        (line("begin", 3, quantity=True), "quantity: True is not what it can be"),
        (line("begin", 3, lifespan=math.nan), "lifespan: nan is not between"),
        (line("begin", 3, token="0"), "token: '0' is none"),
        (line("begin", 3, token="9" * 19 + "9"), f"token: '{'9' * 20}' is none"),
        (line("begin", 3, token=7), "token: 7 is not what it can be"),
        (WHOLE[1], "'x' has had its grant already, at h:2"),
        (line("begin", 3, name="R"), "'x' is about 'R' here, and '_S_n[2]' elsewhere"),
        (line("end", 3, clock="d"), "'x' has another clock elsewhere"),
    ],
)
def test_a_line_that_is_none_is_named(text: str, why: str) -> None:
    history = read(*WHOLE[:2])
    with pytest.raises(BadLine) as caught:
        history.add(text, "h:9")
    assert str(caught.value).startswith("h:9: ")
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([line("end", 3)], "h:1: 'x' ends, and has not begun"),
        ([line("begin", 3)], "h:1: 'x' has no name"),
        ([line("begin", 3, name="R"), line("end", 2)], "h:2: 'x' ends before it begins, at h:1"),
    ],
)
def test_what_does_not_fit_together_is_named(lines: list[str], problem: str) -> None:
    history = read(*lines)
    assert history.holdings() == []
    assert history.problems == [problem]


KEYS = ["format", "event", "id", "clock", "boottime_ns", "wall_ns", "name", "token", "mode", "lifespan", "status"]
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]))


@given(st.dictionaries(st.sampled_from(KEYS), VALUES), st.booleans())
def test_no_object_is_more_than_a_bad_line(fields: dict[str, object], is_nearly_good: bool) -> None:
    history = History()
    text = line("begin", 3, name="R") if is_nearly_good else "{}"
    with suppress(BadLine):
        history.add(json.dumps(json.loads(text) | fields), "h:1")
    history.holdings()

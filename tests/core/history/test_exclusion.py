"""The check that no two commands held what excludes notices if they did, and only then."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flom.core.history.exclusion import violations
from flom.core.history.holding import Holding
from tests.core.history.held import PAIRS, are_within_the_rules, parse


def summary(holdings: list[Holding]) -> str:
    """Return who must not have begun, and beside whom."""
    return ", ".join(
        " ".join([str(found.holding.who), *(f"beside {other.who}" for other in found.beside)])
        for found in violations(holdings)
    )


@pytest.mark.parametrize(("held", "asked", "is_allowed"), PAIRS)
@pytest.mark.parametrize("names", [("R", "R"), ("/r/a", "/r/a"), ("/r", "/r/a"), ("/r/a", "/r")], ids=" ".join)
def test_modes_exclude_each_other(names: tuple[str, str], held: str, asked: str, is_allowed: bool) -> None:
    script = f"10-20 {names[0]} {held}, 15-25 {names[1]} {asked}"
    assert summary(parse(script)) == ("" if is_allowed else "2 beside 1")


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("10-20 R, 21-30 R", ""),
        ("10-20 R, 19-30 R", "2 beside 1"),
        ("19-30 R, 10-20 R", "1 beside 2"),
        ("10-20 R, 15-16 R", "2 beside 1"),
        ("10-20 R, 20-30 R", "2 beside 1"),
        ("10-20 R, 10-20 R", "2 beside 1"),
        ("10-20 R, 15-30 R, 16-40 R", "2 beside 1, 3 beside 1 beside 2"),
        ("10-20 R, 15-16 R, 17-18 R, 19-19 R", "2 beside 1, 3 beside 1, 4 beside 1"),
        ("10- R, 50-60 R", "2 beside 1"),
        ("10- R, 5-9 R", ""),
        ("10-20 R, 10-20 r, 10-20 R1, 10-20 _RESOURCE", ""),
        ("10-20 _RESOURCE, 15-25 _RESOURCE", "2 beside 1"),
    ],
)
def test_who_held_at_the_same_time(script: str, found: str) -> None:
    assert summary(parse(script)) == found


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("10-20 R PR, 10-20 R PR, 10-20 R CR", ""),
        ("10-20 R PR, 11-30 R PR, 25-40 R EX", "3 beside 2"),
        ("10-20 R PR, 11-30 R NL, 12-30 R EX, 13-20 R PR", "3 beside 1, 4 beside 3"),
        # numeric resources
        ("10-20 N[3] *2, 10-20 N[3] *1, 21-30 N[3] *3", ""),
        ("10-20 N[3] *2, 15-20 N[3] *2", "2 beside 1"),
        ("10-20 N[3], 11-20 N[3], 12-20 N[3], 13-20 N[3]", "4 beside 1 beside 2 beside 3"),
        ("10-20 N[3], 11-20 N[3], 12-20 N[3], 21-30 N[3]", ""),
        ("10-20 N[3] *3, 11-20 N[3] *0", ""),
        ("10-20 N[3] *0, 11-20 N[3] *3", ""),
        ("10-20 N[3] *4", "1"),
        ("10-20 N[3] *3, 11-20 N[03] *3", ""),
        ("10-20 N[1] PR, 11-20 N[1] PR", "2 beside 1"),
        # sets
        ("10-20 red.green =red, 11-20 red.green =green, 21-30 red.green =red", ""),
        ("10-20 red.green =red, 11-20 red.green =red", "2 beside 1"),
        ("10-20 red.green =red PR *1, 11-20 red.green =red PR *1", "2 beside 1"),
        ("10-20 red.green =blue", "1"),
        ("10-20 red.green", "1"),
        ("10-20 u.u =u, 11-20 u.u =u, 12-20 u.u =u", "3 beside 1 beside 2"),
        ("10-20 red.green =red, 11-20 green.red =red", ""),
        # hierarchies
        ("10-20 /a/b, 11-20 /a/c, 12-20 /b", ""),
        ("10-20 /r/a, 11-20 /r/ab, 12-20 /r/a/b", "3 beside 1"),
        ("10-20 /r/a, 11-20 /r/b, 12-20 /r", "3 beside 1 beside 2"),
        ("10-20 /r, 11-20 /r/a/b/c PR", "2 beside 1"),
        ("10-20 /r CR, 11-20 /r/a PW, 12-20 /r/a/b NL", ""),
        # sequences and timestamps
        ("10-20 _s_n[2] =1, 11-20 _s_n[2] =2, 21-30 _s_n[2] =1", ""),
        ("10-20 _s_n[2] =1, 11-20 _s_n[2] =1", "2 beside 1"),
        ("10-20 _S_n[1] =1, 11-20 _S_n[1] =2", "2 beside 1"),
        ("10-20 _S_n[1]", "1"),
        ("10-20 _t_%S[2] =01, 11-20 _t_%S[2] =02, 12-20 _t_%S[2] =03", "3 beside 1 beside 2"),
    ],
)
def test_what_was_held_at_the_same_time(script: str, found: str) -> None:
    assert summary(parse(script)) == found


RESOURCES = [["R"], ["N[3]"], ["a.b.b"], ["/t", "/t/a", "/t/a/b", "/t/c"], ["_s_n[2]"], ["_t_%S[2]"]]
ELEMENTS = {"a.b.b": ["a", "b"], "_s_n[2]": ["1", "2", "3"]}


@st.composite
def held_at_some_times(draw: st.DrawFn) -> list[Holding]:
    names = draw(st.sampled_from(RESOURCES))
    count = draw(st.integers(1, 6))
    times = draw(st.permutations(range(2 * count)))  # no two at the same time
    found = []
    for who in range(count):
        begin, end = sorted(times[2 * who : 2 * who + 2])
        name = draw(st.sampled_from(names))
        mode = draw(st.sampled_from(["NL", "CR", "CW", "PR", "PW", "EX"]))
        element = draw(st.sampled_from(ELEMENTS.get(name, [""])))
        found.append(Holding(who, name, begin, end, mode, draw(st.integers(0, 3)), element))
    return found


@settings(max_examples=200)
@given(held_at_some_times())
def test_it_finds_what_a_look_at_every_moment_finds(holdings: list[Holding]) -> None:
    moments = sorted(each.begin for each in holdings)
    bad = [
        moment
        for moment in moments
        if not are_within_the_rules(each for each in holdings if each.begin <= moment <= each.end)
    ]
    found = [each.holding.begin for each in violations(holdings)]
    assert found[:1] == bad[:1]
    assert set(found) <= set(bad)

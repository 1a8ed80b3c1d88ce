"""The check that no two commands held what excludes notices if they did, and only then."""

from __future__ import annotations

import math
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.fakes import critical_section
from tests.fakes.daemon import Daemon
from tests.fakes.exclusion import Holding, Marks, late_tokens, repeated_numbers, violations
from tests.fakes.programs import Programs

# docs/compatibility.md, "Lock modes"; rows: held; columns: asked
MODES = """
          NL  CR  CW  PR  PW  EX
      NL  yes yes yes yes yes yes
      CR  yes yes yes yes yes no
      CW  yes yes yes no  no  no
      PR  yes yes no  yes no  no
      PW  yes yes no  no  no  no
      EX  yes no  no  no  no  no
"""

_COLUMNS, *_ROWS = [line.split() for line in MODES.strip().splitlines()]
PAIRS = [(held, asked, answer == "yes") for held, *row in _ROWS for asked, answer in zip(_COLUMNS, row, strict=True)]


def parse(script: str) -> list[Holding]:
    """
    Parse holdings with commas between, numbered from 1 on.

    Each is BEGIN-END NAME, where END may be missing, then perhaps a mode, a quantity as *2, an element as =red, a token
    as #7.
    """
    found = []
    for number, text in enumerate(script.split(", "), 1):
        when, name, *more = text.split(" ")
        begin, end = when.split("-")
        [mode, quantity, element, token] = ["EX", 1, "", 0]
        for word in more:
            if word.startswith("*"):
                quantity = int(word[1:])
            elif word.startswith("="):
                element = word[1:]
            elif word.startswith("#"):
                token = int(word[1:])
            else:
                mode = word
        found.append(
            Holding(number, name, int(begin), int(end or 0) or math.inf, str(mode), int(quantity), element, int(token))
        )
    return found


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


@pytest.fixture
def loose(tmp_path: Path) -> Marks:
    """Marks of a test that breaks the rules."""
    return Marks(tmp_path / "loose")


def test_two_commands_without_a_lock_are_noticed(loose: Marks, programs: Programs) -> None:
    first = programs.start_program(*loose.command("-r", "R"))
    assert first.line() == "held"
    second = programs.start_program(*loose.command("-r", "R", "-l", "PR", seconds=0))
    assert second.finish().returncode == 0
    [found] = loose.violations()
    assert (found.holding.who, [other.who for other in found.beside]) == (second.pid, [first.pid])
    assert found.why == "PR beside EX"


def test_commands_under_locks_of_two_daemons_are_noticed(loose: Marks, programs: Programs, tmp_path: Path) -> None:
    """With options of every kind of lock that can be held twice, each of which one daemon alone would not grant."""
    kinds = [
        ["-r", "R"],
        ["-r", "N[3]", "-q", "2"],
        ["-r", "/a b/c", "-l", "PW"],
        ["-r", "red.green"],
        ["-r", "_s_n[2]"],
    ]
    paths = [str(tmp_path / "one"), str(tmp_path / "two")]
    with Daemon("--socket-name", paths[0]), Daemon("--socket-name", paths[1]):
        for options in kinds:
            for path in paths:
                assert programs.start(*loose.job("-s", path, *options)).line() == "held"
    assert [(found.holding.name, len(found.beside), found.why) for found in loose.violations()] == [
        ("R", 1, "EX beside EX"),
        ("N[3]", 1, "4 of 3 units"),
        ("/a b/c", 1, "PW beside PW"),
        ("red.green", 1, "'red' is held"),
        ("_s_n[2]", 1, "'1' is held"),
    ]


def test_commands_under_locks_of_one_daemon_are_fine(marks: Marks, programs: Programs, daemon: Daemon) -> None:
    kinds = [["-l", "PR"], ["-l", "PR"], ["-r", "N[3]", "-q", "2"], ["-r", "N[3]"], ["-r", "red.green"]]
    kinds += [["-r", "red.green"], ["-r", "/a/b"], ["-r", "/a/c"], ["-r", "_s_n[2]"], ["-r", "_s_n[2]"]]
    holders = [programs.start(*marks.job("-s", daemon.socket, *options)) for options in kinds]
    assert [holder.line() for holder in holders] == ["held"] * len(kinds)
    later = [programs.start(*marks.job("-s", daemon.socket, *options, seconds=0)) for options in kinds]
    assert [holder.finish().returncode for holder in [*holders, *later]] == [0] * 2 * len(kinds)
    assert len(marks.holdings()) == 2 * len(kinds)
    assert all(holding.end < math.inf for holding in marks.holdings())


def test_a_command_that_is_killed_has_held_until_then(marks: Marks, programs: Programs) -> None:
    killed = programs.start_program(*marks.command())
    assert killed.line() == "held"
    marks.note_death(killed.pid)
    marks.note_death(os.getpid())  # which is no command
    killed.signal(signal.SIGKILL)
    killed.wait()
    assert programs.start_program(*marks.command(seconds=0)).finish().returncode == 0
    assert [holding.who == killed.pid for holding in marks.holdings()] == [True, False]


@pytest.mark.parametrize(
    ("script", "late"),
    [
        ("10-20 R #1, 21-30 R #2, 31-40 S #1", ""),
        ("10-20 R #1, 21-30 R #1", "2 after 1"),
        ("10-20 R #2, 21-30 R #1, 31-40 R #3", "2 after 1"),
        ("10-20 R PR #2, 21-30 R PR #1", ""),  # the first may have been granted last
        ("10-20 R PR #2, 21-30 R #1", "2 after 1"),
        ("10-20 /t/a #2, 21-30 /t #1", "2 after 1"),
        ("10-20 /t/a #2, 21-30 /t/b #1", ""),
        ("10-20 /t/a #2, 21-30 /t/b #2", "2 after 1"),
        ("10-20 N[3] #2, 21-30 N[3] #1", ""),
        ("10-20 N[3] *2 #2, 21-30 N[3] *2 #1", "2 after 1"),
        ("10-20 a.b =a #2, 21-30 a.b =b #1", ""),
        ("10-20 a.b =a #2, 21-30 a.b =a #1", "2 after 1"),
        ("10-20 R, 21-30 R", ""),
    ],
)
def test_tokens_grow(script: str, late: str) -> None:
    assert ", ".join(f"{holding.who} after {other.who}" for holding, other in late_tokens(parse(script))) == late


@pytest.mark.parametrize(
    ("script", "kills", "repeated"),
    [
        ("10-20 _s_a[2] =1, 15-30 _s_a[2] =2, 21-30 _s_a[2] =3, 10-20 _s_b[1] =1", [], ""),
        ("10-20 _s_a[2] =1, 15-30 _s_a[2] =2, 21-30 _s_a[2] =1", [], "3 after 1"),
        ("10-20 _s_a[2] =1, 25-30 _s_a[2] =1", [21], ""),
        ("10-20 _s_a[2] =1, 15-30 _s_a[2] =2, 25-30 _s_a[2] =1", [21], "3 after 1"),
        ("10-20 _s_a[2] =2, 15-30 _s_a[2] =1, 25-30 _s_a[2] =2", [21], ""),
        ("10-20 R =1, 25-30 R =1", [], ""),
    ],
)
def test_numbers_come_once(script: str, kills: list[float], repeated: str) -> None:
    found = repeated_numbers(parse(script), kills)
    assert ", ".join(f"{holding.who} after {other.who}" for holding, other in found) == repeated


def test_a_holder_may_have_the_process_id_of_one_before(marks: Marks, tmp_path: Path) -> None:
    for name in ("R", "S"):
        critical_section.mark(str(tmp_path / "marks"), "begin", 1, name, "EX", "1", "", "")
        critical_section.mark(str(tmp_path / "marks"), "end", 1)
    one, other = marks.holdings()
    assert one.begin < one.end < other.begin < other.end < math.inf


MANY_MARKS = """
import os, sys
sys.path.insert(0, sys.argv[1])
from critical_section import mark
for _ in range(200):
    mark(sys.argv[2], "begin", os.getpid(), sys.argv[3], "NL", "1", "", "")
"""


def test_marks_of_many_at_once_are_whole(marks: Marks, programs: Programs, tmp_path: Path) -> None:
    folder, name = str(Path(critical_section.__file__).parent), "/" + "long" * 50
    words = [sys.executable, "-I", "-S", "-c", MANY_MARKS, folder, str(tmp_path / "marks"), name]
    running = [programs.start_program(*words) for _ in range(4)]
    assert [one.finish().returncode for one in running] == [0] * 4
    assert [holding.name for holding in marks.holdings()] == [name] * 800

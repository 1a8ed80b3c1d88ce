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
from tests.fakes.exclusion import Marks
from tests.fakes.programs import Programs


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


def test_a_holder_may_have_the_process_id_of_one_before(marks: Marks, tmp_path: Path) -> None:
    for name in ("R", "S"):
        critical_section.mark(str(tmp_path / "marks"), "begin", name, pid=1, name=name)
        critical_section.mark(str(tmp_path / "marks"), "end", name)
    one, other = marks.holdings()
    assert one.begin < one.end < other.begin < other.end < math.inf


MANY_MARKS = """
import os, sys
sys.path.insert(0, sys.argv[1])
from critical_section import mark
for number in range(200):
    mark(sys.argv[2], "begin", f"{os.getpid()} {number}", pid=os.getpid(), name=sys.argv[3], mode="NL")
"""


def test_marks_of_many_at_once_are_whole(marks: Marks, programs: Programs, tmp_path: Path) -> None:
    folder, name = str(Path(critical_section.__file__).parent), "/" + "long" * 50
    words = [sys.executable, "-I", "-S", "-c", MANY_MARKS, folder, str(tmp_path / "marks"), name]
    running = [programs.start_program(*words) for _ in range(4)]
    assert [one.finish().returncode for one in running] == [0] * 4
    assert [holding.name for holding in marks.holdings()] == [name] * 800

"""The check that no lock was held twice at one time notices if it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.programs import Programs, eventually
from tests.scenarios.lan.marks import Marks


@pytest.fixture
def marks(tmp_path: Path) -> Marks:
    return Marks(tmp_path / "marks")


@pytest.mark.parametrize(
    ("script", "overlaps"),
    [
        ("begin 1 10, end 1 20, begin 2 21, end 2 30", []),
        ("begin 1 10, begin 2 19, end 1 20, end 2 30", [(1, 2)]),
        ("begin 2 19, begin 1 10, end 1 20, end 2 30", [(2, 1)]),
        ("begin 1 10, begin 2 15, end 2 16, end 1 20", [(1, 2)]),
        ("begin 1 10, end 1 20, begin 2 20, end 2 30", [(1, 2)]),
        ("begin 1 10, begin 2 15, begin 3 16, end 1 20, end 2 30, end 3 40", [(1, 2), (1, 3), (2, 3)]),
        ("begin 1 10, begin 2 50, end 2 60", [(1, 2)]),
    ],
)
def test_who_held_together(script: str, overlaps: list[tuple[int, int]], marks: Marks, tmp_path: Path) -> None:
    (tmp_path / "marks").write_text(script.replace(", ", "\n") + "\n")
    assert [(one.pid, other.pid) for one, other in marks.overlaps()] == overlaps


def test_two_commands_without_a_lock_are_noticed(marks: Marks, programs: Programs) -> None:
    first = programs.start_program(*marks.command(60))
    eventually(lambda: len(marks.holdings()) == 1, "the first one has begun")
    second = programs.start_program(*marks.command())
    assert second.wait() == 0
    assert [(one.pid, other.pid) for one, other in marks.overlaps()] == [(first.pid, second.pid)]


def test_one_after_the_other_is_fine(marks: Marks, programs: Programs) -> None:
    for number in range(3):
        assert programs.start_program(*marks.command(0)).wait() == 0
        assert len(marks.holdings()) == number + 1
    assert marks.overlaps() == []

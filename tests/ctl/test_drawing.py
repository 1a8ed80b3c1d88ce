"""What stands on a terminal."""

from __future__ import annotations

import io

from rich.console import RenderableType

from flom.ctl.drawing import make_console, make_table, make_tree
from flom.ctl.rows import blocked_first, sections_of
from flom.ctl.tree import Tree
from flom.status.model import Status
from tests.fakes.status import make_status


def drawn(what: RenderableType, width: int) -> list[str]:
    out = io.StringIO()
    console = make_console(out)
    console.width = width
    console.print(what)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def lines_of(status: Status, width: int) -> list[str]:
    return drawn(make_table(sections_of(status, blocked_first), width), width)


def test_a_table_leaves_out_empty_columns_and_repeated_names() -> None:
    lines = lines_of(make_status("red.green", "red.green"), 100)
    assert lines[0].split() == ["RESOURCE", "TYPE", "STATE", "WHO", "ELEMENT", "FOR"]
    assert [line.count("red.green") for line in lines[2:]] == [1, 0]


def test_a_narrow_terminal_has_no_room_for_types() -> None:
    assert "TYPE" not in lines_of(make_status("R1"), 60)[0]


def test_lines_lead_from_one_level_of_a_tree_to_the_next() -> None:
    tree = Tree("R1")
    tree.add("one").add("its blocker")
    tree.add("other")
    assert drawn(make_tree(tree), 80) == ["R1", "├── one", "│   └── its blocker", "└── other"]

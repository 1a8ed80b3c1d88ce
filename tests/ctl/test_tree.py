"""A tree of lines."""

from __future__ import annotations

from flom.ctl.tree import Tree


def test_programs_see_levels_as_blanks() -> None:
    tree = Tree("R1", "bold")
    tree.add("one", "yellow").add("its blocker")
    tree.add("other")
    assert list(tree.plain_lines()) == ["R1", "  one", "    its blocker", "  other"]

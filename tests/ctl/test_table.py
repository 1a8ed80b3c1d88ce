"""Holders and waiters as rows."""

from __future__ import annotations

import io

from flom.ctl.table import ORDERS, blocked_first, make_console, make_table, plain_lines, sections_of, select
from flom.status.model import Status
from tests.fakes.status import make_status


def lines_of(status: Status, width: int) -> list[str]:
    out = io.StringIO()
    console = make_console(out)
    console.width = width
    console.print(make_table(sections_of(status, blocked_first), width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_blocked_resources_come_first() -> None:
    status = make_status("a", "z", "z", "R9")
    assert [section.name for section in sections_of(status, blocked_first)] == ["R9", "z", "a"]
    assert [section.name for section in sections_of(status, ORDERS["name"])] == ["R9", "a", "z"]


def test_a_glob_selects_resources_and_nodes() -> None:
    status = make_status("db1", "db2", "/tree/db", "other", "R9")
    assert [resource.name for resource in select(status, "db*").resources] == ["db1", "db2"]
    assert [resource.name for resource in select(status, "*db").resources] == ["/tree/db"]
    assert [lock.name for lock in select(status, "R*").incubator] == ["R9"]


def test_lines_for_programs_have_every_column() -> None:
    heading, holder = plain_lines(sections_of(make_status("N[5]"), blocked_first))
    assert heading.split("\t")[:4] == ["RESOURCE", "TYPE", "FREE", "STATE"]
    assert holder.split("\t")[:4] == ["N[5]", "numeric", "4", "holds"]
    assert len(holder.split("\t")) == len(heading.split("\t"))


def test_a_table_leaves_out_empty_columns_and_repeated_names() -> None:
    lines = lines_of(make_status("red.green", "red.green"), 100)
    assert lines[0].split() == ["RESOURCE", "TYPE", "STATE", "WHO", "ELEMENT", "FOR"]
    assert [line.count("red.green") for line in lines[2:]] == [1, 0]


def test_a_narrow_terminal_has_no_room_for_types() -> None:
    assert "TYPE" not in lines_of(make_status("R1"), 60)[0]

"""What stands on a terminal, drawn by rich: the table of rows, the tree of waiters."""

from __future__ import annotations

import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree as DrawnTree

from flom.ctl.rows import spell_mode
from flom.net.machine_id import unique_id
from flom.status.wording import spell_client, spell_seconds
from flom.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

    from flom.ctl.rows import Row, Section
    from flom.ctl.tree import Tree

HEADING: Final = ("RESOURCE", "TYPE", "FREE", "STATE", "WHO", "MODE", "ELEMENT", "FOR")

_ID_SHOWN: Final = 8  # characters of another machine's id

_WIDTH_OF_ALL: Final = 72  # columns of a terminal
_LONG: Final = ("RESOURCE", "FREE", "WHO", "ELEMENT")  # what need not stand in one line
_OFTEN_EMPTY: Final = ("FREE", "MODE", "ELEMENT")

_STYLES: Final = {"holds": "green", "in grace": "red", "waits": "yellow", "incubated": "magenta", "idle": "dim"}


def make_table(sections: Sequence[Section], width: int, *, most: int | None = None, folds: bool = True) -> Table:
    """
    Return C{sections} as a table for a terminal, without columns that would be empty.

    @param width: of the terminal; a narrow one has no room for the types.
    @param most: the number of rows to show at most.
    @param folds: whether what does not fit goes on in the next line; otherwise it is cut.
    """
    rows = [_cells(row, number, section.rows) for section in sections for number, row in enumerate(section.rows)][:most]
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    columns = [column for column, heading in enumerate(HEADING) if _has_room(heading, width, rows, column)]
    for column in columns:
        can_fold = folds and HEADING[column] in _LONG
        table.add_column(
            HEADING[column],
            no_wrap=not can_fold,
            overflow="fold" if can_fold else "ellipsis",
            justify="right" if HEADING[column] == "FOR" else "left",
        )
    for cells in rows:
        table.add_row(*(cells[column] for column in columns))
    return table


def make_tree(tree: Tree) -> DrawnTree:
    """Return C{tree} with lines that are drawn from each level to the next."""
    drawn = DrawnTree(Text(tree.text, tree.style))
    drawn.children += map(make_tree, tree.children)
    return drawn


def make_console(file: Any = None) -> Console:
    """Return what writes to the terminal; colours are for a terminal only, and C{NO_COLOR} turns them off."""
    out = file or sys.stdout
    return Console(file=out, force_terminal=out.isatty(), markup=False, highlight=False, emoji=False)


def _has_room(heading: str, width: int, rows: list[list[Text]], column: int) -> bool:
    if heading == "TYPE" and width < _WIDTH_OF_ALL:
        return False
    return heading not in _OFTEN_EMPTY or any(cells[column] for cells in rows)


def _cells(row: Row, number: int, rows: list[Row]) -> list[Text]:
    """Return the cells of C{row}, number C{number} of C{rows} of its resource; what stands above is left out."""
    lock, style = row.lock, _STYLES[row.state]
    who = mode = element = ""
    duration = spell_seconds(row.seconds)
    if lock is None:
        duration += " left"
    else:
        who, mode, element = spell_client(lock), spell_mode(lock), lock.element or ""
        if lock.peer_id not in (None, unique_id()):
            who += f" @{lock.peer_id[:_ID_SHOWN]}"
    is_first = number == 0
    name = row.name if is_first or row.name != rows[number - 1].name else ""
    free = row.free if is_first and row.free != "-" else ""
    return [
        Text(one_line(name), "bold"),
        Text(row.type if is_first else ""),
        Text(one_line(free)),
        Text(row.state, style),
        *map(Text, map(one_line, (who, mode, element))),
        Text(duration, style),
    ]

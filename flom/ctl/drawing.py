"""What stands on a terminal, drawn by rich: the table of rows, the tree of waiters."""

from __future__ import annotations

import sys

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree as DrawnTree

from flom.ctl.rows import spell_mode
from flom.net.machine_id import unique_id
from flom.status.wording import spell_beside, spell_client, spell_seconds
from flom.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

    from flom.ctl.rows import Row, Section
    from flom.ctl.tree import Tree
    from flom.status.model import LockStatus

HEADING: Final = ("RESOURCE", "TYPE", "FREE", "STATE", "WHO", "MODE", "ELEMENT", "FOR")

_ID_SHOWN: Final = 8  # characters of another machine's id

_WIDTH_OF_ALL: Final = 72  # columns of a terminal
_WIDTH_OF_MOST: Final = 50
_NARROWEST: Final = 6  # columns of what is shortened
_LONG: Final = ("RESOURCE", "FREE", "WHO", "ELEMENT")  # what need not stand in one line
_OFTEN_EMPTY: Final = ("FREE", "MODE", "ELEMENT")

_STYLES: Final = {
    "holds": "green",
    "shares": "green",
    "in grace": "red",
    "lost": "red",
    "waits": "yellow",
    "converts": "yellow",
    "incubated": "magenta",
    "idle": "dim",
}


def make_table(
    sections: Sequence[Section], width: int, *, first: int = 0, most: int | None = None, folds: bool = True
) -> Table:
    """
    Return C{sections} as a table for a terminal, without columns that would be empty.

    @param width: of the terminal; a narrow one has no room for the types.
    @param first: how many rows to leave out.
    @param most: the number of rows to show at most.
    @param folds: whether what does not fit goes on in the next line; otherwise it is cut.
    """
    found = [(row, number, section.rows) for section in sections for number, row in enumerate(section.rows)]
    shown = found[first:] if most is None else found[first : first + most]
    is_narrow = width < _WIDTH_OF_MOST
    rows = [_cells(*each, is_at_top=number == 0, is_narrow=is_narrow) for number, each in enumerate(shown)]
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    columns = [column for column, heading in enumerate(HEADING) if _has_room(heading, width, rows, column)]
    texts = {column: [HEADING[column], *(cells[column].plain for cells in rows)] for column in columns}
    widths = {column: max(map(cell_len, found)) for column, found in texts.items()}
    if not folds:
        _shorten(widths, width)
    for column in widths:
        is_long = HEADING[column] in _LONG
        table.add_column(
            HEADING[column],
            min_width=None if folds and is_long else widths[column],
            max_width=None if folds else widths[column],
            no_wrap=not (folds and is_long),
            overflow="fold" if folds and is_long else "ellipsis",
            justify="right" if HEADING[column] == "FOR" else "left",
        )
    for cells in rows:
        table.add_row(*(cells[column] for column in widths))
    return table


def _shorten(widths: dict[int, int], width: int) -> None:
    """Leave out types, and make the widest of what is long narrower, until C{widths}, of columns, fit into C{width}."""
    excess = sum(widths.values()) + 2 * (len(widths) - 1) - width
    if excess > 0 and (type_width := widths.pop(HEADING.index("TYPE"), 0)):
        excess -= type_width + 2
    while excess > 0:
        long = [column for column in widths if HEADING[column] in _LONG and widths[column] > _NARROWEST]
        if not long:
            return
        widths[max(long, key=lambda column: widths[column])] -= 1
        excess -= 1


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
    if heading in ("FREE", "ELEMENT", "MODE") and width < _WIDTH_OF_MOST:
        return False
    return heading not in _OFTEN_EMPTY or any(cells[column] for cells in rows)


def _spell_mode(lock: LockStatus) -> str:
    """Return the mode of C{lock}, or its quantity in words; the empty string if it has neither."""
    if lock.quantity is None:
        return spell_mode(lock)
    return "1 unit" if lock.quantity == 1 else f"{lock.quantity} units"


def _cells(row: Row, number: int, rows: list[Row], *, is_at_top: bool, is_narrow: bool) -> list[Text]:
    """
    Return the cells of C{row}, number C{number} of C{rows} of its resource.

    @param is_at_top: whether it is the first one that is shown; of another one, what stands above is left out.
    @param is_narrow: whether there is no room for all columns, so that the state says the mode too.
    """
    lock, state, style = row.lock, row.state, _STYLES[row.state]
    who = mode = element = ""
    duration = spell_seconds(row.seconds)
    if lock is None:
        duration += " left"
        who = "its holder was lost" if row.state == "lost" else ""
    else:
        who, mode, element = spell_client(lock), _spell_mode(lock), lock.element or ""
        if is_narrow:
            who = f"{lock.pid or lock.address} {lock.command or lock.user or ''}".rstrip()
            state = f"{state} {mode or element}".rstrip()
        elif lock.peer_id not in (None, unique_id()):
            who += f" @{lock.peer_id[:_ID_SHOWN]}"
        who += spell_beside(lock)
    is_first = number == 0 or is_at_top
    name = row.name if is_first or row.name != rows[number - 1].name else ""
    free = row.free if is_first and row.free != "-" else ""
    return [
        Text(one_line(name), "bold"),
        Text(row.type if is_first else ""),
        Text(one_line(free)),
        Text(one_line(state), style),
        *map(Text, map(one_line, (who, mode, element))),
        Text(duration, style),
    ]

"""Holders and waiters as rows, for people and for programs."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flom.core.names import parse_name
from flom.errors import InvalidName
from flom.net.machine_id import unique_id
from flom.status.model import DaemonStatus, LockStatus, ResourceStatus, Status
from flom.status.wording import spell_client, spell_seconds, spell_wish
from flom.text import one_line

HEADING: Final = ("RESOURCE", "TYPE", "FREE", "STATE", "WHO", "MODE", "ELEMENT", "FOR")
PLAIN_HEADING: Final = (
    *("RESOURCE", "TYPE", "FREE", "STATE", "PID", "UID", "ADDRESS", "MACHINE", "MODE", "ELEMENT", "SECONDS"),
)

_ID_SHOWN: Final = 8  # characters of another machine's id

_WIDTH_OF_ALL: Final = 72  # columns of a terminal
_LONG: Final = ("RESOURCE", "FREE", "WHO", "ELEMENT")  # what need not stand in one line
_OFTEN_EMPTY: Final = ("FREE", "MODE", "ELEMENT")

_STYLES: Final = {"holds": "green", "waits": "yellow", "incubated": "magenta", "idle": "dim"}


class Row(NamedTuple):
    """A holder or a waiter, or a resource that has none of them."""

    name: str  # of the resource; for a hierarchy, the node
    type: str
    free: str  # what is left of the resource, in words
    state: str  # "holds" and so on
    lock: LockStatus | None  # None for a resource that is idle
    seconds: float  # for how long that has been so


class Section(NamedTuple):
    """The rows of one resource."""

    name: str
    waiters: int  # how many there are
    waiting: float  # for how many seconds the first of them has waited
    held: float  # for how many seconds it has been held
    rows: list[Row]


ORDERS: Final[dict[str, Callable[[Section], Any]]] = {
    "waiters": lambda section: (-section.waiters, section.name),
    "waiting": lambda section: (-section.waiting, section.name),
    "held": lambda section: (-section.held, section.name),
    "name": lambda section: (section.name,),
}
"""The orders that a user may choose."""


def blocked_first(section: Section) -> Any:
    """Return the key by which sections with waiters come first, in the order of names."""
    return (section.waiters == 0, section.name)


def select(status: Status, glob: str | None) -> Status:
    """Return the part of C{status} that matches C{glob}, by the name of a resource or of a node that is in use."""
    if glob is None:
        return status

    def is_wanted(resource: ResourceStatus) -> bool:
        names = {resource.name, *(lock.name for lock in (*resource.holders, *resource.waiters))}
        return any(fnmatchcase(name, glob) for name in names)

    return status.replace(
        resources=tuple(filter(is_wanted, status.resources)),
        incubator=tuple(lock for lock in status.incubator if fnmatchcase(lock.name, glob)),
    )


def sections_of(status: Status, order: Callable[[Section], Any]) -> list[Section]:
    """Return a section for each resource, with holders before waiters, and for each name in the incubator."""
    sections = [_section(resource) for resource in status.resources]
    incubated: defaultdict[str, list[LockStatus]] = defaultdict(list)
    for lock in status.incubator:
        incubated[lock.name].append(lock)
    for name, locks in incubated.items():
        rows = [Row(name, type_of(name), "-", "incubated", lock, lock.seconds) for lock in locks]
        sections.append(Section(name, len(rows), max(row.seconds for row in rows), 0.0, rows))
    return sorted(sections, key=order)


def type_of(name: str) -> str:
    """Return the type of the resource C{name}; C{"-"} if that is no name."""
    try:
        return parse_name(name).type_name
    except InvalidName:
        return "-"


def describe_daemon(daemon: DaemonStatus) -> str:
    """Return one line about the daemon."""
    since = datetime.fromtimestamp(daemon.started).strftime("%Y-%m-%d %H:%M:%S")
    place = f"{daemon.role or 'member'} of {daemon.group}, " if daemon.group else ""
    connections = "connection" if daemon.connected == 1 else "connections"
    return one_line(
        f"flom {daemon.version} on {daemon.host}, pid {daemon.pid}, {place}"
        f"up {spell_seconds(daemon.up)} since {since}, "
        f"{daemon.grants_per_second:.1f} grants/s, {daemon.connected} {connections}"
    )


def plain_lines(sections: Iterable[Section]) -> list[str]:
    """Return lines for C{cut} and C{awk}: columns separated by tabs, nothing shortened, C{-} for an empty field."""
    lines = ["\t".join(PLAIN_HEADING)]
    for section in sections:
        for row in section.rows:
            who = ("-",) * 6 if row.lock is None else _plain_lock(row.lock)
            cells = (row.name, row.type, row.free, row.state, *who, f"{row.seconds:.1f}")
            lines.append("\t".join(map(one_line, cells)))
    return lines


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


def make_console(file: Any = None) -> Console:
    """Return what writes to the terminal; colours are for a terminal only, and C{NO_COLOR} turns them off."""
    out = file or sys.stdout
    return Console(file=out, force_terminal=out.isatty(), markup=False, highlight=False, emoji=False)


def _section(resource: ResourceStatus) -> Section:
    free = _spell_free(resource.free)

    def row(state: str, lock: LockStatus) -> Row:
        return Row(lock.name, resource.type, free, state, lock, lock.seconds)

    rows = [row("holds", lock) for lock in resource.holders] + [row("waits", lock) for lock in resource.waiters]
    if not rows:
        rows = [Row(resource.name, resource.type, free, "idle", None, resource.idle_left or 0.0)]
    waiting = max((lock.seconds for lock in resource.waiters), default=0.0)
    held = max((lock.seconds for lock in resource.holders), default=0.0)
    return Section(resource.name, len(resource.waiters), waiting, held, rows)


def _spell_free(free: int | tuple[str, ...] | None) -> str:
    if isinstance(free, int):
        return str(free)
    return ",".join(free or ()) or "-"


def _plain_lock(lock: LockStatus) -> tuple[str, ...]:
    return (
        "-" if lock.pid is None else str(lock.pid),
        "-" if lock.uid is None else str(lock.uid),
        lock.address or "-",
        lock.peer_id or "-",
        _spell_mode(lock) or "-",
        lock.element or "-",
    )


def _spell_mode(lock: LockStatus) -> str:
    return "" if lock.mode is None and lock.quantity is None else spell_wish(lock)


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
        who, mode, element = spell_client(lock), _spell_mode(lock), lock.element or ""
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

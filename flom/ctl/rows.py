"""Holders and waiters as rows, for people and for programs."""

from __future__ import annotations

from math import ceil

from flom.core.names import parse_name
from flom.core.value import Value
from flom.errors import InvalidName
from flom.status.wording import spell_holding, spell_moment, spell_seconds, spell_wish
from flom.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Final

    from flom.status.model import DaemonStatus, LockStatus, QuorumStatus, ResourceStatus, Status

PLAIN_HEADING: Final = (
    *("RESOURCE", "TYPE", "FREE", "STATE", "PID", "UID", "ADDRESS", "MACHINE", "MODE", "ELEMENT", "SECONDS", "TOKEN"),
    *("USER", "COMMAND", "NUMBER", "BESIDE", "HOLD"),
)


class Row(Value):
    """A holder or a waiter, or a resource that has none of them."""

    name: str  # of the resource; for a hierarchy, the node
    type: str
    free: str  # what is left of the resource, in words
    state: str  # "holds" and so on
    lock: LockStatus | None  # None for a resource that is idle, and for what a lock delay keeps
    seconds: float  # for how long that has been so, or will be without a lock


class Section(Value):
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

    from fnmatch import fnmatchcase  # with re

    def matches(name: str) -> bool:
        return name == glob or fnmatchcase(name, glob)  # brackets belong to names too

    def is_wanted(resource: ResourceStatus) -> bool:
        locks = (lock.name for lock in (*resource.holders, *resource.waiters))
        return any(map(matches, {resource.name, *locks, *(lost.name for lost in resource.lost)}))

    return status.replace(
        resources=tuple(filter(is_wanted, status.resources)),
        incubator=tuple(lock for lock in status.incubator if matches(lock.name)),
        values=status.values and tuple(value for value in status.values if matches(value.name)),
    )


def sections_of(status: Status, order: Callable[[Section], Any]) -> list[Section]:
    """Return a section for each resource, with holders before waiters, and for each name in the incubator."""
    sections = [_section(resource) for resource in status.resources]
    incubated: dict[str, list[LockStatus]] = {}
    for lock in status.incubator:
        incubated.setdefault(lock.name, []).append(lock)
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


def spell_mode(lock: LockStatus) -> str:
    """Return the mode or the quantity of C{lock}; the empty string if it has neither, but perhaps an element."""
    return "" if lock.mode is None and lock.quantity is None else spell_wish(lock)


def describe_daemon(daemon: DaemonStatus) -> str:
    """Return one line about the daemon."""
    place = f"{daemon.role}, " if daemon.role else ""
    if daemon.group:
        place = f"{daemon.role or 'member'} of {daemon.group}, "
    if daemon.draining:
        place += "draining, "
    if daemon.grace_left is not None:
        place += f"in grace for {spell_seconds(ceil(daemon.grace_left))}: only former holders are served, "
    connections = "connection" if daemon.connected == 1 else "connections"
    return one_line(
        f"flom {daemon.version} on {daemon.host}, pid {daemon.pid}, {place}"
        f"up {spell_seconds(daemon.up)} since {spell_moment(daemon.started)}, "
        f"{daemon.grants_per_second:.1f} grants/s, {daemon.connected} {connections}"
        + (f"; nothing is remembered: {daemon.state_problem}" if daemon.state_problem else "")
        + _spell_quorum(daemon.quorum)
    )


def headline(daemon: DaemonStatus, width: int) -> str:
    """Return what is most important of the daemon in a line of C{width} characters; see L{problems_of} for the rest."""
    connections = "connection" if daemon.connected == 1 else "connections"
    place = f"{daemon.role or 'member'} of {daemon.group}" if daemon.group else daemon.role
    parts = {  # in the order of the line; those with the highest numbers go first
        f"flom {daemon.version} on {daemon.host}": 0,
        f"pid {daemon.pid}": 5,
        place: 3,
        f"up {spell_seconds(daemon.up)}": 4,
        f"{daemon.grants_per_second:.1f} grants/s": 1,
        f"{daemon.connected} {connections}": 2,
    }
    parts.pop("", None)
    while len(line := one_line(", ".join(parts))) > width and len(parts) > 1:
        del parts[max(parts, key=lambda part: parts[part])]
    return line


def problems_of(status: Status) -> list[str]:
    """Return why not all locks are granted as usual, and what else a user should know."""
    daemon, found = status.daemon, []
    if status.deadlocks:
        found.append("1 deadlock" if len(status.deadlocks) == 1 else f"{len(status.deadlocks)} deadlocks")
    if daemon.draining:
        found.append("draining")
    if daemon.grace_left is not None:
        found.append(f"in grace for {spell_seconds(ceil(daemon.grace_left))}: only former holders are served")
    if daemon.state_problem:
        found.append(f"nothing is remembered: {daemon.state_problem}")
    if daemon.quorum is not None and daemon.quorum.problem:
        found.append(f"no lock is granted: {daemon.quorum.problem}")
    return found


def _spell_quorum(quorum: QuorumStatus | None) -> str:
    """Return what is to be said of a quorum; the empty string if there is none."""
    if quorum is None:
        return ""
    since = f" since {spell_moment(quorum.since)}" if quorum.since is not None else ""
    lease = f", lease for {max(0.0, quorum.lease_left):.1f} s" if quorum.lease_left is not None else ""
    about = [f"{quorum.leader} leads{since} with epoch {quorum.epoch}{lease}" if quorum.leader else "no daemon leads"]
    if others := [member for member in quorum.members if member != quorum.leader]:
        about.append(f"beside it: {' and '.join(others)}")
    if quorum.problem:
        about.append(f"no lock is granted: {quorum.problem}")
    about += [f"etcd at {endpoint}: {why}" for endpoint, why in quorum.etcd.items() if why]
    return f"; quorum: {'; '.join(about)}"


def plain_lines(sections: Iterable[Section]) -> list[str]:
    """Return lines for C{cut} and C{awk}: columns separated by tabs, nothing shortened, C{-} for an empty field."""
    lines = ["\t".join(PLAIN_HEADING)]
    for section in sections:
        for row in section.rows:
            who = ("-",) * 6 if row.lock is None else _plain_lock(row.lock)
            token = (row.lock and row.lock.token) or "-"
            names = ("-",) * 5 if row.lock is None else _plain_names(row.lock)
            cells = (row.name, row.type, row.free, row.state, *who, f"{row.seconds:.1f}", token, *names)
            lines.append("\t".join(map(one_line, cells)))
    return lines


def _section(resource: ResourceStatus) -> Section:
    free = _spell_free(resource.free)

    def row(state: str, lock: LockStatus) -> Row:
        return Row(lock.name, resource.type, free, state, lock, lock.seconds)

    rows = [row("in grace" if lock.in_grace else spell_holding(lock), lock) for lock in resource.holders]
    rows += [Row(lost.name, resource.type, free, "lost", None, lost.left) for lost in resource.lost]
    rows += [row("waits" if lock.converts is None else "converts", lock) for lock in resource.waiters]
    if not rows:
        rows = [Row(resource.name, resource.type, free, "idle", None, resource.idle_left or 0.0)]
    waiting = max((lock.seconds for lock in resource.waiters), default=0.0)
    held = max((lock.seconds for lock in resource.holders), default=0.0)
    return Section(resource.name, len(resource.waiters), waiting, held, rows)


def _spell_free(free: int | tuple[str, ...] | None) -> str:
    if isinstance(free, int):
        return str(free)
    return ",".join(free or ()) or "-"


def _plain_names(lock: LockStatus) -> tuple[str, ...]:
    hold = "-" if lock.hold is None else lock.hold.id
    return lock.user or "-", lock.command or "-", str(lock.number), ",".join(lock.beside) or "-", hold


def _plain_lock(lock: LockStatus) -> tuple[str, ...]:
    return (
        "-" if lock.pid is None else str(lock.pid),
        "-" if lock.uid is None else str(lock.uid),
        lock.address or "-",
        lock.peer_id or "-",
        spell_mode(lock) or "-",
        lock.element or "-",
    )

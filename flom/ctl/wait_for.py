"""
C{flomctl wait-for}: who blocks whom, as a tree.

Below a resource stand its waiters, below each of them the holders in its way, and below those what they wait for
themselves. A process is assumed to release nothing until it has all that it waits for, and so is a C{flom-run} whose
command waits for a lock by another C{flom-run}. Where that leads in a circle, it is a deadlock.
"""

from __future__ import annotations

import sys
from math import ceil

from flom.client.blocking.status import open_status
from flom.core.names import parse_name
from flom.core.value import Value
from flom.ctl.output import BAD_USAGE, DEADLOCK, FAILED, print_error, print_json, print_warning
from flom.ctl.place import config_of
from flom.ctl.tree import Tree
from flom.errors import InvalidName
from flom.net.processes import OuterProcesses
from flom.status.deadlocks import Search, is_of_another_task, outside_of, process_of, processes_by_id
from flom.status.json import lock_as_dict
from flom.status.wording import (
    spell_beside,
    spell_client,
    spell_holding,
    spell_seconds,
    spell_step,
    spell_waiting,
    spell_wish,
)
from flom.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from typing import Any, Final

    from flom.status.deadlocks import Process
    from flom.status.model import LockStatus, ResourceStatus, Status

_DEEPEST: Final = 50  # levels that are shown: more cannot be read


class Wait(Value):
    """A waiter, and its resource."""

    lock: LockStatus
    resource: ResourceStatus


def show_waiting(arguments: Namespace) -> int:
    """Print who blocks whom at a resource, or at all of them, and return the status to exit with."""
    name = arguments.resource
    try:
        if name is not None:
            parse_name(name)
    except InvalidName as e:
        print_error(str(e))
        return BAD_USAGE
    config = config_of(arguments)
    with open_status(config, print_warning) as reader:
        status = reader.read()
    if name is not None and not exists(status, name):
        print_error(f"no resource {name!r}")
        return FAILED
    waits = _all_waits(status) if name is None else {name: _waits_at(status, name)}
    blocked = Blocked(status, is_local=not (config.unicast_address or config.multicast_address))
    if arguments.json:
        incubated = [lock for lock in status.incubator if name is None or is_at(lock, name)]
        print_json(_as_dict([wait for found in waits.values() for wait in found], incubated, blocked))
        return DEADLOCK if any(blocked.is_hopeless(wait) for found in waits.values() for wait in found) else 0
    writer = _Writer(blocked)
    trees = [writer.write(each, found, _incubated_at(status, each)) for each, found in waits.items()]
    circle = blocked.circle([wait for found in waits.values() for wait in found])
    deadlock = one_line(f"deadlock: {', '.join(circle)}") if circle else ""
    _print(trees or [Tree("no waiters")], deadlock)
    return DEADLOCK if circle else 0


def _as_dict(waits: list[Wait], incubated: list[LockStatus], blocked: Blocked) -> dict[str, Any]:
    """Return what is printed as JSON: waiters with the same blockers together, locks by their numbers."""
    by_kind: dict[tuple[int, str | None, str, int | None, int | None], list[Wait]] = {}
    for wait in waits:
        lock = wait.lock
        by_kind.setdefault((wait.resource.number, lock.mode, lock.name, lock.quantity, lock.converts), []).append(wait)
    locks = {lock.number: lock for lock in incubated}
    listed = []
    for alike in by_kind.values():
        resource, blockers = alike[0].resource, alike[0].resource.blockers(alike[0].lock)
        lost = resource.kept_from(alike[0].lock)
        locks |= {lock.number: lock for lock in (*blockers, *(wait.lock for wait in alike))}
        listed.append(
            {
                "resource": resource.name,
                "waiters": [wait.lock.number for wait in alike],
                "blockers": [lock.number for lock in blockers],
                "lost": [{"name": each.name, "left": each.left} for each in lost],
                "deadlocked": [wait.lock.number for wait in alike if blocked.is_hopeless(wait)],
            }
        )
    return {
        "waits": listed,
        "incubated": [lock.number for lock in incubated],
        "locks": [*map(lock_as_dict, locks.values())],
    }


def _print(trees: list[Tree], deadlock: str) -> None:
    """Print C{trees}, and the line about a deadlock, if there is one: on a terminal drawn by rich, if that is there."""
    try:
        if not sys.stdout.isatty():
            raise ImportError
        from rich.text import Text

        from flom.ctl.drawing import make_console, make_tree
    except ImportError:
        lines = [line for tree in trees for line in tree.plain_lines()]
        print("\n".join([*lines, *filter(None, [deadlock])]))
        return
    console = make_console()
    for tree in trees:
        console.print(make_tree(tree))
    if deadlock:
        console.print(Text(deadlock, "bold red"), soft_wrap=True)


def _resources_of(status: Status, name: str) -> list[ResourceStatus]:
    """Return the resource to which C{name} belongs, if it exists."""
    key = parse_name(name).key
    return [resource for resource in status.resources if parse_name(resource.name).key == key]


def exists(status: Status, name: str) -> bool:
    """Return whether C{name} is a resource, or a node of one at or below which anything is held or waited for."""
    found = _resources_of(status, name)
    if any(name in (resource.name, parse_name(resource.name).key) for resource in found):
        return True
    locks = [lock for resource in found for lock in (*resource.holders, *resource.waiters)]
    return any(is_at(lock, name) for lock in (*locks, *status.incubator))


def _all_waits(status: Status) -> dict[str, list[Wait]]:
    """Return the waits for each resource that is waited for; none for one that does not exist yet."""
    waits = {
        resource.name: [Wait(lock, resource) for lock in resource.waiters]
        for resource in status.resources
        if resource.waiters
    }
    return waits | {lock.name: [] for lock in status.incubator if lock.name not in waits}


def _waits_at(status: Status, name: str) -> list[Wait]:
    """Return the waits for C{name}, and for the nodes below it."""
    found = _resources_of(status, name)
    return [Wait(lock, resource) for resource in found for lock in resource.waiters if is_at(lock, name)]


def _incubated_at(status: Status, name: str) -> list[LockStatus]:
    """Return those that wait until C{name}, or a node below it, is created."""
    return [lock for lock in status.incubator if is_at(lock, name)]


class Blocked:
    """Which waiters are blocked by which holders, in all resources of the daemon."""

    def __init__(self, status: Status, *, is_local: bool) -> None:
        """@param is_local: whether the daemon's process ids are those of this host."""
        self._waits: dict[Process, list[Wait]] = {}
        self._found: dict[tuple[Process, str], list[Wait]] = {}
        outer: Callable[[int], tuple[int, ...]] = OuterProcesses() if is_local else lambda pid: ()
        by_id = processes_by_id(status)
        for resource in status.resources:
            for lock in resource.waiters:
                for process in (process_of(lock), *outside_of(lock, by_id, outer)):
                    self._waits.setdefault(process, []).append(Wait(lock, resource))
        self._search = Search(status, outer)
        for _ in self._search.steps():
            pass

    def waits_of(self, lock: LockStatus) -> list[Wait]:
        """
        Return what the holder of C{lock} waits for itself.

        Another wait of the same process is left out if it is that of another task (L{is_of_another_task}).
        """
        own = process_of(lock)
        if (own, lock.name) not in self._found:
            self._found[own, lock.name] = [
                wait
                for wait in self._waits.get(own, ())
                if wait.lock.converts is not None
                or not (process_of(wait.lock) == own and is_of_another_task(lock.name, wait.lock.name))
            ]
        return self._found[own, lock.name]

    def is_hopeless(self, wait: Wait) -> bool:
        """Return whether C{wait} will last for ever, unless a process gives up."""
        return self._search.is_stuck(wait.lock)

    def circle(self, waits: list[Wait]) -> list[str]:
        """Return the steps of a circle that C{waits} lead to; none if they lead to no deadlock."""
        circle = self._search.circle_of(wait.lock for wait in waits)
        return [spell_step(step) for step in circle.steps] if circle is not None else []


class _Writer:
    """Writes the tree; nothing is written twice."""

    def __init__(self, blocked: Blocked) -> None:
        self._blocked = blocked
        self._written: set[int] = set()
        self._followed: set[Process] = set()
        self._last: tuple[int, ...] = ()

    def write(self, name: str, waits: list[Wait], incubated: list[LockStatus]) -> Tree:
        """Return the tree of C{name}."""
        tree = Tree(one_line(name), "bold")
        for wait in waits:
            self._add_wait(tree, wait, "", 0)
        for lock in incubated:
            tree.add(_line(lock, f"waits until it is created, {spell_seconds(lock.seconds)}"))
        if not tree.children:
            tree.add("no waiters")
        return tree

    def _add_wait(self, tree: Tree, wait: Wait, prefix: str, depth: int) -> None:
        lock = wait.lock
        mark = ", deadlock" if self._blocked.is_hopeless(wait) else ""
        name = f"{lock.name}{_in_brackets(lock)}{spell_beside(lock)}"
        what = f"{spell_waiting(lock)} {name}, {spell_seconds(lock.seconds)}{mark}"
        branch = tree.add(_line(lock, what, prefix), "red" if mark else "yellow")
        if lock.number in self._written or depth > _DEEPEST:
            branch.add("as above" if lock.number in self._written else "and so on")
            return
        self._written.add(lock.number)
        for lost in wait.resource.kept_from(lock):
            branch.add(f"{one_line(lost.name)} is free in {spell_seconds(ceil(lost.left))}: its last holder was lost")
        blockers = wait.resource.blockers(lock)
        if not blockers and not lock.beside:
            earlier = [other for other in wait.resource.ahead_of(lock) if other.beside]
            for other in earlier[:1]:
                branch.add(_line(other, f"came first, and waits for {other.name}{spell_beside(other)}"), "yellow")
        numbers = tuple(blocker.number for blocker in blockers)
        if len(numbers) > 1 and numbers == self._last:
            branch.add(f"blocked by the same {len(numbers)}")
            return
        self._last = numbers
        for blocker in blockers:
            what = f"{spell_holding(blocker)} {blocker.name}{_in_brackets(blocker)}, {spell_seconds(blocker.seconds)}"
            below = branch.add(_line(blocker, what), "green")
            further_waits = self._blocked.waits_of(blocker)
            if further_waits and process_of(blocker) in self._followed:
                below.add("and waits as above")
                continue
            self._followed.add(process_of(blocker))
            for further in further_waits:
                prefix = "" if process_of(further.lock) == process_of(blocker) else "its command's "
                self._add_wait(below, further, prefix, depth + 1)


def is_at(lock: LockStatus, name: str) -> bool:
    """Return whether C{lock} is at the node C{name}, or below it."""
    return f"{lock.name}/".startswith(f"{name}/")


def _in_brackets(lock: LockStatus) -> str:
    wish = spell_wish(lock)
    return f" ({wish})" if wish else ""


def _line(lock: LockStatus, what: str, prefix: str = "") -> str:
    return one_line(f"{prefix}{spell_client(lock)} {what}")

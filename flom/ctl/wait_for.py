"""
C{flomctl wait-for}: who blocks whom, as a tree.

Below a resource stand those who wait for it, below each of them who blocks it, and below those what they wait for
themselves. A process is taken to give nothing back until it has all that it waits for, and so is a C{flom-run} whose
command waits for something by another C{flom-run}. Where that leads back to itself, it is a deadlock.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from rich.text import Text
from rich.tree import Tree

from flom.client.blocking.status import open_status
from flom.config import Config
from flom.core.names import parse_name
from flom.ctl.options import config_of
from flom.ctl.output import BAD_USAGE, FAILED, complain
from flom.ctl.status import warn
from flom.ctl.table import make_console
from flom.errors import InvalidName
from flom.status.model import LockStatus, ResourceStatus, Status
from flom.status.wording import spell_client, spell_seconds, spell_wish
from flom.text import one_line

DEADLOCK: Final = 3
"""Exit status: some of those who wait will do so for ever."""

_DEEPEST: Final = 50  # levels that are shown; more of them nobody can read

_Process = tuple[str, int | str]
"""What tells one process from another, as far as that can be told."""


class Wait(NamedTuple):
    """Somebody waits for a resource."""

    party: LockStatus
    resource: ResourceStatus


def show_waiting(arguments: Namespace) -> int:
    """
    Print who blocks whom at a resource.

    @return: the status to exit with.
    @raise flom.errors.FlomError: it cannot be seen.
    """
    name = arguments.resource
    try:
        key = parse_name(name).key
    except InvalidName as e:
        complain(str(e))
        return BAD_USAGE
    config = config_of(arguments)
    with open_status(config, warn) as reader:
        status = reader.read()
    found = [resource for resource in status.resources if parse_name(resource.name).key == key]
    incubated = [party for party in status.incubator if _is_at(party, name)]
    there = [party for resource in found for party in (*resource.holders, *resource.waiters) if _is_at(party, name)]
    if not (there or incubated or any(resource.name == name or key == name for resource in found)):
        complain(f"no resource {name!r}")
        return FAILED
    waits = [Wait(party, resource) for resource in found for party in resource.waiters if _is_at(party, name)]
    blocked = Blocked(status, is_local=_is_local(config))
    tree = _Writer(blocked).write(name, waits, incubated)
    circle = blocked.circle(waits)
    if sys.stdout.isatty():
        console = make_console()
        console.print(tree)
    else:
        print("\n".join(_plain(tree)))
    if not circle:
        return 0
    text = one_line(f"deadlock: {', '.join(circle)}")
    if sys.stdout.isatty():
        console.print(Text(text, "bold red"), soft_wrap=True)
    else:
        print(text)
    return DEADLOCK


class Blocked:
    """Who waits because of whom, all over the daemon."""

    def __init__(self, status: Status, *, is_local: bool) -> None:
        """
        @param is_local: whether the daemon's process ids are those of this host.
        """
        self._waits: defaultdict[_Process, list[Wait]] = defaultdict(list)
        self._found: dict[tuple[_Process, int], list[Wait]] = {}
        for resource in status.resources:
            for party in resource.waiters:
                for process in _processes(party, is_local=is_local):
                    self._waits[process].append(Wait(party, resource))
        self._hopeless = self._find_hopeless(
            [Wait(party, resource) for resource in status.resources for party in resource.waiters]
        )

    def waits_of(self, party: LockStatus, resource: ResourceStatus) -> list[Wait]:
        """
        Give what C{party}, who holds C{resource}, has to wait for itself.

        Another wait of the same process for the same resource is left out: that is another of its tasks, because one
        that has it would not ask.
        """
        own = _process(party)
        if (found := self._found.get((own, resource.number))) is None:
            found = [
                wait
                for wait in self._waits.get(own, ())
                if _process(wait.party) != own or wait.resource.number != resource.number
            ]
            self._found[own, resource.number] = found
        return found

    def is_hopeless(self, wait: Wait) -> bool:
        """Tell whether somebody will wait for ever, if nobody gives up."""
        return wait.party.number in self._hopeless

    def circle(self, waits: list[Wait]) -> list[str]:
        """Tell how a deadlock goes in a circle that C{waits} lead to; nothing if they lead to none."""
        wait = next(filter(self.is_hopeless, waits), None)
        path: dict[int, str] = {}
        while wait is not None and wait.party.number not in path:
            following, text = self._hopeless_step(wait)
            path[wait.party.number] = text
            wait = following
        if wait is None:
            return []
        return list(path.values())[list(path).index(wait.party.number) :]

    def _hopeless_step(self, wait: Wait) -> tuple[Wait | None, str]:
        """Give one of the waits because of which C{wait} is hopeless, and tell about it."""
        text = f"{spell_client(wait.party)} waits for {wait.party.name}"
        for blocker in wait.resource.blockers(wait.party):
            for following in self.waits_of(blocker, wait.resource):
                if self.is_hopeless(following):
                    return following, f"{text} held by {spell_client(blocker)}"
        return None, text

    def _find_hopeless(self, waits: list[Wait]) -> set[int]:
        """Find the waits that cannot end: leave out those that can, until nothing changes."""
        hopeless = {wait.party.number for wait in waits}
        needs = [(wait, self._needed(wait)) for wait in waits]
        changed = True
        while changed:
            changed = False
            left = []
            for wait, blockers in needs:
                are_gone = [not (needed & hopeless) for needed in blockers]
                if _is_enough(wait, are_gone):
                    hopeless.discard(wait.party.number)
                    changed = True
                else:
                    left.append((wait, blockers))
            needs = left
        return hopeless

    def _needed(self, wait: Wait) -> list[set[int]]:
        """Give, for each of its blockers, the waits that must end before that one is out of the way."""
        return [
            {following.party.number for following in self.waits_of(blocker, wait.resource)}
            for blocker in wait.resource.blockers(wait.party)
        ]


class _Writer:
    """Writes the tree; what was written once is not written again."""

    def __init__(self, blocked: Blocked) -> None:
        self._blocked = blocked
        self._written: set[int] = set()
        self._followed: set[_Process] = set()
        self._last: tuple[int, ...] = ()

    def write(self, name: str, waits: list[Wait], incubated: list[LockStatus]) -> Tree:
        """Write who waits for C{name}."""
        tree = Tree(Text(one_line(name), "bold"))
        for wait in waits:
            self._add_wait(tree, wait, "", 0)
        for party in incubated:
            tree.add(_text(party, f"waits until somebody makes it, {spell_seconds(party.seconds)}"))
        if not tree.children:
            tree.add(Text("nobody waits"))
        return tree

    def _add_wait(self, tree: Tree, wait: Wait, prefix: str, depth: int) -> None:
        party = wait.party
        mark = ", deadlock" if self._blocked.is_hopeless(wait) else ""
        what = f"waits for {party.name}{_in_brackets(party)}, {spell_seconds(party.seconds)}{mark}"
        branch = tree.add(_text(party, what, "red" if mark else "yellow", prefix))
        if party.number in self._written or depth > _DEEPEST:
            branch.add(Text("as above" if party.number in self._written else "and so on"))
            return
        self._written.add(party.number)
        blockers = wait.resource.blockers(party)
        numbers = tuple(blocker.number for blocker in blockers)
        if len(numbers) > 1 and numbers == self._last:
            branch.add(Text(f"blocked by the same {len(numbers)}"))
            return
        self._last = numbers
        for blocker in blockers:
            what = f"holds {blocker.name}{_in_brackets(blocker)}, {spell_seconds(blocker.seconds)}"
            below = branch.add(_text(blocker, what, "green"))
            further_waits = self._blocked.waits_of(blocker, wait.resource)
            if further_waits and _process(blocker) in self._followed:
                below.add(Text("and waits as above"))
                continue
            self._followed.add(_process(blocker))
            for further in further_waits:
                prefix = "" if _process(further.party) == _process(blocker) else "its command's "
                self._add_wait(below, further, prefix, depth + 1)


def _is_enough(wait: Wait, are_gone: list[bool]) -> bool:
    """Tell whether somebody gets what it waits for when some of its blockers are gone."""
    if wait.party.mode is not None or not are_gone:
        return all(are_gone)
    if wait.party.quantity is None:
        return any(are_gone)
    holders = wait.resource.blockers(wait.party)
    free = wait.resource.free if isinstance(wait.resource.free, int) else 0
    back = sum(holder.quantity or 0 for holder, is_gone in zip(holders, are_gone, strict=True) if is_gone)
    return free + back >= wait.party.quantity


def _process(party: LockStatus) -> _Process:
    """Tell which process somebody is; over TCP, the best that is known is which connection."""
    if party.pid:  # it is 0 for one in another container
        return "pid", party.pid
    has_port = party.address.partition("/")[2] != ""
    return ("address", party.address) if has_port else ("number", party.number)


def _processes(party: LockStatus, *, is_local: bool) -> Iterator[_Process]:
    """Give the process that waits, and each C{flom-run} that waits for its end in turn."""
    yield _process(party)
    if is_local and party.pid:
        pid = _parent(party.pid)
        while pid > 1:
            if _runs_a_command(pid):
                yield "pid", pid
            pid = _parent(pid)


@cache
def _parent(pid: int) -> int:
    """Give the parent of a process of this host; 0 if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        return int(stat.rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


@cache
def _runs_a_command(pid: int) -> bool:
    """Tell whether a process is a C{flom-run}, which holds its lock until its command ends."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").startswith("flom")
    except OSError:
        return False


def _is_local(config: Config) -> bool:
    return not (config.unicast_address or config.multicast_address)


def _is_at(party: LockStatus, name: str) -> bool:
    """Tell whether somebody is at the node C{name}, or below it."""
    return f"{party.name}/".startswith(f"{name}/")


def _in_brackets(party: LockStatus) -> str:
    wish = spell_wish(party)
    return f" ({wish})" if wish else ""


def _text(party: LockStatus, what: str, style: str = "", prefix: str = "") -> Text:
    return Text(one_line(f"{prefix}{spell_client(party)} {what}"), style)


def _plain(tree: Tree, depth: int = 0) -> Iterator[str]:
    """Write C{tree} without lines, two blanks for each level."""
    yield "  " * depth + str(tree.label)
    for child in tree.children:
        yield from _plain(child, depth + 1)

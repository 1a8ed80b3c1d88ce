"""
Deadlocks: waiters that will wait for ever, because each waits for a lock of another one of them.

A process is assumed to release nothing until it has all that it waits for, and so is a C{flom-run} whose command waits
for a lock by another C{flom-run}, which their lineages say, and the processes of this host. A waiter that asked to wait
whatever it runs under (C{--nested=wait}) keeps nothing. What is found is a function of a L{Status} and of what is known
of processes. Its cost is linear in the number of locks; in a hierarchy, times the depth of its nodes.

The search starts from all waits, and leaves out those that can end until nothing changes: a holder is gone once its
process waits for nothing any more, and a wait ends once enough of the holders in its way are gone. What is left is
stuck. Each stuck wait leads to another one, so all of them lead to circles.
"""

from __future__ import annotations

from flom.core.modes import LockMode, compatible
from flom.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Final

    from flom.status.model import LockStatus, ResourceStatus, Status

    Process = tuple[str, int | str]
    """What tells one process from another, as far as that is known."""

    _Group = tuple[str, LockMode, bool]
    """Holders of a node in a mode; whether those of the nodes below it belong to them."""

_PIECE: Final = 500
"""Locks that are looked at before L{Search.steps} yields, most often."""

_FEW: Final = 50
"""Waiters that are looked at before it does, which may take 50 us each if their processes are looked up."""

_AGAINST: Final = {mode: [other for other in LockMode if not compatible(other, mode)] for mode in LockMode}

_INNER: Final = ""
"""
Stands where a name does, for waits of a process that the command of another one has started, and for conversions: all
that the process holds stays held.
"""


_MOST_TASKS: Final = 8
"""Names for which a process may wait at the same time before it is assumed that all of them keep all of its locks."""


class Step(Value):
    """One process of a circle: it waits for a lock, and the process of the next step is in the way."""

    waiter: LockStatus  # what it waits for
    holder: LockStatus  # what is in the way; its process, or what that has started, waits in the next step


class Circle(Value):
    """One deadlock. Its first step has the oldest of its waits, and its last one leads to the first."""

    steps: tuple[Step, ...]


def process_of(lock: LockStatus) -> Process:
    """Return the process of C{lock}; over TCP, the best that is known is its connection."""
    if lock.pid:  # 0 is a process in another container
        return "pid", lock.pid
    has_port = lock.address.partition("/")[2] != ""
    return ("address", lock.address) if has_port else ("number", lock.number)


def is_of_another_task(held: str, wanted: str) -> bool:
    """
    Return whether the wait of a process for C{wanted} must be that of another task than the one that holds C{held}.

    A task would not ask for what it has, nor in a hierarchy for a node above or below that.
    """
    return wanted != _INNER and (f"{held}/".startswith(f"{wanted}/") or f"{wanted}/".startswith(f"{held}/"))


def processes_by_id(status: Status) -> dict[str, Process]:
    """Return the processes that hold locks, by the public ids of their commands, if they have told those."""
    locks = (lock for each in status.resources for lock in each.holders if lock.lineage)
    return {lock.lineage[0]: process_of(lock) for lock in locks}


def outside_of(lock: LockStatus, by_id: dict[str, Process], outer: Callable[[int], Iterable[int]]) -> Iterable[Process]:
    """
    Return the processes that hold their locks until C{lock}, which is waited for, is granted, because a command of
    theirs waits: as the lineage says, and what is known of processes here.

    @param by_id: see L{processes_by_id}.
    @param outer: see L{find_deadlocks}.
    """
    if lock.nested == "wait":
        return ()
    processes = [by_id[id] for id in lock.lineage[1:] if id in by_id]
    if lock.pid:
        processes += [("pid", pid) for pid in outer(lock.pid)]
    return dict.fromkeys(processes)


def find_deadlocks(status: Status, outer: Callable[[int], Iterable[int]] = lambda pid: ()) -> tuple[Circle, ...]:
    """
    Return the circles in C{status}, the one with the oldest wait first; no wait is in two of them.

    @param outer: returns the processes that hold their locks until the process with this id has ended, as a
        C{flom-run} does for its command (L{flom.net.processes.outer_pids}).
    """
    search = Search(status, outer)
    for _ in search.steps():
        pass
    return search.circles


class Search:
    """
    The search in one status, in steps, so that a daemon can do other work in between.

    @ivar circles: what L{find_deadlocks} returns; complete when L{steps} is through.
    """

    def __init__(self, status: Status, outer: Callable[[int], Iterable[int]] = lambda pid: ()) -> None:
        """For C{outer}, see L{find_deadlocks}."""
        self.circles: tuple[Circle, ...] = ()
        self._resources = [each for each in status.resources if each.holders and each.waiters]
        self._outer = outer
        self._holding: dict[Process, _Process] = {}
        self._blocked: dict[int, list[tuple[_Process, str]]] = {}  # by wait: whose holders stay for it, see _Process
        self._kinds: list[_Kind] = []  # that are stuck
        self._stuck: dict[int, _Kind] = {}  # the same by wait

    def steps(self) -> Iterator[None]:
        """Search; yield after each 500 locks or so."""
        yield from self._read()
        if self._blocked:
            yield from self._leave_out()
            yield
            self._find_circles()

    def is_stuck(self, lock: LockStatus) -> bool:
        """Return whether the waiter C{lock} will wait for ever, unless a process gives up."""
        return lock.number in self._stuck

    def circle_of(self, locks: Iterable[LockStatus]) -> Circle | None:
        """Return the circle to which the first stuck one of the waiters C{locks} leads; C{None} if none is stuck."""
        for lock in locks:
            if lock.number in self._stuck:
                return self._stuck[lock.number].circle
        return None

    def _read(self) -> Iterator[None]:
        """Note which processes hold locks, and which of them wait."""
        holders = [(each, lock) for each in self._resources for lock in each.holders]
        by_id: dict[str, Process] = {}
        for count, (resource, lock) in enumerate(holders, 1):
            process = self._holding.setdefault(process_of(lock), _Process())
            process.holders.setdefault(lock.name, []).append((resource.number, lock))
            if lock.lineage:
                by_id[lock.lineage[0]] = process_of(lock)
            if count % _PIECE == 0:
                yield
        waiters = [lock for each in self._resources for lock in each.waiters]
        for count, lock in enumerate(waiters, 1):
            key = lock.name if lock.converts is None else _INNER  # a conversion keeps what it converts, too
            inside = [] if lock.nested == "wait" else [(process_of(lock), key)]
            outside = [(process, _INNER) for process in outside_of(lock, by_id, self._outer)]
            for found, key in (*inside, *outside):
                if found in self._holding:
                    process = self._holding[found]
                    process.waits[key] = process.waits.get(key, 0) + 1
                    self._blocked.setdefault(lock.number, []).append((process, key))
            if count % _FEW == 0:
                yield

    def _leave_out(self) -> Iterator[None]:
        """Leave out all waits that can end, and all holders that go then; note what is stuck."""
        rules: dict[int, _ByMode | _ByUnits] = {}
        count = 0
        for each in self._resources:
            rule = rules[each.number] = _ByMode(each) if _has_modes(each) else _ByUnits(each)
            for lock in each.holders:
                rule.add_holder(lock)
                if (count := count + 1) % _PIECE == 0:
                    yield
            for lock in each.waiters:
                rule.add_waiter(lock)
                if (count := count + 1) % _PIECE == 0:
                    yield
        ended = [kind for rule in rules.values() for kind in rule.begin()]
        gone = [each for process in self._holding.values() for each in process.leave()]
        while ended or gone:
            if gone:
                number, holder = gone.pop()
                ended += rules[number].remove(holder)
                if (count := count + 1) % _PIECE == 0:
                    yield
                continue
            for waiter in ended.pop().waiters:
                for process, key in self._blocked.get(waiter.number, ()):
                    gone += process.end_wait(key)
                if (count := count + 1) % _PIECE == 0:
                    yield
        for rule in rules.values():
            for kind in rule.stuck():
                self._kinds.append(kind)
                self._stuck |= {waiter.number: kind for waiter in kind.waiters}
                if (count := count + len(kind.waiters)) >= _PIECE:
                    count = 0
                    yield

    def _find_circles(self) -> None:
        """Follow each stuck wait to the circle to which it leads."""
        for kind in self._kinds:
            for waiter in kind.waiters:
                for process, key in self._blocked.get(waiter.number, ()):
                    process.first_stuck.setdefault(key, waiter)
        found = []
        for kind in self._kinds:
            path: list[_Kind] = []
            while not kind.is_followed:
                kind.is_followed = True
                path.append(kind)
                kind = self._stuck[self._next_waiter(kind).number]
            circle = kind.circle
            if circle is None:
                circle = self._circle(path[path.index(kind) :])
                found.append(circle)
            for each in path:
                each.circle = circle
        self.circles = tuple(sorted(found, key=lambda circle: circle.steps[0].waiter.number))

    def _next_waiter(self, kind: _Kind) -> LockStatus:
        """Return the first stuck wait because of which the process in the way of C{kind} does not go."""
        assert kind.blocker is not None
        held, first = kind.blocker.name, self._holding[process_of(kind.blocker)].first_stuck
        return next(waiter for key, waiter in first.items() if not is_of_another_task(held, key))

    def _circle(self, kinds: list[_Kind]) -> Circle:
        last = kinds[-1]
        steps = []
        for before, kind in zip([last, *kinds], kinds, strict=False):
            assert kind.blocker is not None
            steps.append(Step(self._next_waiter(before), kind.blocker))
        oldest = min(range(len(steps)), key=lambda number: steps[number].waiter.number)
        return Circle((*steps[oldest:], *steps[:oldest]))


class _Process:
    """
    A process that holds locks.

    Waits are counted by name, those of inner processes as L{_INNER}; see L{is_of_another_task} for what they keep.
    """

    def __init__(self) -> None:
        self.holders: dict[str, list[tuple[int, LockStatus]]] = {}  # that are not gone, with their resources, by name
        self.waits: dict[str, int] = {}  # how many have not ended, by name or L{_INNER}
        self.first_stuck: dict[str, LockStatus] = {}  # likewise

    def end_wait(self, key: str) -> list[tuple[int, LockStatus]]:
        """End one of L{waits}; return what L{leave} does then."""
        self.waits[key] -= 1
        if self.waits[key]:
            return []
        del self.waits[key]
        return self.leave()

    def leave(self) -> list[tuple[int, LockStatus]]:
        """Return the holders that no wait keeps any more, with their resources, each of them once."""
        if len(self.waits) > _MOST_TASKS:
            return []
        names = [name for name in self.holders if all(is_of_another_task(name, wanted) for wanted in self.waits)]
        return [held for name in names for held in self.holders.pop(name)]


class _Kind:
    """Waiters for one resource that wait for the same."""

    def __init__(self) -> None:
        self.waiters: list[LockStatus] = []
        self.left = 0  # how much of what is in the way has not gone
        self.blocker: LockStatus | None = None  # if it is stuck: the first holder in the way
        self.is_followed = False
        self.circle: Circle | None = None
        self.converts: int | None = None  # of a conversion: the number of its own lock, which is not in the way


class _ByMode:
    """Waiters that wait until no holder is left with whose mode theirs is incompatible."""

    def __init__(self, resource: ResourceStatus) -> None:
        self._is_tree = resource.type == "hierarchical"
        self._holders: dict[_Group, dict[int, LockStatus]] = {}  # that are not gone
        self._kinds: dict[_Group, list[_Kind]] = {}  # for which these holders are in the way
        self._every: dict[tuple[str, LockMode, int | None], _Kind] = {}

    def add_holder(self, holder: LockStatus) -> None:
        """Note C{holder}, before the waiters."""
        for group in self._groups_of(holder):
            self._holders.setdefault(group, {})[holder.number] = holder

    def add_waiter(self, waiter: LockStatus) -> None:
        """Note C{waiter}."""
        wish = (waiter.name if self._is_tree else "", _mode(waiter), waiter.converts)
        kind = self._every.get(wish)
        if kind is None:
            kind = self._every[wish] = _Kind()
            kind.converts = waiter.converts
            for group in self._groups_against(*wish):
                kind.left += 1
                self._kinds.setdefault(group, []).append(kind)
        kind.waiters.append(waiter)

    def begin(self) -> list[_Kind]:
        """Return those that no holder blocks, once all are noted."""
        return [kind for kind in self._every.values() if not kind.left]

    def remove(self, holder: LockStatus) -> list[_Kind]:
        """Return those that no holder blocks once C{holder} is gone too."""
        ended = []
        for group in self._groups_of(holder):
            del self._holders[group][holder.number]
            if len(left := self._holders[group]) > 1:
                continue
            for kind in self._kinds.get(group, ()):
                if kind.converts != holder.number and (not left or kind.converts in left):
                    kind.left -= 1
                    if not kind.left:
                        ended.append(kind)
        return ended

    def stuck(self) -> Iterator[_Kind]:
        """Yield those that are still blocked."""
        for wish, kind in self._every.items():
            if kind.left:
                first = (self._first(group, kind.converts) for group in self._groups_against(*wish))
                kind.blocker = min(filter(None, first), key=lambda holder: holder.number)
                yield kind

    def _first(self, group: _Group, own: int | None) -> LockStatus | None:
        """Return the first holder of C{group} but for the one with the number C{own}; C{None} if there is none."""
        for holder in self._holders.get(group, {}).values():
            if holder.number != own:
                return holder
        return None

    def _nodes(self, lock: LockStatus) -> list[str]:
        """Return the node of C{lock}, and all above it."""
        if not self._is_tree:
            return [""]
        nodes = [lock.name]
        while node := nodes[-1].rpartition("/")[0]:
            nodes.append(node)
        return nodes

    def _groups_of(self, holder: LockStatus) -> list[_Group]:
        mode, nodes = _mode(holder), self._nodes(holder)
        return [(nodes[0], mode, False), *((node, mode, True) for node in nodes)]

    def _groups_against(self, node: str, mode: LockMode, own: int | None) -> list[_Group]:
        """Return the groups of holders in the way of a waiter: those at its node or below it, or at one above it."""
        above: list[str] = []
        while self._is_tree and (node_above := (above or [node])[-1].rpartition("/")[0]):
            above.append(node_above)
        groups = [(node, other, True) for other in _AGAINST[mode]]
        groups += [(each, other, False) for each in above for other in _AGAINST[mode]]
        return [group for group in groups if self._first(group, own) is not None]


class _ByUnits:
    """Waiters that wait until enough units are free; for types without units, until any holder is gone."""

    def __init__(self, resource: ResourceStatus) -> None:
        self._holders: dict[int, LockStatus] = {}  # that are not gone
        self._kinds: dict[int, _Kind] = {}  # by how much has to be free
        self._sharers: dict[int, int] = {}  # how many of them share one lock, by its number
        self._free = resource.free if isinstance(resource.free, int) else 0
        self._every: list[tuple[int, _Kind]] = []  # the same that have not ended, the one that needs least at the end

    def add_holder(self, holder: LockStatus) -> None:
        """Note C{holder}, before the waiters."""
        if holder.quantity != 0:
            self._holders[holder.number] = holder
            if holder.shares is not None:
                self._sharers[holder.shares] = self._sharers.get(holder.shares, 0) + 1

    def add_waiter(self, waiter: LockStatus) -> None:
        """Note C{waiter}."""
        needed = self._free + 1 if waiter.quantity is None else waiter.quantity
        if needed not in self._kinds:
            self._kinds[needed] = _Kind()
        self._kinds[needed].waiters.append(waiter)

    def begin(self) -> list[_Kind]:
        """Return those for which enough is free, once all are noted."""
        self._every = sorted(self._kinds.items(), key=lambda item: -item[0])
        return self._unblocked()

    def remove(self, holder: LockStatus) -> list[_Kind]:
        """Return those for which enough is free once C{holder} is gone too."""
        if self._holders.pop(holder.number, None) is not None and self._is_last(holder):
            self._free += 1 if holder.quantity is None else holder.quantity
        return self._unblocked()

    def _is_last(self, holder: LockStatus) -> bool:
        """Return whether what C{holder} has held is free now: no other one is left that shares it."""
        if holder.shares is None:
            return True
        self._sharers[holder.shares] -= 1
        return not self._sharers[holder.shares]

    def _unblocked(self) -> list[_Kind]:
        ended = []
        while self._every and (self._every[-1][0] <= self._free or not self._holders):
            ended.append(self._every.pop()[1])
        return ended

    def stuck(self) -> Iterator[_Kind]:
        """Yield those that are still blocked."""
        for _, kind in reversed(self._every):
            kind.blocker = next(iter(self._holders.values()))
            yield kind


def _has_modes(resource: ResourceStatus) -> bool:
    return resource.waiters[0].mode is not None


def _mode(lock: LockStatus) -> LockMode:
    return LockMode[lock.mode or "NL"]

"""Deadlocks are found in a status: as few scenes, and as what a plain search finds in many random ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic

import pytest

from flom.core.names import parse_name
from flom.status.deadlocks import Search, find_deadlocks, is_of_another_task, process_of
from flom.status.model import Counts, DaemonStatus, LockStatus, ResourceStatus, Status
from flom.status.wording import spell_circle

Asked = tuple[int, str, str | int | None]
"""A process, a name, and a mode or a quantity."""

COUNTS = Counts(0, {}, {}, 0.0, {}, 0.0, 0, 0, 0)
DAEMON = DaemonStatus("1", "h", 1, 0.0, 0.0, 0.0, (), "", "", False, 0, 0.0, COUNTS)


def make_status(held: list[Asked], waiting: list[Asked], free: int = 0) -> Status:
    """Return a status with locks that are numbered in order; C{free} units are left of numeric resources."""
    locks = []
    for number, (pid, name, wish) in enumerate([*held, *waiting], 1):
        mode, quantity = (wish, None) if isinstance(wish, str) else (None, wish)
        locks.append(LockStatus(number, "localhost/", None, pid, 0, name, mode, quantity, None, 1.0))
    keys = {parse_name(lock.name).key for lock in locks}
    resources = []
    for number, key in enumerate(sorted(keys), 1000):
        here = [lock for lock in locks if parse_name(lock.name).key == key]
        holders = tuple(lock for lock in here if lock.number <= len(held))
        waiters = tuple(lock for lock in here if lock.number > len(held))
        kind = parse_name(here[0].name).type_name
        left = free if kind == "numeric" else None
        resources.append(ResourceStatus(number, here[0].name, kind, 1.0, left, None, holders, waiters))
    return Status(DAEMON, tuple(resources), ())


def circles(held: list[Asked], waiting: list[Asked], **others: int) -> list[list[tuple[int | None, int | None]]]:
    """Return the circles, each as the processes that wait and those in their way."""
    found = find_deadlocks(make_status(held, waiting, **others))
    return [[(step.waiter.pid, step.holder.pid) for step in circle.steps] for circle in found]


def test_two_processes_that_want_what_the_other_has() -> None:
    assert circles([(1, "A", "EX"), (2, "B", "EX")], [(1, "B", "EX"), (2, "A", "EX")]) == [[(1, 2), (2, 1)]]


def test_a_chain_is_no_deadlock() -> None:
    assert circles([(1, "A", "EX"), (2, "B", "EX")], [(1, "B", "EX"), (3, "A", "EX")]) == []
    assert circles([], [(1, "A", "EX")]) == circles([(1, "A", "EX")], []) == []


def test_a_waiter_behind_a_deadlock_is_stuck_but_not_in_it() -> None:
    status = make_status([(1, "A", "EX"), (2, "B", "EX")], [(3, "A", "EX"), (1, "B", "EX"), (2, "A", "EX")])
    search = Search(status)
    assert list(search.steps()) is not None
    [circle] = search.circles
    assert [step.waiter.pid for step in circle.steps] == [1, 2]
    behind = status.resources[0].waiters[0]
    assert (behind.pid, search.is_stuck(behind), search.circle_of([behind])) == (3, True, circle)


def test_two_deadlocks_are_told_apart() -> None:
    held: list[Asked] = [(1, "A", "EX"), (2, "B", "EX"), (3, "C", "EX"), (4, "D", "EX")]
    waiting: list[Asked] = [(4, "C", "EX"), (1, "B", "EX"), (2, "A", "EX"), (3, "D", "EX")]
    assert circles(held, waiting) == [[(4, 3), (3, 4)], [(1, 2), (2, 1)]]


def test_readers_do_not_wait_for_one_another() -> None:
    held: list[Asked] = [(1, "A", "PR"), (2, "B", "PR")]
    assert circles(held, [(1, "B", "PR"), (2, "A", "PR")]) == []
    assert circles(held, [(1, "B", "PW"), (2, "A", "EX")]) == [[(1, 2), (2, 1)]]


def test_nodes_above_and_below_are_in_the_way() -> None:
    held: list[Asked] = [(1, "/a/b", "EX"), (2, "/x/y", "EX"), (2, "/a/c", "EX")]
    assert circles(held, [(1, "/x", "EX"), (2, "/a/b/d", "PR")]) == [[(1, 2), (2, 1)]]
    assert circles(held, [(1, "/x", "EX"), (2, "/a/bb", "PR")]) == []
    assert circles([(1, "/t/a", "EX"), (2, "/t/b", "EX")], [(1, "/t/b", "EX"), (2, "/t/a", "EX")]) == [[(1, 2), (2, 1)]]


def test_units_that_others_give_back_are_enough() -> None:
    held: list[Asked] = [(1, "N[3]", 1), (2, "X", "EX"), (3, "N[3]", 2)]
    assert circles(held, [(1, "X", "EX"), (2, "N[3]", 2)]) == []
    assert circles(held, [(1, "X", "EX"), (2, "N[3]", 3)]) == [[(1, 2), (2, 1)]]
    assert circles(held[:2], [(1, "X", "EX"), (2, "N[3]", 2)], free=2) == []


def test_any_element_of_a_set_is_enough() -> None:
    held: list[Asked] = [(1, "r.g", None), (2, "X", "EX")]
    waiting: list[Asked] = [(1, "X", "EX"), (2, "r.g", None)]
    assert circles(held, waiting) == [[(1, 2), (2, 1)]]
    assert circles([*held, (3, "r.g", None)], waiting) == []


def test_a_task_does_not_wait_for_another_one_of_its_process() -> None:
    assert circles([(1, "A", "EX")], [(1, "A", "EX")]) == []
    assert circles([(1, "/t/a", "EX")], [(1, "/t", "EX")]) == []


def test_a_command_waits_for_what_its_own_command_holds() -> None:
    """C{flom-run -r A -- flom-run -r A -- true}, as soon as nothing else holds A."""
    status = make_status([(1, "A", "EX")], [(2, "A", "EX")])
    assert find_deadlocks(status) == ()
    [circle] = find_deadlocks(status, lambda pid: [1] if pid == 2 else [])
    assert spell_circle(circle) == [
        "pid 1 (uid 0) holds A (EX); its command's pid 2 (uid 0) has waited for A (EX) for 1 s"
    ]


def test_a_deadlock_in_words() -> None:
    [circle] = find_deadlocks(make_status([(1, "A", "EX"), (2, "N[5]", 4)], [(1, "N[5]", 3), (2, "A", "PR")]))
    assert spell_circle(circle) == [
        "pid 1 (uid 0) holds A (EX) and has waited for N[5] (3) for 1 s",
        "pid 2 (uid 0) holds N[5] (4) and has waited for A (PR) for 1 s",
    ]


def lineage_status(*locks: tuple[str, str, str, str]) -> Status:
    """
    Return a status over TCP: a port, a lineage, what is held or waited for (EX, unless units are said), and how.

    Ids are letters, of which the first is the client's own.
    """
    found: dict[str, tuple[list[LockStatus], list[LockStatus]]] = {}
    for number, (port, lineage, name, how) in enumerate(locks, 1):
        is_numeric = parse_name(name).has_quantity
        mode, quantity = (None, int(how.rpartition(" ")[2])) if is_numeric else ("EX", None)
        ids = tuple(letter * 16 for letter in lineage)
        lock = LockStatus(number, f"192.0.2.1/{port}", None, None, None, name, mode, quantity, None, 1.0, lineage=ids)
        if "wait" in how:
            lock = lock.replace(nested="wait")
        if "shares" in how:
            lock = lock.replace(shares=1)
        found.setdefault(name, ([], []))["holds" not in how].append(lock)
    kinds = {name: parse_name(name).type_name for name in found}
    free = {name: 0 if kinds[name] == "numeric" else None for name in found}
    resources = [
        ResourceStatus(1000 + number, name, kinds[name], 1.0, free[name], None, tuple(holders), tuple(waiters))
        for number, (name, (holders, waiters)) in enumerate(found.items())
    ]
    return Status(DAEMON, tuple(resources), ())


def test_lineages_link_commands_over_tcp() -> None:
    crossed = [("1", "a", "A", "holds"), ("2", "b", "B", "holds"), ("3", "ca", "B", "asks"), ("4", "db", "A", "asks")]
    [circle] = find_deadlocks(lineage_status(*crossed))
    assert [(step.waiter.address[-1], step.holder.address[-1]) for step in circle.steps] == [("3", "2"), ("4", "1")]
    assert find_deadlocks(lineage_status(*crossed[:3], ("4", "db", "A", "asks wait"))) == ()
    assert find_deadlocks(lineage_status(*crossed[:3], ("4", "d", "A", "asks"))) == ()


def test_what_is_shared_is_free_when_the_last_has_gone() -> None:
    shared = [("1", "a", "N[3]", "holds shares 3"), ("2", "ba", "N[3]", "holds shares 3"), ("3", "c", "A", "holds")]
    asked = [("4", "dc", "N[3]", "asks 2"), ("5", "eba", "A", "asks")]
    [circle] = find_deadlocks(lineage_status(*shared, *asked))
    assert len(circle.steps) == 2
    assert find_deadlocks(lineage_status(*shared, asked[0], ("5", "e", "A", "asks"))) == ()


def converting(held: list[Asked], waiting: list[Asked]) -> Status:
    """Return a status in which the first waiter converts what is held first."""
    status = make_status(held, waiting)
    first = len(held) + 1

    def mark(resource: ResourceStatus) -> ResourceStatus:
        marked = (lock.replace(converts=1) if lock.number == first else lock for lock in resource.waiters)
        return resource.replace(waiters=tuple(marked))

    return status.replace(resources=tuple(map(mark, status.resources)))


@pytest.mark.parametrize("name", ["A", "/a/b"])
def test_a_conversion_waits_for_all_holders_but_its_own(name: str) -> None:
    readers: list[Asked] = [(1, name, "PR"), (2, name, "PR")]
    assert find_deadlocks(converting(readers, [(1, name, "EX")])) == ()
    assert find_deadlocks(converting(readers, [(1, name, "EX"), (3, name, "EX")])) == ()
    assert find_deadlocks(converting([*readers, (1, "B", "EX")], [(1, name, "EX"), (3, "B", "EX")])) == ()
    held: list[Asked] = [*readers, (1, "B", "EX"), (3, name, "PR")]
    [circle] = find_deadlocks(converting(held, [(1, name, "EX"), (2, "B", "EX")]))
    assert [(step.waiter.pid, step.holder.pid) for step in circle.steps] == [(1, 2), (2, 1)]
    waits = f"pid 1 (uid 0) holds B (EX) and has waited to convert {name} (EX) for 1 s"
    assert spell_circle(circle)[0] == waits


def test_what_a_conversion_holds_stays_in_the_way_of_others() -> None:
    held: list[Asked] = [(1, "A", "PR"), (2, "A", "PR"), (3, "C", "EX")]
    [circle] = find_deadlocks(converting(held, [(1, "A", "EX"), (3, "A", "EX"), (2, "C", "EX")]))
    assert {step.waiter.pid for step in circle.steps} in ({2, 3}, {1, 2, 3})


def stuck_by_plain_search(status: Status, outer: Callable[[int], list[int]]) -> set[int]:
    """Return the numbers of the stuck waiters: look at each pair again until nothing changes."""
    waits = [(resource, lock) for resource in status.resources for lock in resource.waiters]
    stuck = {lock.number for _, lock in waits}

    def stays(holder: LockStatus) -> bool:
        own = process_of(holder)
        return any(
            lock.number in stuck
            and (
                (process_of(lock) == own and not is_of_another_task(holder.name, lock.name))
                or (process_of(lock) != own and own[1] in outer(lock.pid or 0))
            )
            for _, lock in waits
        )

    while True:
        before = len(stuck)
        for resource, lock in waits:
            blockers = resource.blockers(lock)
            left = [holder for holder in blockers if stays(holder)]
            if lock.mode is not None or not blockers:
                can_end = not left
            elif lock.quantity is None:
                can_end = len(left) < len(blockers)
            else:
                free = resource.free if isinstance(resource.free, int) else 0
                back = sum(holder.quantity or 0 for holder in blockers if holder not in left)
                can_end = not left or free + back >= lock.quantity
            if can_end:
                stuck.discard(lock.number)
        if len(stuck) == before:
            return stuck


@pytest.mark.parametrize("seed", range(300))
def test_as_a_plain_search(seed: int) -> None:
    chance = random.Random(seed)
    names = ["A", "B", "N[5]", "r.g", "/t", "/t/a", "/t/b", "/t/a/c", "/u/v"]

    def ask() -> Asked:
        name = chance.choice(names)
        wish: str | int | None = chance.choice(["CR", "CW", "PR", "PW", "EX"])
        if not parse_name(name).has_mode:
            wish = chance.randint(0, 4) if name == "N[5]" else None
        return chance.randint(1, 6), name, wish

    def outer(pid: int) -> list[int]:
        return [pid - 1] if pid in (4, 6) else []

    held, waiting = ([ask() for _ in range(chance.randint(1, 9))] for _ in range(2))
    status = make_status(held, waiting, free=chance.randint(0, 1))
    search = Search(status, outer)
    for _ in search.steps():
        pass
    every = [lock for resource in status.resources for lock in resource.waiters]
    stuck = {lock.number for lock in every if search.is_stuck(lock)}
    assert stuck == stuck_by_plain_search(status, outer)
    assert bool(stuck) == bool(search.circles)
    for circle in search.circles:
        for step, following in zip(circle.steps, [*circle.steps[1:], circle.steps[0]], strict=True):
            assert step.waiter.number in stuck
            [resource] = [each for each in status.resources if step.waiter in each.waiters]
            assert step.holder in resource.blockers(step.waiter)
            assert step.holder.pid in (following.waiter.pid, *outer(following.waiter.pid or 0))


NAMES = [["A", "B"], [f"/t/{number}" for number in range(3000)], ["N[9000]", "M[9000]"]]


@pytest.mark.parametrize("names", NAMES)
def test_many_locks_take_time_in_proportion(names: list[str]) -> None:
    """3,000 holders and 3,000 waiters are 9,000,000 pairs, at a tenth of a microsecond each at the least."""
    wishes: list[str | int | None] = ["PR", "EX"] if parse_name(names[0]).has_mode else [3, 9000]
    held: list[Asked] = [(number, names[number % len(names)], wishes[0]) for number in range(1, 3001)]
    waiting: list[Asked] = [(number, names[(number + 1) % len(names)], wishes[1]) for number in range(1, 3001)]
    status = make_status(held, waiting)
    begun = monotonic()
    assert find_deadlocks(status)
    assert monotonic() - begun < 0.5

"""
The lock table does, step by step, what a plain reading of docs/compatibility.md, "Locks", does (tests/core/model.py).
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from typing import ClassVar, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from flom.core.effects import (
    Converted,
    Converting,
    Effect,
    Ended,
    Granted,
    Instant,
    NotConverted,
    Overdue,
    Wanted,
    Withdrawn,
)
from flom.core.locks.hold_limits import ByName, HoldPolicy
from flom.core.locks.resources.hierarchical import HierarchicalResource
from flom.core.locks.table import LockTable
from flom.core.modes import LockMode
from flom.core.names import HierarchicalName, ResourceName, SequenceName, SetName, parse_name
from flom.core.protocol.messages import WhyWithdrawn, Wishes
from flom.core.requests import LockRequest, SessionId, SetRequest
from flom.errors import RemoteProtocolError
from tests.core.model import Model, same_resource

TREE: Final = ["/h", "/h/x", "/h/x/y", "/h/x/y/z", "/h/x/y/w", "/h/x/v", "/h/xy", "/h/u/y"]

SEVERAL: Final[dict[str, list[str]]] = {
    "several, of one kind": ["A", "B", "C"],
    "several, of many kinds": ["A", "B", "N[3]", "a.b", "_S_a[1]", "_t_%S[2]"],
}

FAMILIES: Final[dict[str, list[str]]] = {
    **SEVERAL,
    "simple": ["R1", "r1"],
    "numeric": ["N[3]", "N[5]", "N[0]", "N[2147483648]"],
    "set": ["red.green.blue", "u.u"],
    "one tree": TREE,
    "two deep trees": ["/g/" + "/".join("abcdefgh"[:depth]) for depth in (1, 3, 5, 8)] + ["/g/a/c/c", "/i", "/i/a"],
    "sequence": ["_s_a[2]", "_S_a[1]", "_S_b[3]", "_s_c[0]"],
    "timestamp": ["_t_%H:%M:%S#f[2]", "_t_%S[1]", "_t_%M[1]", "_t_%H[2]", "_t_x#ff[3]", "_t_%S[0]", "_t_%Y[1]"],
    "all": ["_RESOURCE", "N[2]", "a.b", "/h/x", "/h/x/y", "_S_a[1]", "_t_%S[2]"],
}

WALL_AT_START: Final = 1_699_963_190.0  # ten seconds before noon, UTC
SECONDS: Final = [1 / 64, 1 / 2, 1.0, 1.5, 3.0, 10.0, 3600.0]  # sums of these are exact

MOST: Final = (("*x", 3.0 + 2**-16), ("_S_a*", 1.5 + 2**-17))
DELAYS: Final = (("N*", 1.5 + 2**-18), ("/h/x*", 0.5 + 2**-18), ("_s*", 3.0 + 2**-18))

sessions = st.runner().flatmap(lambda machine: st.integers(1, machine.session_count)).map(SessionId)
all_wishes = st.builds(
    Wishes,
    max_hold=st.sampled_from([0.0, 0.5, 1.5]),
    lock_delay=st.sampled_from([None, 0.0, 0.5, 3.0]),
    wanted=st.booleans(),
)
modes = st.sampled_from(list(LockMode))
quantities = st.integers(0, 4)
names = st.runner().flatmap(lambda machine: st.sampled_from(machine.names))
elements = st.runner().flatmap(lambda machine: st.sampled_from(machine.elements()))
lineages = st.sampled_from(["", "own", "own", "own", "own and another one"])
several = st.runner().flatmap(
    lambda machine: st.lists(st.sampled_from(machine.names), min_size=2, max_size=3, unique_by=lambda name: name.key)
)
holders = st.runner().flatmap(lambda machine: st.sampled_from(machine.model.held()))
holders = st.runner().flatmap(lambda machine: st.sampled_from(machine.model.held()))
waiting = st.runner().flatmap(lambda machine: st.sampled_from(machine.model.waiting()))


def strftime(format: str, wall: float) -> str:
    return time.strftime(format, time.gmtime(wall))


def wishes(session: SessionId, lineage: str) -> Wishes | None:
    """Return wishes with the public id of C{session}, perhaps under a command of the session before."""
    if not lineage:
        return None
    lineage_of_it = (session,) if lineage == "own" else (session, session - 1)
    return Wishes(lineage=tuple(f"id{each}" for each in lineage_of_it), nested="wait")


def by_name(times: tuple[tuple[str, float], ...], name: str) -> float:
    return next((seconds for pattern, seconds in times if fnmatchcase(name, pattern)), 0.0)


def by_resource(effects: list[Effect]) -> dict[ResourceName, list[object]]:
    """What happens at one resource has an order; what happens at two at the same time has none, and so their tokens."""
    groups: defaultdict[ResourceName, list[object]] = defaultdict(list)
    for effect in effects:
        if isinstance(effect, Ended | Withdrawn | Overdue | Wanted):
            continue  # nobody is told; of what was overdue, see L{SideBySide.compare}
        first = next((name for name in groups if same_resource(name, effect.request.name)), effect.request.name)
        if isinstance(effect, Converted):
            groups[first].append((effect.request.session, effect.request.mode, effect.number, effect.delayed))
        elif isinstance(effect, Converting | NotConverted):
            request, mode = effect.request, effect.mode
            outcome = effect.outcome if isinstance(effect, NotConverted) else None
            groups[first].append((request.session, request.mode, mode, outcome, effect.number))
        else:
            groups[first].append(replace(effect, token=0) if isinstance(effect, Granted) else effect)
    return dict(groups)


def tokens(effects: list[Effect]) -> list[int]:
    return [effect.token for effect in effects if isinstance(effect, Granted | Converted)]


def overdue(effects: list[Effect]) -> set[SessionId]:
    return {effect.request.session for effect in effects if isinstance(effect, Overdue)}


class SideBySide(RuleBasedStateMachine):
    """Both are told the same."""

    texts: ClassVar[list[str]]
    session_count: ClassVar[int] = 5

    def __init__(self) -> None:
        super().__init__()
        self.names = [parse_name(text) for text in self.texts]
        self.wished = 0.0
        self.told: set[LockRequest] = set()  # to those that stand in the way
        self.now = Instant(100.0, WALL_AT_START)
        self.table = LockTable(strftime, max_overtaking=2, policy=HoldPolicy(ByName(MOST), ByName(DELAYS)))
        self.model = Model(strftime, 2, *(partial(by_name, times) for times in (MOST, DELAYS)))

    @rule(session=sessions, name=names, mode=modes, quantity=quantities, lineage=lineages)
    def request(self, session: SessionId, name: ResourceName, mode: LockMode, quantity: int, lineage: str) -> None:
        self.ask(LockRequest(session, name, mode, quantity, wishes=wishes(session, lineage)))

    @precondition(lambda self: self.has_several)
    @rule(
        session=sessions,
        names=several,
        modes=st.lists(st.sampled_from([LockMode.EX, LockMode.EX, *LockMode]), min_size=3, max_size=3),
        quantity=quantities,
        lineage=lineages,
        wait=st.sampled_from([True, True, True, False]),
        create=st.sampled_from([True, True, True, False]),
        element=elements,
        regains=st.sampled_from([*[False] * 7, True]),
        limits=st.one_of(st.none(), all_wishes),
    )
    def request_all(
        self,
        session: SessionId,
        names: list[ResourceName],
        modes: list[LockMode],
        quantity: int,
        lineage: str,
        wait: bool,
        create: bool,
        element: str | None,
        regains: bool,
        limits: Wishes | None,
    ) -> None:
        made = wishes(session, lineage)
        each = [made if limits is None else self.apart(made or Wishes(), limits) for _ in names]
        parts = tuple(
            LockRequest(session, name, mode, quantity, wait, create, regains=regains, element=element, wishes=wished)
            for name, mode, wished in zip(names, modes, each, strict=False)
        )
        request = SetRequest(parts)
        self.compare(self.table.request_all(request, self.now), self.model.request_all(request, self.now))

    @rule(session=sessions)
    def release_all(self, session: SessionId) -> None:
        self.compare(self.table.release_all(session, self.now), self.model.release_all(session, self.now))

    @rule(
        session=sessions,
        name=names,
        mode=modes,
        quantity=quantities,
        wait=st.booleans(),
        create=st.booleans(),
        lifespan=st.sampled_from([-1.0, 0.0, 0.5, 1.0, 3.0]),
    )
    def request_with_options(
        self,
        session: SessionId,
        name: ResourceName,
        mode: LockMode,
        quantity: int,
        wait: bool,
        create: bool,
        lifespan: float,
    ) -> None:
        self.ask(LockRequest(session, name, mode, quantity, wait, create, lifespan))

    @precondition(lambda self: self.model.held())
    @rule(holder=holders, mode=modes, wait=st.booleans(), number=st.integers(1, 9))
    def convert(self, holder: LockRequest, mode: LockMode, wait: bool, number: int) -> None:
        session, name = holder.session, holder.name
        expected = self.model.convert(session, name, mode, self.now, wait=wait, number=number)
        self.compare(self.table.convert(session, name, mode, self.now, wait=wait, number=number), expected)

    @rule(session=sessions, name=names, mode=modes, quantity=quantities, element=elements)
    def reclaim(
        self, session: SessionId, name: ResourceName, mode: LockMode, quantity: int, element: str | None
    ) -> None:
        self.ask(LockRequest(session, name, mode, quantity, wait=False, regains=True, element=element))

    @rule(session=sessions, name=names, mode=modes, quantity=quantities, wishes=all_wishes)
    def request_with_wishes(
        self, session: SessionId, name: ResourceName, mode: LockMode, quantity: int, wishes: Wishes
    ) -> None:
        self.ask(LockRequest(session, name, mode, quantity, wishes=self.apart(Wishes(), wishes)))

    def apart(self, beside: Wishes, limits: Wishes) -> Wishes:
        """Return C{beside} with these limits, no two of which end at one moment, at which the order would be any."""
        self.wished += 2.0**-20
        most = limits.max_hold and limits.max_hold + self.wished
        delay = limits.lock_delay and limits.lock_delay + self.wished / 2
        return beside.replace(max_hold=most, lock_delay=delay, wanted=limits.wanted)

    @rule(session=sessions, name=names, mode=modes, quantity=quantities, waited=st.sampled_from(SECONDS))
    def rejoin(self, session: SessionId, name: ResourceName, mode: LockMode, quantity: int, waited: float) -> None:
        self.ask(LockRequest(session, name, mode, quantity, waited=waited))
        self.table.put_in_order(name.key)
        self.model.put_in_order(name)

    @precondition(lambda self: self.model.waiting())
    @rule(request=waiting)
    def withdraw(self, request: LockRequest) -> None:
        self.table.withdraw(request)
        self.model.withdraw(request)

    @precondition(lambda self: self.model.waiting())
    @rule(request=waiting)
    def give_up(self, request: LockRequest) -> None:
        mine = [(each.session, each.name) == (request.session, request.name) for each in self.model.waiting()]
        if sum(mine) == 1:
            effects = self.table.give_up(request.session, request.name, self.now, WhyWithdrawn.GONE)
            self.compare(effects, self.model.give_up(request, self.now))

    @rule(session=sessions, name=names, rollback=st.booleans())
    def release(self, session: SessionId, name: ResourceName, rollback: bool) -> None:
        try:
            expected = self.model.release(session, name, self.now, rollback=rollback)
        except RemoteProtocolError:
            with pytest.raises(RemoteProtocolError):
                self.table.release(session, name, self.now, rollback=rollback)
        else:
            self.compare(self.table.release(session, name, self.now, rollback=rollback), expected)

    @rule(session=sessions)
    def drop(self, session: SessionId) -> None:
        self.compare(self.table.drop(session, self.now), self.model.drop(session, self.now))

    @rule(seconds=st.sampled_from(SECONDS))
    def pass_time(self, seconds: float) -> None:
        end = self.now.monotonic + seconds
        while self.now.monotonic < end:
            step = min(end, self.model.next_limit(self.now)) - self.now.monotonic
            self.now = Instant(self.now.monotonic + step, self.now.wall + step)
            self.compare(self.table.expire(self.now), self.model.expire(self.now))

    def elements(self) -> list[str | None]:
        """What another daemon may have given: values of all types, some of which are held, and some to come."""
        times = [strftime(format, self.now.wall + ahead) for format in ("%S", "%M", "%H") for ahead in (-1.5, 0, 1, 2)]
        given = [holder.element for resource in self.model.resources for holder in resource.holders]
        return [None, "1", "2", "3", "07", "x", "red", "blue", "u", "a", *times, *given]

    @invariant()
    def gives_no_element_twice(self) -> None:
        for resource in self.table.view().resources:
            name = parse_name(resource.name)
            given = [holder.element for holder in resource.holders]
            if isinstance(name, SetName):
                assert all(given.count(element) <= name.elements.count(str(element)) for element in given)
            elif isinstance(name, SequenceName):
                assert len(set(given)) == len(given)

    @invariant()
    def those_that_wish_know_when_they_are_in_the_way(self) -> None:
        watches = [entry.wishes.watch for entry in self.table._entries.values() if entry.wishes is not None]
        told = {holding.request for watch in watches for group in watch._groups.values() for holding in group.told}
        assert sorted(map(repr, told)) == sorted(map(repr, self.model.in_the_way()))  # each has its own of conversions
        assert told <= self.told

    @invariant()
    def remembers_as_much(self) -> None:
        assert bool(self.table) == bool(self.model.resources or self.model.incubator)

    @invariant()
    def keeps_only_the_nodes_below_the_root_that_are_held_or_waited_for(self) -> None:
        used = {
            levels[:depth]
            for resource in self.model.resources
            for request in [*(holder.request for holder in resource.holders), *resource.queue]
            if isinstance(request.name, HierarchicalName)
            for levels in [request.name.levels]
            for depth in range(2, len(levels) + 1)
        }
        assert count_nodes(self.table) == len(used)

    def teardown(self) -> None:
        for session in range(1, self.session_count + 1):
            self.drop(SessionId(session))
        self.pass_time(60.0)
        assert not self.table
        self.pass_time(3600.0)  # the unit for which a timestamp's waiter waited is over, too
        assert self.table.next_deadline() is None

    @property
    def has_several(self) -> bool:
        return len({name.key for name in self.names}) > 1

    def ask(self, request: LockRequest) -> None:
        self.compare(self.table.request(request, self.now), self.model.request(request, self.now))

    def compare(self, actual: list[Effect], expected: list[Effect]) -> None:
        assert by_resource(actual) == by_resource(expected)
        self.told |= {effect.request for effect in actual if isinstance(effect, Wanted)}
        assert tokens(actual) == tokens(expected)
        # of what a session has held for too long, one is told, and the rest is dropped with it
        assert overdue(actual) == overdue(expected)


def count_nodes(table: LockTable) -> int:
    nodes = [
        entry.resource._root for entry in table._entries.values() if isinstance(entry.resource, HierarchicalResource)
    ]
    for node in nodes:  # it grows meanwhile
        children = node._children  # several, a single one, or none
        if isinstance(children, dict):
            nodes.extend(children.values())
        elif children is not None:
            nodes.append(children)
    return sum(node.parent is not None for node in nodes)


@pytest.mark.parametrize("names", FAMILIES.values(), ids=FAMILIES)
def test_the_table_does_what_the_model_does(names: list[str]) -> None:
    class OneFamily(SideBySide):
        texts = names
        session_count = 8 if names in SEVERAL.values() else 5

    examples = 60 if names in SEVERAL.values() else 120  # long walks of the former are in test_sets_walk.py
    run_state_machine_as_test(
        OneFamily,
        settings=settings(max_examples=examples, stateful_step_count=50, suppress_health_check=list(HealthCheck)),
    )

"""
A grant, a withdrawal and a lost connection cost the same whether ten wait or ten thousand.

The cost is the number of lines that the interpreter executes, which is the same on every machine.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any, Final

import pytest

from flom.core.effects import Effect, Granted, Instant
from flom.core.locks.table import LockTable
from flom.core.modes import LockMode
from flom.core.names import HierarchicalName, NumericName, SimpleName, parse_name
from flom.core.protocol.messages import WhyWithdrawn, Wishes
from flom.core.requests import LockRequest, SessionId, SetRequest

FEW: Final = 10
MANY: Final = 10_000
SEVERAL: Final = 3_000
LOGARITHM: Final = 3.0
"""A growth: the tree over the queue of a numeric resource has four levels for ten waiters, fifteen for ten thousand."""

MODES: Final = (LockMode.EX, LockMode.PW, LockMode.PR, LockMode.CW, LockMode.CR)


def cost(call: Callable[[], list[Effect]]) -> tuple[int, list[Effect]]:
    """Count the lines that C{call} executes; give what it returned as well."""
    executed = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal executed
        executed += event == "line"
        return trace

    before = sys.gettrace()
    gc.disable()  # others may have it call them back, line by line
    sys.settrace(trace)
    try:
        effects = call()
    finally:
        sys.settrace(before)
        gc.enable()
    return executed, effects


@dataclass(frozen=True)
class Crowd:
    """
    Some hold, many wait.

    @ivar holders: the names held in the beginning, each by a session of its own, and how many units; given how many
        wait.
    @ivar waiter: what the nth waiter wants, counted from 0.
    @ivar growth: how many times as much a thousand times as many waiters may cost.
    """

    holders: Callable[[int], list[tuple[str, int]]]
    waiter: Callable[[int], tuple[str, LockMode, int]]
    growth: float = 1.1


CROWDS: Final = {
    "simple": Crowd(lambda n: [("db", 1)], lambda i: ("db", MODES[i % 5], 1)),
    "numeric": Crowd(lambda n: [("N[50000]", 50_000)], lambda i: ("N[50000]", LockMode.EX, 50_000 - i), LOGARITHM),
    "numeric, the smallest last": Crowd(
        lambda n: [("N[99]", 99)], lambda i: ("N[99]", LockMode.EX, 99 - i % 49), LOGARITHM
    ),
    "set": Crowd(lambda n: [("a.b.c", 1)] * 3, lambda i: ("a.b.c", LockMode.EX, 1)),
    "sequence": Crowd(lambda n: [("_S_a[1]", 1)], lambda i: ("_S_a[1]", LockMode.EX, 1)),
    "timestamp": Crowd(lambda n: [("_t_%S#ffffff[1]", 1)], lambda i: ("_t_%S#ffffff[1]", LockMode.EX, 1)),
    "hierarchical, one node": Crowd(lambda n: [("/h/x", 1)], lambda i: ("/h/x", MODES[i % 5], 1)),
    "hierarchical, nodes below a held one": Crowd(
        lambda n: [("/h", 1)], lambda i: (f"/h/{i // 10 % 10}/{i // 10}", LockMode.EX, 1)
    ),
    "hierarchical, leaves each held": Crowd(
        lambda n: [(f"/h/{i}", 1) for i in range(n)], lambda i: (f"/h/{i}", MODES[i % 5], 1)
    ),
    "hierarchical, the root above leaves each held": Crowd(
        lambda n: [(f"/h/{i}", 1) for i in range(n)], lambda i: ("/h", LockMode.EX, 1)
    ),
}


class Queue:
    """A table with a crowd in it."""

    def __init__(self, crowd: Crowd, size: int) -> None:
        self.table = LockTable(lambda format, wall: str(wall))
        self.second = 0.0
        self.holders = [
            LockRequest(SessionId(-1 - n), parse_name(name), quantity=quantity)
            for n, (name, quantity) in enumerate(crowd.holders(size))
        ]
        for holder in self.holders:
            self.second += 1.0
            assert isinstance(self.table.request(holder, self.now)[-1], Granted)
        self.waiters = []
        for n in range(size):
            name, mode, quantity = crowd.waiter(n)
            self.waiters.append(LockRequest(SessionId(n), parse_name(name), mode, quantity))
            assert not granted(self.table.request(self.waiters[-1], self.now))

    @property
    def now(self) -> Instant:
        return Instant(self.second, self.second)

    def cost_of_withdraw(self) -> float:
        request = self.waiters[len(self.waiters) // 2]
        gives_up = partial(self.table.give_up, request.session, request.name, self.now, WhyWithdrawn.GONE)
        return cost(gives_up)[0]

    def cost_of_drop(self) -> float:
        return cost(lambda: self.table.drop(self.waiters[len(self.waiters) // 2 + 1].session, self.now))[0]

    def cost_of_request(self) -> float:
        last = self.waiters[-1]
        newcomer = LockRequest(SessionId(99_999), last.name, last.mode, last.quantity)
        return cost(lambda: self.table.request(newcomer, self.now))[0]

    def cost_of_useless_release(self) -> float:
        """Release what stopped nobody, so that nobody is served; 0 if every holding of this type stops somebody."""
        name = self.waiters[-1].name
        if not isinstance(name, SimpleName | NumericName | HierarchicalName):
            return 0
        useless = LockRequest(SessionId(99_998), name, LockMode.NL, 0)
        assert granted(self.table.request(useless, self.now))
        spent, effects = cost(lambda: self.table.release(useless.session, name, self.now))
        assert not granted(effects)
        return spent

    def cost_of_grant(self) -> float:
        """Release and let others have it, three times over; give the cost of a grant when it was highest."""
        costs, holding = [], list(self.holders)
        for _ in range(3):
            self.second += 1.0
            holder = holding.pop(len(holding) // 2)
            spent, effects = cost(partial(self.table.release, holder.session, holder.name, self.now))
            served = [effect.request for effect in granted(effects)]
            holding = served + holding
            costs.append(spent / max(len(served), 1))
        return max(costs)


def granted(effects: list[Effect]) -> list[Granted]:
    return [effect for effect in effects if isinstance(effect, Granted)]


MEASURES: Final[dict[str, Callable[[Queue], float]]] = {
    "withdraw": Queue.cost_of_withdraw,
    "drop": Queue.cost_of_drop,
    "request": Queue.cost_of_request,
    "useless release": Queue.cost_of_useless_release,
    "grant": Queue.cost_of_grant,
}


@pytest.mark.parametrize("crowd", CROWDS.values(), ids=CROWDS)
def test_ten_thousand_waiters_cost_no_more_than_ten(crowd: Crowd) -> None:
    few, many = Queue(crowd, FEW), Queue(crowd, MANY)
    costs = {name: (measure(few), measure(many)) for name, measure in MEASURES.items()}
    assert {name: pair for name, pair in costs.items() if pair[1] > crowd.growth * pair[0]} == {}


class Sets:
    """
    Two clients hold A and B, some wait for both at once, and others for A alone, who came later.

    @ivar alone: the sessions of the latter.
    """

    def __init__(self, sets: int, alone: int, max_overtaking: int = 0) -> None:
        self.table = LockTable(lambda format, wall: str(wall), max_overtaking=max_overtaking)
        self.now = Instant(0.0, 0.0)
        self.sessions = 0
        self.holders = self.ask("A"), self.ask("B")
        self.sets = [self.ask("A", "B") for _ in range(sets)]
        self.alone = [self.ask("A") for _ in range(alone)]

    def ask(self, *names: str) -> SessionId:
        session, ask = self.request(*names)
        ask()
        return session

    def request(self, *names: str) -> tuple[SessionId, Callable[[], list[Effect]]]:
        self.sessions += 1
        session, wishes = SessionId(self.sessions), Wishes(lineage=(f"{self.sessions:016x}",))
        parts = tuple(LockRequest(session, parse_name(name), wishes=wishes) for name in names)
        if len(parts) == 1:
            return session, lambda: self.table.request(parts[0], self.now)
        return session, lambda: self.table.request_all(SetRequest(parts), self.now)

    def release(self, session: SessionId, name: str) -> Callable[[], list[Effect]]:
        return lambda: self.table.release(session, parse_name(name), self.now)

    def give_up(self, session: SessionId) -> Callable[[], list[Effect]]:
        return lambda: self.table.give_up(session, parse_name("A"), self.now, WhyWithdrawn.GONE)

    def steps(self) -> dict[str, tuple[Callable[[], list[Effect]], int]]:
        """Return what is measured, and how many locks each step grants."""
        middle = len(self.sets) // 2
        return {
            "a grant of what they do not want": (self.request("C")[1], 1),
            "a request for one that has to wait": (self.request("A")[1], 0),
            "a set that has to wait": (self.request("B", "A")[1], 0),
            "a set that is granted at once": (self.request("D", "E")[1], 2),
            "a set that gives up": (self.give_up(self.sets[middle]), 0),
            "the end of a session with a set": (lambda: self.table.drop(self.sets[middle + 1], self.now), 0),
            "a release that helps none": (self.release(self.holders[1], "B"), 0),
            "a release that grants a set": (self.release(self.holders[0], "A"), 2),
            "a release of a set": (lambda: self.table.release_all(self.sets[0], self.now), 2),
        }

    def costs(self) -> dict[str, int]:
        costs = {}
        for name, (step, grants) in self.steps().items():
            costs[name], effects = cost(step)
            assert len(granted(effects)) == grants, name
        return costs


@pytest.mark.parametrize(("alone", "max_overtaking"), [(FEW, 0), (SEVERAL, 4)])
def test_thousands_of_sets_cost_no_more_than_ten(alone: int, max_overtaking: int) -> None:
    few, many = Sets(FEW, FEW, max_overtaking), Sets(SEVERAL, alone, max_overtaking)
    before, costs = few.costs(), many.costs()
    assert {name: (before[name], costs[name]) for name in costs if costs[name] > 1.1 * before[name]} == {}


def test_beside_sets_a_grant_to_who_waits_alone_costs_the_same() -> None:
    few, many = Sets(FEW, FEW), Sets(SEVERAL, SEVERAL)
    costs = [cost(each.release(each.holders[0], "A")) for each in (few, many)]
    assert [len(granted(effects)) for _, effects in costs] == [1, 1]
    assert costs[0][0] == costs[1][0]


def test_what_sets_do_not_concern_costs_little_more() -> None:
    """A grant, a wait and a release elsewhere."""

    def costs(sets: int) -> list[int]:
        scene = Sets(sets, 0)
        first, ask = scene.request("C")
        return [cost(step)[0] for step in (ask, scene.request("C")[1], scene.release(first, "C"))]

    assert max(beside - alone for beside, alone in zip(costs(FEW), costs(0), strict=True)) <= 10


def test_an_unlock_costs_no_more_if_its_session_holds_much() -> None:
    def unlock_after(holdings: int) -> float:
        table, name, now = LockTable(lambda format, wall: str(wall)), parse_name("R1"), Instant(0.0, 0.0)
        for _ in range(holdings):
            table.request(LockRequest(SessionId(1), name, LockMode.NL), now)
        return cost(lambda: table.release(SessionId(1), name, now))[0]

    assert unlock_after(MANY) <= unlock_after(FEW)


class Limits:
    """Clients that hold one unit each, with limits, and want to know when another waits; as many units were lost."""

    def __init__(self, size: int) -> None:
        self.table = LockTable(lambda format, wall: str(wall))
        self.name = parse_name("N[100000]")
        for n in range(2 * size):
            self.table.request(self.asked(n), Instant(0.0, 0.0))
        for n in range(size, 2 * size):
            self.table.drop(SessionId(n), Instant(0.0, 0.0))

    def asked(self, n: int) -> LockRequest:
        wishes = Wishes(max_hold=1000.0 + n % 7, lock_delay=2000.0 + n % 5, wanted=True)
        return LockRequest(SessionId(n), self.name, wishes=wishes)

    def costs(self) -> dict[str, int]:
        now = Instant(1.0, 1.0)
        steps: dict[str, Callable[[], list[Effect]]] = {
            "a grant with a limit": lambda: self.table.request(self.asked(99_999), now),
            "its release": lambda: self.table.release(SessionId(99_999), self.name, now),
            "a holder that is lost": lambda: self.table.drop(SessionId(FEW // 2), now),
            "nothing that is due": lambda: self.table.expire(now),
        }
        return {name: cost(step)[0] for name, step in steps.items()}


def test_thousands_of_limits_and_lock_delays_cost_no_more_than_ten() -> None:
    few, many = Limits(FEW).costs(), Limits(SEVERAL).costs()
    assert {name: (few[name], many[name]) for name in few if many[name] > LOGARITHM * few[name]} == {}


def test_the_cost_of_a_walk_along_a_queue_would_show() -> None:
    def walk(steps: int) -> list[Effect]:
        for _ in range(steps):
            pass
        return []

    assert cost(lambda: walk(MANY))[0] > 100 * cost(lambda: walk(FEW))[0]

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
from flom.core.protocol.messages import WhyWithdrawn
from flom.core.requests import LockRequest, SessionId

FEW: Final = 10
MANY: Final = 10_000
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


def test_an_unlock_costs_no_more_if_its_session_holds_much() -> None:
    def unlock_after(holdings: int) -> float:
        table, name, now = LockTable(lambda format, wall: str(wall)), parse_name("R1"), Instant(0.0, 0.0)
        for _ in range(holdings):
            table.request(LockRequest(SessionId(1), name, LockMode.NL), now)
        return cost(lambda: table.release(SessionId(1), name, now))[0]

    assert unlock_after(MANY) <= unlock_after(FEW)


def test_the_cost_of_a_walk_along_a_queue_would_show() -> None:
    def walk(steps: int) -> list[Effect]:
        for _ in range(steps):
            pass
        return []

    assert cost(lambda: walk(MANY))[0] > 100 * cost(lambda: walk(FEW))[0]

"""
Queues that find the first waiter that fits without looking at those that do not.

Each is in the order of arrival, and none looks at more than the logarithm of its length.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Final, Generic, TypeVar

from flom.core.requests import LockRequest

K = TypeVar("K")
W = TypeVar("W")

NEVER: Final = float("inf")
"""The arrival number where there is no waiter, greater than any other."""


class KindQueues(Generic[W]):
    """
    One queue for each kind of waiters (L{flom.core.locks.resources.conversion.MODE_OF}), which fit together or not at
    all.
    """

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        self._queues: dict[int, OrderedDict[W, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __iter__(self) -> Iterator[int]:
        """Yield the kinds that have waiters."""
        return iter(self._queues)

    def append(self, waiter: W, kind: int, arrival: int) -> None:
        """Put C{waiter} last; C{arrival} is a number higher than any before."""
        queue = self._queues.get(kind)
        if queue is None:
            queue = self._queues[kind] = OrderedDict()
        queue[waiter] = arrival

    def remove(self, waiter: W, kind: int) -> None:
        """Remove C{waiter}, wherever it stands."""
        queue = self._queues[kind]
        del queue[waiter]
        if not queue:
            del self._queues[kind]

    def items(self) -> Iterable[tuple[int, OrderedDict[W, int]]]:
        """Return the kinds that have waiters, with these and their arrival numbers, in order."""
        return self._queues.items()

    def head(self, kind: int) -> W | None:
        """Return the first waiter of C{kind}."""
        queue = self._queues.get(kind)
        return next(iter(queue)) if queue else None

    def arrival_of_head(self, kind: int) -> float:
        """Return the arrival number of the first waiter of C{kind}, or L{NEVER}."""
        queue = self._queues.get(kind)
        return next(iter(queue.values())) if queue else NEVER


class Earliest(Generic[K]):
    """Things with arrival numbers, of which the earliest is wanted again and again while the numbers change."""

    __slots__ = ("_arrivals", "_heap", "_pushed")

    def __init__(self) -> None:
        self._arrivals: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []  # also holds entries that self._arrivals no longer backs
        self._pushed = 0

    def __bool__(self) -> bool:
        return bool(self._arrivals)

    def set(self, key: K, arrival: float) -> None:
        """Set the number of C{key} to C{arrival}; with L{NEVER}, forget it."""
        if self._arrivals.get(key, NEVER) == arrival:
            return
        if arrival == NEVER:
            del self._arrivals[key]
        else:
            self._arrivals[key] = arrival
            self._push(key, arrival)
        if len(self._heap) > 2 * len(self._arrivals) + 8:
            self._heap.clear()
            for live, number in self._arrivals.items():
                self._push(live, number)

    def first(self) -> tuple[float, K] | None:
        """Return the lowest number and the key that has it."""
        while self._heap:
            arrival, _, key = self._heap[0]
            if self._arrivals.get(key) == arrival:
                return arrival, key
            heapq.heappop(self._heap)
        return None

    def _push(self, key: K, arrival: float) -> None:
        self._pushed += 1  # stands before the key, so that keys are never compared
        heapq.heappush(self._heap, (arrival, self._pushed, key))


class QuantityQueue:
    """
    Waiters that want different quantities; the first that wants no more than is left is granted.

    A tree over the places in the queue: each inner node knows the least quantity wanted below it.
    """

    __slots__ = ("_least", "_next", "_places", "_slots")

    def __init__(self) -> None:
        self._places: dict[LockRequest, int] = {}
        self._lay_out([])

    def __bool__(self) -> bool:
        return bool(self._places)

    def append(self, request: LockRequest) -> None:
        """Put C{request} last."""
        if self._next == len(self._slots):
            self._lay_out([waiter for waiter in self._slots if waiter is not None])
        self._place(request)

    def remove(self, request: LockRequest) -> None:
        """Remove C{request}, wherever it stands."""
        place = self._places.pop(request)
        self._slots[place] = None
        self._set_quantity(place, NEVER)

    def first(self, available: int) -> LockRequest | None:
        """Find the first waiter that wants no more than C{available}."""
        if self._least[1] > available:
            return None
        node = 1
        while node < len(self._slots):
            node *= 2
            if self._least[node] > available:
                node += 1
        return self._slots[node - len(self._slots)]

    def _lay_out(self, waiters: list[LockRequest]) -> None:
        """Start afresh with room for twice as many: between two of these calls, as many arrive as it moves."""
        size = 8
        while size < 2 * len(waiters):
            size *= 2
        self._slots: list[LockRequest | None] = [None] * size
        self._least: list[float] = [NEVER] * (2 * size)
        self._next = 0
        for waiter in waiters:
            self._place(waiter)

    def _place(self, request: LockRequest) -> None:
        place = self._next
        self._next += 1
        self._places[request] = place
        self._slots[place] = request
        self._set_quantity(place, request.quantity)

    def _set_quantity(self, place: int, quantity: float) -> None:
        least = self._least
        node = place + len(self._slots)
        least[node] = quantity
        while node > 1:
            node //= 2
            left, right = least[2 * node], least[2 * node + 1]
            lower = left if left < right else right
            if least[node] == lower:
                return  # and so are those above
            least[node] = lower

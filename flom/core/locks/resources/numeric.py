"""Numeric resources: so many units, taken some at a time (docs/compatibility.md, "Numeric resources")."""

from __future__ import annotations

from flom.core.effects import Instant
from flom.core.locks.resources.base import Holding, Resource
from flom.core.locks.resources.queues import QuantityQueue
from flom.core.requests import LockRequest


class NumericResource(Resource):
    """Granted if enough units are left; a release serves the first waiter that fits, not only the first."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._left = total
        self._queue = QuantityQueue()

    def fits(self, request: LockRequest, now: Instant) -> bool:
        return request.quantity <= self._left

    def never_fits(self, request: LockRequest) -> bool:
        return request.quantity > self._total

    def take(self, request: LockRequest, now: Instant) -> Holding:
        self._left -= request.quantity
        return Holding(request)

    def release(self, holding: Holding, rollback: bool) -> None:
        self._left += holding.request.quantity

    def free(self) -> int:
        return self._left

    def enqueue(self, request: LockRequest) -> None:
        self._queue.append(request)

    def withdraw(self, request: LockRequest) -> None:
        self._queue.remove(request)

    def next_waiter(self, now: Instant) -> LockRequest | None:
        return self._queue.first(self._left)

    def is_in_the_way(self, holding: Holding) -> bool:
        return holding.request.quantity > 0 and bool(self._queue)

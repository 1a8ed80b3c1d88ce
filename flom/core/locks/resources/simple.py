"""Simple resources: one thing, six modes (docs/compatibility.md, "Lock modes")."""

from __future__ import annotations

from itertools import count

from flom.core.effects import Instant
from flom.core.locks.resources.base import Holding, Resource
from flom.core.locks.resources.queues import ModeQueues
from flom.core.modes import HeldModes
from flom.core.requests import LockRequest


class SimpleResource(Resource):
    """Granted if the mode is compatible with every holder's."""

    def __init__(self) -> None:
        self._held = HeldModes()
        self._queues = ModeQueues()
        self._arrivals = count()

    def fits(self, request: LockRequest, now: Instant) -> bool:
        return self._held.admits(request.mode)

    def take(self, request: LockRequest, now: Instant) -> Holding:
        self._held.add(request.mode)
        return Holding(request)

    def release(self, holding: Holding, rollback: bool) -> None:
        self._held.remove(holding.request.mode)

    def enqueue(self, request: LockRequest) -> None:
        self._queues.append(request, next(self._arrivals))

    def withdraw(self, request: LockRequest) -> None:
        self._queues.remove(request)

    def next_waiter(self, now: Instant) -> LockRequest | None:
        return self._queues.first(self._held)

"""Simple resources: one thing, six modes (docs/compatibility.md, "Lock modes")."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from flom.core.effects import Instant
from flom.core.locks.resources.base import Holding
from flom.core.locks.resources.conversion import FREE, OWN, STOPS, Conversion, ConvertibleResource, find_circle
from flom.core.locks.resources.queues import NEVER, KindQueues
from flom.core.modes import IN_THE_WAY, ONE_HOLDER, LockMode
from flom.core.requests import LockRequest


class SimpleResource(ConvertibleResource):
    """Granted if the mode is compatible with every holder's; those are counted in one number (L{ONE_HOLDER})."""

    def __init__(self) -> None:
        super().__init__()
        self._held = 0
        self._wanted = 0  # likewise, what conversions that wait ask for
        self._queues: KindQueues[LockRequest] = KindQueues()
        self._conversions: KindQueues[Conversion] = KindQueues()
        self._arrivals = count()

    def fits(self, request: LockRequest, now: Instant) -> bool:
        return not self._held & IN_THE_WAY[request.mode]

    def take(self, request: LockRequest, now: Instant) -> Holding:
        self._held += ONE_HOLDER[request.mode]
        return Holding(request)

    def release(self, holding: Holding, rollback: bool) -> None:
        self._held -= ONE_HOLDER[holding.request.mode]

    def enqueue(self, request: LockRequest) -> None:
        self._queues.append(request, self._kind(request), next(self._arrivals))

    def withdraw(self, request: LockRequest) -> None:
        self._queues.remove(request, self._kind(request))

    def next_waiter(self, now: Instant) -> LockRequest | None:
        held, wanted = self._held, self._wanted
        found, earliest = None, NEVER
        for kind, queue in self._queues.items():
            if not held & STOPS[kind] and (kind < FREE or not wanted & STOPS[kind]):
                request, arrival = next(iter(queue.items()))
                if arrival < earliest:
                    found, earliest = request, arrival
        return found

    def admits_beside(self, holding: Holding, mode: LockMode) -> bool:
        return not (self._held - ONE_HOLDER[holding.request.mode]) & IN_THE_WAY[mode]

    def change(self, holding: Holding, mode: LockMode) -> None:
        self._held += ONE_HOLDER[mode] - ONE_HOLDER[holding.request.mode]

    def is_barred(self, request: LockRequest) -> bool:
        return bool(self._wanted & IN_THE_WAY[request.mode])

    def _circle(self, holding: Holding, mode: LockMode) -> list[Conversion]:
        def all_of_them(place: None) -> Iterator[tuple[None, int]]:
            return ((None, kind) for kind in self._conversions)

        found = find_circle(None, holding.request.mode, mode, all_of_them, lambda one, other: True)
        return [one for _, kind in found if (one := self._conversions.head(kind)) is not None]

    def next_conversion(self) -> Conversion | None:
        fitting = [kind for kind in self._conversions if not (self._held - OWN[kind]) & STOPS[kind]]
        return self._conversions.head(min(fitting, key=self._conversions.arrival_of_head, default=-1))

    def _enqueue_conversion(self, conversion: Conversion) -> None:
        self._wanted += ONE_HOLDER[conversion.mode]
        self._conversions.append(conversion, conversion.kind, next(self._arrivals))

    def _withdraw_conversion(self, conversion: Conversion) -> None:
        self._wanted -= ONE_HOLDER[conversion.mode]
        self._conversions.remove(conversion, conversion.kind)

    def is_in_the_way(self, holding: Holding) -> bool:
        held = ONE_HOLDER[holding.request.mode]
        return any(held & STOPS[kind] for kind in self._queues)

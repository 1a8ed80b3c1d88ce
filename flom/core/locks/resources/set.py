"""Sets: every holder gets one element for itself (docs/compatibility.md, "Sets")."""

from __future__ import annotations

from flom.core.effects import Instant
from flom.core.locks.resources.base import Holding, OneQueueResource
from flom.core.requests import LockRequest


class SetResource(OneQueueResource):
    """
    Granted if an element is free.

    The search for it starts one further with each grant, whichever element the grant before took, so that elements are
    used in turn.
    """

    def __init__(self, elements: tuple[str, ...]) -> None:
        super().__init__()
        self._elements = elements
        self._free = [True] * len(elements)
        self._left = len(elements)
        self._start = 0

    def fits(self, request: LockRequest, now: Instant) -> bool:
        return self._left > 0

    def take(self, request: LockRequest, now: Instant) -> Holding:
        count = len(self._elements)
        slot = next(slot % count for slot in range(self._start, self._start + count) if self._free[slot % count])
        self._start = (self._start + 1) % count
        return self._take(request, slot)

    def reclaim(self, request: LockRequest, now: Instant) -> Holding | None:
        for slot, element in enumerate(self._elements):
            if element == request.element and self._free[slot]:
                return self._take(request, slot)
        return None

    def release(self, holding: Holding, rollback: bool) -> None:
        self._free[holding.slot] = True
        self._left += 1

    def free(self) -> tuple[str, ...]:
        return tuple(element for element, is_free in zip(self._elements, self._free, strict=True) if is_free)

    def memory(self) -> tuple[int, ...]:
        return (self._start,)

    def recall(self, memory: tuple[int, ...]) -> None:
        (start,) = memory
        self._start = start % len(self._elements)

    def pop_first_to_unlock(self, holdings: list[Holding]) -> Holding:
        return holdings.pop(min(range(len(holdings)), key=lambda index: holdings[index].slot))

    def _take(self, request: LockRequest, slot: int) -> Holding:
        self._free[slot] = False
        self._left -= 1
        return Holding(request, self._elements[slot], slot)

"""Sequences: every holder gets the next number (docs/compatibility.md, "Sequences")."""

from __future__ import annotations

from collections import deque
from typing import Final

from flom.core.effects import Instant
from flom.core.locks.resources.base import Holding, OneQueueResource
from flom.core.requests import LockRequest

_LAST_VALUE: Final = 2**32 - 1  # then 1 again; 0 is never given


class SequenceResource(OneQueueResource):
    """Granted if fewer than C{slots} hold; a transactional one gives rolled back values again, oldest first."""

    unlock_needs_holding = True

    def __init__(self, slots: int, transactional: bool) -> None:
        super().__init__()
        self._left = slots
        self._transactional = transactional
        self._last = 0
        self._rolled_back: deque[int] = deque()

    def fits(self, request: LockRequest, now: Instant) -> bool:
        return self._left > 0

    def take(self, request: LockRequest, now: Instant) -> Holding:
        self._left -= 1
        if self._rolled_back:
            value = self._rolled_back.popleft()
        else:
            value = self._last = 1 if self._last == _LAST_VALUE else self._last + 1
        return Holding(request, str(value), value)

    def release(self, holding: Holding, rollback: bool) -> None:
        self._left += 1
        if rollback and self._transactional:
            self._rolled_back.append(holding.slot)

    def free(self) -> int:
        return self._left

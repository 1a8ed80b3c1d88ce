"""Sequences: every holder gets the next number (docs/compatibility.md, "Sequences")."""

from __future__ import annotations

from collections import deque
from typing import Final

from flom.core.effects import Instant
from flom.core.locks.resources.base import Holding, OneQueueResource
from flom.core.requests import LockRequest

_LAST_VALUE: Final = 2**32 - 1  # then 1 again; 0 is never given


class SequenceResource(OneQueueResource):
    """
    Granted if fewer than C{slots} hold; a transactional one gives rolled back values again, oldest first.

    A value that is reclaimed was given by another daemon, and so were those before it, of which it is not known what
    became: only what is rolled back here, or is reclaimed, is given again.
    """

    unlock_needs_holding = True

    def __init__(self, slots: int, transactional: bool) -> None:
        super().__init__()
        self._left = slots
        self._transactional = transactional
        self._last = 0
        self._held: set[int] = set()
        self._rolled_back: deque[int] = deque()

    def fits(self, request: LockRequest, now: Instant) -> bool:
        return self._left > 0

    def take(self, request: LockRequest, now: Instant) -> Holding:
        if self._rolled_back:
            value = self._rolled_back.popleft()
        else:
            value = self._last = 1 if self._last == _LAST_VALUE else self._last + 1
        return self._hold(request, value)

    def reclaim(self, request: LockRequest, now: Instant) -> Holding | None:
        value = _value_of(request.element or "")
        if self._left <= 0 or value is None or value in self._held:
            return None
        if value in self._rolled_back:
            self._rolled_back.remove(value)
        elif self._last == 0 or _is_after(value, self._last):
            self._last = value
        return self._hold(request, value)

    def release(self, holding: Holding, rollback: bool) -> None:
        self._left += 1
        self._held.remove(holding.slot)
        if rollback and self._transactional:
            self._rolled_back.append(holding.slot)

    def free(self) -> int:
        return self._left

    def _hold(self, request: LockRequest, value: int) -> Holding:
        self._left -= 1
        self._held.add(value)
        return Holding(request, str(value), value)


def _value_of(element: str) -> int | None:
    """Return the value that C{element} spells; C{None} if it is none."""
    if not (element.isascii() and element.isdigit()) or len(element) > len(str(_LAST_VALUE)) or element[0] == "0":
        return None
    value = int(element)
    return value if value <= _LAST_VALUE else None


def _is_after(value: int, other: int) -> bool:
    """Return whether C{value} comes after C{other}: after 4294967290 come 4294967295 and 5, but not 4294967000."""
    return 0 < (value - other) % _LAST_VALUE <= _LAST_VALUE // 2

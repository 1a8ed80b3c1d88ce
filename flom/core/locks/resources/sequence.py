"""Sequences: every holder gets the next number (docs/compatibility.md, "Sequences")."""

from __future__ import annotations

from collections import deque
from typing import Final

from flom.core.effects import Instant
from flom.core.locks.positions import Position
from flom.core.locks.resources.base import Holding, OneQueueResource
from flom.core.requests import LockRequest

LAST_VALUE: Final = 2**32 - 1
"""Of a sequence; then comes 1 again. 0 is never given."""

BLOCK: Final = 100
"""
Values that are remembered as given at once, so that not every grant has to be written down: so many at most are left
out after a daemon that was killed. In a transactional sequence, each one counts.
"""


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
        self._saved = Position()

    def fits(self, request: LockRequest, now: Instant) -> bool:
        return self._left > 0

    def take(self, request: LockRequest, now: Instant) -> Holding:
        if self._rolled_back:
            value = self._rolled_back.popleft()
        else:
            value = self._last = _after(self._last)
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

    def unsaved(self) -> Position | None:
        """
        Return what has to be remembered before a session is told of the last changes; C{None} if what this has returned
        last, or was restored to, is good enough.
        """
        if self._transactional:
            return self.settle()
        if self._last == 0 or (self._saved.last and not _is_after(self._last, self._saved.last)):
            return None
        self._saved = Position(_after(self._last, BLOCK - 1))
        return self._saved

    def settle(self) -> Position | None:
        """Return what is to be remembered at the end of the daemon; C{None} likewise."""
        position = Position(self._last, tuple(self._rolled_back))
        if position == self._saved:
            return None
        self._saved = position
        return position

    def note_unsaved(self) -> None:
        """Note that what was to be remembered is not."""
        self._saved = Position()

    def restore(self, position: Position) -> None:
        """Go on from C{position}, where another daemon has been; nothing was granted here."""
        self._saved = position
        self._last = position.last
        self._rolled_back.extend(position.rolled_back)

    def memory(self) -> tuple[int, ...]:
        return (self._last, *self._rolled_back)

    def recall(self, memory: tuple[int, ...]) -> None:
        last, *rolled_back = memory
        if max(memory) > LAST_VALUE or 0 in rolled_back or len(set(rolled_back)) < len(rolled_back):
            raise ValueError(f"a sequence cannot be at {memory}")
        self._last = last
        self._rolled_back.extend(rolled_back)

    def _hold(self, request: LockRequest, value: int) -> Holding:
        self._left -= 1
        self._held.add(value)
        return Holding(request, str(value), value)


def _value_of(element: str) -> int | None:
    """Return the value that C{element} spells; C{None} if it is none."""
    if not (element.isascii() and element.isdigit()) or len(element) > len(str(LAST_VALUE)) or element[0] == "0":
        return None
    value = int(element)
    return value if value <= LAST_VALUE else None


def _after(value: int, steps: int = 1) -> int:
    return (value + steps - 1) % LAST_VALUE + 1


def _is_after(value: int, other: int) -> bool:
    """Return whether C{value} comes after C{other}: after 4294967290 come 4294967295 and 5, but not 4294967000."""
    return 0 < (value - other) % LAST_VALUE <= LAST_VALUE // 2

"""The six lock modes and what goes with what (spec 4.3)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class LockMode(IntEnum):
    """The modes of the distributed lock managers of old; the number is the wire's."""

    NL = 0  # null: shows interest, excludes nobody
    CR = 1  # concurrent read
    CW = 2  # concurrent write
    PR = 3  # protected read: shared among readers
    PW = 4  # protected write: one writer beside concurrent readers
    EX = 5  # exclusive

    __hash__ = int.__hash__  # that of an enumeration is written in Python, and modes are keys everywhere


NL, CR, CW, PR, PW, EX = LockMode
_HOW_MANY: Final = len(LockMode)

_COMPATIBLE_WITH: Final = {
    NL: {NL, CR, CW, PR, PW, EX},
    CR: {NL, CR, CW, PR, PW},
    CW: {NL, CR, CW},
    PR: {NL, CR, PR},
    PW: {NL, CR},
    EX: {NL},
}

# _CONFLICTS[asked] has the bit 1 << held set for every held mode that stops it
_CONFLICTS: Final = tuple(
    sum(1 << held for held in LockMode if asked not in _COMPATIBLE_WITH[held]) for asked in LockMode
)


def compatible(held: LockMode, asked: LockMode) -> bool:
    """Tell whether C{asked} can be granted beside C{held}."""
    return asked in _COMPATIBLE_WITH[held]


class HeldModes:
    """How many hold in each mode: all that it takes to decide the next request, whatever the number of holders."""

    __slots__ = ("_counts", "_held")

    def __init__(self) -> None:
        self._counts = [0] * _HOW_MANY
        self._held = 0  # bit 1 << mode for every mode with a count

    def __bool__(self) -> bool:
        return bool(self._held)

    def admits(self, asked: LockMode) -> bool:
        """Tell whether C{asked} is compatible with every holder."""
        return not _CONFLICTS[asked] & self._held

    def add(self, mode: LockMode) -> None:
        """One more holds in C{mode}."""
        self._counts[mode] += 1
        self._held |= 1 << mode

    def remove(self, mode: LockMode) -> None:
        """One fewer holds in C{mode}."""
        self._counts[mode] -= 1
        if not self._counts[mode]:
            self._held &= ~(1 << mode)

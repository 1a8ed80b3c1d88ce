"""The six lock modes and what goes with what (docs/compatibility.md, "Lock modes")."""

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

_COMPATIBLE_WITH: Final = {
    NL: {NL, CR, CW, PR, PW, EX},
    CR: {NL, CR, CW, PR, PW},
    CW: {NL, CR, CW},
    PR: {NL, CR, PR},
    PW: {NL, CR},
    EX: {NL},
}

_BITS: Final = 32  # of each mode's count in a number that counts holders; so many have room in no memory

ONE_HOLDER: Final = tuple(1 << _BITS * mode for mode in LockMode)
"""For each mode: the number that counts one holder; the sum of such numbers counts all of them, each mode by itself."""

IN_THE_WAY: Final = tuple(
    sum(ONE_HOLDER[held] * ((1 << _BITS) - 1) for held in LockMode if asked not in _COMPATIBLE_WITH[held])
    for asked in LockMode
)
"""For each mode: which bits of a number that counts holders are set, some of them, if somebody stops that mode."""


def compatible(held: LockMode, asked: LockMode) -> bool:
    """Tell whether C{asked} can be granted beside C{held}."""
    return asked in _COMPATIBLE_WITH[held]


class HeldModes:
    """How many hold in each mode: all that it takes to decide the next request, whatever the number of holders."""

    __slots__ = ("_holders",)

    def __init__(self) -> None:
        self._holders = 0

    def __bool__(self) -> bool:
        return bool(self._holders)

    def admits(self, asked: LockMode) -> bool:
        """Tell whether C{asked} is compatible with every holder."""
        return not self._holders & IN_THE_WAY[asked]

    def add(self, mode: LockMode) -> None:
        """One more holds in C{mode}."""
        self._holders += ONE_HOLDER[mode]

    def remove(self, mode: LockMode) -> None:
        """One fewer holds in C{mode}."""
        self._holders -= ONE_HOLDER[mode]

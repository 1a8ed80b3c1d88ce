"""The six lock modes and what goes with what (docs/compatibility.md, "Lock modes")."""

from __future__ import annotations

from flom.codes import Enum
from flom.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal

    ModeName = Literal["NL", "CR", "CW", "PR", "PW", "EX"]


class LockMode(int, Enum):
    """The modes of the distributed lock managers of old; the number is the wire's."""

    NL = 0  # null: shows interest, excludes no mode
    CR = 1  # concurrent read
    CW = 2  # concurrent write
    PR = 3  # protected read: shared among readers
    PW = 4  # protected write: one writer beside concurrent readers
    EX = 5  # exclusive


NL, CR, CW, PR, PW, EX = LockMode

_COMPATIBLE_WITH: Final = {
    NL: {NL, CR, CW, PR, PW, EX},
    CR: {NL, CR, CW, PR, PW},
    CW: {NL, CR, CW},
    PR: {NL, CR, PR},
    PW: {NL, CR},
    EX: {NL},
}

_BITS: Final = 32
"""
Width of each mode's counter inside a packed holder count. 2**32 holders do not fit into memory, so no counter
overflows into the next.

Two holders in PR and one in CR, for example, are C{2 * ONE_HOLDER[PR] + ONE_HOLDER[CR]}, or C{2 << 96 | 1 << 32}.
C{IN_THE_WAY[PW]} has all bits set in the counters of CW, PR, PW and EX, which exclude PW, and no others. Its bitwise
and with that count is C{2 << 96}, not 0: the readers stop a request in PW.
"""

ONE_HOLDER: Final = tuple(1 << _BITS * mode for mode in LockMode)
"""ONE_HOLDER[mode] is the packed holder count of one holder in mode; the counts of several holders are added."""

IN_THE_WAY: Final = tuple(
    sum(ONE_HOLDER[held] * ((1 << _BITS) - 1) for held in LockMode if asked not in _COMPATIBLE_WITH[held])
    for asked in LockMode
)
"""IN_THE_WAY[mode] is a mask: C{count & IN_THE_WAY[mode]} is non-zero exactly if a holder is incompatible with mode."""


def as_mode(mode: LockMode | str | int) -> LockMode:
    """
    Return the lock mode of which C{mode} is the name, such as C{"PR"} in any case, or the number.

    @raise InvalidRequest: there is none.
    """
    try:
        return LockMode[mode.upper()] if isinstance(mode, str) else LockMode(mode)
    except (KeyError, ValueError):
        raise InvalidRequest(f"mode {mode!r} is none of {', '.join(each.name for each in LockMode)}") from None


def compatible(held: LockMode, asked: LockMode) -> bool:
    """Return whether C{asked} can be granted beside C{held}."""
    return asked in _COMPATIBLE_WITH[held]


def excludes_no_more(asked: LockMode, held: LockMode) -> bool:
    """Return whether all that is compatible with C{held} is compatible with C{asked} too."""
    return not IN_THE_WAY[asked] & ~IN_THE_WAY[held]


def in_both(one: LockMode, other: LockMode) -> LockMode:
    """Return the mode that excludes most, among those that exclude no more than C{one} and no more than C{other}."""
    return CR if {one, other} == {CW, PR} else min(one, other)

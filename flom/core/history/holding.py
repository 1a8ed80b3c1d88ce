"""A lock that was held, as its holder has told it, and what must not have been."""

from __future__ import annotations

import math

from flom.core.names import parse_name
from flom.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Holding(Value):
    """
    A lock that was held.

    Times are nanoseconds on the clock of the holder: only those of one clock can be compared. L{on_wall_clock} has them
    as the wall clocks of all hosts show them.

    @ivar who: the process id of the command, or any other number of the holder.
    @ivar name: of the resource.
    @ivar begin: when the command began.
    @ivar end: when it had ended; infinite if it has never told it.
    @ivar mode: counts if the resource has modes.
    @ivar quantity: counts if the resource has units.
    @ivar element: what the lock yielded; empty if nothing.
    @ivar token: the fencing token; 0 if the holder has not told it.
    @ivar asked: when the lock was about to be asked for.
    @ivar released: when the daemon had confirmed the unlock.
    @ivar is_kept: false if the number of a transactional sequence was rolled back, true if not; C{None}: not known.
    @ivar lifespan: nanoseconds for which the resource is remembered when it has no clients.
    @ivar has_begun: false if the lock was granted, and no command has begun; C{begin} and C{end} are the grant then.
    @ivar may_share: true if it may have the token, and all else, of a lock under which it was taken, and share that.
    @ivar wall: C{begin}, C{end}, C{asked} and C{released} by the wall clock.
    @ivar clock: which clock it was.
    @ivar host: of the holder.
    @ivar command: the name of its program.
    @ivar place: where the history tells of it.
    """

    who: int
    name: str
    begin: float
    end: float = math.inf
    mode: str = "EX"
    quantity: int = 1
    element: str = ""
    token: int = 0
    asked: float = -math.inf
    released: float = math.inf
    is_kept: bool | None = None
    lifespan: float = math.inf
    has_begun: bool = True
    may_share: bool = False
    wall: tuple[float, float, float, float] = (0.0, math.inf, -math.inf, math.inf)
    clock: str = ""
    host: str = ""
    command: str = ""
    place: str = ""

    def on_wall_clock(self) -> Holding:
        """Return the same, with its times by the wall clock of its host."""
        begin, end, asked, released = self.wall
        return self.replace(begin=begin, end=end, asked=asked, released=released)


def without_shares(holdings: Iterable[Holding]) -> list[Holding]:
    """
    Return C{holdings} without those that share the lock of another one; that lasts until the last of them has ended.

    @param holdings: with times of the clocks that they name; how long it lasts elsewhere is not known.
    """
    found: dict[tuple[str, int], Holding] = {}
    alone: list[Holding] = []
    for holding in sorted(holdings, key=lambda each: (each.may_share, each.begin)):
        key = parse_name(holding.name).key, holding.token
        first = found.get(key)
        if not holding.token or (first is not None and not holding.may_share):
            alone.append(holding)
        elif first is None:
            found[key] = holding
        elif holding.end > first.end and holding.clock == first.clock:
            found[key] = first.replace(end=holding.end, wall=(first.wall[0], holding.wall[1], *first.wall[2:]))
    return [*found.values(), *alone]


class Violation(Value):
    """
    What must not have been.

    @ivar holding: the lock that must not have been held as it was.
    @ivar beside: those that show it, each of which had begun before.
    @ivar why: what is wrong, in words.
    """

    holding: Holding
    beside: tuple[Holding, ...]
    why: str

"""
Conversion: a holder changes the mode of its lock, and holds it all the time (docs/howto/convert.md).

  - To a mode that excludes no more than the one that is held, it is granted at once, and lets waiters in.
  - To any other mode, it is granted if the mode is compatible with all other holders. Otherwise, it waits, before all
    requests that wait, while the former mode stays held.
  - It is refused where it would wait for a conversion that waits for it: of two readers that both want to write, the
    later one.

While a conversion waits, what it asks for counts as held for requests that come then, of sessions that are not known
to be needed (L{flom.core.locks.sets}): they wait, so that the conversion does not starve. All others are granted what
fits, as always: the holders for which the conversion waits may be waiting for them.

A conversion to a mode that excludes more has a new token, higher than all before: while the lock was held in the weaker
mode, others may have held it beside, and a store that has seen their tokens would refuse the lower one. A conversion
to a mode that excludes no more keeps its token: no other session can have held what it still excludes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from flom.core.effects import Step
from flom.core.locks.resources.base import Holding, Resource
from flom.core.modes import IN_THE_WAY, ONE_HOLDER, LockMode, compatible
from flom.core.requests import LockRequest

_Place = TypeVar("_Place")

_MODES: Final = len(LockMode)

FREE: Final = _MODES
"""The first kind of waiters that conversions hold back."""

CONVERSIONS: Final = 2 * _MODES
"""The first kind of conversions."""

_PAIRS: Final = tuple((held, asked) for held in LockMode for asked in LockMode)

MODE_OF: Final = (*LockMode, *LockMode, *(asked for _, asked in _PAIRS))
"""
MODE_OF[kind] is the mode that a waiter of this kind asks for. Waiters of one kind at one place fit together or not at
all. The first six kinds are requests, one for each mode; then come the same of those that conversions hold back, and
then conversions, one for each pair of modes. PR is kind 3, or 9; a conversion from PR to EX is 12 + 6 * 3 + 5.
"""

STOPS: Final = tuple(IN_THE_WAY[mode] for mode in MODE_OF)
"""STOPS[kind] is L{IN_THE_WAY} of its mode."""

OWN: Final = (*(0 for _ in range(CONVERSIONS)), *(ONE_HOLDER[held] for held, _ in _PAIRS))
"""OWN[kind] is the packed holder count of what a waiter of this kind holds itself, which does not stop it."""


def kind_of_conversion(held: LockMode, asked: LockMode) -> int:
    """Return the kind of a conversion between these modes."""
    return CONVERSIONS + _MODES * held + asked


def held_by(kind: int) -> LockMode:
    """Return the mode that a conversion of C{kind} holds meanwhile."""
    return _PAIRS[kind - CONVERSIONS][0]


@dataclass(slots=True, eq=False)
class Conversion:
    """
    A conversion that waits.

    @ivar holding: what is converted.
    @ivar number: the client's for it.
    @ivar since: when it began to wait, in seconds of the monotonic clock.
    @ivar id: see L{flom.core.locks.snapshot.LockView}; 0 if it does not wait.
    @ivar wait: what it waits for, as a request, for L{flom.core.locks.circles}; C{None} if its client tells no lineage.
    """

    holding: Holding
    mode: LockMode
    number: int
    since: float
    id: int = 0
    wait: LockRequest | None = None

    @property
    def kind(self) -> int:
        """See L{MODE_OF}."""
        return kind_of_conversion(self.holding.request.mode, self.mode)


class ConvertibleResource(Resource):
    """
    A resource whose locks have modes.

    @ivar held_back: requests that are not granted before a conversion that waits, if they are in its way; each is
        added before it is put into the queue, and discarded once it has left that.
    """

    def __init__(self) -> None:
        self.held_back: set[LockRequest] = set()
        self._converting: dict[Holding, Conversion] = {}

    @abstractmethod
    def admits_beside(self, holding: Holding, mode: LockMode) -> bool:
        """Return whether C{holding} can change to C{mode} beside all others that are held."""

    @abstractmethod
    def change(self, holding: Holding, mode: LockMode) -> None:
        """Count C{holding} as one in C{mode}; its request is changed by the caller, right after that."""

    @abstractmethod
    def is_barred(self, request: LockRequest) -> bool:
        """Return whether C{request}, which fits, is in the way of a conversion that waits."""

    def find_circle(self, holding: Holding, mode: LockMode) -> tuple[Step, ...]:
        """
        Return the circle that a conversion of C{holding} to C{mode} would close, if it would wait for one that waits
        for it, perhaps by way of others; none otherwise.
        """
        others = self._circle(holding, mode)
        if not others:
            return ()
        waits = (holding.request.in_mode(mode), *(other.holding.request.in_mode(other.mode) for other in others))
        holders = (*(other.holding for other in others), holding)
        return tuple(Step(wait, held.request, held.granted) for wait, held in zip(waits, holders, strict=True))

    @abstractmethod
    def _circle(self, holding: Holding, mode: LockMode) -> list[Conversion]:
        """
        Return the conversions that a conversion of C{holding} to C{mode} would close a circle with: it would wait for
        the first one, each waits for the next one, and the last one waits for C{holding}.
        """

    @abstractmethod
    def next_conversion(self) -> Conversion | None:
        """Find the first conversion that waits and fits, and leave it in its queue."""

    def waits(self, holding: Holding) -> Conversion | None:
        """Return the conversion of C{holding} that waits; C{None} if there is none."""
        return self._converting.get(holding)

    def conversions(self) -> Iterable[Conversion]:
        """Return all that wait."""
        return self._converting.values()

    def enqueue_conversion(self, conversion: Conversion) -> None:
        """Put C{conversion} at the end of the queue of conversions; no other one of its holding waits."""
        self._converting[conversion.holding] = conversion
        self._enqueue_conversion(conversion)

    def withdraw_conversion(self, holding: Holding) -> Conversion | None:
        """Remove the conversion of C{holding} from the queue, and return it, if there is one."""
        conversion = self._converting.pop(holding, None)
        if conversion is not None:
            self._withdraw_conversion(conversion)
        return conversion

    @abstractmethod
    def _enqueue_conversion(self, conversion: Conversion) -> None: ...

    @abstractmethod
    def _withdraw_conversion(self, conversion: Conversion) -> None: ...

    def let_pass(self, request: LockRequest) -> None:
        """Put C{request}, which waits and is held back, at the end of those that are not."""
        self.withdraw(request)
        self.held_back.discard(request)
        self.enqueue(request)

    def _kind(self, request: LockRequest) -> int:
        """Return the kind of C{request}, which waits."""
        return request.mode + FREE if self.held_back and request in self.held_back else request.mode


def find_circle(
    place: _Place,
    held: LockMode,
    asked: LockMode,
    related: Callable[[_Place], Iterable[tuple[_Place, int]]],
    are_related: Callable[[_Place, _Place], bool],
) -> tuple[tuple[_Place, int], ...]:
    """
    Return the places and kinds of the conversions that a conversion at C{place} would close a circle with, see
    L{ConvertibleResource._circle}; none if it would wait for none that waits for it.

    @param held: what it holds there; C{asked} is what it asks for.
    @param related: returns the places of conversions that wait, and their kinds, as far as a lock there concerns one at
        the place that it is given.
    @param are_related: returns whether a lock at one place concerns one at the other.
    """
    seen: set[tuple[_Place, int]] = set()
    to_do: list[tuple[_Place, LockMode, tuple[tuple[_Place, int], ...]]] = [(place, asked, ())]
    while to_do:
        waits_at, waits_for, way = to_do.pop()
        for other, kind in related(waits_at):
            if (other, kind) in seen or compatible(held_by(kind), waits_for):
                continue
            if not compatible(held, MODE_OF[kind]) and are_related(other, place):
                return (*way, (other, kind))
            seen.add((other, kind))
            to_do.append((other, MODE_OF[kind], (*way, (other, kind))))
    return ()

"""Timestamps: every holder gets a time that no other was given (docs/compatibility.md, "Timestamps")."""

from __future__ import annotations

import re
from typing import Final

from flom.core.effects import Instant
from flom.core.locks.resources.base import Holding, OneQueueResource, Strftime
from flom.core.names import MAX_TEXT, TimestampName
from flom.core.requests import LockRequest
from flom.errors import InvalidTimestampFormat

_FRACTION: Final = re.compile(r"#(f{1,6})")
_MICROSECOND: Final = 1e-6  # the shortest time to wait, in seconds

# 2026-09-23 12:34:56 UTC, a Wednesday in September: no weekday and no month has a longer English name
_LONGEST: Final = 1790166896.123456


class TimestampResource(OneQueueResource):
    """
    Granted if fewer than C{slots} hold and a new unit of time has begun since the last grant.

    The unit is the smallest that the format shows, from a microsecond to an hour.
    """

    waits_for_time = True

    def __init__(self, name: TimestampName, strftime: Strftime) -> None:
        """
        @param name: its format is strftime's, with C{#f} to C{#ffffff} for fractions of a second.
        @raise InvalidTimestampFormat: the format cannot be used.
        """
        super().__init__()
        self._format = name.format
        self._left = name.slots
        self._strftime = strftime
        self._unit = name.unit()
        self._last_unit = -1
        self._reclaimed: set[str] = set()  # what is held of what another daemon has given
        self._to_skip: set[str] = set()  # that, be it held or not; it comes again if that daemon's clock was ahead
        if not 0 < len(self._text(_LONGEST)) <= MAX_TEXT:
            raise InvalidTimestampFormat(f"{name.format!r} gives texts of no or more than {MAX_TEXT} characters")

    def fits(self, request: LockRequest, now: Instant) -> bool:
        if self._left <= 0 or (unit := self._unit_of(now)) <= self._last_unit:
            return False
        if not self._to_skip or (text := self._text(now.wall)) not in self._to_skip:
            return True
        self._to_skip.remove(text)
        self._last_unit = unit
        return False

    def take(self, request: LockRequest, now: Instant) -> Holding:
        self._left -= 1
        self._last_unit = self._unit_of(now)
        return Holding(request, self._text(now.wall))

    def reclaim(self, request: LockRequest, now: Instant) -> Holding | None:
        text = request.element
        if self._left <= 0 or text is None or text in self._reclaimed:
            return None
        self._left -= 1
        self._reclaimed.add(text)
        self._to_skip.add(text)
        return Holding(request, text)

    def release(self, holding: Holding, rollback: bool) -> None:
        self._left += 1
        if holding.request.regains and holding.element is not None:
            self._reclaimed.remove(holding.element)

    def free(self) -> int:
        return self._left

    def next_chance(self, now: Instant, *, is_wanted: bool = False) -> float | None:
        if not (self._queue or is_wanted) or self._left <= 0:
            return None
        return max((self._last_unit + 1) * self._unit / 1e6 - now.wall, _MICROSECOND)

    def memory(self) -> tuple[int, ...]:
        return (self._last_unit + 1,)

    def recall(self, memory: tuple[int, ...]) -> None:
        (next_unit,) = memory
        self._last_unit = next_unit - 1

    def _unit_of(self, now: Instant) -> int:
        return _microseconds(now.wall) // self._unit

    def _text(self, wall: float) -> str:
        seconds, microseconds = divmod(_microseconds(wall), 1_000_000)
        fraction = f"{microseconds:06d}"
        return self._strftime(_FRACTION.sub(lambda run: "." + fraction[: len(run[1])], self._format), seconds)


def _microseconds(wall: float) -> int:
    return round(wall * 1e6)  # a float is less exact than this, so to cut would often be one too few

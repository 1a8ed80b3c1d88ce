"""Log lines that clients can cause again and again: some of each kind, then one line that counts those left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

WINDOW: Final = 10.0
"""Seconds for which lines of one kind are counted together."""

MANY: Final = 100
"""Lines of one kind that are logged within L{WINDOW}, where no limit is exceeded."""


@dataclass(slots=True)
class _Window:
    """The lines of one kind within L{WINDOW} seconds."""

    end: float  # in seconds of the clock
    logged: int = 0
    left_out: int = 0
    timer: IDelayedCall | None = None  # of the line that counts those left out


class LogThrottle:
    """Limits how many lines of each kind are logged."""

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def warn(self, limit: str, format: str, **fields: Any) -> None:
        """
        Log that a client has exceeded C{limit}, at most once within L{WINDOW}.

        @param limit: its option.
        @param format: of the line, with C{fields}; names of the log's own, such as C{format}, cannot be used.
        """
        if self.allows(limit, 1):
            self._log.warn("{limit}: " + format, limit=limit, **fields)

    def allows(self, kind: str, most: int = MANY) -> bool:
        """
        Return whether one more line of C{kind} may be logged; if not, it is counted.

        @param kind: in the plural, for the line that says how many more there were.
        @param most: lines that are logged within L{WINDOW}.
        """
        window = self._windows.get(kind)
        if window is None or (self._clock.seconds() >= window.end and not window.left_out):
            window = self._windows[kind] = _Window(self._clock.seconds() + WINDOW)
        if window.logged < most:
            window.logged += 1
            return True
        if not window.left_out:
            window.timer = self._clock.callLater(window.end - self._clock.seconds(), self._sum_up, kind, most)
        window.left_out += 1
        return False

    def stop(self) -> None:
        """Drop all counts, without a line about them."""
        for window in self._windows.values():
            if window.timer is not None:
                window.timer.cancel()
        self._windows.clear()

    def _sum_up(self, kind: str, most: int) -> None:
        count = self._windows[kind].left_out
        self._log.warn("{kind}: {count} more in the last {seconds:g} s", kind=kind, count=count, seconds=WINDOW)
        self._windows[kind] = _Window(self._clock.seconds() + WINDOW, most)  # it starts full: they may go on

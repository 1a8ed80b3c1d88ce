"""What clients may use of a daemon at most, and how the log tells that somebody wanted more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from flom.core.protocol.wire import MAX_MESSAGE_SIZE

SILENCE: Final = 10.0
"""Seconds that the log says no more of a limit, once it has said that one was exceeded."""


MANY: Final = 100
"""Lines of one kind that a client may cause within L{SILENCE}, where no limit is exceeded."""


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What clients may use at most; of those without a unit, 0 is for no limit.

    @ivar connections: in all; one more is closed at once.
    @ivar connections_per_peer: from one IP address, or of one user over UNIX sockets; one more is closed at once.
    @ivar waiters: for one resource, be it yet to be created; one more is refused as if it did not want to wait.
    @ivar resources: a request that would create one more is refused.
    @ivar locks_per_connection: that it holds and waits for, of its resource; one more is refused.
    @ivar message_size: bytes of one message, 511 or more; a longer one ends its connection.
    @ivar message_timeout: seconds, more than 0, until the first message is complete, and to complete any other that has
        begun; then the connection ends. How the bytes come in does not matter.
    @ivar unread_timeout: seconds, more than 0, in which a client that has too many answers still to read must have read
        some; or else its connection ends.
    """

    connections: int = 50_000
    connections_per_peer: int = 20_000
    waiters: int = 50_000
    resources: int = 1_000_000
    locks_per_connection: int = 1_000
    message_size: int = MAX_MESSAGE_SIZE
    message_timeout: float = 30.0
    unread_timeout: float = 30.0


DEFAULT_LIMITS: Final = Limits()
"""More than anybody has needed, and less than would bring a host down."""


@dataclass(slots=True)
class _Window:
    """
    Some time in which there are so many lines of one kind, and no more.

    @ivar end: in seconds of the clock.
    @ivar told: lines that there were.
    @ivar untold: lines that there were not.
    @ivar timer: of the line that says how many, if there were any.
    """

    end: float
    told: int = 0
    untold: int = 0
    timer: IDelayedCall | None = None


class Refusals:
    """Log lines about what clients can do again and again: some of each kind, and then how many more there were."""

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def tell(self, limit: str, format: str, **fields: Any) -> None:
        """
        Log that somebody has exceeded C{limit}, unless that was logged a moment ago.

        @param limit: its option.
        @param format: of the line, with C{fields}; names of the log's own, such as C{format}, cannot be used.
        """
        if self.may_tell(limit, 1):
            self._log.warn("{limit}: " + format, limit=limit, **fields)

    def may_tell(self, kind: str, most: int = MANY) -> bool:
        """
        Tell whether there may be another line of C{kind}; if not, it is counted.

        @param kind: in the plural, for the line that says how many more there were.
        @param most: how many there may be within L{SILENCE}.
        """
        window = self._windows.get(kind)
        if window is None or (self._clock.seconds() >= window.end and not window.untold):
            window = self._open(kind)
        if window.told < most:
            window.told += 1
            return True
        if not window.untold:
            window.timer = self._clock.callLater(window.end - self._clock.seconds(), self._sum_up, kind, most)
        window.untold += 1
        return False

    def stop(self) -> None:
        """Leave what was not told untold."""
        for window in self._windows.values():
            if window.timer is not None:
                window.timer.cancel()
        self._windows.clear()

    def _open(self, kind: str) -> _Window:
        window = self._windows[kind] = _Window(self._clock.seconds() + SILENCE)
        return window

    def _sum_up(self, kind: str, most: int) -> None:
        untold = self._windows[kind].untold
        self._log.warn("{kind}: {count} more in the last {silence:g} s", kind=kind, count=untold, silence=SILENCE)
        self._open(kind).told = most  # it is not over yet

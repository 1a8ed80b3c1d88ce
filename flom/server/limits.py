"""What clients may use of a daemon at most, and how the log tells that somebody wanted more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from flom.core.wire import MAX_MESSAGE_SIZE

SILENCE: Final = 10.0
"""Seconds that the log says no more of a limit, once it has said that one was exceeded."""


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
    locks_per_connection: int = 10_000
    message_size: int = MAX_MESSAGE_SIZE
    message_timeout: float = 30.0
    unread_timeout: float = 30.0


DEFAULT_LIMITS: Final = Limits()
"""More than anybody has needed, and less than would bring a host down."""


class Refusals:
    """Log lines about those who exceed limits: one for each limit, and then how many more there were."""

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._untold: dict[str, int] = {}
        self._timers: dict[str, IDelayedCall] = {}

    def tell(self, limit: str, format: str, **fields: Any) -> None:
        """
        Log that somebody has exceeded C{limit}, unless that was logged a moment ago.

        @param limit: its option.
        @param format: of the line, with C{fields}; names of the log's own, such as C{format}, cannot be used.
        """
        if limit in self._untold:
            self._untold[limit] += 1
            return
        self._log.warn("{limit}: " + format, limit=limit, **fields)
        self._stay_silent(limit)

    def stop(self) -> None:
        """Leave what was not told untold."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._untold.clear()

    def _stay_silent(self, limit: str) -> None:
        self._untold[limit] = 0
        self._timers[limit] = self._clock.callLater(SILENCE, self._sum_up, limit)

    def _sum_up(self, limit: str) -> None:
        del self._timers[limit]
        untold = self._untold.pop(limit)
        if untold:
            self._log.warn(
                "{limit}: {count} more in the last {silence:g} s", limit=limit, count=untold, silence=SILENCE
            )
            self._stay_silent(limit)

"""The end of an idle daemon (docs/compatibility.md, "End of an idle daemon")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from flom.server.arbiter import DeferredArbiter

QUIESCE_LIFESPAN: Final = 0.1
"""Seconds of idleness after which a daemon ends that was ordered to quiesce (docs/compatibility.md, "Shutdown")."""

FIRST_CLIENT_TIMEOUT: Final = 5.0
"""Seconds that a new daemon waits at least: the client that has started it still has to connect."""


class LifespanService(Service):
    """Ends the daemon once it has been idle: no client connected and no resource remembered."""

    _log = Logger()

    def __init__(
        self, arbiter: DeferredArbiter, clock: IReactorTime, lifespan: float | None, end: Callable[[], None]
    ) -> None:
        """@param lifespan: seconds of idleness after which C{end} is called; C{None} for never."""
        self._arbiter = arbiter
        self._clock = clock
        self._lifespan = lifespan
        self._end = end
        self._countdown: IDelayedCall | None = None

    def startService(self) -> None:
        super().startService()
        self._arbiter.on_change = self._consider
        if self._lifespan is not None:
            self._countdown = self._clock.callLater(max(self._lifespan, FIRST_CLIENT_TIMEOUT), self._expire)

    def stopService(self) -> None:
        super().stopService()
        self._stop_countdown()

    def quiesce(self) -> None:
        """End L{QUIESCE_LIFESPAN} seconds after the last client has gone."""
        self._lifespan = QUIESCE_LIFESPAN
        self._stop_countdown()
        self._consider()

    def _consider(self) -> None:
        """Start the countdown, or stop it; the arbiter calls this at each change."""
        if not self._arbiter.is_idle:
            self._stop_countdown()
        elif self.running and self._lifespan is not None and self._countdown is None:
            self._countdown = self._clock.callLater(self._lifespan, self._expire)

    def _expire(self) -> None:
        self._countdown = None
        if self._arbiter.is_idle:
            self._log.info("ending: no client is connected and no resource remembered")
            self._end()

    def _stop_countdown(self) -> None:
        if self._countdown is not None:
            self._countdown.cancel()
            self._countdown = None

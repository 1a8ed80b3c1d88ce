"""Telling the program that supervises a daemon what the daemon is: ready, reloading, ending, alive."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from flom.net.notify import Notifier
from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.readiness import Readiness, readiness_of
from flom.text import one_line, truncate

STARTING: Final = 0.1
"""Seconds between two looks whether the daemon has become ready."""

SHOWING: Final = 1.0
"""Seconds at most until a change of the daemon's role shows in its status."""

COUNTING: Final = 10.0
"""Seconds at most until another number of its locks does."""


class NotifyService(Service):
    """
    Tells the supervisor that the daemon is ready once it serves clients or stands by, and what it is from then on.

    The reactor calls it, so a daemon that hangs is silent: a supervisor with a watchdog ends it then.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, notifier: Notifier, arbiter: DeferredArbiter, counters: Counters) -> None:
        self._clock = clock
        self._notifier = notifier
        self._arbiter = arbiter
        self._counters = counters
        self._is_ready = False  # as was said
        self._status = ""  # as was said
        self._counted = 0.0  # when its numbers were taken, by the clock
        self._been: Readiness | None = None
        self._since = ""
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        super().startService()
        self._timer = self._clock.callLater(0, self._look)  # when the reactor runs, and all addresses are served

    def stopService(self) -> None:
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._notifier.send("STOPPING=1", "STATUS=ending")
        self._is_ready, self._status = False, ""

    def reload(self, read: Callable[[], None]) -> None:
        """
        Call C{read}, and tell the supervisor before and after.

        One that has yet to hear that the daemon is ready hears nothing of this: it would think so afterwards.
        """
        if not self._is_ready:
            read()
            return
        # CLOCK_MONOTONIC, by which the supervisor tells this from what was said before its order
        self._notifier.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            read()
        finally:
            self._is_ready = self._notifier.send("READY=1")

    def _look(self) -> None:
        readiness, now = readiness_of(self._arbiter, self._counters), self._clock.seconds()
        is_another = readiness != self._been
        if is_another:
            self._been = readiness
            self._since = datetime.fromtimestamp(self._arbiter.now().wall).strftime("%Y-%m-%d %H:%M:%S")
        status = self._status
        if is_another or not status or now - self._counted >= COUNTING:
            self._counted = now
            status = self._describe(readiness)
        is_ready = self._is_ready or readiness.is_ready  # it is said once, and never taken back
        lines = ["READY=1"] if is_ready and not self._is_ready else []
        lines += [f"STATUS={status}"] if status != self._status else []
        lines += ["WATCHDOG=1"] if self._notifier.watchdog else []
        if not lines or self._notifier.send(*lines):
            self._is_ready, self._status = is_ready, status
        self._timer = self._clock.callLater(self._pause(), self._look)

    def _pause(self) -> float:
        """Return the seconds until the next look: half of the watchdog's time at most."""
        pause = SHOWING if self._is_ready else STARTING
        return pause if self._notifier.watchdog is None else min(pause, self._notifier.watchdog / 2)

    def _describe(self, readiness: Readiness) -> str:
        said = truncate(one_line(readiness.text))
        locks, clients = self._arbiter.held, self._arbiter.sessions
        return f"{said}, since {self._since}; locks held: {locks}, clients: {clients}"

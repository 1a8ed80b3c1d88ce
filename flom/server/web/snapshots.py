"""What many look at, made once for all of them."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.snapshot import write_status
from flom.server.web.metrics import write_metrics

LIFETIME: Final = 1.0
"""Seconds for which something is shown, at least."""

SHARE: Final = 4
"""How many times as long as it took to make something it is shown, at least: 100,000 waiters take a while."""


class Snapshots:
    """The latest views of an arbiter; made anew when they are asked for and old."""

    def __init__(self, clock: IReactorTime, arbiter: DeferredArbiter, counters: Counters) -> None:
        """
        @param clock: has the turns in which work is done.
        """
        self._clock = clock
        self._arbiter = arbiter
        self._counters = counters
        self._json = self._metrics = b""
        self._json_old_at = self._metrics_old_at = float("-inf")
        self._waiting: list[Deferred[bytes]] = []  # for JSON that is being made

    def as_json(self) -> Deferred[bytes]:
        """Give the status as JSON."""
        now = self._now()
        if now < self._json_old_at:
            return succeed(self._json)
        asked: Deferred[bytes] = Deferred()
        self._waiting.append(asked)
        if len(self._waiting) == 1:
            maybeDeferred(write_status, self._arbiter, self._counters, self._clock).addBoth(self._tell, now)
        return asked

    def metrics(self) -> bytes:
        """Give what Prometheus wants."""
        began = self._now()
        if began >= self._metrics_old_at:
            self._metrics = write_metrics(self._arbiter, self._counters)
            self._metrics_old_at = self._old_at(began)
        return self._metrics

    def _tell(self, made: bytes | Failure, began: float) -> None:
        waiting, self._waiting = self._waiting, []
        if isinstance(made, bytes):
            self._json = made
            self._json_old_at = self._old_at(began)
        for asked in waiting:
            asked.callback(made)  # a failure too

    def _old_at(self, began: float) -> float:
        """Tell when something is old that was begun then and is made now."""
        now = self._now()
        return max(began + LIFETIME, now + SHARE * (now - began))

    def _now(self) -> float:
        return self._arbiter.now().monotonic

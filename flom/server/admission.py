"""
Who may come in, and when.

Connections beyond a limit are closed. When descriptors run out, nothing is accepted any more: the kernel keeps those
who come until somebody has gone. Twisted would accept and close them, which is a refusal; and if it is the whole
system that has run out, it would try again at once, for ever.
"""

from __future__ import annotations

import os
import resource
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from twisted.internet import tcp
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorTime
from twisted.logger import Logger

from flom.net.claim import BACKLOG
from flom.server.limits import Limits
from flom.server.log_throttle import LogThrottle
from flom.server.peer import describe, origin_of

RESERVE: Final = 64
"""Descriptors that are kept for everything but connections; if there are few in all, a quarter of them."""

AT_ONCE: Final = BACKLOG
"""
Connections accepted before anybody else has a turn: all that the kernel keeps for us. In a storm it has no room for
more, and who comes over TCP tries again a second later.
"""

CALM: Final = 1.0
"""Seconds without running out again after which the log says that connections are accepted again."""

PATIENCE: Final = 1.0
"""Seconds between two looks whether there are descriptors again."""

MEASURE_EVERY: Final = 10.0
"""Seconds after which descriptors are counted again at the earliest; that may take some hundredths of a second."""


def reserve() -> int:
    """Tell how many descriptors are kept for everything but connections."""
    return min(RESERVE, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)


def room_for_connections() -> int:
    """Tell how many descriptors there are for connections, at a cost that grows with those that are open."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        taken = len(os.listdir("/proc/self/fd")) - 1  # one of them was for this
    except FileNotFoundError:
        taken = 0  # there is no /proc
    except OSError:
        return 0
    return most - reserve() - taken


def can_open() -> bool:
    """Tell whether there is a descriptor at all, in this process and in the whole system."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


class Admission:
    """Where the connections of a daemon come in; all its ports lead here."""

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        limits: Limits,
        throttle: LogThrottle,
        *,
        measure: Callable[[], int] = room_for_connections,
        can_open: Callable[[], bool] = can_open,
    ) -> None:
        """
        @param measure: see L{room_for_connections}.
        @param can_open: see L{can_open}.
        """
        self._clock = clock
        self._limits = limits
        self._throttle = throttle
        self._measure = measure
        self._can_open = can_open
        self._room = 0  # as measured last, and kept up to date by what is known here
        self._measured_at = clock.seconds() - MEASURE_EVERY
        self._inside: Counter[str] = Counter()
        self._count = 0
        self._ports: list[tcp.Port] = []
        self._accepts = True  # somebody came in when a port was asked to accept last
        self._is_told = False  # the log has said that descriptors have run out
        self._next_look: IDelayedCall | None = None  # while nothing is accepted
        self._calm: IDelayedCall | None = None

    def watch(self, port: IListeningPort) -> None:
        """Have C{port} accept connections only while there are descriptors for them."""
        if not isinstance(port, tcp.Port):
            return  # none of the operating system
        port.doRead = partial(self._accept, port, port.doRead)  # type: ignore[method-assign]  # whatever its class
        self._ports.append(port)
        if self._next_look is not None:
            port.stopReading()

    def forget(self, port: IListeningPort) -> None:
        """Leave C{port} alone, because it is being closed."""
        self._ports = [other for other in self._ports if other is not port]
        if not self._ports:
            self._is_told = False
            self._stop_looking()
            self._stop_calm()

    def enter(self, transport: Any) -> str | None:
        """
        Let a connection in that has just been accepted; every one of them must L{leave} by what this gives.

        @return: where it comes from; C{None} if it must be closed, which is logged.
        """
        self._room -= 1
        origin = origin_of(transport)
        limits, inside = self._limits, self._inside
        if 0 < limits.connections <= self._count:
            self._refuse("max-connections", transport, f"there are {self._count} connections")
            return None
        if 0 < limits.connections_per_peer <= inside[origin]:
            self._refuse("max-connections-per-peer", transport, f"{origin} has {inside[origin]} connections")
            return None
        inside[origin] += 1
        self._count += 1
        return origin

    def leave(self, origin: str | None) -> None:
        """Note that a connection is closed, its descriptor too."""
        self._room += 1
        if origin is not None:
            self._count -= 1
            self._inside[origin] -= 1
            if not self._inside[origin]:
                del self._inside[origin]
        if self._next_look is not None:
            self._look()

    def _refuse(self, limit: str, transport: Any, why: str) -> None:
        self._throttle.warn(limit, "closing {peer}: {why}", peer=describe(transport), why=why)

    def _accept(self, port: tcp.Port, accept: Callable[[], None]) -> None:
        """Have C{port} accept as many of those who come as there is room for."""
        if self._next_look is not None:
            return  # the reactor had noticed the port before it was told not to
        if self._room < AT_ONCE + RESERVE:
            self._update_room()
        if self._room > 0 and (self._accepts or self._can_open()):
            room = self._room
            port.numberAccepts = min(AT_ONCE, room)
            accept()
            self._accepts = self._room < room
            return
        for each in self._ports:
            each.stopReading()
        self._next_look = self._clock.callLater(PATIENCE, self._look_again)
        self._stop_calm()
        if not self._is_told:
            self._is_told = True
            why = "descriptors have run out: no connections are accepted until some of the {count} are closed"
            self._log.warn(why, count=self._count)

    def _look_again(self) -> None:
        self._next_look = self._clock.callLater(PATIENCE, self._look_again)
        self._update_room()
        self._look()

    def _update_room(self) -> None:
        """Heed what others have taken or given back since."""
        now = self._clock.seconds()
        if now - self._measured_at >= MEASURE_EVERY:
            self._measured_at, self._room = now, self._measure()

    def _look(self) -> None:
        """Accept connections again, if there is room."""
        if self._room > 0 and self._can_open():
            self._stop_looking()
            self._calm = self._clock.callLater(CALM, self._tell_of_calm)
            for port in self._ports:
                port.startReading()

    def _tell_of_calm(self) -> None:
        self._calm = None
        self._is_told = False
        self._log.info("connections are accepted again, now that {count} are open", count=self._count)

    def _stop_looking(self) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None

    def _stop_calm(self) -> None:
        if self._calm is not None:
            self._calm.cancel()
            self._calm = None

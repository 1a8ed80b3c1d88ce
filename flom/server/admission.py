"""
Which connections are accepted, and when.

Connections beyond a limit are closed. When descriptors run out, nothing is accepted: the kernel keeps new connections
until another one is closed. Twisted would refuse them, or try for ever if the whole system has run out.
"""

from __future__ import annotations

import os
import resource
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from twisted.internet import tcp
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorTime
from twisted.logger import Logger

from flom.net.claim import BACKLOG
from flom.reactor.ports import control_accepting, has_descriptor
from flom.server.limits import Limits
from flom.server.log_throttle import LogThrottle
from flom.server.peer import describe, origin_of

RESERVE: Final = 64
"""Descriptors that are kept for everything but connections; if there are few in all, a quarter of them."""

AT_ONCE: Final = BACKLOG
"""Connections accepted in one turn of the reactor: all that the kernel keeps for us, even in a storm."""

CALM: Final = 1.0
"""Seconds without running out again after which the log says that connections are accepted again."""

PATIENCE: Final = 1.0
"""Seconds after which it is checked again whether there are descriptors."""

MEASURE_EVERY: Final = 10.0
"""Seconds after which descriptors are counted again at the earliest; that may take some hundredths of a second."""


def reserve() -> int:
    """Return how many descriptors are kept for everything but connections."""
    return min(RESERVE, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)


def room_for_connections() -> int:
    """Return how many descriptors there are for connections, at a cost that grows with those that are open."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    try:
        taken = len(os.listdir("/proc/self/fd")) - 1  # one of them was for this
    except FileNotFoundError:
        taken = 0  # there is no /proc
    except OSError:
        return 0
    return most - reserve() - taken


def can_open() -> bool:
    """Return whether there is a descriptor at all, in this process and in the whole system."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


class Admission:
    """The limits on connections of a daemon, for all its ports."""

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
        self._clock = clock
        self._limits = limits
        self._throttle = throttle
        self._measure = measure
        self._can_open = can_open
        self._room = 0  # as measured last, and kept up to date by what is known here
        self._measured_at = clock.seconds() - MEASURE_EVERY
        self._connected: Counter[str] = Counter()  # by origin
        self._count = 0
        self._ports: list[tcp.Port] = []
        self._has_accepted = True  # when a port was last asked to
        self._has_warned = False  # that descriptors have run out
        self._is_full = False  # nothing is accepted now
        self._timer: IDelayedCall | None = None  # for the next look while that is so, and for calm after it

    def watch(self, port: IListeningPort) -> None:
        """Make C{port} accept connections only while there are descriptors for them."""
        if not has_descriptor(port):
            return
        control_accepting(port, self._accept)
        self._ports.append(port)
        if self._is_full:
            port.stopReading()

    def forget(self, port: IListeningPort) -> None:
        """Forget C{port}, because it is being closed."""
        self._ports = [other for other in self._ports if other is not port]
        if not self._ports:
            self._has_warned = self._is_full = False
            self._stop_timer()

    def enter(self, transport: Any) -> str | None:
        """
        Count a connection that has just been accepted; at its end, what this returns must be passed to L{leave}.

        @return: its origin (L{origin_of}); C{None} if it must be closed, which is logged.
        """
        self._room -= 1
        origin = origin_of(transport)
        limits, connected = self._limits, self._connected
        if 0 < limits.connections <= self._count:
            limit, why = "max-connections", f"there are {self._count} connections"
        elif 0 < limits.connections_per_peer <= connected[origin]:
            limit, why = "max-connections-per-peer", f"{origin} has {connected[origin]} connections"
        else:
            connected[origin] += 1
            self._count += 1
            return origin
        self._throttle.warn(limit, "closing {peer}: {why}", peer=describe(transport), why=why)
        return None

    def leave(self, origin: str | None) -> None:
        """Note that a connection is closed, its descriptor too."""
        self._room += 1
        if origin is not None:
            self._count -= 1
            self._connected[origin] -= 1
            if not self._connected[origin]:
                del self._connected[origin]
        if self._is_full:
            self._look()

    def _accept(self, accept: Callable[[int], None]) -> None:
        if self._is_full:
            return  # the port had become readable before it stopped reading
        if self._room < AT_ONCE + RESERVE:
            self._update_room()
        if self._room > 0 and (self._has_accepted or self._can_open()):
            room = self._room
            accept(min(AT_ONCE, room))
            self._has_accepted = self._room < room
            return
        for each in self._ports:
            each.stopReading()
        self._is_full = True
        self._start_timer(PATIENCE, self._look_again)
        if not self._has_warned:
            self._has_warned = True
            why = "descriptors have run out: no connections are accepted until some of the {count} are closed"
            self._log.warn(why, count=self._count)

    def _look_again(self) -> None:
        self._start_timer(PATIENCE, self._look_again)
        self._update_room()
        self._look()

    def _update_room(self) -> None:
        """Count the descriptors that the rest of the process has opened or closed since."""
        now = self._clock.seconds()
        if now - self._measured_at >= MEASURE_EVERY:
            self._measured_at, self._room = now, self._measure()

    def _look(self) -> None:
        """Accept connections again, if there is room."""
        if self._room > 0 and self._can_open():
            self._is_full = False
            self._start_timer(CALM, self._note_calm)
            for port in self._ports:
                port.startReading()

    def _note_calm(self) -> None:
        self._has_warned = False
        self._log.info("connections are accepted again, now that {count} are open", count=self._count)

    def _start_timer(self, seconds: float, call: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self._clock.callLater(seconds, call)

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

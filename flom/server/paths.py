"""Keeping the UNIX sockets of a daemon at their paths, so that no second daemon can start there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorTime
from twisted.logger import Logger

from flom.config import runtime_socket
from flom.net.claim import CannotClaim
from flom.reactor.ports import ClaimedUNIXPort
from flom.server.arbiter import DeferredArbiter
from flom.server.peer import address_text

LOOK: Final = 0.25  # seconds between two looks at the paths; each costs two system calls for each socket


class PathsService(Service):
    """
    Makes socket and lock file anew if they were removed.

    If another daemon is at one of the paths, nothing is granted until it has gone: two daemons must not grant at once.
    """

    _log = Logger()

    def __init__(self, arbiter: DeferredArbiter, clock: IReactorTime, end: Callable[[], None] | None = None) -> None:
        """
        @param end: called if another daemon has a path, instead of L{DeferredArbiter.abandon}: in a group, another host
            leads then.
        """
        self._arbiter = arbiter
        self._clock = clock
        self._end = end
        self._ports: list[ClaimedUNIXPort] = []
        self._problems: dict[ClaimedUNIXPort, str] = {}  # that were logged
        self._has_abandoned = False
        self._timer: IDelayedCall | None = None

    def watch(self, port: IListeningPort) -> None:
        """
        Keep C{port} at its path, if it was claimed; others are not ours.

        The run-time directory is removed when its user logs out, and the daemon is not looked for there alone.
        """
        if isinstance(port, ClaimedUNIXPort) and address_text(port.getHost()) != runtime_socket():
            self._ports.append(port)

    def forget(self, port: IListeningPort) -> None:
        """Forget C{port}, because it is being closed."""
        self._ports = [other for other in self._ports if other is not port]

    def startService(self) -> None:
        super().startService()
        if self._ports:
            self._timer = self._clock.callLater(LOOK, self._look)

    def stopService(self) -> None:
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = self._clock.callLater(LOOK, self._look)
        is_taken = False
        for port in self._ports:
            try:
                if port.renew():
                    self._log.warn("{path} or its lock file was removed: made anew", path=port.getHost().name)
                self._problems.pop(port, None)
            except CannotClaim as e:
                is_taken = is_taken or e.is_taken
                if self._problems.get(port) != str(e):
                    self._problems[port] = str(e)
                    then = "this daemon grants nothing more" if e.is_taken else "no new client can come there"
                    self._log.warn("{problem}: {then}", problem=e, then=then)
        if is_taken and not self._has_abandoned:
            self._has_abandoned = True
            if self._end is None:
                self._arbiter.abandon()
            else:
                self._end()
        elif self._has_abandoned and not is_taken and self._end is None and self._arbiter.is_deserted:
            self._has_abandoned = False
            self._log.info("the other daemon has gone: this daemon grants locks again")
            self._arbiter.resume()

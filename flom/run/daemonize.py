"""
Starting, with Twisted, the daemon that a runner does not find; L{flom.run.launch} says how
(docs/compatibility.md, "Who starts a daemon", "Start of a daemon").
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from flom.client.deferred.locator import DaemonEndpoint, locate
from flom.config import Config
from flom.errors import DaemonUnreachable
from flom.net.claim import CannotClaim, Claim
from flom.run.launch import (
    RETRY,
    START_TIMEOUT,
    Unblocked,
    check_may_start,
    check_ready,
    claim_place,
    daemon_words,
    not_ready,
)


class StartingEndpoint(DaemonEndpoint):
    """
    Leads to the daemon that the configuration means, started if need be and allowed.

    @ivar is_starting: whether a daemon is being started.
    """

    def __init__(
        self,
        reactor: Any,
        config: Config,
        unblocked: Unblocked,
        say: Callable[[str], None],
        started: Callable[[], None],
    ) -> None:
        """
        @param say: told what is done.
        @param started: called when a daemon has been started.
        @raise FlomError: see L{flom.client.deferred.locator.locate}.
        """
        super().__init__(reactor, locate(config, reactor))
        self._config = config
        self._unblocked = unblocked
        self._say = say
        self._started = started
        self.is_starting = False
        self._starts = 0

    async def _do_about_absence(self, began: float, problem: Exception) -> None:
        check_may_start(self._config, self.peer, self._starts)
        try:
            claim = claim_place(self._config)
        except CannotClaim as e:
            if not e.is_taken or self._reactor.seconds() > began + START_TIMEOUT:
                raise DaemonUnreachable(e.code, f"cannot start a daemon: {e}") from e
            await deferLater(self._reactor, RETRY)
            return
        self.is_starting = True
        self._starts += 1
        try:
            await self._start(claim)
        finally:
            self.is_starting = False
        self._started()

    async def _start(self, claim: Claim) -> None:
        self._say(f"no daemon at {self.peer}, starting one")
        launch = DaemonLaunch(self._reactor, self._config, self._unblocked)
        launch.start(["--inherit", launch.pass_on(claim.descriptors())])
        try:
            await launch.ended.addTimeout(START_TIMEOUT, self._reactor)
        except TimeoutError:
            raise not_ready(self.peer) from None
        finally:
            claim.close()


class DaemonLaunch(ProcessProtocol):
    """
    Starts a daemon.

    @ivar ended: fires when the daemon is ready, or with L{DaemonUnreachable} when it cannot be.
    """

    def __init__(self, reactor: Any, config: Config, unblocked: Unblocked) -> None:
        self.ended: Deferred[None] = Deferred()
        self._reactor = reactor
        self._config = config
        self._unblocked = unblocked
        self._descriptors: list[int] = []
        self._complaint = b""

    def pass_on(self, descriptors: Iterable[int]) -> str:
        """Let the daemon inherit C{descriptors}; give their numbers there, as an option wants them."""
        first = 3 + len(self._descriptors)
        self._descriptors += descriptors
        return ",".join(map(str, range(first, 3 + len(self._descriptors))))

    def start(self, options: Sequence[str]) -> None:
        """
        Start it.

        @param options: of C{twistd flom}, beside those that follow from the configuration.
        """
        inherited = dict(enumerate(self._descriptors, start=3))
        with open(os.devnull, "rb") as nothing, self._unblocked():
            self._reactor.spawnProcess(
                self,
                sys.executable,
                daemon_words(self._config, options),
                env=None,
                path="/",  # the daemon keeps no directory busy, and imports nothing from where we happen to be
                childFDs={0: nothing.fileno(), 1: "r", 2: "r"} | inherited,
            )

    def errReceived(self, data: bytes) -> None:
        self._complaint += data

    def processEnded(self, reason: Failure) -> None:
        if self.ended.called:
            return
        how: Any = reason.value  # a ProcessDone or a ProcessTerminated
        try:
            check_ready(how.exitCode, str(how), self._complaint)
        except DaemonUnreachable as e:
            self.ended.errback(e)
        else:
            self.ended.callback(None)

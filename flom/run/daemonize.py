"""
Starting the daemon that a runner does not find (spec 7.1, 7.2).

The runner itself listens on the address and hands the socket to the daemon it starts. So of many runners one wins, at
once; the others can connect from then on, and wait in the kernel until the daemon serves them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from flom.client.locator import DaemonEndpoint, locate
from flom.client.places import daemon_host
from flom.config import DAEMON, SETTINGS, Config
from flom.errors import DaemonUnreachable, ReturnCode
from flom.run.output import complain
from flom.server.listening import OPEN, PRIVATE, CannotClaim, Claim, claim_tcp, claim_unix

START_TIMEOUT: Final = 30.0
"""Seconds that a daemon has to start, whoever starts it (D-35)."""

_RETRY: Final = 0.02  # seconds; for the moment until another starter listens

_TOLD_OTHERWISE: Final = frozenset(
    {
        "lifespan_ms",  # always, because a daemon has another default
        "socket_name",  # where it listens, and in which group, by what it inherits and by options of its own
        "unicast_address",
        "unicast_port",
        "multicast_address",
        "multicast_port",
        "network_interface",
        "discovery_ttl",
        "listen",  # not at all: it is for daemons that nobody starts for a command
    }
)
"""Fields of L{Config} that a daemon does not get as we have them."""

COMPLAINT: Final = "twistd flom: "
"""How a line begins that C{twistd flom} writes to stderr."""

Unblocked = Callable[[], AbstractContextManager[None]]
"""Makes a context in which processes may be made, see L{flom.run.signals.SignalWatch.unblocked}."""


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
        @raise FlomError: see L{flom.client.locator.locate}.
        """
        super().__init__(reactor, locate(config, reactor))
        self._config = config
        self._unblocked = unblocked
        self._say = say
        self._started = started
        self.is_starting = False

    async def _do_about_absence(self, began: float, problem: Exception) -> None:
        if self._config.lifespan_ms == 0:
            raise DaemonUnreachable(
                ReturnCode.CONNECT_ERROR,
                f"{self.peer}: no daemon is listening, and daemon-lifespan 0 forbids to start one",
            )
        try:
            claim = self._claim()
        except CannotClaim as e:
            if not e.is_taken or self._reactor.seconds() > began + START_TIMEOUT:
                raise DaemonUnreachable(e.code, f"cannot start a daemon: {e}") from e
            await deferLater(self._reactor, _RETRY)
            return
        self.is_starting = True
        try:
            await self._start(claim)
        finally:
            self.is_starting = False
        self._started()

    def _claim(self) -> Claim:
        config = self._config
        if config.unicast_address:
            return claim_tcp(daemon_host(config), config.unicast_port)
        return claim_unix(config.socket_path, OPEN if config.socket_name else PRIVATE)

    async def _start(self, claim: Claim) -> None:
        self._say(f"no daemon at {self.peer}, starting one")
        descriptors = claim.descriptors()
        launch = DaemonLaunch(self._reactor, self._config, self._unblocked)
        launch.start(["--inherit", launch.pass_on(descriptors)])
        try:
            await launch.ended.addTimeout(START_TIMEOUT, self._reactor)
        except TimeoutError:
            raise DaemonUnreachable(
                ReturnCode.DAEMON_NOT_STARTED, f"{self.peer}: the daemon was not ready within {START_TIMEOUT:g} s"
            ) from None
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
        config = self._config
        if config.daemon_trace_file:
            config = replace(config, daemon_trace_file=os.path.abspath(config.daemon_trace_file))
        if config.mount_point:
            config = replace(config, mount_point=os.path.abspath(config.mount_point))
        words = [sys.executable, "-m", __name__, "--daemon-lifespan", str(config.lifespan_ms), *options]
        for setting in SETTINGS:
            is_used = config.is_tls or setting.place[0] != "TLS"  # a daemon would refuse half of TLS's files
            if DAEMON in setting.programs and setting.field not in _TOLD_OTHERWISE and is_used:
                words += setting.as_option(config)
        inherited = dict(enumerate(self._descriptors, start=3))
        with open(os.devnull, "rb") as nothing, self._unblocked():
            self._reactor.spawnProcess(
                self,
                sys.executable,
                words,
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
        lines = self._complaint.decode("utf-8", "replace").strip().splitlines()
        if how.exitCode == 0:
            for line in lines:
                if line.startswith(COMPLAINT):
                    complain(line)
            self.ended.callback(None)
        else:
            why = lines[-1] if lines else str(how)
            self.ended.errback(DaemonUnreachable(ReturnCode.DAEMON_NOT_STARTED, f"the daemon did not start: {why}"))


def main() -> None:
    """Become a daemon that logs to syslog; the arguments are those of C{twistd flom}."""
    from twisted.scripts.twistd import run

    sys.argv = ["twistd", "--pidfile=", "--syslog", "--prefix=flom", "flom", *sys.argv[1:]]
    run()


if __name__ == "__main__":
    main()

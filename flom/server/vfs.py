"""
What a daemon holds, as a file system: a process of its own serves it, L{flom.vfs}, for as long as the daemon runs.

The process has one end of a pair of sockets, and the daemon answers at the other. The daemon never waits for the
process and never looks at the directory, because the process may be stopped.
"""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import ProcessProtocol, Protocol
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue
from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.core.protocol.connection import ServerConnection
from flom.core.protocol.events import Introduced
from flom.core.protocol.messages import StatusRequest
from flom.core.requests import SessionId
from flom.errors import RemoteProtocolError
from flom.interfaces import IReactor
from flom.reactor.transports import adopt
from flom.server.arbiter import DeferredArbiter
from flom.server.counters import Counters
from flom.server.snapshot import write_status
from flom.text import reason

RESTART: Final = 1.0
"""Seconds after which a process that was killed is started again."""

END_TIMEOUT: Final = 2.0
"""Seconds that the process has to unmount and to end when the daemon does."""

_MOST_KEPT: Final = 4096  # bytes of the end of its stderr


class MountService(Service):
    """
    Runs the process that shows what the daemon holds, for as long as the daemon runs.

    If nothing can be mounted, the log says why and the daemon goes on. If the process is killed, it is started again;
    if the directory is unmounted by other means, it stays unmounted.
    """

    _log = Logger()

    def __init__(self, reactor: IReactor, directory: str, arbiter: DeferredArbiter, counters: Counters) -> None:
        """@param directory: where to mount; an absolute path without links."""
        self._reactor = reactor
        self._directory = directory
        self._arbiter = arbiter
        self._counters = counters
        self._process: ShowingProcess | None = None
        self._pause: Deferred[None] | None = None
        self._ended: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()
        self._reactor.callWhenRunning(self._begin)

    def stopService(self) -> Deferred[None] | None:
        """End the process; the daemon stays until it has unmounted, so that the next daemon can mount there."""
        super().stopService()
        if self._pause is not None:
            self._pause.cancel()
        if self._process is not None:
            self._process.end()
        return self._ended

    def _begin(self) -> None:
        def log_fault(failure: Failure) -> None:
            self._log.failure("showing what is held in {directory}", failure, directory=self._directory)

        if self.running:
            self._ended = Deferred.fromCoroutine(self._show()).addErrback(log_fault)

    async def _show(self) -> None:
        while self.running and await self._show_once():
            self._pause = deferLater(self._reactor, RESTART)
            try:
                await self._pause
            except CancelledError:
                pass
            finally:
                self._pause = None

    async def _show_once(self) -> bool:
        """Run the process until it ends, and return whether it should run again."""
        process = ShowingProcess(self._reactor, self._directory, self._note_mount)
        try:
            process.start(StatusProtocol(self._arbiter, self._reactor, self._counters))
        except OSError as e:
            self._log_refusal(reason(e))
            return False
        self._process = process
        try:
            how = await process.ended
        finally:
            self._process = None
        if how.signal is not None or (how.exitCode and process.has_mounted):
            if process.has_mounted:  # otherwise, another program may have mounted there
                await self._unmount()
            if self.running:
                self._log.warn(
                    "{log_id} what shows {directory} has died and is started again: {how}",
                    log_id="FLM025E",
                    directory=self._directory,
                    how=how,
                )
            return True
        if not process.has_mounted:
            self._log_refusal(process.last_line or str(how))
        elif self.running:
            self._log.warn(
                "{log_id} {directory} was unmounted, but not by us", log_id="FLM023I", directory=self._directory
            )
        else:
            self._log.info("{log_id} unmounted {directory}", log_id="FLM023I", directory=self._directory)
        return False

    def _note_mount(self) -> None:
        self._log.info(
            "{log_id} mounted at {directory}: what this daemon holds", log_id="FLM022I", directory=self._directory
        )

    def _log_refusal(self, why: str) -> None:
        if self.running:
            self._log.error(
                "{log_id} mount-point-vfs: nothing is shown in {directory}: {why}",
                log_id="FLM021E",
                directory=self._directory,
                why=why,
            )

    async def _unmount(self) -> None:
        """Remove the mount that a killed process has left."""
        program = shutil.which("fusermount3")
        if program is None:
            return  # uninstalled in the meantime
        words = ["-u", "-z", "--", self._directory]
        _, said, status = await getProcessOutputAndValue(program, words, reactor=self._reactor)
        if status:
            why = said.decode("utf-8", "replace").strip()
            self._log.warn(
                "{log_id} cannot unmount {directory}: {why}", log_id="FLM024W", directory=self._directory, why=why
            )


class ShowingProcess(ProcessProtocol):
    """The process that runs L{flom.vfs}; C{ended} fires with a C{ProcessDone} or a C{ProcessTerminated}."""

    transport: Any

    def __init__(self, reactor: IReactor, directory: str, on_mounted: Callable[[], None]) -> None:
        self._reactor = reactor
        self._directory = directory
        self._on_mounted = on_mounted
        self._stderr = b""
        self._connection: StatusProtocol | None = None
        self._timeout: IDelayedCall | None = None
        self.ended: Deferred[Any] = Deferred()
        self.has_mounted = False

    @property
    def last_line(self) -> str:
        """The last line of its stderr."""
        lines = self._stderr.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    def start(self, connection: StatusProtocol) -> None:
        """Start it, with C{connection} as our end of the connection; C{OSError} is raised if it cannot be started."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._reactor.spawnProcess(
                self,
                sys.executable,
                [sys.executable, "-m", "flom.vfs", self._directory],
                env=None,
                path="/",  # it imports nothing from where the daemon happens to be
                childFDs={0: theirs.fileno(), 1: "r", 2: "r"},
            )
            adopt(self._reactor, ours, connection)
        self._connection = connection

    def end(self) -> None:
        """Close its connection, which ends it; kill it if it has not ended after L{END_TIMEOUT} seconds."""
        if self._connection is not None:
            self._connection.transport.abortConnection()  # it need not read what is still to be sent
        self._timeout = self._reactor.callLater(END_TIMEOUT, self._kill)

    def _kill(self) -> None:
        self._timeout = None
        try:
            self.transport.signalProcess("KILL")
        except ProcessExitedAlready:
            pass

    def outReceived(self, data: bytes) -> None:
        self.has_mounted = True  # nothing else is written to stdout
        self._on_mounted()

    def errReceived(self, data: bytes) -> None:
        self._stderr = (self._stderr + data)[-_MOST_KEPT:]

    def processEnded(self, reason: Failure) -> None:
        if self._timeout is not None:
            self._timeout.cancel()
        self.ended.callback(reason.value)


class StatusProtocol(Protocol):
    """
    The daemon's end of the connection to the process, which may see what the daemon holds, and do nothing else.

    It does not count as a client: an idle daemon does not stay for it.
    """

    _log = Logger()

    transport: Any

    def __init__(self, arbiter: DeferredArbiter, clock: IReactorTime, counters: Counters) -> None:
        self._arbiter = arbiter
        self._clock = clock
        self._counters = counters
        self._connection = ServerConnection(SessionId(0), peer_id=None)

    def dataReceived(self, data: bytes) -> None:
        try:
            for order in self._connection.receive(data):
                match order:
                    case Introduced():
                        pass
                    case StatusRequest(name=None):
                        write_status(self._arbiter, self._counters, self._clock).addCallback(self._send)
                    case _:
                        raise RemoteProtocolError(f"not a request for all that is held: {order}")
        except RemoteProtocolError as e:
            self._log.error("closing the connection of flom.vfs: {why}", why=e)
            self.transport.loseConnection()

    def _send(self, data: bytes) -> None:
        self.transport.write(self._connection.status(data))

"""Takes a lock, runs a command, gives the lock back (spec 8)."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint

from flom.client.lock import RemoteArbiter, RemoteHeld
from flom.client.shutdown import shut_down
from flom.config import SIGNAL_NAMES, Config
from flom.core.messages import Lock
from flom.core.names import HierarchicalName, NumericName, SimpleName, parse_name
from flom.core.resources.timestamp import InvalidTimestampFormat
from flom.errors import (
    CannotWait,
    DaemonLost,
    DaemonUnreachable,
    ExitStatus,
    FlomError,
    LocalProtocolError,
    LockBusy,
    LockRefused,
    LockTimeout,
    Outcome,
    RemoteProtocolError,
    ReturnCode,
    TlsError,
)
from flom.identity import unique_id
from flom.multicast import group_of
from flom.run.child import CannotExecute, Child, start_child
from flom.run.daemonize import StartingEndpoint
from flom.run.ignoring import inherited_environment
from flom.run.output import complain, tell, warn
from flom.run.signals import ENDING, SignalWatch
from flom.trace import tracer
from flom.transports import tls_of

if TYPE_CHECKING:
    from flom.run.electing import ElectingEndpoint
    from flom.run.waiting import WaitReport

_CANNOT_BE_IGNORED: Final = frozenset({signal.SIGKILL, signal.SIGSTOP})

_trace = tracer("exec")


class Runner:
    """One command and its lock."""

    def __init__(
        self,
        reactor: Any,
        config: Config,
        command: Sequence[str],
        watch: SignalWatch,
        descriptors: Collection[int],
    ) -> None:
        self._reactor = reactor
        self._config = config
        self._command = command
        self._watch = watch
        self._descriptors = descriptors
        self._child: Child | None = None
        self._status: int | None = None
        self._timer: IDelayedCall | None = None
        self._regaining: Deferred[None] | None = None
        self._group_endpoint: ElectingEndpoint | None = None
        self._report: WaitReport | None = None

    def signal(self, number: int, from_terminal: bool) -> None:
        """
        Take a signal.

        While the command runs, it is the command's, which has it already if the terminal sent it. Before that, it ends
        this process at once: the kernel closes the connection, and by that we leave the queue. Afterwards, it ends the
        wait for the daemon to take the lock back. While the command runs, the user may have it ignored (spec 8.3).
        """
        if self._status is not None:
            os._exit(self._status)
        if self._child is not None:
            if not from_terminal and number not in self._config.ignored_signals:
                self._child.signal(number)
        elif number in ENDING:
            self._stop_report()
            sys.stdout.flush()
            os._exit(128 + number)

    async def run(self) -> int:
        """
        Take the lock, run the command, give the lock back.

        @return: the status to exit with.
        """
        try:
            held = await self._acquire()
        except FlomError as e:
            complaint, refusal = self._explain(e)
            complain(complaint)
            return refusal
        self._keep(held)
        if held.element is not None:
            self._say(f"Locked element is '{held.element}'")
        try:
            with self._watch.unblocked():
                self._child = start_child(
                    self._reactor,
                    [*self._command, *([] if held.element is None else [held.element])],
                    self._environment(held),
                    inherit=[*self._descriptors, *([] if self._config.close else [held.fileno()])],
                    ignored=self._watch.ignored,
                )
                _trace.debug("running %s", self._command[0])
        except CannotExecute as e:
            complain(str(e))
            self._status = status = int(ExitStatus.CANNOT_EXECUTE)
        else:
            self._ignore_signals()
            self._status = status = await self._child.ended
            _trace.debug("%s has ended with status %d", self._command[0], status)
        if self._regaining is not None:
            await self._regaining
        try:
            await self._held.release(rollback=status != 0)
        except DaemonLost:
            return status or ExitStatus.ERROR  # the user was told when it happened
        return status

    async def shut_down(self, immediate: bool) -> int:
        """
        Order the daemon to end; none is started for that.

        @return: the status to exit with.
        """
        tell(f"Starting FLoM daemon {'immediate' if immediate else 'quiesce'} shutdown...")
        self._config = replace(self._config, lifespan_ms=0)
        try:
            endpoint = self._make_endpoint()
            await shut_down(
                self._reactor,
                endpoint,
                endpoint.peer,
                immediate,
                tls=tls_of(self._config),
                is_in_pool=self._group_endpoint is not None,
            )
        except FlomError as e:
            complaint, status = self._explain(e)
            complain(complaint)
            return status
        return ExitStatus.OK

    async def _acquire(self) -> RemoteHeld:
        config = self._config
        tls = tls_of(config)  # before a daemon is started that could not use the files either
        endpoint = self._make_endpoint()
        self._arbiter = RemoteArbiter(
            self._watched(endpoint) if config.verbose else endpoint,
            endpoint.peer,
            self._reactor,
            config.keepalive,
            tls=tls,
            is_in_pool=self._group_endpoint is not None,
        )
        self._lock = Lock(
            config.resource_name,
            config.lock_mode,
            config.quantity,
            wait=config.timeout_ms != 0,
            create=config.create,
            lifespan=config.idle_lifespan_ms / 1000,
            peer_id=unique_id(),
        )
        self._endpoint = endpoint
        self._acquiring = Deferred.fromCoroutine(self._arbiter.lock(self._lock))
        self._limit_wait()
        try:
            return await self._acquiring
        except CancelledError:
            raise LockTimeout(
                f"The lock was not obtained because timeout ({config.timeout_ms} milliseconds) expired"
            ) from None
        finally:
            self._stop_report()
            self._stop_timer()

    def _watched(self, endpoint: IStreamClientEndpoint) -> IStreamClientEndpoint:
        """Give what leads where C{endpoint} does, and have the user told what is waited for there."""
        from flom.run.waiting import WaitReport  # who does not want to be told need not wait for its import

        self._report = WaitReport(self._reactor, self._config)
        return self._report.watch(endpoint)

    def _stop_report(self) -> None:
        if self._report is not None:
            self._report.stop()

    def _make_endpoint(self) -> StartingEndpoint | ElectingEndpoint:
        """Give what leads to the daemon that is meant, started or elected if need be."""
        config, unblocked = self._config, self._watch.unblocked
        if not config.multicast_address:
            return StartingEndpoint(self._reactor, config, unblocked, self._say, self._limit_wait)

        from flom.run.electing import ElectingEndpoint  # the others need not wait for its import

        self._group_endpoint = ElectingEndpoint(
            self._reactor, config, group_of(config), unblocked, self._say, warn, self._limit_wait
        )
        return self._group_endpoint

    def _ignore_signals(self) -> None:
        """
        Ignore what the user wants ignored, and does not come by L{signal}.

        SIGCHLD tells us of the command's end, and does nothing else to us.
        """
        for number in self._config.ignored_signals:
            if number in _CANNOT_BE_IGNORED:
                complain(f"Warning: couldn't ignore signal {number}:{SIGNAL_NAMES[number - 1]}")
            elif number != signal.SIGCHLD:
                signal.signal(number, signal.SIG_IGN)

    def _limit_wait(self) -> None:
        """Give the wait all of its time: when it begins, and again when it has taken a while to start a daemon."""
        self._stop_timer()
        if self._config.timeout:
            self._timer = self._reactor.callLater(self._config.timeout, self._expire)

    def _expire(self) -> None:
        if not self._endpoint.is_starting:
            self._acquiring.cancel()

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _environment(self, held: RemoteHeld) -> dict[bytes, bytes]:
        """Give ours, and what the command may want to know of its lock."""
        config = self._config
        name = parse_name(config.resource_name)
        told = {
            "FLOM_RESOURCE": config.resource_name,
            "FLOM_LOCK_MODE": config.lock_mode.name if isinstance(name, SimpleName | HierarchicalName) else "EX",
            "FLOM_ELEMENT": held.element,
        }
        environment = inherited_environment()
        for key, value in told.items():
            environment.pop(os.fsencode(key), None)  # of a flom-run around this one
            if value is not None:
                environment[os.fsencode(key)] = os.fsencode(value)
        return environment

    def _explain(self, error: Exception) -> tuple[str, ExitStatus]:
        """Tell what to say of C{error}, and what to exit with (spec 1.5, 1.6)."""
        match error:
            case LockTimeout():
                return str(error), ExitStatus.BUSY
            case LockBusy():
                return "Resource already locked, the lock cannot be obtained", ExitStatus.BUSY
            case CannotWait():
                return (
                    "The resource could be available in the future, but the requester can't wait",
                    ExitStatus.CANNOT_WAIT,
                )
            case LockRefused(outcome=Outcome.IMPOSSIBLE):
                return "Resource will never satisfy the request, the lock cannot be obtained", ExitStatus.ERROR
            case DaemonUnreachable(code=code):
                return _failed("flom_client_connect", code, error), ExitStatus.ERROR
            case TlsError(code=code):
                is_connected = code in (ReturnCode.SSL_READ_ERROR, ReturnCode.UNIQUE_ID_DOES_NOT_MATCH)
                what = "flom_client_lock" if is_connected else "flom_client_connect"
                return _failed(what, code, error), ExitStatus.ERROR
            case LockRefused():
                return _failed("flom_client_lock", ReturnCode.INVALID_RESOURCE_NAME, error), ExitStatus.ERROR
            case InvalidTimestampFormat():
                return _failed("flom_client_lock", ReturnCode.INVALID_TIMESTAMP_FORMAT, error), ExitStatus.ERROR
            case LocalProtocolError():
                return _failed("flom_client_lock", ReturnCode.CONTAINER_FULL, error), ExitStatus.ERROR
            case RemoteProtocolError():
                return _failed("flom_client_lock", ReturnCode.PROTOCOL_ERROR, error), ExitStatus.ERROR
            case DaemonLost(code=code):
                return _failed("flom_client_lock", code, error), ExitStatus.ERROR
            case _:
                return str(error), ExitStatus.ERROR

    def _keep(self, held: RemoteHeld) -> None:
        """Hold C{held} from now on; if its daemon goes away, try to regain it."""
        self._held = held
        held.lost.addCallback(self._lost)

    def _lost(self, why: FlomError) -> None:
        """Regain the lock from the daemon that takes over, or say that it is gone."""
        name = parse_name(self._config.resource_name)
        can_regain = isinstance(name, SimpleName | HierarchicalName | NumericName)  # the others have elements
        if self._group_endpoint is not None and can_regain:
            self._say(f"{why}, looking for the one that takes over")
            self._regaining = Deferred.fromCoroutine(self._regain(self._group_endpoint, why))
        else:
            self._lament(why)

    async def _regain(self, endpoint: ElectingEndpoint, why: FlomError) -> None:
        """Take the lock again, at another daemon, while the command runs on; nobody else can have it in between."""
        endpoint.is_orphaned = True
        try:
            self._keep(await self._arbiter.lock(replace(self._lock, wait=False, create=True, regains=True)))
        except FlomError as e:
            self._lament(FlomError(f"{why}, and the lock was not regained ({e})"))
        else:
            self._say(f"{self._config.resource_name} regained")
        finally:
            endpoint.is_orphaned = False
            self._regaining = None

    def _lament(self, why: FlomError) -> None:
        """Say that the lock is gone; the command is left alone, because only its user knows whether that matters."""
        complain(_failed("flom_client_unlock", ReturnCode.SEND_ERROR, f"{why}, the command goes on unlocked"))

    def _say(self, text: str) -> None:
        if self._config.verbose:
            tell(text)


def _failed(what: str, code: ReturnCode, why: object) -> str:
    return f"{what}: ret_cod={code} ({code.text}): {why}"

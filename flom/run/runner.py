"""Takes a lock, runs a command, gives the lock back (docs/compatibility.md, "Commands under a lock")."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint

from flom.client.deferred.arbiter import RemoteArbiter, RemoteHeld
from flom.client.deferred.shutdown import shut_down
from flom.codes import ExitStatus
from flom.config import Config
from flom.core.names import HierarchicalName, NumericName, SimpleName, parse_name
from flom.errors import DaemonLost, FlomError
from flom.job.signals import SignalWatch
from flom.job.words import CannotExecute
from flom.net.multicast import group_of
from flom.reactor.transports import tls_of
from flom.run.child import start_child
from flom.run.daemonize import StartingEndpoint
from flom.run.job import Job
from flom.run.output import complain, tell, warn
from flom.trace import tracer

if TYPE_CHECKING:
    from flom.run.electing import ElectingEndpoint
    from flom.run.wait_report import WaitReport

_trace = tracer("exec")


class Runner(Job):
    """Takes the lock with Twisted: in a group, with TLS, and wherever the user wants to be told what is going on."""

    def __init__(
        self,
        reactor: Any,
        config: Config,
        command: Sequence[str],
        watch: SignalWatch,
        descriptors: Collection[int],
    ) -> None:
        super().__init__(config, command, watch, descriptors)
        self._reactor = reactor
        self._timer: IDelayedCall | None = None
        self._regaining: Deferred[None] | None = None
        self._group_endpoint: ElectingEndpoint | None = None
        self._report: WaitReport | None = None

    async def run(self) -> int:
        """
        Take the lock, run the command, give the lock back.

        @return: the status to exit with.
        """
        try:
            held = await self._acquire()
        except FlomError as e:
            return self._lament_refusal(e)
        self._keep(held)
        if held.element is not None:
            self._say(f"Locked element is '{held.element}'")
        try:
            with self._watch.unblocked():
                child = start_child(
                    self._reactor,
                    self._words(held.element),
                    self._environment(held.element),
                    inherit=[*self._descriptors, *([] if self._config.close else [held.fileno()])],
                    ignored=self._watch.ignored,
                )
                self._note_start(child)
        except CannotExecute as e:
            complain(str(e))
            status = int(ExitStatus.CANNOT_EXECUTE)
            self._forwarding.note_end(status)
        else:
            self._ignore_signals()
            status = await child.ended
            self._note_end(status)
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
        self._config = self._config.replace(lifespan_ms=0)
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
            return self._lament_refusal(e)
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
            is_in_group=self._group_endpoint is not None,
        )
        self._lock = self._request()
        self._endpoint = endpoint
        self._acquiring = Deferred.fromCoroutine(self._arbiter.lock(self._lock))
        self._limit_wait()
        try:
            return await self._acquiring
        except CancelledError:
            raise self._timed_out() from None
        finally:
            self._stop_report()
            self._stop_timer()

    def _watched(self, endpoint: IStreamClientEndpoint) -> IStreamClientEndpoint:
        """Give what leads where C{endpoint} does, and have the user told what is waited for there."""
        from flom.run.wait_report import WaitReport  # who does not want to be told need not wait for its import

        self._report = WaitReport(self._reactor, self._config)
        return self._report.watch(endpoint)

    def _leave(self) -> None:
        self._stop_report()

    def _stop_report(self) -> None:
        if self._report is not None:
            self._report.stop()

    def _make_endpoint(self) -> StartingEndpoint | ElectingEndpoint:
        """Give what leads to the daemon that is meant, started or elected if need be."""
        config, unblocked = self._config, self._watch.unblocked
        if not config.multicast_address:
            return StartingEndpoint(self._reactor, config, unblocked, self._say, self._limit_wait)

        from flom.run.electing import (
            ElectingEndpoint,  # the others need not wait for its import
        )

        self._group_endpoint = ElectingEndpoint(
            self._reactor, config, group_of(config), unblocked, self._say, warn, self._limit_wait
        )
        return self._group_endpoint

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
            self._keep(await self._arbiter.lock(self._lock.replace(wait=False, create=True, regains=True)))
        except FlomError as e:
            self._lament(FlomError(f"{why}, and the lock was not regained ({e})"))
        else:
            self._say(f"{self._config.resource_name} regained")
        finally:
            endpoint.is_orphaned = False
            self._regaining = None

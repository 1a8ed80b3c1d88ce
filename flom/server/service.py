"""The daemon, put together: endpoints, its group and the end of it all, around one arbiter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService, Service
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.core.protocol.messages import Role
from flom.server.admission import Admission
from flom.server.arbiter import DeferredArbiter
from flom.server.connection import LockFactory
from flom.server.counters import Counters
from flom.server.lifespan import LifespanService
from flom.server.options import DEFAULT_OPTIONS, ServerOptions
from flom.server.peer import spell_endpoint
from flom.trace import tracer

if TYPE_CHECKING:
    from flom.server.group.service import Membership

_trace = tracer("daemon")


def build_daemon(
    reactor: Any,
    arbiter: DeferredArbiter,
    endpoints: Iterable[IStreamServerEndpoint],
    *,
    lifespan: float | None = None,
    options: ServerOptions = DEFAULT_OPTIONS,
    membership: Membership | None = None,
    end: Callable[[], None] | None = None,
    counters: Counters | None = None,
) -> MultiService:
    """
    Put a daemon together, to run alone or inside another program.

    @param arbiter: grants the locks; code in the same process asks it for its own.
    @param endpoints: where to listen; a start fails with C{CannotListenError} if one of them cannot.
    @param lifespan: seconds without a client or a resource after which the daemon ends; C{None} for never.
    @param options: for its clients; L{ServerOptions.on_shutdown} is what C{end} makes of it.
    @param membership: in which group it stands for election; it grants locks only while it leads. A start fails with
        L{flom.net.multicast.NoMulticast} if there is no way to the group. C{None} if it grants locks in any case.
    @param end: what it is for the daemon to end, because of its lifespan, because a client orders it, or because it was
        not elected and does not stand by. It should at least stop the service. C{None} if it ends only when whoever
        runs the service stops it: all orders of clients are refused then, and it can have no lifespan and no group.
    @param counters: what is shown of the daemon beside its locks (L{flom.server.snapshot}); kept up to date here.
    @raise ValueError: C{end} is wanted, or C{arbiter} has a daemon already, with whose end it would grant nothing more.
    """
    arbiter.serve()
    if end is None and (lifespan is not None or membership is not None):
        raise ValueError("a daemon with a lifespan or a group must be told how to end")
    daemon = MultiService()
    counters = counters or Counters()
    end_daemon = end or _do_nothing
    lifespan_service = LifespanService(arbiter, reactor, lifespan, end_daemon)

    def shut_down(immediate: bool) -> None:
        _trace.debug("%s shutdown", "immediate" if immediate else "quiesce")
        if immediate:
            end_daemon()
        else:
            lifespan_service.quiesce()

    factory = LockFactory(arbiter, reactor, replace(options, on_shutdown=shut_down if end else None), counters)
    serving = factory if options.tls is None else options.tls.secure_server(factory, reactor)
    for endpoint in endpoints:
        _EndpointService(endpoint, serving, counters, factory.admission).setServiceParent(daemon)
    if membership is None:
        lifespan_service.setServiceParent(daemon)
    else:
        from flom.server.group.service import MembershipService  # the others need not wait for its import

        membership = _counted(membership, counters)
        MembershipService(reactor, arbiter, lifespan_service, membership, end_daemon).setServiceParent(daemon)
    _ClientsService(arbiter, factory).setServiceParent(daemon)
    return daemon


def _counted(membership: Membership, counters: Counters) -> Membership:
    """Have C{counters} kept up to date by what happens in the group."""

    def note_role(role: Role) -> None:
        counters.role = role.value
        membership.on_role(role)

    def count_question() -> None:
        counters.discoveries += 1
        membership.on_question()

    counters.group = str(membership.group)
    return replace(membership, on_role=note_role, on_question=count_question)


def _do_nothing() -> None:
    """End nothing."""


class _ClientsService(Service):
    """Sends the clients away when the daemon stops."""

    _log = Logger()

    def __init__(self, arbiter: DeferredArbiter, factory: LockFactory) -> None:
        self._arbiter = arbiter
        self._factory = factory

    def startService(self) -> None:
        super().startService()
        if self._arbiter.is_closed:
            self._arbiter.reopen()  # the service was stopped before, and is started again
        self._log.info("{log_id} ready", log_id="FLM003N")

    def stopService(self) -> None:
        super().stopService()
        self._log.info("{log_id} ending", log_id="FLM004N")
        self._arbiter.close()  # first: the locks of those who are sent away must not go to those who still wait
        self._factory.disconnect_all()


class _EndpointService(Service):
    """Listens, or fails to start: no daemon is better than a deaf one."""

    _log = Logger()

    def __init__(
        self, endpoint: IStreamServerEndpoint, factory: IProtocolFactory, counters: Counters, admission: Admission
    ) -> None:
        self._endpoint = endpoint
        self._factory = factory
        self._counters = counters
        self._admission = admission
        self._listening: Deferred[IListeningPort | None] | None = None

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        failures: list[Failure] = []
        self._listening = self._endpoint.listen(self._factory).addCallback(self._tell).addErrback(failures.append)
        for failure in failures:  # of ours, none comes later
            failure.raiseException()

    def startService(self) -> None:
        super().startService()
        if self._listening is None:
            self.privilegedStartService()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        assert self._listening is not None
        listening, self._listening = self._listening, None
        listening.cancel()
        return listening.addCallback(self._stop)

    def _stop(self, port: IListeningPort | None) -> Deferred[None] | None:
        if port is None:
            return None
        self._admission.forget(port)
        stopped: Deferred[None] | None = port.stopListening()
        return stopped

    def _tell(self, port: IListeningPort) -> IListeningPort:
        address = spell_endpoint(port.getHost())
        is_unix = isinstance(port.getHost(), UNIXAddress)
        self._log.info("{log_id} listening on {address}", log_id="FLM000I" if is_unix else "FLM001I", address=address)
        self._counters.endpoints.append(address)
        self._admission.watch(port)
        _trace.debug("listening on %s", port.getHost())
        return port

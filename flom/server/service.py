"""The daemon, put together: endpoints, its group and the end of it all, around one arbiter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from twisted.application.service import MultiService, Service
from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger

from flom.core.grace import GRACE
from flom.core.protocol.messages import Shutdown
from flom.interfaces import IReactor, Listenable
from flom.reactor.clock import follows_wall_clock
from flom.server.arbiter import DeferredArbiter
from flom.server.connection import LockFactory
from flom.server.counters import Counters
from flom.server.lifespan import LifespanService
from flom.server.listening import ListeningService
from flom.server.options import DEFAULT_OPTIONS, ServerOptions
from flom.server.paths import PathsService
from flom.server.peer import address_text
from flom.server.proofs import Proofs, proofs_of_group
from flom.trace import tracer

if TYPE_CHECKING:
    from flom.server.group.service import Membership
    from flom.server.quorum.service import Quorum, QuorumService

_WALL_CLOCK: Final = (
    "the timers of this program's reactor follow the wall clock: if that is set, a grace period may end early, and new "
    "clients may not be served; flom.server.make_monotonic changes that"
)

_log = Logger()
_trace = tracer("daemon")


def build_daemon(
    reactor: IReactor,
    arbiter: DeferredArbiter,
    endpoints: Iterable[IStreamServerEndpoint | Listenable],
    *,
    lifespan: float | None = None,
    options: ServerOptions = DEFAULT_OPTIONS,
    membership: Membership | None = None,
    end: Callable[[], None] | None = None,
    counters: Counters | None = None,
    reservation: float = 0.0,
    knows_holders: bool = False,
    proofs: Proofs | None = None,
    quorum: Quorum | None = None,
) -> MultiService:
    """
    Return a daemon as a service, to run alone or inside another program.

    @param arbiter: grants the locks.
    @param endpoints: where to listen; a start fails with C{CannotListenError} if one of them cannot.
    @param lifespan: seconds without a client or a resource after which the daemon ends; C{None} for never.
    @param options: for its clients; L{ServerOptions.on_shutdown} is what C{end} makes of it.
    @param membership: in which group it stands for election; it grants locks only while it leads. A start fails with
        L{flom.net.multicast.NoMulticast} if there is no way to the group. C{None} if it grants locks in any case.
    @param end: called when the daemon is to end: after its lifespan, by order of a client, or when it is not elected
        and does not stand by. It should at least stop the service. C{None}: without lifespan, group and shutdown.
    @param counters: what is shown of the daemon beside its locks (L{flom.server.snapshot}); kept up to date here.
    @param reservation: seconds for which clients wait for the daemon at its addresses, instead of starting another, if
        it ends in bad order; 0 for not at all.
    @param knows_holders: whether clients of this host reclaim their locks from the next daemon at its addresses, which
        waits for them.
    @param proofs: by which it knows what it has granted when that is reclaimed; in a group, the key of the group
        decides; C{None} for none.
    @param quorum: by which it grants locks only while etcd says that it leads; C{arbiter} has to be a
        L{flom.server.quorum.arbiter.LeasedArbiter} then.
    @raise ValueError: C{end} is missing, or C{arbiter} has a daemon already.
    """
    arbiter.serve()
    if end is None and (lifespan is not None or membership is not None):
        raise ValueError("a daemon with a lifespan or a group must be told how to end")
    daemon, counters = MultiService(), counters or Counters()
    is_over = False  # once the daemon ends by itself, or because it was ordered to

    def end_daemon() -> None:
        nonlocal is_over
        is_over = True
        if end is not None:
            end()

    lifespan_service = LifespanService(arbiter, reactor, lifespan, end_daemon)

    def end_drained() -> None:
        _log.info("ending: nothing is held any more, as was ordered")
        end_daemon()

    def shut_down(order: Shutdown) -> None:
        _trace.debug("%s", order)
        if order.immediate:
            end_daemon()
        elif order.drain:
            arbiter.drain(end_drained)
        else:
            lifespan_service.quiesce()

    if membership is not None:
        proofs = proofs_of_group(membership.group)
    proofs = proofs or Proofs()
    counters.key_problem = proofs.problem
    options = replace(options, on_shutdown=shut_down if end else None)
    leading: QuorumService | None = None
    if quorum is None:
        factory = LockFactory(arbiter, reactor, options, counters, proofs)
    else:
        from flom.server.quorum.service import parts_of  # the others need not wait for its import

        factory, leading = parts_of(quorum, arbiter, reactor, options, counters, proofs, lifespan_service)
    serving = factory if options.tls is None else options.tls.secure_server(factory, reactor)

    def note_open(port: IListeningPort) -> None:
        address = address_text(port.getHost())
        log_id = "FLM000I" if isinstance(port.getHost(), UNIXAddress) else "FLM001I"
        _log.info("{log_id} listening on {address}", log_id=log_id, address=address)
        counters.endpoints.append(address)
        factory.admission.watch(port)
        paths.watch(port)
        hosts.append(port.getHost())
        _trace.debug("listening on %s", port.getHost())

    def note_close(port: IListeningPort) -> None:
        factory.admission.forget(port)
        paths.forget(port)
        hosts.remove(port.getHost())

    paths = PathsService(arbiter, reactor, None if membership is None and quorum is None else end_daemon)
    hosts: list[IAddress] = []
    for endpoint in endpoints:
        ListeningService(endpoint, serving, note_open, note_close).setServiceParent(daemon)
    paths.setServiceParent(daemon)
    if reservation > 0:
        from flom.server.reservation import ReservationService  # daemons of commands need not wait for its import

        def may_restart() -> bool:
            return not is_over and any(client.is_extended for client in factory.connected)

        ReservationService(reactor, hosts, reservation, may_restart).setServiceParent(daemon)
    if knows_holders:
        from flom.server.holders import HoldersService  # likewise

        HoldersService(reactor, hosts, factory).setServiceParent(daemon)
    if leading is not None:
        factory.hand_over = leading.hand_over
    elif membership is None:
        lifespan_service.setServiceParent(daemon)
    if membership is not None:
        from flom.server.group.service import MembershipService  # likewise

        about = (membership, end_daemon, counters, factory.sessions, options.tls, proofs)
        if leading is None:
            member = MembershipService(reactor, arbiter, lifespan_service, *about)
            succession = membership.timing.succession + GRACE
            factory.terms = factory.terms.replace(succession=succession)
        else:
            from flom.server.group.appointed import AppointedMembership

            member = AppointedMembership(leading, reactor, arbiter, lifespan_service, *about)
        factory.answer_challenge, factory.answer_offer = member.answer_challenge, member.answer_offer
        factory.hand_over = member.hand_over
        factory.is_promised = lambda: member.is_promised
        member.setServiceParent(daemon)
    _ClientsService(factory, reactor).setServiceParent(daemon)
    if leading is not None:
        leading.setServiceParent(daemon)  # last: it is stopped first, and leaves what clients hold to the next leader
    return daemon


class _ClientsService(Service):
    """Disconnects all clients when the daemon stops."""

    def __init__(self, factory: LockFactory, reactor: IReactor) -> None:
        self._factory = factory
        self._reactor = reactor

    def startService(self) -> None:
        super().startService()
        if self._factory.arbiter.is_closed:
            self._factory.arbiter.reopen()  # the service was stopped before, and is started again
        if follows_wall_clock(self._reactor):
            _log.warn(_WALL_CLOCK)
        _log.info("{log_id} ready", log_id="FLM003N")

    def stopService(self) -> None:
        super().stopService()
        _log.info("{log_id} ending", log_id="FLM004N")
        self._factory.arbiter.close()  # first: waiters must not be granted the locks of clients that are disconnected
        self._factory.disconnect_all()

"""Locks of a daemon, for Twisted programs: the remote arbiter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, fail
from twisted.internet.interfaces import IProcessProtocol, IStreamClientEndpoint
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.acquisition import Acquiring, Held
from flom.client.addresses import several_without_quorum
from flom.client.deferred.connection import LockClient
from flom.client.deferred.connection_pool import ConnectionPool
from flom.client.deferred.heartbeat import LossPolicy
from flom.client.deferred.held import RemoteHeld
from flom.client.deferred.spawn import Child, Telling, Text, spawn
from flom.client.deferred.way_back import WayBack, Ways
from flom.client.retry import (
    ANSWER_TIMEOUT,
    COME_BACK_TIMEOUT,
    FIRST_RETRY,
    KEPT_RETRY,
    LONG_RETRY,
    RETRY,
    TAKEOVER_ANSWER_TIMEOUT,
    RetryBudget,
    jitter,
    until_next_look,
)
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.protocol.messages import Lock
from flom.core.requests import Asked
from flom.core.several import AskedAll
from flom.errors import (
    Closed,
    ConfigError,
    DaemonLost,
    DaemonUnreachable,
    FlomError,
    InvalidRequest,
    LockRefused,
)
from flom.interfaces import IArbiter, IReactor
from flom.job.lineage import lineage_of, new_id, with_own
from flom.job.sender import signed
from flom.net.keepalive import DEFAULT_KEEPALIVE, Keepalive
from flom.net.machine_id import unique_id

if TYPE_CHECKING:
    from flom.core.modes import ModeName
    from flom.tls.context import Tls

_T = TypeVar("_T")

MAX_ASKING: Final = 8
"""
Requests for the very same that are sent at one time; more of them wait in this process, in their order: when the first
cannot be granted, neither can the others, so a thousand tasks that wait for one lock need not be as many connections.
"""


@implementer(IArbiter)
class RemoteArbiter(Acquiring):
    """
    Asks a daemon for locks.

    Each lock that is held or waited for has a connection (docs/compatibility.md, "Protocol: daemon"). With a daemon of
    ours, it is kept for the next locks of the same resource.
    """

    _clock: IReactor

    _log = Logger()

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        peer: str,
        clock: Any,
        keepalive: Keepalive = DEFAULT_KEEPALIVE,
        *,
        tls: Tls | None = None,
        keep: float = 0.0,
        forget: Callable[[], None] | None = None,
        successor: Callable[[int], IStreamClientEndpoint] | None = None,
        loss_policy: LossPolicy | None = None,
        hosts: int = 1,
    ) -> None:
        """
        @param endpoint: leads to the daemon.
        @param clock: the reactor; all but L{spawn} need no more than an C{IReactorTime}.
        @param peer: names it in errors.
        @param tls: our end of TLS; C{None} for plain text.
        @param keep: seconds that a connection is kept after its lock was released; the daemon remembers the resource
            for so much longer, and does not end. 0 to keep none.
        @param forget: called when the daemon of a group has gone: C{endpoint} leads to another, where waiters go on
            waiting. C{None} if there is no other.
        @param successor: returns the way to the daemon that takes over, for the holder of this number, which reclaims
            its lock there; C{None} if locks cannot be reclaimed.
        @param loss_policy: says when a lock counts as lost whose daemon is not heard; by default, when that may have
            given it to another client.
        @param hosts: to how many daemons C{endpoint} leads, one of which leads by a quorum.
        """
        self._place = peer
        self._clock = clock
        self._patience = ANSWER_TIMEOUT if forget is None else TAKEOVER_ANSWER_TIMEOUT
        self._ways = Ways(
            endpoint,
            peer,
            clock,
            keepalive,
            tls,
            is_extended=keep > 0,
            forget=forget,
            successor=successor,
            loss_policy=loss_policy,
            hosts=hosts,
        )
        self._pool = ConnectionPool(clock, keep)
        self._turns: dict[Lock, DeferredSemaphore] = {}
        self._undecided: set[Deferred[Held]] = set()
        self._is_closed = False
        self._lineage: tuple[str, ...] = ()  # of the command for which a lock is about to be asked

    def _begin(self, asked: Asked | AskedAll, what: str) -> Deferred[Held]:
        message = signed(asked.message(unique_id()))
        waiting = Deferred.fromCoroutine(self._take_turn(message, with_own(message, self._lineage), what))
        self._undecided.add(waiting)
        return waiting.addBoth(self._note_decision, waiting)

    def spawn(
        self,
        name: str,
        words: Sequence[str],
        mode: LockMode | ModeName | int = LockMode.EX,
        *,
        protocol: IProcessProtocol | ProcessProtocol | None = None,
        childFDs: Mapping[int, int | str] | None = None,
        env: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
        path: Text | None = None,
        inherit: bool = True,
        notify_wanted: str = "",
        **wanted: Any,
    ) -> Deferred[Child]:
        """
        Start a command as soon as the lock is granted, and release the lock when the command has ended: with rollback
        if the status is not 0.

        The command finds FLOM_RESOURCE, FLOM_RESOURCES, FLOM_LOCK_MODE, FLOM_ELEMENT, FLOM_TOKEN and FLOM_LINEAGE in
        its environment; the element, if there is one, is its last argument too. Signals that this process ignores, it
        ignores. Cancelling the Deferred withdraws the request, or kills the command that is just being started.

        @param words: the command and its arguments. It is looked for in the PATH of its environment.
        @param protocol: hears of the process as with C{reactor.spawnProcess}; nothing if it cannot be executed.
        @param childFDs: as for C{reactor.spawnProcess}; by default a pipe each for stdin, stdout and stderr if there is
            a C{protocol}, and otherwise our own three. The connection to the daemon comes beside these.
        @param env: the environment, names and values as text or bytes; C{None} for ours.
        @param path: the directory to run it in; C{None} for ours.
        @param inherit: true if the command is to have the connection open, so that it keeps the lock if this process
            is killed. As with C{flom-run --close}, it gets no descriptor of ours otherwise.
        @param notify_wanted: how the command learns that others wait because of its lock: a signal, C{"fd"} or
            C{"fd:N"}, as for C{flom-run --notify-wanted}; the empty string for not at all.
        @param wanted: C{quantity}, C{wait}, C{create}, C{lifespan}, C{timeout}, C{max_hold}, C{lock_delay} and others:
            see L{IArbiter.acquire}.
        @return: fires with a L{Child} when the command runs; with L{flom.job.words.CannotExecute} if it cannot be
            executed, and with what L{acquire} fires with if there is no lock.
        """
        if isinstance(words, str | bytes) or not words:
            return fail(InvalidRequest(f"{name}: {words!r} is no list of the words of a command"))
        try:
            telling = Telling(name, notify_wanted, childFDs) if notify_wanted else None
        except InvalidRequest:
            return fail()
        if telling is not None:
            wanted["wanted"] = True
        self._lineage = lineage = lineage_of(new_id())
        try:
            acquiring = self.acquire(name, mode, **wanted)
        finally:
            self._lineage = ()
        options = {"inherit": inherit, "quantity": wanted.get("quantity", 1), "lineage": lineage, "telling": telling}
        child = spawn(self._clock, acquiring, name, mode, words, protocol, childFDs, env, path, **options)
        return Deferred.fromCoroutine(child)

    async def probe(self) -> None:
        """Check that there is a daemon, by connecting to it; raise L{FlomError} if there is none, or it refuses."""
        self._pool.put(await self._ways.connect())

    def close(self) -> Deferred[None]:
        """Withdraw all requests, and end all connections that hold no lock; fires when the connections have ended."""
        self._is_closed = True
        for waiting in list(self._undecided):
            waiting.cancel()
        self._ways.heartbeats.close()
        return self._pool.close()

    async def __aenter__(self) -> RemoteArbiter:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _take_turn(self, same: Lock, message: Lock, what: str) -> Held:
        """Ask by C{message} once fewer than L{MAX_ASKING} others ask for the C{same}."""
        if self._is_closed:
            raise Closed(f"{what}: this client was closed")
        turns = self._turns.setdefault(same, DeferredSemaphore(MAX_ASKING))
        try:
            return await turns.run(lambda: Deferred.fromCoroutine(self._lock(self._ways.extend(message))))
        except FlomError as e:
            e.concern(message.title)
            raise
        except CancelledError:
            if self._is_closed:
                raise Closed(f"{what}: this client was closed") from None
            raise
        finally:
            if turns.tokens == turns.limit:
                self._turns.pop(same, None)

    def _note_decision(self, result: Held | Failure, waiting: Deferred[Held]) -> Held | Failure:
        self._undecided.discard(waiting)
        return result

    async def _lock(self, message: Lock) -> RemoteHeld:
        """Ask for the lock; if the daemon goes before its decision, ask again as long as L{RetryBudget} lasts."""
        resource = parse_name(message.name).key
        ways, is_in_group = self._ways, self._ways.is_in_group
        budget = RetryBudget(is_in_group=is_in_group)
        began, has_asked = self._clock.seconds(), False
        lost_at = began  # when a daemon has led last
        retry = FIRST_RETRY if is_in_group else RETRY
        expected_until = 0.0  # by the daemon, to come back to our place in its queue
        while True:
            kept = None if message.session or message.is_of_several else self._pool.take(resource)
            try:
                client = kept or await self._connect_in_time(message)
            except DaemonUnreachable as e:
                if ways.waits_for_leader and message.wait:
                    await deferLater(self._clock, until_next_look(self._clock.seconds() - lost_at))
                    continue
                if not budget.has_waited or is_in_group:
                    raise
                if not budget.has_told:
                    budget.has_told = True
                    self._log.warn("{why}: the daemon has gone, waiting for another one", why=str(e))
                is_kept = self._clock.seconds() < expected_until
                await deferLater(self._clock, (KEPT_RETRY if is_kept else LONG_RETRY) * jitter())
                continue
            try:
                if has_asked:
                    message = message.replace(waited=self._clock.seconds() - began)
                asked_at = ways.heartbeats.now()
                locking = ways.left_without_answer(client, client.lock(message))
                granted = await self._in_time(message, locking, self._patience)
                if ways.hosts > 1 and not client.terms.quorum:
                    await client.unlock(message.name, rollback=True)
                    raise ConfigError(several_without_quorum(client.peer, self._place))
                lost_at = self._clock.seconds()
                while client.session and ways.is_old(client.terms, asked_at):
                    asked_at = ways.heartbeats.now()
                    await client.check()
                client.outlive_daemon()
                way_back = WayBack(ways, message, granted, client.terms, asked_at)
                return RemoteHeld(client, message, granted, self._pool, way_back, ways.heartbeats)
            except DaemonLost as e:
                if client.session and (client.is_broken or is_in_group):
                    message = message.replace(session=client.session)
                    expected_until = self._clock.seconds() + client.terms.timeout
                ways.forget()
                if client.terms.quorum:
                    ways.loss_policy.is_by_quorum = True
                if kept and not client.has_answered:
                    continue  # it had ended since it was last used
                if client.has_answered:
                    lost_at = self._clock.seconds()
                if ways.waits_for_leader and message.wait:
                    pass  # another one leads, or will
                elif client.has_answered or self._clock.seconds() >= expected_until:
                    budget.spend(e, answered=client.has_answered)
                has_asked = True
            except LockRefused:
                self._pool.put(client, resource)
                raise
            except BaseException:
                self._pool.end(client)
                raise
            if ways.waits_for_leader:
                await deferLater(self._clock, ways.until_next_host(self._clock.seconds() - lost_at))
            elif is_in_group or budget.has_waited or message.session:
                await deferLater(self._clock, retry * jitter())
                retry = min(2 * retry, RETRY)

    def _connect_in_time(self, message: Lock) -> Deferred[LockClient]:
        """Connect to the daemon; in a group, the search for it has times of its own."""
        connecting = Deferred.fromCoroutine(self._ways.connect())
        if self._ways.is_in_group:
            return connecting
        if message.session:
            return self._ways.limit(connecting, COME_BACK_TIMEOUT)
        return self._in_time(message, connecting, ANSWER_TIMEOUT)

    def _in_time(self, message: Lock, waiting: Deferred[_T], patience: float) -> Deferred[_T]:
        """Fail C{waiting} with L{DaemonUnreachable} after C{patience} seconds if C{message} is not to wait."""
        return waiting if message.wait else self._ways.limit(waiting, patience)

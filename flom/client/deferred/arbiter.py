"""Locks of a daemon, for Twisted programs: the remote arbiter."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, fail
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IProcessProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.acquisition import Acquiring, Held
from flom.client.deferred.connection import LockClient
from flom.client.deferred.connection_pool import ConnectionPool
from flom.client.deferred.spawn import Child, Text, spawn
from flom.client.retry import (
    ANSWER_TIMEOUT,
    CLOSE_TIMEOUT,
    COME_BACK_TIMEOUT,
    FIRST_RETRY,
    LONG_RETRY,
    RETRY,
    TAKEOVER_ANSWER_TIMEOUT,
    RetryBudget,
    check_reclaimed,
    jitter,
    new_holder,
    silent,
    until_next_look,
)
from flom.codes import Outcome
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.protocol.encode import extend
from flom.core.protocol.events import Granted
from flom.core.protocol.messages import Lock
from flom.core.requests import Asked
from flom.errors import (
    Closed,
    DaemonLost,
    DaemonUnreachable,
    FlomError,
    InvalidRequest,
    LockContested,
    LockRefused,
    LockTimeout,
    Misuse,
)
from flom.interfaces import IArbiter, IHeld, IReactor
from flom.job.sender import signed
from flom.job.wording import unreclaimed
from flom.net.keepalive import DEFAULT_KEEPALIVE, Keepalive
from flom.net.machine_id import unique_id

if TYPE_CHECKING:
    from flom.tls.context import Tls

_T = TypeVar("_T")

MAX_ASKING: Final = 8
"""
Requests for the very same that are sent at one time; more of them wait in this process, in their order: when the first
cannot be granted, neither can the others, so a thousand tasks that wait for one lock need not be as many connections.
"""

RECLAIM_TIMEOUT: Final = 10.0
"""
Seconds that a holder looks for the daemon that takes over. If none stands by, a client that starts daemons has one
elected after about 3 s; this client starts none.
"""


@implementer(IHeld)
class RemoteHeld:
    """
    A lock that a daemon has granted; C{lost} fires with L{flom.errors.DaemonLost}, also if it is found out only at the
    release that the lock was lost, or may have been.

    In a group, and on the daemon's host, a lock whose daemon has gone is reclaimed from the next one; C{lost} fires if
    that fails.
    """

    _log = Logger()

    def __init__(
        self,
        client: LockClient,
        name: str,
        granted: Granted,
        pool: ConnectionPool,
        way_back: _WayBack,
    ) -> None:
        """
        @param pool: keeps the connection after the release.
        """
        self.element = granted.element
        self.token = granted.token
        self.lost: Deferred[FlomError] = Deferred()
        self._name = name
        self._pool = pool
        self._way_back = way_back
        self._reclaiming: Deferred[None] | None = None
        self._follow: Callable[[list[int]], object] | None = None
        self._hold_by(client)
        self.is_released = False
        self.is_lost = False

    def release(self, rollback: bool = False) -> Deferred[None]:
        """See L{IHeld.release}."""
        if self.is_released:
            return fail(Misuse(f"{self._name} at {self._client.peer}: not held any more"))
        self.is_released = True
        if self.is_lost and self._client.contest is None:
            return fail(DaemonLost(f"{self._name} at {self._client.peer}: the daemon closed the connection"))
        released: Deferred[None] = Deferred()  # by cancelling this, its user cancels nothing of ours
        if self._reclaiming is None:
            ended = self._unlock(rollback)
        else:  # whether the lock was held to the end is not known before
            if self._client.is_awaited:  # at this address, there may never be a daemon again
                self._way_back.limit(self._reclaiming)
            ended = self._reclaiming.addCallback(lambda _: self._unlock(rollback))
        ended.chainDeferred(released)
        return released

    def fileno(self) -> int:
        """Return the descriptor of the connection: every process that has it open keeps the lock."""
        return self._client.fileno()

    def descriptors(self) -> list[int]:
        """Return L{fileno}, and the descriptor by which the next daemon at this address knows of us, if it does."""
        holding = self._client.holding
        return [self.fileno(), *([] if holding is None else [holding.fileno()])]

    def follow(self, call: Callable[[list[int]], object]) -> None:
        """Call C{call} with L{descriptors} each time that the lock has been reclaimed, and has got others by that."""
        self._follow = call

    def _hold_by(self, client: LockClient) -> None:
        self._client = client
        client.lost.addCallback(self._note_end)

    def _unlock(self, rollback: bool) -> Deferred[None]:
        if self.is_lost and self._client.contest is None:
            return fail(DaemonLost(f"{self._name} at {self._client.peer}: the daemon closed the connection"))
        self._pool.expect(self._client)
        return Deferred.fromCoroutine(self._unlock_surely(rollback)).addBoth(self._end)

    async def _unlock_surely(self, rollback: bool) -> None:
        """Release the lock; if its connection is broken, or the daemon has gone that has to be told, by another one."""
        client = self._client
        reaches_next = rollback and parse_name(self._name).transactional and self._way_back.leads_from(client)
        reaches_next = reaches_next or client.is_awaited
        if not client.session and not reaches_next:
            await client.unlock(self._name, rollback)
            return
        try:
            await client.unlock(self._name, rollback, CLOSE_TIMEOUT / 2)
        except DaemonLost as loss:
            if not (client.is_broken or reaches_next or self._way_back.leads_from(client)):
                raise
            left = CLOSE_TIMEOUT / 2 if client.has_timed_out else CLOSE_TIMEOUT
            try:
                self._client = await self._way_back.take(client, left)
            except FlomError as why:
                if isinstance(why, LockRefused) and why.outcome == Outcome.CANNOT_WAIT:
                    return  # it was released
                raise loss from why
            finally:
                client.give_up()
            await self._client.unlock(self._name, rollback, CLOSE_TIMEOUT / 2)

    def _note_end(self, why: FlomError) -> None:
        """Note that the lock is contested, or that its daemon has gone: then reclaim it, if that can be."""
        if isinstance(why, LockContested) or not self._way_back.leads_from(self._client):
            self._note_loss(why)
        else:
            self._reclaiming = Deferred.fromCoroutine(self._move(why))

    async def _move(self, why: FlomError) -> None:
        """Reclaim the lock that was lost because of C{why}; note the loss if that fails."""
        lost_with = self._client
        try:
            seconds = self._way_back.time_left(lost_with)
            client = await self._way_back.take(lost_with, seconds, insists=lost_with.is_awaited)
        except (FlomError, CancelledError) as e:
            self._reclaiming = None
            reason = LockTimeout(f"no daemon came within {CLOSE_TIMEOUT:g} s") if isinstance(e, CancelledError) else e
            self._note_loss(unreclaimed(why if isinstance(why, DaemonLost) else DaemonLost(str(why)), reason))
        except Exception:
            self._reclaiming = None
            self._log.failure("reclaiming {name}", name=self._name)
            self._note_loss(why)
        else:
            self._reclaiming = None
            self._hold_by(client)
            if self._follow is not None and not self.is_released:
                self._follow(self.descriptors())
            lost_with.give_up()

    def _end(self, result: Failure | None) -> None:
        """Keep the connection after the release; raise L{DaemonLost} if that was not one, or of no lock of ours."""
        self._pool.put(self._client, parse_name(self._name).key)
        error = self._client.contest if result is None else result.value
        if isinstance(error, FlomError):
            self._note_loss(error)
            raise error

    def _note_loss(self, why: FlomError) -> None:
        self.is_lost = True
        if self._client.closed.called or not isinstance(why, LockContested):
            self._client.give_up()
        why.concern(self._name)
        if not self.lost.called:  # by being cancelled
            self.lost.callback(why)


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
        """
        self._tls = tls
        self._endpoint = self._secure(endpoint)
        self._successor = successor
        self._place = peer
        self._clock = clock
        self._forget = forget
        self._patience = ANSWER_TIMEOUT if forget is None else TAKEOVER_ANSWER_TIMEOUT
        self._factory: Any = Factory.forProtocol(lambda: LockClient(peer, clock, keepalive, tls))
        self._factory.noisy = False
        self._is_extended = keep > 0
        self._pool = ConnectionPool(clock, keep)
        self._turns: dict[Lock, DeferredSemaphore] = {}
        self._undecided: set[Deferred[Held]] = set()
        self._is_closed = False

    def _begin(self, asked: Asked, what: str) -> Deferred[Held]:
        waiting = Deferred.fromCoroutine(self._take_turn(signed(asked.message(unique_id())), what))
        self._undecided.add(waiting)
        return waiting.addBoth(self._note_decision, waiting)

    def spawn(
        self,
        name: str,
        words: Sequence[str],
        mode: LockMode | str | int = LockMode.EX,
        *,
        protocol: IProcessProtocol | None = None,
        childFDs: Mapping[int, int | str] | None = None,
        env: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
        path: Text | None = None,
        inherit: bool = True,
        **wanted: Any,
    ) -> Deferred[Child]:
        """
        Start a command as soon as the lock is granted, and release the lock when the command has ended: with rollback
        if the status is not 0.

        The command finds FLOM_RESOURCE, FLOM_LOCK_MODE, FLOM_ELEMENT and FLOM_TOKEN in its environment; the element, if
        there is one, is its last argument too. Signals that this process ignores, it ignores. Cancelling the Deferred
        withdraws the request, or kills the command that is just being started.

        @param words: the command and its arguments. It is looked for in the PATH of its environment.
        @param protocol: hears of the process as with C{reactor.spawnProcess}; nothing if it cannot be executed.
        @param childFDs: as for C{reactor.spawnProcess}; by default a pipe each for stdin, stdout and stderr if there is
            a C{protocol}, and otherwise our own three. The connection to the daemon comes beside these.
        @param env: the environment, names and values as text or bytes; C{None} for ours.
        @param path: the directory to run it in; C{None} for ours.
        @param inherit: true if the command is to have the connection open, so that it keeps the lock if this process
            is killed. As with C{flom-run --close}, it gets no descriptor of ours otherwise.
        @param wanted: C{quantity}, C{wait}, C{create}, C{lifespan}, C{timeout}: see L{IArbiter.acquire}.
        @return: fires with a L{Child} when the command runs; with L{flom.job.words.CannotExecute} if it cannot be
            executed, and with what L{acquire} fires with if there is no lock.
        """
        if isinstance(words, str | bytes) or not words:
            return fail(InvalidRequest(f"{name}: {words!r} is no list of the words of a command"))
        acquiring = self.acquire(name, mode, **wanted)
        child = spawn(self._clock, acquiring, name, mode, words, protocol, childFDs, env, path, inherit=inherit)
        return Deferred.fromCoroutine(child)

    async def probe(self) -> None:
        """Check that there is a daemon, by connecting to it; raise L{FlomError} if there is none, or it refuses."""
        self._pool.put(await self._connect())

    def close(self) -> Deferred[None]:
        """Withdraw all requests, and end all connections that hold no lock; fires when the connections have ended."""
        self._is_closed = True
        for waiting in list(self._undecided):
            waiting.cancel()
        return self._pool.close()

    async def __aenter__(self) -> RemoteArbiter:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _take_turn(self, message: Lock, what: str) -> Held:
        """Ask once fewer than L{MAX_ASKING} others ask for the same."""
        if self._is_closed:
            raise Closed(f"{what}: this client was closed")
        turns = self._turns.setdefault(message, DeferredSemaphore(MAX_ASKING))
        try:
            return await turns.run(lambda: Deferred.fromCoroutine(self._lock(self._extend(message))))
        except FlomError as e:
            e.concern(message.name)
            raise
        except CancelledError:
            if self._is_closed:
                raise Closed(f"{what}: this client was closed") from None
            raise
        finally:
            if turns.tokens == turns.limit:
                self._turns.pop(message, None)

    def _note_decision(self, result: Held | Failure, waiting: Deferred[Held]) -> Held | Failure:
        self._undecided.discard(waiting)
        return result

    def _extend(self, message: Lock) -> Lock:
        return extend(message) if self._is_extended else message

    def _secure(self, endpoint: IStreamClientEndpoint) -> IStreamClientEndpoint:
        return endpoint if self._tls is None else self._tls.secure_client(endpoint)

    async def _connect(self, endpoint: IStreamClientEndpoint | None = None) -> LockClient:
        """Connect by C{endpoint}; by default, by the usual one."""
        try:
            client = await (endpoint or self._endpoint).connect(self._factory)
        except ConnectingCancelledError as e:
            raise CancelledError from e  # the caller sees one kind of error in every case
        assert isinstance(client, LockClient)
        return client

    async def _lock(self, message: Lock) -> RemoteHeld:
        """Ask for the lock; if the daemon goes before its decision, ask again as long as L{RetryBudget} lasts."""
        resource = parse_name(message.name).key
        budget = RetryBudget(is_in_group=self._forget is not None)
        began, has_asked = self._clock.seconds(), False
        retry = FIRST_RETRY if self._forget else RETRY
        expected_until = 0.0  # by the daemon, to come back to our place in its queue
        while True:
            kept = None if message.session else self._pool.take(resource)
            try:
                client = kept or await self._connect_in_time(message)
            except DaemonUnreachable as e:
                if not budget.has_waited or self._forget is not None:
                    raise
                if not budget.has_told:
                    budget.has_told = True
                    self._log.warn("{why}: the daemon has gone, waiting for another one", why=str(e))
                await deferLater(self._clock, LONG_RETRY * jitter())
                continue
            try:
                if has_asked:
                    message = message.replace(waited=self._clock.seconds() - began)
                granted = await self._in_time(message, client.lock(message), self._patience)
                client.outlive_daemon()
                return RemoteHeld(client, message.name, granted, self._pool, _WayBack(self, message, granted))
            except DaemonLost as e:
                if client.session and (client.is_broken or self._forget):
                    message = message.replace(session=client.session)
                    expected_until = self._clock.seconds() + client.terms.timeout
                if self._forget:
                    self._forget()
                if kept and not client.has_answered:
                    continue  # it had ended since it was last used
                if client.has_answered or self._clock.seconds() >= expected_until:
                    budget.spend(e, answered=client.has_answered)
                has_asked = True
            except LockRefused:
                self._pool.put(client, resource)
                raise
            except BaseException:
                self._pool.end(client)
                raise
            if self._forget or budget.has_waited or message.session:
                await deferLater(self._clock, retry * jitter())
                retry = min(2 * retry, RETRY)

    def _connect_in_time(self, message: Lock) -> Deferred[LockClient]:
        """Connect to the daemon; in a group, the search for it has times of its own."""
        connecting = Deferred.fromCoroutine(self._connect())
        if self._forget:
            return connecting
        if message.session:
            return self._limit(connecting, COME_BACK_TIMEOUT)
        return self._in_time(message, connecting, ANSWER_TIMEOUT)

    def _in_time(self, message: Lock, waiting: Deferred[_T], patience: float) -> Deferred[_T]:
        """Fail C{waiting} with L{DaemonUnreachable} after C{patience} seconds if C{message} is not to wait."""
        return waiting if message.wait else self._limit(waiting, patience)

    def _limit(self, waiting: Deferred[_T], patience: float) -> Deferred[_T]:
        """Fail C{waiting} with L{DaemonUnreachable} after C{patience} seconds."""

        def expire(result: _T | Failure, seconds: float) -> _T | Failure:
            if isinstance(result, Failure) and result.check(CancelledError):
                return Failure(silent(self._place, seconds))
            return result  # it was decided before

        return waiting.addTimeout(patience, self._clock, expire)

    async def _reclaim(self, holder: int, message: Lock, seconds: float, insists: bool) -> tuple[LockClient, Granted]:
        """Acquire the lock of C{message} again within C{seconds}, see L{_WayBack.take}."""
        if self._forget:
            self._forget()
        endpoint = None if self._successor is None else self._secure(self._successor(holder))
        began = self._clock.seconds()
        give_up = began + seconds
        while True:
            try:
                connecting = Deferred.fromCoroutine(self._connect(endpoint))
                left = max(0.0, give_up - self._clock.seconds())
                client = await (connecting if endpoint else self._limit(connecting, min(left, COME_BACK_TIMEOUT)))
                try:
                    left = max(ANSWER_TIMEOUT, give_up - self._clock.seconds())  # one that is there decides
                    locking = client.lock(message)
                    granted = await (locking if endpoint or left == math.inf else self._limit(locking, left))
                    client.outlive_daemon()
                    check_reclaimed(client.peer, granted.element, message.element)
                except BaseException:
                    client.close()
                    raise
                return client, granted
            except (DaemonLost, DaemonUnreachable) as e:
                now = self._clock.seconds()
                if insists and isinstance(e, DaemonUnreachable) and e.is_refused:
                    give_up = now + seconds
                if now >= give_up:
                    raise
                pause = RETRY if endpoint else until_next_look(now - began)
            await deferLater(self._clock, pause)


class _WayBack:
    """The way back to a lock whose connection has ended: to the same daemon, or to the one that takes over."""

    def __init__(self, arbiter: RemoteArbiter, message: Lock, granted: Granted) -> None:
        """@param message: the request for the lock that was C{granted}."""
        self._arbiter = arbiter
        self._message = message
        self._granted = granted
        self._holder = new_holder()

    def leads_from(self, ended: LockClient) -> bool:
        """
        Return whether the lock can still be ours: in a group, where the next daemon knows of us, or if its connection
        has C{ended} by being broken.
        """
        is_broken = bool(ended.session and ended.is_broken)
        return self._arbiter._successor is not None or ended.is_awaited or is_broken

    def time_left(self, ended: LockClient) -> float:
        """Return the seconds for which the lock, whose connection has C{ended}, is to be looked for."""
        if ended.holding is not None:
            return math.inf
        is_in_group = self._arbiter._successor is not None
        return RECLAIM_TIMEOUT if is_in_group else ended.time_to_come_back or RECLAIM_TIMEOUT

    def limit(self, reclaiming: Deferred[None]) -> None:
        """Cancel C{reclaiming} soon: the lock is to be released."""
        reclaiming.addTimeout(CLOSE_TIMEOUT, self._arbiter._clock)

    async def take(self, ended: LockClient, seconds: float, *, insists: bool = False) -> LockClient:
        """
        Acquire the lock of a connection that has C{ended} again.

        @param seconds: for which to try.
        @param insists: true to try for as long again whenever the host of the daemon says that there is none.
        @raise FlomError: that was not possible.
        """
        arbiter, granted = self._arbiter, self._granted
        again = self._message.replace(
            wait=False,
            create=True,
            regains=True,
            extended=False,
            holder=self._holder,
            element=granted.element,
            token=granted.token or 0,
            session=ended.session if ended.is_broken or granted.proof or arbiter._successor is not None else "",
            proof=granted.proof,
        )
        client, found = await arbiter._reclaim(self._holder, arbiter._extend(again), seconds, insists)
        self._granted = granted.replace(proof=found.proof)
        return client

"""The ways of one client to its daemon, and back to a lock whose connection has ended."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from flom.client.deferred.connection import LockClient
from flom.client.deferred.heartbeat import Heartbeats, LossPolicy
from flom.client.retry import (
    ANSWER_TIMEOUT,
    CLOSE_TIMEOUT,
    COME_BACK_TIMEOUT,
    FIRST_ANSWER,
    KEPT_RETRY,
    LONG_RETRY,
    RETRY,
    UNLOCK_TRY,
    check_reclaimed,
    new_holder,
    silent,
    until_next_look,
    with_time_left,
)
from flom.core.heartbeat import Heartbeat
from flom.core.lease import NEVER
from flom.core.protocol.encode import extend
from flom.core.protocol.events import Granted
from flom.core.protocol.messages import Lock, Terms
from flom.core.protocol.parts import again
from flom.errors import DaemonLost, DaemonUnreachable
from flom.net.keepalive import Keepalive

if TYPE_CHECKING:
    from flom.core.modes import LockMode
    from flom.tls.context import Tls

_T = TypeVar("_T")

RECLAIM_TIMEOUT: Final = 10.0
"""
Seconds that a holder looks for the daemon that takes over, if no L{Heartbeat} says for how long. If none stands by, a
client that starts daemons has one elected after about 3 s; this client starts none.
"""

_LOOKS: Final = 4  # for a daemon within the patience of a lease, at least


class Ways:
    """
    The ways to the daemon, and to the one that takes over.

    @ivar clock: the reactor.
    @ivar is_in_group: true if the daemon is the leader of a group.
    @ivar hosts: how many there are, one of which leads; 1 if there is no choice.
    @ivar loss_policy: says when a lock counts as lost whose daemon is not heard.
    @ivar heartbeats: looks after the locks that are held.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        peer: str,
        clock: Any,
        keepalive: Keepalive,
        tls: Tls | None,
        *,
        is_extended: bool,
        forget: Callable[[], None] | None,
        successor: Callable[[int], IStreamClientEndpoint] | None,
        loss_policy: LossPolicy | None,
        hosts: int,
    ) -> None:
        """See C{RemoteArbiter}; with C{is_extended}, the daemon is told that it has a client of this project."""
        self.clock = clock
        self.is_in_group = forget is not None
        self.loss_policy = loss_policy or LossPolicy(is_in_group=self.is_in_group)
        self.heartbeats = Heartbeats(clock)
        self._tls = tls
        self._endpoint = self._secure(endpoint)
        self._peer = peer
        self._is_extended = is_extended
        self.hosts = hosts
        self._forget = forget
        self._successor = successor
        self._factory: Any = Factory.forProtocol(lambda: LockClient(peer, clock, keepalive, tls))
        self._factory.noisy = False

    @property
    def lead_to_successor(self) -> bool:
        """True if locks can be reclaimed from the next leader of a group."""
        return self._successor is not None

    @property
    def waits_for_leader(self) -> bool:
        """True if daemons agree on one that leads, which is waited for as long as there is none."""
        return self.hosts > 1 or self.loss_policy.is_by_quorum

    def forget(self) -> None:
        """Note that the daemon has gone: in a group, another one will lead."""
        if self._forget is not None:
            self._forget()

    def until_next_host(self, took: float, longest: float = LONG_RETRY) -> float:
        """Return the seconds until the next look for a daemon; see L{until_next_look}."""
        return until_next_look(took, longest) / self.hosts

    def left_without_answer(self, client: LockClient, locking: Deferred[Granted]) -> Deferred[Granted]:
        """Leave C{client} for another host if it does not answer soon: its daemon may be stopped, and not lead."""
        if self.hosts == 1:
            return locking

        def leave() -> None:
            if not client.has_answered:
                client.break_off()

        timer = self.clock.callLater(FIRST_ANSWER, leave)

        def stop(result: Granted | Failure) -> Granted | Failure:
            if timer.active():
                timer.cancel()
            return result

        return locking.addBoth(stop)

    def is_old(self, terms: Terms, asked_at: float) -> bool:
        """Return whether the daemon has to be asked if a grant on C{terms} still holds, asked for at C{asked_at}."""
        return self.heartbeats.now() - asked_at > self.loss_policy.age_of_doubt(terms)

    def extend(self, message: Lock) -> Lock:
        """Return C{message} as the daemon is to get it."""
        return extend(message) if self._is_extended else message

    async def connect(self, endpoint: IStreamClientEndpoint | None = None) -> LockClient:
        """Connect by C{endpoint}; by default, by the usual one."""
        try:
            client = await (endpoint or self._endpoint).connect(self._factory)
        except ConnectingCancelledError as e:
            raise CancelledError from e  # the caller sees one kind of error in every case
        assert isinstance(client, LockClient)
        return client

    def limit(self, waiting: Deferred[_T], patience: float) -> Deferred[_T]:
        """Fail C{waiting} with L{DaemonUnreachable} after C{patience} seconds."""

        def expire(result: _T | Failure, seconds: float) -> _T | Failure:
            if isinstance(result, Failure) and result.check(CancelledError):
                return Failure(silent(self._peer, seconds))
            return result  # it was decided before

        return waiting.addTimeout(patience, self.clock, expire)

    async def reclaim(
        self,
        holder: int,
        message: Lock,
        seconds: float,
        *,
        insists: bool,
        is_for_release: bool,
        heartbeat: Heartbeat | None,
    ) -> tuple[LockClient, Granted, float]:
        """
        Acquire the lock of C{message} again within C{seconds}.

        @param holder: tells who we are to a daemon that takes over.
        @param insists: true to try for as long again whenever the host of the daemon says that there is none: until
            then, our lock cannot have been another client's, which C{heartbeat} is told.
        @param is_for_release: true to give up if it has said so for L{CLOSE_TIMEOUT} seconds.
        @return: the connection, what was granted, and when it was asked for.
        @raise FlomError: that was not possible.
        """
        self.forget()
        endpoint = None if self._successor is None else self._secure(self._successor(holder))
        began = self.clock.seconds()
        give_up = began + seconds
        refused_since = math.inf
        while True:
            asked_at = self.heartbeats.now()
            try:
                connecting = Deferred.fromCoroutine(self.connect(endpoint))
                left = max(0.0, give_up - self.clock.seconds())
                client = await (connecting if endpoint else self.limit(connecting, min(left, COME_BACK_TIMEOUT)))
                try:
                    left = max(ANSWER_TIMEOUT, give_up - self.clock.seconds())  # one that is there decides
                    if is_for_release and message.session:
                        left = UNLOCK_TRY
                    if self.hosts > 1:
                        left = FIRST_ANSWER
                    wished = 0.0 if message.wishes is None else message.wishes.left
                    asked = with_time_left(message, wished, self.clock.seconds() - began)
                    asked_at, locking = self.heartbeats.now(), client.lock(asked)
                    is_limited = left != math.inf and (is_for_release or not endpoint)
                    granted = await (self.limit(locking, left) if is_limited else locking)
                    client.outlive_daemon()
                    check_reclaimed(client.peer, granted, tuple(part.element for part in message.parts))
                except BaseException:
                    client.close()
                    raise
                return client, granted, asked_at
            except (DaemonLost, DaemonUnreachable) as e:
                self.forget()
                now = self.clock.seconds()
                is_refused = isinstance(e, DaemonUnreachable) and e.is_refused
                refused_since = min(refused_since, now) if is_refused else math.inf
                if insists and is_refused:
                    give_up = now + seconds
                    if heartbeat is not None:
                        heartbeat.lease.sent(asked_at)
                        heartbeat.lease.answered()
                if now >= give_up or (is_for_release and now >= refused_since + CLOSE_TIMEOUT):
                    raise
            longest = LONG_RETRY if insists else KEPT_RETRY
            pause = RETRY if endpoint else self.until_next_host(now - began, longest)
            if heartbeat is not None:
                pause = min(pause, heartbeat.lease.patience / _LOOKS)
            await deferLater(self.clock, pause)

    def _secure(self, endpoint: IStreamClientEndpoint) -> IStreamClientEndpoint:
        return endpoint if self._tls is None else self._tls.secure_client(endpoint)


class WayBack:
    """
    The way back to a lock whose connection has ended: to the same daemon, or to the one that takes over.

    @ivar first_due: when to look after L{heartbeat} first; infinity if there is none.
    """

    def __init__(self, ways: Ways, message: Lock, granted: Granted, terms: Terms, asked_at: float) -> None:
        """
        @param message: the request for the lock that was C{granted} on C{terms}, as it was asked for at C{asked_at}.
        @raise ConfigError: see L{LossPolicy.times_on}.
        """
        self._times = ways.loss_policy.times_on(terms)
        self.first_due = NEVER if self._times is None else asked_at + self._times.interval
        self._terms = terms
        self._heartbeat: Heartbeat | None = None  # which most locks are too short to need
        self._ways = ways
        self._message = message
        self._granted = granted
        self._granted_at = ways.heartbeats.now()
        self._holder = new_holder()
        self._asked_at = asked_at

    @property
    def clock(self) -> Any:
        """The reactor."""
        return self._ways.clock

    def note_mode(self, mode: LockMode, token: int | None = None, proof: str = "") -> None:
        """
        Note in which mode the lock is to be reclaimed.

        @param token: by which it is held in that mode, and C{proof} likewise; C{None} for the one so far.
        """
        self._message = self._message.replace(mode=mode)
        if token is not None:
            self._granted = self._granted.replace(token=token, proof=proof)

    @property
    def heartbeat(self) -> Heartbeat | None:
        """Says for how long the lock can be ours; C{None} if nothing does."""
        if self._heartbeat is None and self._times is not None:
            self._heartbeat = self._ways.loss_policy.begin(self._terms, self._times, self._asked_at)
        return self._heartbeat

    def leads_from(self, ended: LockClient) -> bool:
        """
        Return whether the lock can still be ours: in a group, where the next daemon knows of us, or if its connection
        has C{ended} by being broken.
        """
        is_broken = bool(ended.session and ended.is_broken)
        return self._ways.lead_to_successor or ended.is_awaited or is_broken

    def is_limited_from(self, ended: LockClient) -> bool:
        """
        Return whether another client may be granted the lock when the time is over that L{heartbeat} says: not where
        the daemon that comes next waits for us as long as it takes.
        """
        return ended.holding is None or self._ways.loss_policy.is_strict or ended.terms.quorum

    def limit(self, reclaiming: Deferred[None], seconds: float) -> None:
        """Cancel C{reclaiming} after C{seconds}: the lock is to be released."""
        reclaiming.addTimeout(seconds, self._ways.clock)

    async def reclaim(self, ended: LockClient) -> LockClient:
        """
        Acquire the lock of a connection that has C{ended} again. The caller cancels this when L{heartbeat} says so.

        @raise FlomError: that was not possible.
        """
        heartbeat, insists = self.heartbeat, ended.is_awaited and not ended.terms.quorum
        is_without_end = heartbeat is not None or ended.holding is not None
        seconds = math.inf if is_without_end else RECLAIM_TIMEOUT
        if heartbeat is None:
            return await self.take(ended, seconds, insists=insists)
        heartbeat.lease.reconnected()
        is_late = self._is_late(ended)
        if is_late and (ended.terms.quorum or not ended.is_broken):
            raise _too_late(ended)
        client = await self.take(ended, seconds, insists=insists)
        is_late = is_late or self._is_late(ended)
        if is_late and (ended.terms.quorum or client.session != ended.session):
            client.close()
            raise _too_late(ended)
        heartbeat.lease.renew(client.terms, self._asked_at, is_strict=self._ways.loss_policy.is_strict)
        return client

    def now(self) -> float:
        """Return the time in seconds, of any clock."""
        return self._ways.clock.seconds()  # type: ignore[no-any-return]

    async def take(
        self, ended: LockClient, seconds: float, *, insists: bool = False, is_for_release: bool = False
    ) -> LockClient:
        """
        Acquire the lock of a connection that has C{ended} again.

        @param seconds: for which to try.
        @param insists: see L{Ways.reclaim}, as for C{is_for_release}.
        @raise FlomError: that was not possible.
        """
        granted, is_in_group = self._granted, self._ways.lead_to_successor
        message = again(self._message, granted).replace(
            extended=False,
            holder=self._holder,
            session=ended.session if ended.is_broken or granted.proof or is_in_group else "",
        )
        message = with_time_left(message, granted.left, self._ways.heartbeats.now() - self._granted_at)
        client, found, self._asked_at = await self._ways.reclaim(
            self._holder,
            self._ways.extend(message),
            seconds,
            insists=insists,
            is_for_release=is_for_release,
            heartbeat=self.heartbeat,
        )
        self._granted = granted.proven_by(found)
        self._granted_at = self._ways.heartbeats.now()
        return client

    def _is_late(self, ended: LockClient) -> bool:
        """
        Return whether the time is over after which others may have been granted the lock by a daemon that has gone
        too, and have yet to reclaim it: because we did not run for a while.
        """
        heartbeat, ways = self.heartbeat, self._ways
        is_strict = ways.loss_policy.is_strict or ended.terms.quorum
        return heartbeat is not None and is_strict and heartbeat.lease.is_over(ways.heartbeats.now())


def _too_late(ended: LockClient) -> DaemonLost:
    return DaemonLost(f"the time was over in which {ended.peer} has kept it for us")

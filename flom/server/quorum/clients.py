"""
The clients of a daemon under a quorum (docs/reference/daemon.md, "A quorum").

Every client has a session, over a UNIX socket too, and has to be heard: the next leader grants what a client holds that
it does not hear, and so does this one. That the kernel of a client's host confirms what is sent counts for nothing. A
daemon that does not lead shows its status all the same.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from twisted.application.service import Service
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime

from flom.core.protocol.events import Introduced, Order
from flom.core.protocol.messages import HAS_SESSIONS, Lock, StatusRequest, is_probe
from flom.core.requests import LockRequest, SetRequest
from flom.core.tokens import epoch_of
from flom.server.connection import LockFactory, LockProtocol

if TYPE_CHECKING:
    from flom.server.quorum.arbiter import LeasedArbiter

TURNS: Final = 10
"""Looks for silent holders within the time after which their sessions end."""


class LeasedProtocol(LockProtocol):
    """
    One client.

    @ivar last_heard: the L{LeasedFactory.turn} in which its last heartbeat came, or in which it came itself.
    """

    __slots__ = ("_has_heartbeat", "last_heard")

    _arbiter: LeasedArbiter
    _shared: LeasedFactory

    def __init__(self, shared: LeasedFactory) -> None:
        super().__init__(shared)
        self.last_heard = shared.turn
        self._has_heartbeat = False

    def is_silent(self, turn: int, moment: float) -> bool:
        """
        Return whether the client holds something, and has to be heard for that, and was not.

        @param turn: the last L{LeasedFactory.turn} that is too long ago for a heartbeat.
        @param moment: a grant before that is too long ago, too; seconds of the arbiter's monotonic clock.
        """
        if self.last_heard > turn or not self._has_heartbeat or self._session is None:
            return False
        granted = self._arbiter.last_grant(self._id)
        return granted is not None and granted <= moment

    def end_silent(self, seconds: float) -> None:
        """End the session, because the client was not heard for C{seconds}."""
        if self._shared.throttle.allows("silent clients"):
            self._log.warn("{peer} was not heard for {seconds:g} s: its locks end", peer=self._peer, seconds=seconds)
        self._connection.end()
        self.transport.abortConnection()

    def _answer_ping(self) -> None:
        self.last_heard = self._shared.turn
        if self._arbiter.may_answer:
            super()._answer_ping()

    def _check_id(self, introduced: Introduced) -> None:
        message = introduced.message
        self._has_heartbeat = isinstance(message, Lock) and message.extended >= HAS_SESSIONS
        self._has_to_outlive |= self._has_heartbeat  # where sessions are optional, for those that have them
        super()._check_id(introduced)

    def _is_always_served(self, order: Introduced | Order) -> bool:
        match order:
            case StatusRequest():
                return True
            case LockRequest():
                return is_probe(order.name.text, order)
            case Introduced(message=Lock() as lock):
                return is_probe(lock.name, lock)
            case _:
                return super()._is_always_served(order)

    def _go_on(self, request: LockRequest | SetRequest) -> bool:
        if self._arbiter.may_answer:
            return super()._go_on(request)
        self.hang_up()  # the client tries again
        return True

    def _may_reclaim(self, request: LockRequest) -> bool:
        if epoch_of(request.token) >= self._arbiter.epoch:
            text = "{peer} reclaims what was granted in epoch {theirs}, and this is {ours}: flomctl epoch --raise"
            epochs = {"theirs": epoch_of(request.token), "ours": self._arbiter.epoch}
            self._shared.throttle.warn("epoch", text, peer=self._peer, **epochs)
            return False
        return super()._may_reclaim(request)


class LeasedFactory(LockFactory):
    """
    Makes the daemon's end of every connection.

    @ivar turn: counts the turns of L{Heartbeats}.
    """

    arbiter: LeasedArbiter
    turn = 0
    outlives_unix = True

    def buildProtocol(self, addr: IAddress | None) -> LeasedProtocol | None:
        if self.arbiter.is_closed:
            return None
        protocol = LeasedProtocol(self)
        protocol.factory = self
        return protocol


class Heartbeats(Service):
    """Ends the sessions of clients that hold something, and are not heard for as long as a session is kept."""

    def __init__(self, clock: IReactorTime, factory: LeasedFactory, timeout: float) -> None:
        """@param timeout: that time, in seconds."""
        self._clock = clock
        self._factory = factory
        self._timeout = timeout
        self._began: deque[tuple[int, float]] = deque()  # the last turns, and when each began
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        super().startService()
        self._begin_turn()

    def stopService(self) -> None:
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin_turn(self) -> None:
        self._factory.turn += 1
        self._began.append((self._factory.turn, self._clock.seconds()))
        self._timer = self._clock.callLater(self._timeout / TURNS, self._look)

    def _look(self) -> None:
        """End the sessions of those that were heard last in a turn that has ended the time-out ago, or before."""
        now, period = self._clock.seconds(), self._timeout / TURNS
        is_late = now - self._began[-1][1] >= 2 * period  # this process did not run: what it has not read counts
        silent = self._began[0][0] - 1
        while len(self._began) > 1 and self._began[1][1] <= now - self._timeout:
            silent = self._began.popleft()[0]
        self._begin_turn()
        turn, moment = self._factory.turn, self._factory.arbiter.now().monotonic - self._timeout
        for client in list(self._factory.connected):
            assert isinstance(client, LeasedProtocol)
            if is_late:
                client.last_heard = turn
            elif client.is_silent(silent, moment):
                client.end_silent(self._timeout)

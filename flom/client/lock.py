"""Locks of a daemon as Deferreds: the remote arbiter."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from zope.interface import implementer

from flom.client.protocol import LockClient
from flom.core.messages import Answer, Lock, Unlock
from flom.core.modes import LockMode
from flom.core.names import TimestampName, parse_name
from flom.core.requests import check_quantity
from flom.core.resources.timestamp import unit_of
from flom.errors import DaemonLost, Outcome, ReturnCode, lock_refused
from flom.identity import unique_id
from flom.interfaces import IArbiter, IHeld
from flom.keepalive import DEFAULT_KEEPALIVE, Keepalive

if TYPE_CHECKING:
    from flom.tls import Tls

POOL_KEEPALIVE: Final = Keepalive(time=4, interval=2, probes=2)
"""For those who wait in a pool: if the daemon's host has gone without a word, they should be at the next one soon."""

_RETRY: Final = 0.1  # seconds, before the daemon that has taken over is asked
_POOL_RETRIES: Final = 20


@implementer(IHeld)
class RemoteHeld:
    """
    A lock that a daemon has granted us.

    @ivar element: see L{IHeld}.
    @ivar lost: see L{IHeld}; it fires with L{flom.errors.DaemonLost}.
    """

    def __init__(self, client: LockClient, name: str, element: str | None) -> None:
        self.element = element
        self.lost = client.lost
        self._client = client
        self._name = name

    def release(self, rollback: bool = False) -> Deferred[None]:
        """See L{IHeld.release}; it fires with L{flom.errors.DaemonLost} if there is nobody to take it."""
        return self._client.unlock(Unlock(self._name, rollback))

    def fileno(self) -> int:
        """Give the descriptor of the connection: whoever has it open keeps the lock."""
        return self._client.fileno()


@implementer(IArbiter)
class RemoteArbiter:
    """Asks a daemon, over a connection of its own for each lock, as the protocol wants it (spec 5.6)."""

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        peer: str,
        clock: Any,
        keepalive: Keepalive = DEFAULT_KEEPALIVE,
        *,
        tls: Tls | None = None,
        is_in_pool: bool = False,
    ) -> None:
        """
        @param endpoint: leads to the daemon.
        @param tls: our end of TLS; C{None} for plain text.
        @param peer: names it in errors.
        @param is_in_pool: whether C{endpoint} leads to another daemon when that one has gone, so that who waits may
            go on waiting there.
        """
        self._endpoint = endpoint if tls is None else tls.secure_client(endpoint)
        self._peer = peer
        self._clock = clock
        self._is_in_pool = is_in_pool
        self._keepalive = keepalive
        waiting = keepalive
        if is_in_pool:
            waiting = Keepalive(*(min(pair) for pair in zip(astuple(keepalive), astuple(POOL_KEEPALIVE), strict=True)))
        self._factory = _ClientFactory(peer, clock, waiting, tls)

    def acquire(
        self,
        name: str,
        mode: LockMode = LockMode.EX,
        *,
        quantity: int = 1,
        wait: bool = True,
        create: bool = True,
        lifespan: float = 0.0,
    ) -> Deferred[IHeld]:
        """See L{IArbiter.acquire}."""
        message = Lock(name, LockMode(mode), quantity, wait, create, lifespan, unique_id())
        return Deferred.fromCoroutine(self.lock(message))

    async def lock(self, message: Lock) -> RemoteHeld:
        """
        Ask for what C{message} says; see L{IArbiter.acquire}.

        @raise InvalidTimestampFormat: the name is a timestamp whose format no daemon will take.
        """
        name = parse_name(message.name)
        if isinstance(name, TimestampName):
            unit_of(name.format)
        check_quantity(message.quantity)
        client, answer = await self._ask(message)
        outcome = Outcome(answer.code or 0)
        if outcome is not Outcome.GRANTED:
            client.close()
            raise lock_refused(outcome, message.name, self._peer)
        client.keep_alive(self._keepalive)
        return RemoteHeld(client, message.name, answer.element)

    async def _ask(self, message: Lock) -> tuple[LockClient, Answer]:
        """
        Give the daemon's decision.

        Ask again if we were connected to a daemon at the moment it ended, which has said nothing yet; and in a pool,
        whenever the daemon that we wait at has gone.
        """
        silent = 0
        while True:
            try:
                client = await self._endpoint.connect(self._factory)
            except ConnectingCancelledError as e:
                raise CancelledError from e  # whatever is cancelled, our caller sees one kind of error
            assert isinstance(client, LockClient)
            try:
                return client, await client.lock(message)
            except DaemonLost as e:
                silent = 0 if client.answered else silent + 1
                is_refusal = e.code is ReturnCode.SSL_READ_ERROR  # one that stands by would not have spoken TLS
                retries = _POOL_RETRIES if self._is_in_pool and not is_refusal else 1
                if silent > retries or (client.answered and not self._is_in_pool):
                    raise
            except BaseException:
                client.close()
                raise
            if self._is_in_pool:
                await deferLater(self._clock, _RETRY)


class _ClientFactory(Factory):
    """Makes the client's end of each connection to one daemon."""

    noisy = False

    def __init__(self, peer: str, clock: IReactorTime, keepalive: Keepalive, tls: Tls | None) -> None:
        self._peer = peer
        self._clock = clock
        self._keepalive = keepalive
        self._tls = tls

    def buildProtocol(self, addr: IAddress | None) -> LockClient:
        return LockClient(self._peer, self._clock, self._keepalive, self._tls)

"""A request that is cancelled leaves nothing behind, at any point: while connecting, queued, just granted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.acquisition import Held
from flom.client.deferred.arbiter import MAX_ASKING, RemoteArbiter
from flom.errors import Closed
from flom.interfaces import IHeld
from tests.fakes.tls_network import Endpoint, MemoryNetwork, NetworkDaemon


@implementer(IStreamClientEndpoint)
class SlowEndpoint:
    """Leads to a daemon, in as many steps as a test takes."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connecting: list[tuple[Deferred[IProtocol], IProtocolFactory]] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        connecting: Deferred[IProtocol] = Deferred()
        self._connecting.append((connecting, protocolFactory))
        return connecting

    def step(self) -> bool:
        """Complete one connection; return whether there was one to wait for."""
        if not self._connecting:
            return False
        connecting, factory = self._connecting.pop(0)
        if not connecting.called:
            self._endpoint.connect(factory).chainDeferred(connecting)
        return True


class Scene:
    """
    A user of a lock, in a world that goes on one step at a time.

    @ivar running: the user's coroutine.
    @ivar was_inside: whether the user ever held the lock.
    """

    def __init__(self, *, busy: bool, others: int) -> None:
        """
        @param busy: true if the lock is held until some steps have been made.
        @param others: how many others of the same client wait for it before us.
        """
        self.network = MemoryNetwork()
        self.daemon = NetworkDaemon(self.network, None)
        self._endpoint = SlowEndpoint(self.daemon.endpoint)
        self.client = RemoteArbiter(self._endpoint, "the daemon", self.network.clock, keep=2.0)
        self.was_inside = False
        self._holder: list[Held] = []
        if busy:
            self.daemon.arbiter.acquire("R1").addCallback(self._holder.append)
        self._others = [Deferred.fromCoroutine(self._use()) for _ in range(others)]
        for other in self._others:
            other.addErrback(lambda failure: failure.trap(Closed))
        self.running = Deferred.fromCoroutine(self._use(note=True))

    async def _use(self, note: bool = False) -> None:
        async with self.client.acquire("R1"):
            self.was_inside = self.was_inside or note
            pause: Deferred[None] = Deferred()
            self.network.clock.callLater(1.0, pause.callback, None)
            await pause

    def step(self) -> bool:
        """Make one step; return whether any was left to be made."""
        if self._endpoint.step() or any(pump.pump() for pump in self.network.pumps):
            return True
        if self._holder:
            self._holder.pop().release()
            return True
        if self.running.called and all(other.called for other in self._others):
            return False
        self.network.clock.advance(1.0)
        return True

    def finish(self) -> None:
        while self.step():
            pass


SCENES: dict[str, Callable[[], Scene]] = {
    "a free lock": lambda: Scene(busy=False, others=0),
    "a lock that is held": lambda: Scene(busy=True, others=0),
    "a lock that others of us want too": lambda: Scene(busy=True, others=2),
    "a lock for which we take turns": lambda: Scene(busy=True, others=MAX_ASKING),
}


def check_free(scene: Scene) -> None:
    """Check that the lock has no holder and no waiter."""
    free: list[Held | Failure] = []
    scene.daemon.arbiter.acquire("R1", wait=False).addBoth(free.append)
    assert IHeld.providedBy(free[0]), free
    free[0].release()


@pytest.mark.parametrize("kind", SCENES)
@pytest.mark.parametrize("way", ["cancelled", "closed"])
def test_giving_up_leaves_nothing_behind(kind: str, way: str) -> None:
    scene = SCENES[kind]()
    steps = 0
    while scene.step():
        steps += 1
    assert steps > 3
    outcomes = set()
    for until in range(steps):
        scene = SCENES[kind]()
        for _ in range(until):
            scene.step()
        outcome: list[Failure | None] = []
        scene.running.addBoth(outcome.append)
        if way == "cancelled":
            scene.running.cancel()
        else:
            scene.client.close()
        scene.finish()
        [ended] = outcome
        if isinstance(ended, Failure):
            assert ended.check(CancelledError, Closed), ended
        outcomes.add((ended is None, scene.was_inside))
        check_free(scene)
        if way == "closed":
            scene.network.settle()
            assert scene.daemon.arbiter.is_deserted
    assert (False, False) in outcomes  # some gave up while they waited
    assert any(inside for _, inside in outcomes)  # and some held it

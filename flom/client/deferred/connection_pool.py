"""Connections without a request or a lock, kept for the next lock (docs/compatibility.md, "Protocol: daemon")."""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from flom.client.deferred.connection import LockClient

MAX_KEPT: Final = 64
"""Connections that are kept at most; for each the daemon remembers a resource."""

ANY: Final = ""
"""The resource of a connection that is bound to none yet."""


class ConnectionPool:
    """Keeps connections for a while, by the resource that they are bound to."""

    def __init__(self, clock: IReactorTime, keep: float) -> None:
        """@param keep: seconds that a connection is kept; 0 to keep none."""
        self._clock = clock
        self._keep = keep
        self._kept: dict[LockClient, tuple[str, IDelayedCall]] = {}
        self._coming: set[LockClient] = set()

    def expect(self, client: LockClient) -> None:
        """Note that C{client} will be L{put} here as soon as its lock is released."""
        self._coming.add(client)

    def put(self, client: LockClient, resource: str = ANY) -> None:
        """Keep C{client} if it can be used again; otherwise close it."""
        self._coming.discard(client)
        if self._keep and client.is_reusable and len(self._kept) < MAX_KEPT:
            self._kept[client] = resource, self._clock.callLater(self._keep, self._drop, client)
        else:
            client.close()

    def end(self, client: LockClient) -> None:
        """Close C{client}, whose end L{close} waits for."""
        client.close()
        if not client.closed.called:
            self._coming.add(client)
            client.closed.addCallback(lambda _: self._coming.discard(client))

    def take(self, resource: str) -> LockClient | None:
        """Return the connection that was kept last of those that C{resource} can be asked for on, or C{None}."""
        for wanted in (resource, ANY):
            for client in reversed([client for client, (bound_to, _) in self._kept.items() if bound_to == wanted]):
                self._forget(client)
                if client.is_reusable:
                    return client
        return None

    def close(self) -> Deferred[None]:
        """Close all connections, and keep no other; fires when they have ended."""
        self._keep = 0.0
        ending = [client.closed for client in (*self._coming, *self._kept)]
        for client in list(self._kept):
            self._drop(client)
        return DeferredList(ending).addCallback(lambda _: None)

    def _drop(self, client: LockClient) -> None:
        self._forget(client)
        client.close()

    def _forget(self, client: LockClient) -> None:
        _, timer = self._kept.pop(client)
        if timer.active():
            timer.cancel()

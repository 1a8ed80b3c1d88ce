"""Connections without a request or a lock, kept for the next lock (docs/compatibility.md, "Protocol: daemon")."""

from __future__ import annotations

from collections import defaultdict
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
        self._kept: dict[LockClient, IDelayedCall] = {}
        self._coming: set[LockClient] = set()
        self._by_resource: defaultdict[str, list[LockClient]] = defaultdict(list)

    def expect(self, client: LockClient) -> None:
        """Note that C{client} will be L{put} here as soon as its lock is released."""
        self._coming.add(client)

    def put(self, client: LockClient, resource: str = ANY) -> None:
        """Keep C{client} if it can be used again; otherwise close it."""
        self._coming.discard(client)
        if not self._keep or not client.is_reusable or len(self._kept) >= MAX_KEPT:
            client.close()
            return
        self._by_resource[resource].append(client)
        self._kept[client] = self._clock.callLater(self._keep, self._drop, client, resource)

    def take(self, resource: str) -> LockClient | None:
        """Return the connection that was kept last of those that C{resource} can be asked for on, or C{None}."""
        for key in (resource, ANY):
            while clients := self._by_resource.get(key):
                client = clients[-1]
                self._forget(client, key)
                if client.is_reusable:
                    return client
        return None

    def close(self) -> Deferred[None]:
        """Close all connections, and keep no other; fires when they have ended."""
        self._keep = 0.0
        ending = [client.closed for client in self._coming]
        for resource, clients in list(self._by_resource.items()):
            for client in list(clients):
                ending.append(client.closed)
                self._drop(client, resource)
        return DeferredList(ending).addCallback(lambda _: None)

    def _drop(self, client: LockClient, resource: str) -> None:
        self._forget(client, resource)
        client.close()

    def _forget(self, client: LockClient, resource: str) -> None:
        timer = self._kept.pop(client)
        if timer.active():
            timer.cancel()
        self._by_resource[resource].remove(client)
        if not self._by_resource[resource]:
            del self._by_resource[resource]

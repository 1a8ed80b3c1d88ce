"""Hundreds of waiters at once: those that all leave, and those that are all served."""

from __future__ import annotations

import selectors
from random import Random
from time import monotonic
from typing import Any, Final

from flom.core.modes import LockMode
from flom.core.protocol.messages import Lock, Unlock
from tests.tools.fuzz.checker import Checker, Wrong
from tests.tools.fuzz.crowd import PATIENCE, Address, RawClient

NAME: Final = "herd"
EXCLUSIVE: Final = Lock(NAME, LockMode.EX, wait=True, create=True)


class Herd:
    """Clients that all want one resource for themselves."""

    def __init__(self, addresses: list[Address], random: Random, checker: Checker, size: int) -> None:
        self._random = random
        self._selector = selectors.DefaultSelector()
        self._clients = [RawClient(random.choice(addresses), checker, NAME) for _ in range(size)]
        for client in self._clients:
            self._selector.register(client, selectors.EVENT_READ)

    def ask(self) -> None:
        """Send all requests; check that one is granted and the others wait."""
        for client in self._clients:
            client.say(EXCLUSIVE)
        self._hear_until(lambda: not any(client.witness.asked for client in self._clients))

    def drop_waiters(self) -> None:
        """Drop all waiters, each in its way, and release the holder's lock."""
        waiters = [client for client in self._clients if client.witness.waiting]
        for client in waiters:
            self._leave(client, **self._random.choice([{}, {"reset": True}, {"half": True}]))
        self.serve()

    def serve(self) -> None:
        """Release each lock as soon as it is granted, until no client is left."""
        self._hear_until(self._serve_some)

    def close(self) -> None:
        """Close what is open."""
        for client in self._clients:
            client.socket.close()
        self._selector.close()

    def _serve_some(self) -> bool:
        for client in [client for client in self._clients if client.witness.held]:
            if self._random.random() < 0.5:  # the others give it back by leaving
                client.say(Unlock(NAME))
            self._leave(client)
        return not self._clients

    def _leave(self, client: RawClient, **how: Any) -> None:
        self._selector.unregister(client)
        self._clients.remove(client)
        client.close(**how)

    def _hear_until(self, is_done: Any) -> None:
        deadline = monotonic() + PATIENCE
        while not is_done():
            for key, _ in self._selector.select(0.5):
                client: Any = key.fileobj
                client.hear()
            if monotonic() > deadline:
                raise Wrong(f"{len(self._clients)} clients are not served")

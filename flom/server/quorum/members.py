"""
The daemons that would lead, for the status: C{PREFIX/members/ID} has the identity of each, under a lease of its own.

Nothing is decided by this. A daemon that has ended is listed for up to half a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_hex
from typing import Any, Final

from twisted.internet.task import deferLater

from flom.errors import FlomError
from flom.server.quorum.gateway import Gateway
from flom.server.quorum.wire import put
from flom.text import one_line, truncate

MEMBERS: Final = "members/"

TTL: Final = 30
"""Seconds after which a daemon that has ended is forgotten."""

ROUND: Final = 8.0
"""Seconds between two rounds."""

MOST: Final = 100
"""Names that are kept."""


class Members:
    """
    Lists this daemon, and reads which others are.

    @ivar names: their identities, in order; those of the last round.
    """

    def __init__(self, reactor: Any, gateway: Gateway, identity: str, on_change: Callable[[], None]) -> None:
        """@param on_change: called when L{names} has changed."""
        self.names: tuple[str, ...] = ()
        self._reactor = reactor
        self._gateway = gateway
        self._identity = identity
        self._on_change = on_change
        self._key = gateway.address.key(f"{MEMBERS}{token_hex(8)}")
        self._lease = 0  # 0 for none

    async def run(self) -> None:
        """Go on until this is cancelled."""
        while True:
            try:
                await self._go_round()
            except FlomError:
                pass  # the elector says what is wrong with etcd
            await deferLater(self._reactor, ROUND)

    async def leave(self) -> None:
        """List this daemon no more."""
        lease, self._lease = self._lease, 0
        if lease:
            try:
                await self._gateway.revoke(lease)
            except FlomError:
                pass  # it ends by itself

    async def _go_round(self) -> None:
        gateway = self._gateway
        if not self._lease or await gateway.keep_alive(self._lease) <= 0:
            self._lease = (await gateway.grant_lease(TTL)).id
        [found] = (await gateway.read_all(gateway.address.key(MEMBERS))).found
        if not any(one.key == self._key for one in found):
            await gateway.transact([], [put(self._key, self._identity.encode("utf-8", "replace"), self._lease)])
            [found] = (await gateway.read_all(gateway.address.key(MEMBERS))).found
        names = sorted({truncate(one_line(one.value.decode("utf-8", "replace"))) for one in found})
        before, self.names = self.names, tuple(names[:MOST])
        if self.names != before:
            self._on_change()

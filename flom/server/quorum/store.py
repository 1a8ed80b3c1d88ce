"""What is kept durably beside the locks (L{flom.server.store}), in etcd: C{PREFIX/kept/KEY} for each text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred

from flom.server.quorum.gateway import Gateway
from flom.server.quorum.written import LeadersKeys
from flom.server.store import Store

KEPT: Final = "kept/"


class QuorumStore(Store):
    """What is kept, as long as this daemon leads."""

    def __init__(
        self, reactor: Any, gateway: Gateway, leader_key: str, created: int, on_deposed: Callable[[str], None]
    ) -> None:
        """Make what L{LeadersKeys} is made of."""
        super().__init__("")
        about = KEPT, "holds without a process and values of resources"
        self._keys = LeadersKeys(reactor, gateway, leader_key, created, on_deposed, *about)
        self._texts: dict[str, str] = {}

    @property
    def problem(self) -> str:  # type: ignore[override]  # it is never set
        """Why the last write has not succeeded yet; the empty string if it has."""
        return self._keys.problem

    async def fetch(self) -> None:
        """Read what the leaders before have written; none of them can write any more."""
        found = await self._keys.fetch()
        self._texts = {name: one.value.decode("utf-8", "surrogateescape") for name, one in found}

    def load(self) -> dict[str, str]:
        return dict(self._texts)

    def write(self, key: str, text: str | None) -> Deferred[None]:
        if text is None:
            self._texts.pop(key, None)
        else:
            self._texts[key] = text
        return self._keys.save({key: None if text is None else text.encode("utf-8", "surrogateescape")})

    def close(self, why: str) -> None:
        """Write nothing more: this daemon does not lead, because of C{why}."""
        self._keys.close(why)

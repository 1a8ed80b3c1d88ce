"""
The positions of sequences with a lifespan, in etcd: C{PREFIX/sequences/NAME} for each.

As in the state directory, a sequence that is not transactional is written once in a block of numbers
(L{flom.core.locks.resources.sequence.BLOCK}).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.defer import Deferred

from flom.core.locks.positions import Remembered
from flom.errors import InvalidName
from flom.server.positions import fields_of, remembered_from
from flom.server.quorum.gateway import Gateway
from flom.server.quorum.wire import Denied, KeyValue
from flom.server.quorum.written import LeadersKeys
from flom.text import one_line, truncate

SEQUENCES: Final = "sequences/"


class QuorumPositions:
    """Where sequences are, as long as this daemon leads."""

    def __init__(
        self, reactor: Any, gateway: Gateway, leader_key: str, created: int, on_deposed: Callable[[str], None]
    ) -> None:
        """Make what L{LeadersKeys} is made of."""
        about = SEQUENCES, "positions of sequences"
        self._keys = LeadersKeys(reactor, gateway, leader_key, created, on_deposed, *about)
        self._remembered: dict[str, Remembered] = {}

    @property
    def problem(self) -> str:
        """Why the last write has not succeeded yet; the empty string if it has."""
        return self._keys.problem

    async def fetch(self) -> None:
        """
        Read what the leaders before have written; none of them can write any more.

        @raise Denied: there is something else at one of the keys.
        """
        found = [_parse(name, one) for name, one in await self._keys.fetch()]
        self._remembered = {one.name: one for one in found}

    def load(self) -> list[Remembered]:
        """Return what is remembered."""
        return list(self._remembered.values())

    def save(self, changes: Mapping[str, Remembered | None]) -> Deferred[None]:
        """
        Write C{changes}, of sequences by their names; C{None} for those to be forgotten.

        @return: see L{LeadersKeys.save}.
        """
        for name, one in changes.items():
            if one is None:
                self._remembered.pop(name, None)
            else:
                self._remembered[name] = one
        return self._keys.save(
            {name: None if one is None else json.dumps(fields_of(one)).encode() for name, one in changes.items()}
        )

    def close(self, why: str) -> None:
        """Write nothing more: this daemon does not lead, because of C{why}."""
        self._keys.close(why)


def _parse(name: str, found: KeyValue) -> Remembered:
    try:
        return remembered_from(name, **json.loads(found.value))
    except (ValueError, TypeError, KeyError, InvalidName, RecursionError):
        value = truncate(one_line(found.value.decode("utf-8", "replace")))
        raise Denied(one_line(f"{found.key}: {value} is no position of a sequence")) from None

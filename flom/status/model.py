"""
What a daemon holds and how it fares, as one frozen value: whatever shows it is written from this.

L{flom.server.snapshot} makes it from an arbiter; it travels as JSON (docs/protocol.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

from flom.core.modes import LockMode, compatible
from flom.errors import RemoteProtocolError

TYPES: Final = {1: "simple", 2: "numeric", 3: "set", 4: "hierarchical", 5: "sequence", 6: "timestamp"}
"""FLoM's words for the types of resources, by number (docs/compatibility.md, "File system")."""


class Party(NamedTuple):
    """
    Somebody who holds or waits.

    @ivar number: names what it holds or waits for; unique in one daemon, higher for whoever came later.
    @ivar address: C{ADDRESS/PORT} over TCP, C{localhost/} over a UNIX socket, C{this process} inside the daemon's own.
    @ivar peer_id: the unique id of its machine, if it has sent one.
    @ivar pid: its process, if the kernel tells, as it does for UNIX sockets.
    @ivar uid: likewise.
    @ivar name: what it has asked for: for a hierarchy, the node.
    @ivar mode: C{"EX"} and so on, for simple and hierarchical resources.
    @ivar quantity: for numeric ones.
    @ivar element: what it holds, for sets, sequences and timestamps.
    @ivar seconds: for how long it has held or waited.
    """

    number: int
    address: str
    peer_id: str | None
    pid: int | None
    uid: int | None
    name: str
    mode: str | None
    quantity: int | None
    element: str | None
    seconds: float

    @property
    def who(self) -> str:
        """Names it to a user."""
        return f"pid {self.pid}" if self.pid is not None else self.address


@dataclass(frozen=True, slots=True)
class ResourceStatus:
    """
    One resource; for a hierarchy, the whole tree.

    @ivar number: see L{Party}.
    @ivar name: what it was called when it was made.
    @ivar type: one of L{TYPES}.
    @ivar seconds: for how long there has been one.
    @ivar holders: in the order in which they were granted it.
    @ivar waiters: in the order of arrival.
    @ivar free: what is left: units or slots as a number, elements as a list; C{None} for other types.
    @ivar idle_left: seconds until it is forgotten, if nobody is there; otherwise C{None}.
    """

    number: int
    name: str
    type: str
    seconds: float
    holders: tuple[Party, ...]
    waiters: tuple[Party, ...]
    free: int | tuple[str, ...] | None
    idle_left: float | None

    def blockers(self, waiter: Party) -> list[Party]:
        """Give the holders because of whom C{waiter} waits."""
        return [holder for holder in self.holders if self._is_in_the_way(holder, waiter)]

    def _is_in_the_way(self, holder: Party, waiter: Party) -> bool:
        if holder.mode is None or waiter.mode is None:
            return holder.quantity != 0  # who holds some of it
        if self.type == "hierarchical" and not _are_related(holder.name, waiter.name):
            return False
        return not compatible(LockMode[holder.mode], LockMode[waiter.mode])


@dataclass(frozen=True, slots=True)
class Counts:
    """
    What the daemon has done so far.

    @ivar refused: how often, by the reason.
    @ivar waited: how many grants came within so many seconds, by the upper bound, C{"inf"} for the last.
    @ivar held: likewise, the times from grant to release.
    @ivar waited_seconds: the sum of the times.
    @ivar connections: how many there were.
    @ivar protocol_errors: how many of them broke the protocol.
    @ivar discoveries: how many questions of its group it was asked.
    """

    granted: int
    refused: Mapping[str, int]
    waited: Mapping[str, int]
    waited_seconds: float
    held: Mapping[str, int]
    held_seconds: float
    connections: int
    protocol_errors: int
    discoveries: int


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """
    The daemon itself.

    @ivar started: when, in seconds since the epoch.
    @ivar now: when this was made, likewise.
    @ivar endpoints: where it listens.
    @ivar group: the multicast group, or the empty string.
    @ivar role: C{"leader"} and so on in a group (L{flom.core.protocol.messages.Role}), otherwise the empty string.
    @ivar connected: how many clients are.
    @ivar grants_per_second: over the last ten seconds.
    """

    version: str
    host: str
    pid: int
    started: float
    now: float
    endpoints: tuple[str, ...]
    group: str
    role: str
    connected: int
    grants_per_second: float
    counts: Counts


@dataclass(frozen=True, slots=True)
class Status:
    """
    All of it.

    @ivar incubator: who waits for a resource to be made.
    """

    daemon: DaemonStatus
    resources: tuple[ResourceStatus, ...]
    incubator: tuple[Party, ...]

    def as_json(self) -> str:
        """Write it; L{from_json} reads it."""
        return "".join(self.json_pieces())

    def json_pieces(self) -> Iterator[str]:
        """Write it a little at a time, for whoever has other things to do in between."""
        yield f'{{"daemon":{_dumps(self.daemon)},"resources":['
        comma = ""
        for resource in self.resources:
            yield comma + _dumps(resource)[:-1]
            for kind in ("holders", "waiters"):
                yield f',"{kind}":'
                yield from _list_pieces(getattr(resource, kind))
            yield "}"
            comma = ","
        yield '],"incubator":'
        yield from _list_pieces(self.incubator)
        yield "}"


_PIECE: Final = 500  # parties that are written at once


def _list_pieces(parties: tuple[Party, ...]) -> Iterator[str]:
    comma = "["
    for start in range(0, len(parties), _PIECE):
        found = [dict(zip(Party._fields, party, strict=True)) for party in parties[start : start + _PIECE]]
        yield comma + _dumps(found)[1:-1]
        comma = ","
    yield "]" if parties else "[]"


def _dumps(value: Any) -> str:
    return json.dumps(value, default=_as_dict, separators=(",", ":"))


def _as_dict(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in _FIELDS[type(value)] if name not in ("holders", "waiters")}


_FIELDS: Final[dict[Any, tuple[str, ...]]] = {
    Party: Party._fields,
    **{kind: tuple(field.name for field in fields(kind)) for kind in (ResourceStatus, Counts, DaemonStatus)},
}


def from_json(text: str | bytes) -> Status:
    """
    Read what L{Status.as_json} has written, perhaps that of another version: what is not known is passed over.

    @raise RemoteProtocolError: it is nothing of the kind.
    """
    try:
        found = json.loads(text)
        daemon = dict(found["daemon"])
        daemon["counts"] = _make(Counts, daemon["counts"])
        return Status(
            _make(DaemonStatus, daemon | {"endpoints": tuple(daemon["endpoints"])}),
            tuple(_resource(resource) for resource in found["resources"]),
            tuple(_make(Party, party) for party in found["incubator"]),
        )
    except (ValueError, TypeError, LookupError, AttributeError) as e:
        raise RemoteProtocolError(f"no status: {e!r}") from None


def _resource(found: dict[str, Any]) -> ResourceStatus:
    free = found["free"]
    parties = {kind: tuple(_make(Party, party) for party in found[kind]) for kind in ("holders", "waiters")}
    resource: ResourceStatus = _make(
        ResourceStatus, found | parties | {"free": tuple(free) if isinstance(free, list) else free}
    )
    return resource


def _make(kind: Any, found: dict[str, Any]) -> Any:
    return kind(**{name: found[name] for name in _FIELDS[kind]})


def _are_related(one: str, other: str) -> bool:
    """Tell whether one of two nodes of a hierarchy is the other, or above it."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")

"""
What a daemon holds and how it fares, as one value: all views of it are written from this.

L{flom.server.snapshot} makes it from an arbiter; L{flom.status.json} writes and reads it (docs/protocol.md).
"""

from __future__ import annotations

from flom.core.modes import LockMode, compatible
from flom.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

_MOST_COMPARED: Final = 20_000
"""Pairs of a kind of waiter and a holder that L{ResourceStatus.blocking} compares at most: 20 ms."""


class LockStatus(Value):
    """
    One lock that is held, or waited for.

    @ivar number: unique in one daemon; a later request has a higher one, and keeps it when it is granted.
    @ivar address: C{ADDRESS/PORT} over TCP, C{localhost/} over a UNIX socket, C{this process} inside the daemon's own.
    @ivar peer_id: the unique id of the client's machine; C{None} if it has sent none.
    @ivar pid: the client's process, if the kernel says so, as it does for UNIX sockets.
    @ivar uid: the user of that process, likewise.
    @ivar name: what was asked for: for a hierarchy, the node.
    @ivar mode: C{"EX"} and so on, for simple and hierarchical resources.
    @ivar quantity: for numeric ones.
    @ivar element: what is held, for sets, sequences and timestamps.
    @ivar seconds: for how long it has been held or waited for.
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


class ResourceStatus(Value):
    """
    One resource; for a hierarchy, the whole tree.

    @ivar number: unique among resources and locks of one daemon.
    @ivar name: the one that the client gave which created it.
    @ivar type: see L{flom.core.names.Name.type_name}.
    @ivar seconds: for how long it has existed.
    @ivar free: what is left: units or slots as a number, elements as a list; C{None} for other types.
    @ivar idle_left: seconds until it is forgotten; C{None} while it has holders or waiters.
    @ivar holders: in the order in which they were granted it.
    @ivar waiters: in the order of arrival.
    """

    number: int
    name: str
    type: str
    seconds: float
    free: int | tuple[str, ...] | None
    idle_left: float | None
    holders: tuple[LockStatus, ...] = ()
    waiters: tuple[LockStatus, ...] = ()

    def blockers(self, waiter: LockStatus) -> list[LockStatus]:
        """Return the holders because of which C{waiter} waits."""
        return self._in_the_way(self.holders, waiter)

    def ahead_of(self, waiter: LockStatus) -> list[LockStatus]:
        """Return the waiters that came before C{waiter}; in a hierarchy, only those in its way."""
        earlier = [other for other in self.waiters if other.number < waiter.number]
        return self._in_the_way(earlier, waiter) if self.type == "hierarchical" else earlier

    def blocking(self) -> dict[str, list[int]]:
        """
        Return the numbers of the L{blockers} of each kind of waiter: those of one mode and name have the same.

        In a hierarchy with many nodes, kinds of waiters at the end of the queue may be left out; see L{_MOST_COMPARED}.

        @return: by C{"MODE NAME"}; C{" NAME"} for resources without modes.
        """
        most = max(len(LockMode), _MOST_COMPARED // max(1, len(self.holders)))
        kinds: dict[str, LockStatus] = {}
        for waiter in self.waiters:
            if len(kinds) == most:
                break
            kinds.setdefault(f"{waiter.mode or ''} {waiter.name}", waiter)
        return {kind: [holder.number for holder in self.blockers(waiter)] for kind, waiter in kinds.items()}

    def _in_the_way(self, others: Iterable[LockStatus], waiter: LockStatus) -> list[LockStatus]:
        if waiter.mode is None:
            return [other for other in others if other.quantity != 0]  # each that holds some of it
        mode, node, is_tree = LockMode[waiter.mode], f"{waiter.name}/", self.type == "hierarchical"
        return [
            other
            for other in others
            if other.mode is not None
            and not compatible(LockMode[other.mode], mode)
            and (not is_tree or node.startswith(f"{other.name}/") or f"{other.name}/".startswith(node))
        ]


class Counts(Value):
    """
    What the daemon has done so far.

    @ivar granted: locks.
    @ivar refused: requests, by the reason.
    @ivar waited: how many grants came within so many seconds, by the upper bound, C{"inf"} for the last.
    @ivar waited_seconds: the sum of these times.
    @ivar held: how many locks were released within so many seconds of the grant, likewise.
    @ivar held_seconds: the sum of these times.
    @ivar connections: how many there were.
    @ivar protocol_errors: how many of them broke the protocol.
    @ivar discoveries: how many questions of its group the daemon has heard.
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


class DaemonStatus(Value):
    """
    The daemon itself.

    @ivar started: when, in seconds since the epoch.
    @ivar now: when this was made, in seconds since the epoch.
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


class Status(Value):
    """
    What a daemon holds.

    @ivar incubator: the requests that wait for a resource to be created.
    """

    daemon: DaemonStatus
    resources: tuple[ResourceStatus, ...]
    incubator: tuple[LockStatus, ...]

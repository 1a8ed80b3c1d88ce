"""
What a daemon holds, and its state, as one value: all views of it are written from this.

L{flom.server.snapshot} makes it from an arbiter; L{flom.status.json} writes and reads it (docs/reference/protocol.md).
"""

from __future__ import annotations

from flom.core.modes import LockMode, compatible
from flom.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final, TypeVar

    from flom.status.deadlocks import Circle

    _Kept = TypeVar("_Kept", "LockStatus", "LostStatus")

_MOST_COMPARED: Final = 20_000
"""Pairs of a kind of waiter and a holder that L{ResourceStatus.blocking} compares at most: 20 ms."""


class HoldStatus(Value):
    """A hold without a process, which holds a lock."""

    id: str  # the part of its handle that is no secret
    title: str  # the name that its user has given it; empty for none
    host: str  # where it was begun, as the daemon knows it
    ttl: float  # seconds that it lasts from when it was begun, renewed, or left by a command that had adopted it
    left: float | None  # seconds until it ends; None while a command has adopted it, which is the lock's client then


class LockStatus(Value):
    """One lock that is held, or waited for."""

    number: int  # unique in one daemon; a later request has a higher one, and keeps it when it is granted
    address: str  # ADDRESS/PORT over TCP, "localhost/" over a UNIX socket, "this process" inside the daemon's own
    peer_id: str | None  # the unique id of the client's machine; None if it has sent none
    pid: int | None  # the client's process, if the kernel says so, as for UNIX sockets within one PID namespace
    uid: int | None  # the user of that process, if the kernel says so, as it does for UNIX sockets
    name: str  # what was asked for: for a hierarchy, the node
    mode: str | None  # "EX" and so on, for simple and hierarchical resources
    quantity: int | None  # for numeric ones
    element: str | None  # what is held, for sets, sequences and timestamps
    seconds: float  # for how long it has been held or waited for
    user: str | None = (
        None  # the name of the client's user, if the client tells it, or else as the daemon's host knows it
    )
    command: str | None = None  # the program that the lock is for, likewise; or else what the process runs
    in_grace: bool = False  # whether the client's connection is broken, and the client may come back
    token: str | None = None  # of a holder: the fencing token, as text because many readers of JSON round such numbers
    lineage: tuple[str, ...] = ()  # the client's public id, and those of the commands it runs under, the nearest first
    nested: str = (
        ""  # what was to be done if one of these were in the way: "share", "wait", or to be refused by default
    )
    shares: int | None = None  # what all have in common who hold this together: the number of the first of them
    hold: HoldStatus | None = None  # set if it is held without a process
    beside: tuple[str, ...] = ()  # of a waiter for several locks at once: the names of the others
    converts: int | None = None  # of a holder that waits for another mode: the number of what it holds meanwhile

    @property
    def is_sharer(self) -> bool:
        """Whether it has its lock by sharing that of another one, which has been granted it before."""
        return self.shares not in (None, self.number)


class LostStatus(Value):
    """What a holder has lost, and a lock delay keeps from all clients (docs/howto/limit-holds.md)."""

    number: int  # that of the lock
    name: str  # as of a lock, and the next three too
    mode: str | None
    quantity: int | None
    element: str | None
    left: float  # seconds until it is free


class ResourceStatus(Value):
    """One resource; for a hierarchy, the whole tree."""

    number: int  # unique among resources and locks of one daemon
    name: str  # the one that the client gave which created it
    type: str  # see flom.core.names.Name.type_name
    seconds: float  # for how long it has existed
    free: int | tuple[str, ...] | None  # what is left: units or slots, or elements; None for other types
    idle_left: float | None  # seconds until it is forgotten; None while it has holders or waiters
    holders: tuple[LockStatus, ...]  # in the order in which they were granted it
    waiters: tuple[LockStatus, ...]  # in the order of arrival
    lost: tuple[LostStatus, ...] = ()  # in the order in which holders were lost

    def blockers(self, waiter: LockStatus) -> list[LockStatus]:
        """Return the holders because of which C{waiter} waits."""
        others = (holder for holder in self.holders if holder.number != waiter.converts)
        return self._in_the_way(others, waiter)

    def kept_from(self, waiter: LockStatus) -> list[LostStatus]:
        """Return what lock delays keep because of which C{waiter} waits."""
        return self._in_the_way(self.lost, waiter)

    def ahead_of(self, waiter: LockStatus) -> list[LockStatus]:
        """Return the waiters that came before C{waiter}; in a hierarchy, only those in its way."""
        earlier = [other for other in self.waiters if other.number < waiter.number]
        return self._in_the_way(earlier, waiter) if self.type == "hierarchical" else earlier

    def blocking(self) -> dict[str, list[int]]:
        """
        Return the numbers of the L{blockers} of each kind of waiter: those of one mode and name have the same, but for
        what a conversion holds itself.

        In a hierarchy with many nodes, kinds of waiters at the end of the queue may be left out; see L{_MOST_COMPARED}.

        @return: by C{"MODE NAME"}; C{" NAME"} for resources without modes.
        """
        most = max(len(LockMode), _MOST_COMPARED // max(1, len(self.holders)))
        kinds: dict[str, LockStatus] = {}
        for waiter in self.waiters:
            if len(kinds) == most:
                break
            kinds.setdefault(f"{waiter.mode or ''} {waiter.name}", waiter)
        return {
            kind: [holder.number for holder in self._in_the_way(self.holders, waiter)] for kind, waiter in kinds.items()
        }

    def _in_the_way(self, others: Iterable[_Kept], waiter: LockStatus) -> list[_Kept]:
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
    """What the daemon has done so far."""

    granted: int  # locks
    refused: Mapping[str, int]  # requests, by the reason
    waited: Mapping[str, int]  # grants that came within so many seconds, by the upper bound, "inf" for the last
    waited_seconds: float  # the sum of these times
    held: Mapping[str, int]  # locks that were released within so many seconds of the grant, likewise
    held_seconds: float  # the sum of these times
    connections: int  # how many there were
    protocol_errors: int  # how many of them broke the protocol
    discoveries: int  # questions of its group that the daemon has heard


class QuorumStatus(Value):
    """What a daemon knows of its quorum, by which one daemon at a time leads (docs/reference/daemon.md, "A quorum")."""

    leader: str  # names the daemon that leads: host and process; the empty string if none is known to
    since: float | None  # since when it leads, in seconds since the epoch, as far as is known
    epoch: int  # of its fencing tokens; 0 if it is not known
    granting: bool  # whether this daemon grants locks at this moment
    lease_left: float | None  # seconds until it stops if it hears nothing of etcd; None if it does not lead
    members: tuple[str, ...]  # the daemons that would lead, and the leader, as far as is known
    etcd: Mapping[str, str]  # what is wrong with each endpoint; the empty string if nothing is known to be
    problem: str  # why no lock is granted here although this daemon would lead; the empty string if all is well


class DaemonStatus(Value):
    """The daemon itself."""

    version: str
    host: str
    pid: int
    started: float  # in seconds since the epoch
    now: float  # when this was made, in seconds since the epoch
    up: float  # seconds since it was started, whatever was done to the wall clock
    endpoints: tuple[str, ...]  # where it listens
    group: str  # the multicast group, or the empty string
    role: str  # "leader" and so on in a group or a quorum (flom.core.protocol.messages.Role), or the empty string
    draining: bool  # whether it grants nothing more, and ends when nothing is held
    connected: int  # clients
    grants_per_second: float  # over the last ten seconds
    counts: Counts
    epoch: int = 0  # of its fencing tokens; 0 before the first grant
    state: str = ""  # the directory in which it remembers things; the empty string for none
    state_problem: str = ""  # why it does not remember them there; the empty string if it does
    grace_left: float | None = (
        None  # seconds for which it serves only who held a lock of the daemon before; None if not
    )
    quorum: QuorumStatus | None = None  # None if it leads by itself, or by its group alone


class DoneStatus(Value):
    """A job that was finished under the lock of a resource (docs/howto/once-per-period.md)."""

    key: str  # of the job; the empty string for the only one
    seconds: float  # for how long ago that was
    period: float  # seconds within which it is not to run again
    by: str  # the host that has run it


class ValueStatus(Value):
    """What is kept of a resource beyond its holders."""

    name: str  # of the resource; for a hierarchy, the node
    value: str  # the empty string if there is none
    done: tuple[DoneStatus, ...]  # the oldest first


class Status(Value):
    """What a daemon holds."""

    daemon: DaemonStatus
    resources: tuple[ResourceStatus, ...]
    incubator: tuple[LockStatus, ...]  # the requests that wait for a resource to be created
    deadlocks: tuple[
        Circle, ...
    ] = ()  # see L{flom.status.deadlocks.find_deadlocks}; none if one resource is shown alone
    values: tuple[ValueStatus, ...] | None = ()  # in the order of names; None of an older daemon, which keeps none

"""What is shown of a daemon beside its locks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flom.net.processes import OuterProcesses
from flom.net.who import Commands, UserNames

if TYPE_CHECKING:
    from flom.status.model import QuorumStatus


def _none() -> None:
    """Return what is known of a quorum where there is none."""


@dataclass(slots=True)
class Counters:
    """
    What a daemon counts, and what else it says of itself.

    @ivar started: seconds since the epoch.
    @ivar endpoints: addresses on which it listens.
    @ivar group: the multicast group, or the empty string.
    @ivar role: see L{flom.status.model.DaemonStatus.role}.
    @ivar leader: the daemon of the group that leads, while this one stands by; the empty string if it is not known.
    @ivar key_problem: why its grants have no proof although they should; the empty string if that is not so.
    @ivar quorum: returns what is known of the quorum; C{None} if there is none.
    @ivar outer_pids: what is known of processes that run the commands of others.
    @ivar commands: what processes run that have not said so.
    @ivar users: what their users are called.
    @ivar connections: since the start.
    @ivar protocol_errors: connections that broke the protocol.
    @ivar discoveries: questions for a daemon of its group that it received.
    """

    started: float = field(default_factory=time.time)
    endpoints: list[str] = field(default_factory=list)
    group: str = ""
    role: str = ""
    leader: str = ""
    key_problem: str = ""
    quorum: Callable[[], QuorumStatus | None] = _none
    outer_pids: OuterProcesses = field(default_factory=OuterProcesses)
    commands: Commands = field(default_factory=Commands)
    users: UserNames = field(default_factory=UserNames)
    connections: int = 0
    protocol_errors: int = 0
    discoveries: int = 0

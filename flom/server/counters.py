"""What is shown of a daemon beside its locks."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """
    What a daemon counts, and what else it says of itself.

    @ivar started: seconds since the epoch.
    @ivar endpoints: addresses on which it listens.
    @ivar group: the multicast group, or the empty string.
    @ivar role: see L{flom.status.model.DaemonStatus.role}.
    @ivar key_problem: why its grants have no proof although they should; the empty string if that is not so.
    @ivar connections: since the start.
    @ivar protocol_errors: connections that broke the protocol.
    @ivar discoveries: questions for a daemon of its group that it received.
    """

    started: float = field(default_factory=time.time)
    endpoints: list[str] = field(default_factory=list)
    group: str = ""
    role: str = ""
    key_problem: str = ""
    connections: int = 0
    protocol_errors: int = 0
    discoveries: int = 0

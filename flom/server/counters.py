"""What is counted while a daemon runs, beside its locks."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """
    What is known of a daemon beside its locks.

    @ivar endpoints: where it listens.
    @ivar group: the multicast group, or the empty string.
    @ivar role: see L{flom.status.model.DaemonStatus.role}.
    @ivar connections: how many there were.
    @ivar protocol_errors: how many of them broke the protocol.
    @ivar discoveries: how many questions of its group it was asked.
    """

    started: float = field(default_factory=time.time)
    endpoints: list[str] = field(default_factory=list)
    group: str = ""
    role: str = ""
    connections: int = 0
    protocol_errors: int = 0
    discoveries: int = 0

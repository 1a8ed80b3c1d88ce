"""The times of a group: heartbeats, silence, elections."""

from __future__ import annotations

from flom.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

ROUNDS: Final = 24
"""Announcements of a candidate: two that stand at the same time miss each other only if as many datagrams get lost."""

DEFAULT_CAMPAIGN: Final = 0.5

_ASKING: Final = 0.3  # seconds until a client that has noticed has asked


class Timing(Value):
    """
    The times of a group, all in seconds; they should be the same on all its hosts.

    @ivar heartbeat: from one announcement of a leader to the next.
    @ivar patience: silence after which a leader is considered dead; a few heartbeats.
    @ivar campaign: how long a candidate announces itself before it leads.
    """

    heartbeat: float = 0.4
    patience: float = 1.75
    campaign: float = DEFAULT_CAMPAIGN

    @property
    def succession(self) -> float:
        """
        At least so many seconds are between the last answer of a leader to a client and the lead of its successor,
        which may have heard the leader one heartbeat before, unless the leader says goodbye.
        """
        return max(0.0, self.patience - self.heartbeat) + self.campaign

    @property
    def probe_step(self) -> int:
        """Seconds, from 1 on, between two probes by which a client finds out that the host of its leader has died."""
        return max(1, int((self.patience + self.campaign) // 3))

    @property
    def noticing(self) -> float:
        """
        Seconds from the last announcement of a leader whose host has died, or was cut off, until all of its clients
        have noticed and ask for its successor: after two unanswered probes.
        """
        return self.heartbeat + 3 * self.probe_step + _ASKING

    @property
    def round(self) -> float:
        """From one announcement of a candidate to the next."""
        return self.campaign / ROUNDS

    @property
    def stall(self) -> float:
        """If a round took so long, the process did not run, and may have missed an election: it campaigns anew."""
        return min(self.campaign, DEFAULT_CAMPAIGN) / 3


DEFAULT_TIMING: Final = Timing()

"""The times of a group: heartbeats, silence, elections."""

from __future__ import annotations

from flom.core.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

ROUNDS: Final = 24
"""Announcements of a candidate: two that stand at the same time miss each other only if as many datagrams get lost."""

DEFAULT_CAMPAIGN: Final = 0.5


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
    def round(self) -> float:
        """From one announcement of a candidate to the next."""
        return self.campaign / ROUNDS

    @property
    def stall(self) -> float:
        """If a round took so long, the process did not run, and may have missed an election: it campaigns anew."""
        return min(self.campaign, DEFAULT_CAMPAIGN) / 3


DEFAULT_TIMING: Final = Timing()

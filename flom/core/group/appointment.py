"""
A daemon's part in a group whose leader a quorum decides (docs/explanation/groups.md, "A quorum").

It has the calls of an L{Election}, and the actions that follow from them; but it leads while it is told to, and not
because of what the group says. It announces itself as leaders do, so that clients find it. While it stands by, it
answers candidates: they are daemons without a quorum, and must not lead beside one that may lead at any moment.
"""

from __future__ import annotations

from typing import Any

from flom.core.group.election import Action, Announce, BecameStandby, Election
from flom.core.group.timing import DEFAULT_TIMING, Timing
from flom.core.protocol.messages import Role, Standing


class Appointment(Election):
    """One daemon's part; see L{Election}, which has the arguments."""

    def __init__(self, node: str, now: float, wall: int, timing: Timing = DEFAULT_TIMING) -> None:
        super().__init__(node, now, wall, timing)
        self._stand_by(now, wall)

    @property
    def standing(self) -> Standing:
        return Standing(self._node, self.role, self._since, quorum=True)

    @property
    def keeps_others_back(self) -> bool:
        """True if clients are to be told that there will be a leader: this daemon stands by, and hears of none."""
        return self.role is Role.STANDBY and self.leader is None

    def appoint(self, now: float, wall: int) -> list[Action]:
        """Lead from now on."""
        return self._lead(now, wall) if self.role is not Role.LEADER else []

    def dismiss(self, now: float, wall: int) -> list[Action]:
        """Stand by from now on."""
        if self.role is not Role.LEADER:
            return []
        self._stand_by(now, wall)
        return [BecameStandby(), Announce(self.standing)]

    def is_alone(self, now: float) -> bool:
        return self.role is Role.LEADER

    def hear(self, other: Standing, now: float, wall: int, source: Any = None) -> list[Action]:
        if other.node == self._node:
            return []
        match self.role, other.role:
            case _, Role.CANDIDATE:
                return self._answer(now)
            case Role.LEADER, Role.LEADER if not other.quorum:
                return self._insist(other, now, source)
            case Role.STANDBY, Role.LEADER if other.quorum:
                return self._follow(other, now, source)
            case Role.STANDBY, _ if self.leader is not None and self.leader.node == other.node:
                self.leader = None
                return [BecameStandby()]
        return []

    def hear_of(self, leader: Standing, now: float, wall: int, source: Any = None) -> list[Action]:
        """Ignore what others have heard."""
        return []

    def tick(self, now: float, wall: int) -> list[Action]:
        if now < self.deadline:
            return []
        self.deadline = now + self._timing.heartbeat
        if self.role is Role.LEADER:
            return [Announce(self.standing)]
        if self.leader is not None and now >= self._lost_at:
            self.leader = None
            return [BecameStandby()]
        return []

    def yield_to(self, rival: Standing, now: float, wall: int, source: Any = None) -> list[Action]:
        """Yield to no daemon."""
        return []

    def lead_alone(self, now: float, wall: int) -> list[Action]:
        """Lead only when appointed, on this host too."""
        return []

    def lose_hearing(self, now: float, wall: int) -> list[Action]:
        """Lead on: the quorum decides."""
        return []

    def can_succeed(self, node: str) -> bool:
        """Return false: the quorum decides."""
        return False

"""
Who leads when several daemons share one multicast group: messages and time in, decisions out.

A daemon that starts stands for election: it announces itself again and again for a while, and leads if nothing that it
hears comes before it (L{rank}). A leader announces itself from time to time, and answers every candidate. The others
stand by; they stand for election when the leader says goodbye or has been silent for too long. Of two leaders, which
only a parted network can bring about, the one that has led for a shorter time yields, once it is sure of the other.

A candidate does not win if it does not even hear its own announcements, which the group carries back to it: it would
not hear others either.

What is said is a L{Standing}. Daemons of FLoM know nothing of all this: they lead, come before everybody, and are heard
only when they are asked (L{FLOM}).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flom.core.group.timing import DEFAULT_TIMING, ROUNDS, Timing
from flom.core.protocol.messages import Role, Standing

FLOM: Final = Standing("", Role.LEADER, 0)
"""A daemon of FLoM 1.7.2, which cannot yield."""


def rank(standing: Standing) -> tuple[bool, int, str]:
    """
    Order those who want to lead, the same way everywhere; the lowest wins.

    Leaders come before candidates, and of two alike the one that has been it for longer.
    """
    return (standing.role is not Role.LEADER, standing.since, standing.node)


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the group what this daemon is."""

    standing: Standing


@dataclass(frozen=True, slots=True)
class Relay:
    """Tell the daemon that was just heard, and nobody else, what another one is, whom it seems not to hear."""

    standing: Standing


@dataclass(frozen=True, slots=True)
class Lead:
    """Grant locks from now on."""


@dataclass(frozen=True, slots=True)
class Follow:
    """C{leader} is the one who grants locks."""

    leader: Standing


@dataclass(frozen=True, slots=True)
class Verify:
    """C{rival}, just heard, seems to lead too and comes before us: if it can be reached, call L{Election.yield_to}."""

    rival: Standing


@dataclass(frozen=True, slots=True)
class Outrank:
    """C{rival} leads too, and will have to yield to us."""

    rival: Standing


@dataclass(frozen=True, slots=True)
class Yield:
    """Grant nothing more, let those who hold locks finish, then call L{Election.finished}."""

    rival: Standing


@dataclass(frozen=True, slots=True)
class Deaf:
    """We would lead, but do not even hear ourselves: whoever leads would go unheard as well. We stand by instead."""


Action = Announce | Relay | Lead | Follow | Verify | Outrank | Yield | Deaf


class Election:
    """
    One daemon's part in it, as a candidate at first.

    Every call takes the present: C{now} in seconds of a monotonic clock, C{wall} in milliseconds since the epoch.

    @ivar role: what this daemon is; one that is yielding stands by already.
    @ivar leader: whom it follows, if it knows of any.
    @ivar deadline: when L{tick} is due, on the clock of C{now}.
    @ivar may_win: set it to false as long as whoever is to lead in case of victory is not ready.
    """

    def __init__(self, node: str, now: float, wall: int, timing: Timing = DEFAULT_TIMING) -> None:
        """
        @param node: see L{Standing.node}.
        """
        self.role = Role.CANDIDATE
        self.leader: Standing | None = None
        self.deadline = now
        self.may_win = True
        self._node = node
        self._timing = timing
        self._is_yielding = False
        self._outranked: tuple[Standing | None, float] = (None, now - timing.patience)  # the last one, and when
        self._can_vouch = False  # whether we have heard our leader ourselves
        self._lost = ""  # the last leader that we have waited for in vain
        self._lost_at = now  # when the leader is taken for dead, if it is not heard before
        self._announced_at = now - timing.round  # as a leader, in answer to somebody
        self._rounds = 0  # in a row that nothing was heard against, since we hear ourselves
        self._deaf_rounds = 0  # in a row that we have not heard ourselves
        self._hears_itself = False
        self._is_deaf = False
        self._stand(now, wall)

    @property
    def standing(self) -> Standing:
        """What this daemon says of itself."""
        return Standing(self._node, self.role, self._since)

    def hear(self, other: Standing, now: float, wall: int) -> list[Action]:
        """
        Take what a daemon says of itself, or L{FLOM} for the answer of one that says nothing.

        What we say ourselves comes back from the group too. A candidate to whom it does not is behind a firewall, or
        the like, and does not win.
        """
        if other.node == self._node:
            self._hears_itself = True
            self._is_deaf = False
            return []
        match self.role, other.role:
            case Role.CANDIDATE, Role.LEADER:
                self._stand_by(now, wall)
                return self._follow(other, now)
            case Role.CANDIDATE, Role.CANDIDATE if rank(other) < rank(self.standing):
                self._stand_by(now, wall)
            case Role.STANDBY, Role.LEADER if self._is_as_good_as_ours(other):
                return self._follow(other, now)
            case Role.STANDBY, Role.CANDIDATE if self.leader is not None and self._can_vouch and now < self._lost_at:
                return [Relay(self.leader)]  # which may be busy just now
            case Role.STANDBY, Role.CANDIDATE if self.leader is None:
                self._lost_at = now + self._timing.patience  # it will lead, or we shall hear of who does
            case Role.STANDBY, Role.LEAVING if self.leader is not None and self.leader.node == other.node:
                self.leader, self._lost = None, other.node
                if not self._is_yielding:
                    self._stand(now, wall)
                    return self.tick(now, wall)
            case Role.LEADER, Role.CANDIDATE:
                return self._answer(now)
            case Role.LEADER, Role.LEADER if rank(other) < rank(self.standing):
                return [Verify(other), *self._make_known(other, now)]
            case Role.LEADER, Role.LEADER:
                return self._insist(other, now)
        return []

    def hear_of(self, leader: Standing, now: float, wall: int) -> list[Action]:
        """Take what another daemon says of the leader it follows. It may be gone; but we wait for it only once."""
        if self.role is not Role.CANDIDATE or leader.role is not Role.LEADER or leader.node in (self._node, self._lost):
            return []
        actions = self.hear(leader, now, wall)
        self._can_vouch = False  # hearsay ends here
        return actions

    def tick(self, now: float, wall: int) -> list[Action]:
        """Do what time demands."""
        match self.role:
            case _ if now < self.deadline:
                return []
            case Role.CANDIDATE:
                return self._campaign(now, wall)
            case Role.LEADER:
                self.deadline = now + self._timing.heartbeat
                return [Announce(self.standing)]
            case _:
                return self._watch(now, wall)

    def lead(self, now: float, wall: int, elected: Standing | None = None) -> list[Action]:
        """
        Lead.

        @param elected: the candidate that has won, another process on this host, in whose place we do.
        """
        self._become(Role.LEADER, wall)
        if elected is not None:
            self._node, self._since = elected.node, elected.since
        self.leader = self.standing
        self.deadline = now + self._timing.heartbeat
        return [Lead(), Announce(self.standing)]

    def yield_to(self, rival: Standing, now: float, wall: int) -> list[Action]:
        """Take it that C{rival}, another leader, is there and can be reached."""
        if self.role is not Role.LEADER or rank(self.standing) < rank(rival):
            return []
        self._is_yielding = True
        self._stand_by(now, wall)
        self._follow(rival, now)
        return [Yield(rival)]

    def finished(self) -> None:
        """Take it that nobody holds anything of us any more."""
        self._is_yielding = False

    def was_unheard(self) -> None:
        """Take it that the last announcement could not be sent; a candidate that nobody can hear does not win."""
        self._rounds = self._deaf_rounds = -1  # the round that has begun with it does not count

    def leave(self) -> list[Action]:
        """Say goodbye; nothing else may be called after this."""
        if self.role is not Role.LEADER:
            return []
        return [Announce(Standing(self._node, Role.LEAVING, self._since))]

    def _become(self, role: Role, wall: int) -> None:
        self.role = role
        self._since = wall

    def _stand(self, now: float, wall: int) -> None:
        """Be a candidate."""
        self._become(Role.CANDIDATE, wall)
        self.leader = None
        self._rounds = self._deaf_rounds = 0
        self._hears_itself = False
        self._round_began = self.deadline = now

    def _campaign(self, now: float, wall: int) -> list[Action]:
        """Announce ourselves once more, or win."""
        took, self._round_began = now - self._round_began, now
        if took >= self._timing.stall:
            self._rounds = self._deaf_rounds = 0
        elif self._hears_itself:
            self._rounds += 1
        else:
            self._deaf_rounds += 1
        if self._rounds >= ROUNDS and self.may_win:
            return self.lead(now, wall)
        if self._deaf_rounds > ROUNDS:
            return self._step_back(now, wall)
        self.deadline = now + self._timing.round
        return [Announce(self.standing)]

    def _step_back(self, now: float, wall: int) -> list[Action]:
        """Be no candidate until we hear ourselves: others would wait for one that cannot win."""
        self._stand_by(now, wall)
        self._is_deaf = True
        return [Deaf()]

    def _stand_by(self, now: float, wall: int) -> None:
        self._become(Role.STANDBY, wall)
        self.leader = None
        self._lost_at = now + self._timing.patience
        self.deadline = now + self._timing.heartbeat

    def _follow(self, leader: Standing, now: float) -> list[Action]:
        is_new = leader != self.leader
        self.leader = leader
        self._can_vouch = leader != FLOM
        self._lost_at = now + self._timing.patience
        return [Follow(leader)] if is_new else []

    def _is_as_good_as_ours(self, other: Standing) -> bool:
        """Tell whether C{other}, a leader, is the one to follow."""
        ours = self.leader
        return ours is None or other.node == ours.node or rank(other) < rank(ours)

    def _watch(self, now: float, wall: int) -> list[Action]:
        """Stand by, as long as there is somebody to stand by for."""
        can_stand = not self._is_yielding and not self._is_deaf
        if can_stand and now >= self._lost_at:
            self._lost = self.leader.node if self.leader is not None else self._lost
            self._stand(now, wall)
            return self._campaign(now, wall)
        self.deadline = now + self._timing.heartbeat
        if can_stand:
            self.deadline = min(self.deadline, self._lost_at)
        # a daemon of FLoM says that it is there only when it is asked; announcing ourselves does that
        return [Announce(self.standing)] if self.leader == FLOM or self._is_deaf else []

    def _make_known(self, rival: Standing, now: float) -> list[Action]:
        """Let C{rival} know that there are two, before we yield to it; not often, because it will answer."""
        is_due = rival != FLOM and now - self._announced_at >= self._timing.heartbeat / 4
        return self._answer(now) if is_due else []

    def _insist(self, rival: Standing, now: float) -> list[Action]:
        """Tell C{rival} who leads; say so here too, unless it was said a moment ago."""
        last, when = self._outranked
        if rival == last or now - when < self._timing.patience:
            return self._answer(now)
        self._outranked = (rival, now)
        return [Outrank(rival), *self._answer(now)]

    def _answer(self, now: float) -> list[Action]:
        """Announce that we lead, but not more often than a candidate announces itself, however many there are."""
        if now - self._announced_at < self._timing.round / 2:
            return []
        self._announced_at = now
        return [Announce(self.standing)]

"""
Who leads when several daemons share one multicast group: messages and time in, decisions out.

A daemon that starts stands for election: it announces itself again and again for a while, and leads if nothing that it
hears comes before it (L{rank}). A leader announces itself from time to time, and answers every candidate. The others
stand by; they stand for election when the leader says goodbye or has been silent for too long. If a partition of the
network has led to two leaders, the one that has led for a shorter time yields, once it can reach the other.

A candidate does not win if it does not even hear its own announcements, which the group carries back to it: it would
not hear others either.

No candidate wins beside daemons whose leader a quorum decides (L{flom.core.group.appointment}), and their leader comes
before all others.

What is announced is a L{Standing}. Daemons of FLoM take no part in elections: they lead, come before all others, and
are heard only when they are asked (L{FLOM}).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from flom.core.group.ranking import FLOM, rank
from flom.core.group.timing import DEFAULT_TIMING, ROUNDS, Timing
from flom.core.protocol.messages import Role, Standing

GOODBYES: Final = 3
"""Announcements of a leader that leaves; each of them may get lost."""


@dataclass(frozen=True, slots=True)
class Announce:
    """Send C{standing} to the group."""

    standing: Standing


@dataclass(frozen=True, slots=True)
class Relay:
    """Send the standing of another daemon to C{source} alone, which seems not to hear it."""

    standing: Standing
    source: Any = None


@dataclass(frozen=True, slots=True)
class Lead:
    """Grant locks from now on."""


@dataclass(frozen=True, slots=True)
class Follow:
    """Stand by: C{leader} grants the locks."""

    leader: Standing
    source: Any = None


@dataclass(frozen=True, slots=True)
class Verify:
    """C{rival} seems to lead too and comes before this daemon: if it can be reached, call L{Election.yield_to}."""

    rival: Standing
    source: Any = None


@dataclass(frozen=True, slots=True)
class Outrank:
    """C{rival} leads too, and has to yield to this daemon."""

    rival: Standing
    source: Any = None


@dataclass(frozen=True, slots=True)
class Yield:
    """Grant nothing more, let the holders of locks finish, then call L{Election.finished}."""

    rival: Standing
    source: Any = None


@dataclass(frozen=True, slots=True)
class Deaf:
    """Stand by: this daemon would lead, but does not hear itself, so it would hear no other leader either."""


@dataclass(frozen=True, slots=True)
class BecameCandidate:
    """This daemon stands for election (again)."""


@dataclass(frozen=True, slots=True)
class BecameStandby:
    """This daemon stands by, for a candidate that comes before it; it does not know yet which one will lead."""


Action = BecameCandidate | BecameStandby | Announce | Relay | Lead | Follow | Verify | Outrank | Yield | Deaf


class Election:
    """
    One daemon's part in the election, as a candidate at first.

    Every call takes the present: C{now} in seconds of a monotonic clock, C{wall} in milliseconds since the epoch.

    @ivar role: what this daemon is; one that is yielding stands by already.
    @ivar leader: the daemon that it follows; C{None} if it knows of none.
    @ivar deadline: when L{tick} is due, on the clock of C{now}.
    """

    def __init__(self, node: str, now: float, wall: int, timing: Timing = DEFAULT_TIMING) -> None:
        """
        @param node: see L{Standing.node}.
        """
        self.role = Role.CANDIDATE
        self.leader: Standing | None = None
        self.deadline = now
        self._node = node
        self._timing = timing
        self._is_yielding = False
        self._outranked: tuple[Standing | None, float] = (None, now - timing.patience)  # the last one, and when
        self._can_vouch = False  # whether we have heard our leader ourselves
        self._lost = ""  # the last leader that we have waited for in vain
        self._lost_at = now  # when the leader is taken for dead, if it is not heard before
        self._announced_at = now - timing.round  # as a leader, in answer to another daemon
        self._rounds = 0  # in a row that nothing was heard against, since we hear ourselves
        self._deaf_rounds = 0  # in a row that we have not heard ourselves
        self._hears_itself = False
        self._is_deaf = False
        self._predecessor: tuple[str, float] = ("", now)  # which has handed over to us, and until when it may not know
        self._other_led_at = now - timing.patience  # when another leader was heard last, or may have been missed
        self._stand(now, wall)

    @property
    def standing(self) -> Standing:
        """What this daemon announces of itself."""
        return Standing(self._node, self.role, self._since)

    def is_alone(self, now: float) -> bool:
        """
        Return whether this daemon leads, and no other leader was heard within L{Timing.patience}.

        Every leader announces itself several times in that time, and answers when it hears another one. A leader that
        did not run for a while may have missed that.
        """
        has_listened = now - self.deadline < self._timing.stall
        return self.role is Role.LEADER and has_listened and now - self._other_led_at >= self._timing.patience

    def hear(self, other: Standing, now: float, wall: int, source: Any = None) -> list[Action]:
        """
        Note the standing that a daemon announces, or L{FLOM} for the answer of one that announces none.

        This daemon's own announcements come back from the group too. A candidate to which they do not is behind a
        firewall, or the like, and does not win.

        @param source: where C{other} was heard, for the actions that concern it.
        """
        if other.node == self._node:
            self._hears_itself = True
            self._is_deaf = False
            return []
        if other.role is Role.LEADER and other.node == self._predecessor[0] and now < self._predecessor[1]:
            return []
        if other.role is Role.LEADER:
            self._other_led_at = now
        match self.role, other.role:
            case Role.CANDIDATE, Role.LEADER:
                self._stand_by(now, wall)
                return self._follow(other, now, source)
            case Role.CANDIDATE, Role.CANDIDATE if rank(other) < rank(self.standing):
                self._stand_by(now, wall)
                return [BecameStandby()]
            case Role.CANDIDATE, _ if other.quorum:  # which may lead at any moment
                self._stand_by(now, wall)
                return [BecameStandby()]
            case Role.STANDBY, Role.STANDBY if other.quorum and self.leader is None:
                self._lost_at = now + self._timing.patience
            case Role.STANDBY, Role.LEADER if self._is_as_good_as_ours(other):
                return self._follow(other, now, source)
            case Role.STANDBY, Role.CANDIDATE if self.leader is not None and self._can_vouch and now < self._lost_at:
                return [Relay(self.leader, source)]  # which may be busy just now
            case Role.STANDBY, Role.CANDIDATE if self.leader is None:
                self._lost_at = now + self._timing.patience  # it will lead, or a leader will be heard
            case Role.STANDBY, Role.LEAVING if self.leader is not None and self.leader.node == other.node:
                self.leader, self._lost = None, other.node
                if not self._is_yielding:
                    self._stand(now, wall)
                    return [BecameCandidate(), *self.tick(now, wall)]
            case Role.LEADER, Role.CANDIDATE:
                return self._answer(now)
            case Role.LEADER, Role.LEADER if rank(other) < rank(self.standing):
                return [Verify(other, source), *self._make_known(other, now)]
            case Role.LEADER, Role.LEADER:
                return self._insist(other, now, source)
        return []

    def hear_of(self, leader: Standing, now: float, wall: int, source: Any = None) -> list[Action]:
        """
        Note the standing of the leader that another daemon follows. It may be gone, so it is waited for only once.

        @param source: where that was heard.
        """
        if self.role is not Role.CANDIDATE or leader.role is not Role.LEADER or leader.node in (self._node, self._lost):
            return []
        actions = self.hear(leader, now, wall, source)
        self._can_vouch = False  # hearsay ends here
        return actions

    def tick(self, now: float, wall: int) -> list[Action]:
        """Return the actions that are due; see L{deadline}."""
        match self.role:
            case _ if now < self.deadline:
                return []
            case Role.CANDIDATE:
                return self._campaign(now, wall)
            case Role.LEADER:
                if now - self.deadline >= self._timing.stall:
                    self._other_led_at = now
                self.deadline = now + self._timing.heartbeat
                return [Announce(self.standing)]
            case _:
                return self._watch(now, wall)

    def yield_to(self, rival: Standing, now: float, wall: int, source: Any = None) -> list[Action]:
        """Note that C{rival}, another leader, can be reached; see L{Verify}, which has the C{source}."""
        if self.role is not Role.LEADER or rank(self.standing) < rank(rival):
            return []
        self._is_yielding = True
        self._stand_by(now, wall)
        self._follow(rival, now, source)
        return [Yield(rival, source)]

    def finished(self) -> None:
        """Note that the last holder is gone, after L{Yield}."""
        self._is_yielding = False

    def was_unheard(self) -> None:
        """Note that the last announcement could not be sent: a candidate that is not heard does not win."""
        self._rounds = self._deaf_rounds = -1  # the round that has begun with it does not count

    def resume(self, announced: int, last_at: float) -> None:
        """
        Go on with a campaign that was begun, if nothing was heard against it and this daemon hears itself.

        @param announced: how many announcements were sent in a row, one each L{Timing.round}.
        @param last_at: when the last one was, on the clock of L{tick}.
        """
        if self.role is Role.CANDIDATE and self._hears_itself and announced:
            self._rounds = announced - 1  # the last one has just begun
            self._round_began = last_at
            self.deadline = last_at + self._timing.round

    def lead_alone(self, now: float, wall: int) -> list[Action]:
        """Lead without an election: no other daemon can be in the group."""
        return self._lead(now, wall)

    def can_succeed(self, node: str) -> bool:
        """Return whether this daemon can lead at once in the place of C{node}, which has to be its leader."""
        is_ready = self.role is Role.STANDBY and not self._is_yielding and not self._is_deaf
        return is_ready and self.leader is not None and self.leader.node == node

    def succeed(self, now: float, wall: int) -> list[Action]:
        """
        Lead at once in the place of our leader, which has handed over: to all others, this daemon has led for longer.

        It may be called only if L{can_succeed} has said so for this leader.
        """
        assert self.leader is not None
        leader = self.leader
        self._predecessor = leader.node, now + self._timing.patience
        self._other_led_at = now - self._timing.patience
        return self._lead(now, successor_of(leader, self._node).since)

    def hand_over(self, successor: Standing, now: float, wall: int, source: Any = None) -> list[Action]:
        """Stand by for C{successor}, which leads in our place; nothing that we have granted is left here."""
        self._stand_by(now, wall)
        return self._follow(successor, now, source)

    def lose_hearing(self, now: float, wall: int) -> list[Action]:
        """Note that this daemon does not hear the group any more: as a leader, it says goodbye."""
        if self.role is not Role.LEADER:
            return []
        goodbyes = self.leave() * GOODBYES
        self._is_yielding = True
        return [*goodbyes, *self._step_back(now, wall)]

    def leave(self) -> list[Action]:
        """Return the announcement that this daemon leaves; nothing else may be called after this."""
        if self.role is not Role.LEADER:
            return []
        return [Announce(Standing(self._node, Role.LEAVING, self._since))]

    def _become(self, role: Role, wall: int) -> None:
        self.role = role
        self._since = wall

    def _stand(self, now: float, wall: int) -> None:
        """Become a candidate."""
        self._become(Role.CANDIDATE, wall)
        self.leader = None
        self._rounds = self._deaf_rounds = 0
        self._hears_itself = False
        self._round_began = self.deadline = now

    def _campaign(self, now: float, wall: int) -> list[Action]:
        """Announce the candidacy once more, or win."""
        took, self._round_began = now - self._round_began, now
        if took >= self._timing.stall:
            self._rounds = self._deaf_rounds = 0
        elif self._hears_itself:
            self._rounds += 1
        else:
            self._deaf_rounds += 1
        if self._rounds >= ROUNDS:
            return self._lead(now, wall)
        if self._deaf_rounds > ROUNDS:
            return self._step_back(now, wall)
        self.deadline = now + self._timing.round
        return [Announce(self.standing)]

    def _step_back(self, now: float, wall: int) -> list[Action]:
        """Be no candidate until this daemon hears itself: others would wait for one that cannot win."""
        self._stand_by(now, wall)
        self._is_deaf = True
        return [Deaf()]

    def _lead(self, now: float, wall: int) -> list[Action]:
        self._become(Role.LEADER, wall)
        self.leader = self.standing
        self.deadline = now + self._timing.heartbeat
        return [Lead(), Announce(self.standing)]

    def _stand_by(self, now: float, wall: int) -> None:
        self._become(Role.STANDBY, wall)
        self.leader = None
        self._lost_at = now + self._timing.patience
        self.deadline = now + self._timing.heartbeat

    def _follow(self, leader: Standing, now: float, source: Any) -> list[Action]:
        is_new = leader != self.leader
        self.leader = leader
        self._can_vouch = leader != FLOM
        self._lost_at = now + self._timing.patience
        return [Follow(leader, source)] if is_new else []

    def _is_as_good_as_ours(self, other: Standing) -> bool:
        """Return whether C{other}, a leader, is the one to follow."""
        ours = self.leader
        return ours is None or other.node == ours.node or rank(other) < rank(ours)

    def _watch(self, now: float, wall: int) -> list[Action]:
        """Stand by while there is a leader; afterwards, stand for election."""
        can_stand = not self._is_yielding and not self._is_deaf
        if can_stand and now >= self._lost_at:
            self._lost = self.leader.node if self.leader is not None else self._lost
            self._stand(now, wall)
            return [BecameCandidate(), *self._campaign(now, wall)]
        self.deadline = now + self._timing.heartbeat
        if can_stand:
            self.deadline = min(self.deadline, self._lost_at)
        # a daemon of FLoM says that it is there only when it is asked; announcing ourselves does that
        return [Announce(self.standing)] if self.leader == FLOM or self._is_deaf else []

    def _make_known(self, rival: Standing, now: float) -> list[Action]:
        """Announce to C{rival} that there are two leaders, before yielding to it; not often, because it answers."""
        is_due = rival != FLOM and now - self._announced_at >= self._timing.heartbeat / 4
        return self._answer(now) if is_due else []

    def _insist(self, rival: Standing, now: float, source: Any) -> list[Action]:
        """Announce to C{rival} that this daemon leads; report it too, unless that was done a moment ago."""
        last, when = self._outranked
        if rival == last or now - when < self._timing.patience:
            return self._answer(now)
        self._outranked = (rival, now)
        return [Outrank(rival, source), *self._answer(now)]

    def _answer(self, now: float) -> list[Action]:
        """Announce that this daemon leads, but at most twice in each L{Timing.round}."""
        if now - self._announced_at < self._timing.round / 2:
            return []
        self._announced_at = now
        return [Announce(self.standing)]


def successor_of(leader: Standing, node: str) -> Standing:
    """Return the standing of the daemon C{node} to which C{leader} has handed over: it comes before that everywhere."""
    return Standing(node, Role.LEADER, max(0, leader.since - 1))

"""
A multicast group to try an election in: hosts whose clocks differ, datagrams that take their time, get lost or come
twice, daemons that die and start again. Dice decide, so that the same seed makes the same story.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Final

from flom.core.group.election import Action, Announce, Deaf, Election, Follow, Lead, Outrank, Relay, Verify, Yield
from flom.core.group.ranking import FLOM
from flom.core.group.timing import DEFAULT_TIMING, Timing
from flom.core.protocol.messages import Role, Standing

WALL_AT_START: Final = 1_700_000_000.0
RESOLUTION: Final = 2**-20
"""Seconds from one instant to the next; sums of instants are exact."""


@dataclass(eq=False)
class Host:
    """
    A machine with at most one daemon of the group.

    @ivar monotonic: what its monotonic clock said when the story began, in seconds.
    @ivar wall: what its wall clock said then; they need not agree with anybody else's.
    @ivar part: of the network; those in the same part hear each other.
    @ivar election: that of its daemon, if one is running.
    @ivar busy_until: before that, the daemon gets no time to do anything.
    @ivar is_deaf: whether it can send, but no datagram gets in.
    """

    monotonic: float
    wall: float
    part: int = 0
    election: Election | None = None
    busy_until: float = 0.0
    is_deaf: bool = False
    timer: int = -1
    is_verifying: bool = False

    @property
    def role(self) -> Role | None:
        """That of its daemon, if one is running."""
        return None if self.election is None else self.election.role

    @property
    def node(self) -> str:
        """Names its daemon."""
        return "nobody" if self.election is None else self.election.standing.node


class Network:
    """
    Has the daemons do what they decide, as flom/server/discovery.py does.

    @ivar now: seconds since the story began.
    @ivar loss: the part of all datagrams that gets lost.
    @ivar has_flom: whether there is a daemon of FLoM 1.7.2, which answers whatever is announced.
    """

    def __init__(
        self,
        dice: Random,
        size: int,
        *,
        loss: float = 0.0,
        duplicates: float = 0.1,
        max_delay: float = 0.04,
        lateness: float = 0.002,
        clocks_differ: bool = True,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        """
        @param size: how many hosts.
        @param duplicates: the part of all datagrams that comes twice.
        @param max_delay: seconds that a datagram takes, at most.
        @param lateness: seconds that a timer is late, at most.
        """
        self.dice = dice
        self.now = 0.0
        self.loss = loss
        self.has_flom = False
        self._duplicates = duplicates
        self._max_delay = max_delay
        self._lateness = lateness
        self._timing = timing
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = count()
        self._story: list[tuple[float, str, object]] = []
        hour = 3600.0 if clocks_differ else 0.0
        self.hosts = [
            Host(float(dice.randrange(1_000_000)), WALL_AT_START + dice.uniform(-hour / 2, hour / 2))
            for _ in range(size)
        ]

    @property
    def up(self) -> list[Host]:
        """The hosts whose daemon is running."""
        return [host for host in self.hosts if host.election is not None]

    @property
    def leaders(self) -> list[Host]:
        """The hosts whose daemon leads."""
        return [host for host in self.hosts if host.role is Role.LEADER]

    @property
    def has_two_leaders(self) -> bool:
        """Whether two lead of those who hear each other."""
        parts = [host.part for host in self.leaders]
        return len(parts) != len(set(parts))

    @property
    def story(self) -> str:
        """What has happened, for whoever wants to know why."""
        return "\n" + "\n".join(f"{when:10.6f} {who} {what}" for when, who, what in self._story)

    def start(self, host: Host) -> None:
        """Start a daemon on C{host}; an old one dies."""
        host.election = Election(f"{self.dice.getrandbits(32):08x}", *self._clocks(host), self._timing)
        host.is_verifying = False
        host.busy_until = self.now
        self._note(host, f"starts at {host.election.standing.since}")
        self._act(host, host.election.tick(*self._clocks(host)))

    def crash(self, host: Host) -> None:
        """Kill the daemon of C{host}, without a word to others."""
        self._note(host, "crashes")
        host.election = None

    def leave(self, host: Host) -> None:
        """End the daemon of C{host} in good order."""
        assert host.election is not None
        self._note(host, "leaves")
        self._act(host, host.election.leave() * 3)
        host.election = None

    def stall(self, host: Host, seconds: float) -> None:
        """Stop the daemon of C{host} for a while; datagrams wait for it."""
        self._note(host, f"is busy for {seconds:.3f}")
        host.busy_until = _instant(self.now + seconds)
        self._set_timer(host)

    def part(self, groups: list[list[Host]]) -> None:
        """Part the network: only hosts of the same part hear each other."""
        for number, group in enumerate(groups):
            for host in group:
                host.part = number
                self._note(host, f"is in part {number}")

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        """Schedule an event."""
        heappush(self._events, (_instant(self.now + seconds), next(self._serial), event))

    def run(self, seconds: float) -> Iterator[None]:
        """Advance the clock; stop after each event, and in the end."""
        end = _instant(self.now + seconds)
        while self._events and self._events[0][0] <= end:
            self.now, _, event = heappop(self._events)
            event()
            yield
        self.now = end
        yield

    def due_in(self, host: Host) -> float:
        """Return the seconds until the daemon of C{host} has something to do."""
        assert host.election is not None
        return host.election.deadline - host.monotonic - self.now

    def pass_time(self, seconds: float) -> None:
        """Advance the clock."""
        for _ in self.run(seconds):
            pass

    def _clocks(self, host: Host) -> tuple[float, int]:
        return host.monotonic + self.now, round((host.wall + self.now) * 1000)

    def _note(self, host: Host, what: object) -> None:
        self._story.append((self.now, host.node, what))

    def _act(self, host: Host, actions: list[Action], sender: Host | None = None) -> None:
        for action in actions:
            if not isinstance(action, Announce | Relay):
                self._note(host, action)
            match action:
                case Announce(standing):
                    for other in self.hosts:
                        self._send(standing, host, other)
                    self._ask_flom(host)
                case Relay(standing):
                    assert sender is not None
                    self._send(standing, host, sender, relayed=True)
                case Verify(rival):
                    self._verify(host, rival, sender)
                case Yield():
                    self.after(self.dice.uniform(0.0, 2.0), self._unless_replaced(host, Election.finished))
                case Lead() | Follow() | Outrank() | Deaf():
                    pass
        self._set_timer(host)

    def _set_timer(self, host: Host) -> None:
        if host.election is None:
            return
        due = max(host.election.deadline - host.monotonic, host.busy_until, self.now)
        host.timer = timer = next(self._serial)

        def fire() -> None:
            if timer == host.timer and host.election is not None:
                self._act(host, host.election.tick(*self._clocks(host)))

        self.after(due - self.now + self.dice.uniform(0.0, self._lateness), fire)

    def _is_lost(self) -> bool:
        return self.dice.random() < self.loss

    def _send(self, standing: Standing, sender: Host | None, addressee: Host, *, relayed: bool = False) -> None:
        """
        @param sender: C{None} for the daemon of FLoM.
        """
        if sender is addressee:  # what we announce comes back to us by no network
            self.after(0.0, lambda: self._deliver(standing, sender, addressee, relayed))
            return
        if sender is not None and sender.part != addressee.part:
            return
        for _ in range(2 if self.dice.random() < self._duplicates else 1):
            if not self._is_lost():
                delay = self.dice.uniform(0.0, self._max_delay)
                self.after(delay, lambda: self._deliver(standing, sender, addressee, relayed))

    def _ask_flom(self, asker: Host) -> None:
        def answer() -> None:
            if self.has_flom:
                self._send(FLOM, None, asker)

        if not self._is_lost():
            self.after(self.dice.uniform(0.0, self._max_delay), answer)

    def _deliver(self, standing: Standing, sender: Host | None, addressee: Host, relayed: bool) -> None:
        if addressee.busy_until > self.now:  # and then it looks at its timers before it reads
            late = addressee.busy_until + self._lateness - self.now
            self.after(late, lambda: self._deliver(standing, sender, addressee, relayed))
        elif addressee.election is not None and not addressee.is_deaf:
            hear = addressee.election.hear_of if relayed else addressee.election.hear
            self._act(addressee, hear(standing, *self._clocks(addressee)), sender)

    def _verify(self, host: Host, rival: Standing, sender: Host | None) -> None:
        """Connect, which takes a round trip and minds no losses."""
        if host.is_verifying:
            return
        host.is_verifying = True

        def reach(election: Election) -> None:
            host.is_verifying = False
            if self.has_flom if sender is None else sender.part == host.part and sender.node == rival.node:
                self._act(host, election.yield_to(rival, *self._clocks(host)), sender)

        trip = self.dice.uniform(0.0, self._max_delay) + self.dice.uniform(0.0, self._max_delay)
        self.after(trip, self._unless_replaced(host, reach))

    def _unless_replaced(self, host: Host, act: Callable[[Election], None]) -> Callable[[], None]:
        """Make what calls C{act} if the daemon of C{host} is still this one."""
        election = host.election

        def later() -> None:
            if election is not None and host.election is election:
                act(election)

        return later


def _instant(seconds: float) -> float:
    """Return the first instant not before C{seconds}."""
    return math.ceil(seconds / RESOLUTION) * RESOLUTION

"""Hosts with clocks of their own, and the order in which all happens: L{Timeline}."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

Call = Callable[..., None]


class Host:
    """
    One host.

    @ivar rate: seconds that its clock counts in a true one.
    @ivar is_frozen: whether nothing of it runs; what would have is done when it thaws, in any order.
    """

    __slots__ = ("_begin", "_timeline", "is_frozen", "late", "name", "rate")

    def __init__(self, timeline: Timeline, name: str, rate: float) -> None:
        self._timeline = timeline
        self.name = name
        self.rate = rate
        self._begin = timeline.random.random() * 1e5  # clocks are not compared
        self.is_frozen = False
        self.late: list[tuple[Call, Any]] = []

    @property
    def now(self) -> float:
        """What its clock shows."""
        return self._begin + self._timeline.now * self.rate

    def after(self, seconds: float, call: Call, *arguments: object) -> None:
        """Call C{call} when its clock has counted C{seconds}."""
        timeline = self._timeline
        heappush(timeline.calls, (timeline.now + seconds / self.rate, next(timeline.ids), self, call, arguments))

    def at(self, when: float, call: Call, *arguments: object) -> None:
        """Call C{call} when its clock shows C{when}, and no earlier by a rounding error."""
        self.after(max(0.0, when - self.now) + 1e-7, call, *arguments)

    def thaw(self) -> None:
        """Go on: do what has come meanwhile."""
        self.is_frozen = False
        late, self.late = self.late, []
        self._timeline.random.shuffle(late)
        for call, arguments in late:
            if self.is_frozen:
                self.late.append((call, arguments))
            else:
                call(*arguments)


class Timeline:
    """
    All that will happen, in true time.

    @ivar now: the true time, in seconds.
    @ivar cuts: pairs of names of hosts of which nothing comes from the first to the second; C{etcd} is one of them.
    @ivar delays: the greatest delay of a message that is delayed, in seconds; C{delayed}: the part of them that is.
    @ivar script: what was done so far, in words.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.now = 0.0
        self.calls: list[tuple[float, int, Host | None, Call, Any]] = []
        self.ids = count(1)
        self.cuts: set[tuple[str, str]] = set()
        self.delays = 0.0
        self.delayed = 0.03
        self.script: list[str] = []

    def at(self, when: float, host: Host | None, call: Call, *arguments: object) -> None:
        """Call C{call} at C{when}, true time, on C{host}, or when that thaws."""
        heappush(self.calls, (when, next(self.ids), host, call, arguments))

    def delay(self) -> float:
        """Return how long a message takes: some milliseconds, seldom a second or two."""
        random = self.random.random
        return random() * self.delays if self.delays and random() < self.delayed else random() * 0.004

    def play(self, until: float) -> None:
        """Do all that happens until then."""
        calls = self.calls
        while calls and calls[0][0] <= until:
            self.now, _, host, call, arguments = heappop(calls)
            if host is not None and host.is_frozen:
                host.late.append((call, arguments))
            else:
                call(*arguments)
        self.now = until

    def say(self, what: str) -> None:
        self.script.append(f"{self.now:.3f} {what}")
        if len(self.script) > 400:
            del self.script[:200]

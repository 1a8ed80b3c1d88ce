"""What critical sections have told of themselves: who held the lock from when to when, and whether two did at once."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from tests.scenarios.lan import critical


@dataclass(frozen=True)
class Holding:
    """
    One run of a critical section.

    @ivar pid: of the command.
    @ivar begin: nanoseconds on the monotonic clock, which all hosts here share.
    @ivar end: likewise; infinite if the command never came to it.
    """

    pid: int
    begin: float
    end: float


class Marks:
    """The file that critical sections write to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def command(self, seconds: float = 0.02) -> list[str]:
        """Return a command that is a critical section for some time."""
        return [sys.executable, "-I", "-S", critical.__file__, str(self._path), str(seconds)]

    def holdings(self) -> list[Holding]:
        """Return all that have begun, in order."""
        text = self._path.read_text() if self._path.exists() else ""
        marks = [(word, int(pid), int(when)) for word, pid, when in map(str.split, text.splitlines())]
        ends = {pid: when for word, pid, when in marks if word == "end"}
        return [Holding(pid, when, ends.get(pid, math.inf)) for word, pid, when in marks if word == "begin"]

    def overlaps(self) -> list[tuple[Holding, Holding]]:
        """Return all that were held at the same time."""
        return [
            (one, other)
            for one, other in combinations(self.holdings(), 2)
            if max(one.begin, other.begin) <= min(one.end, other.end)
        ]

"""
The store that commands under a lock write to: it refuses lower tokens than it has seen, by the product's own fence, and
keeps the order of all that it has heard, by which it is judged whether locks were held as they should be.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Final

from flom.core.history.exclusion import violations
from flom.core.history.holding import Holding
from flom.core.history.numbers import repeated_numbers
from flom.core.history.tokens import late_tokens
from flom.fencing import Fence, StaleToken
from tests.fakes.store import Store
from tests.scenarios.quorum import writer

PATIENT: Final = 2.0
"""Seconds for which a host may be frozen without that its locks are lost: less than the patience of C{flom-run}."""

RECOVERY: Final = 4.0
"""
Seconds after a longer freeze within which commands on that host are not judged: they run until their C{flom-run}, or
its keeper, has noticed, has sent SIGTERM, and after C{--kill-after} SIGKILL. The store alone protects then.
"""

SECOND: Final = 1_000_000_000


@dataclass(frozen=True)
class Write:
    """What the store has heard of a command, as it came."""

    who: int
    at: int
    is_taken: bool


@dataclass
class Job:
    """
    A command under a lock, by what it has told.

    @ivar who: its number.
    @ivar holding: what it held; it ends with the last that it told, unless it has told its end.
    @ivar last: when it has told something last, in nanoseconds.
    """

    who: int
    holding: Holding
    last: int
    has_ended: bool = False


@dataclass
class History:
    """
    All that the store has heard.

    @ivar jobs: commands that have begun, by their numbers.
    @ivar writes: in the order in which they were taken or refused.
    """

    jobs: dict[int, Job] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)

    def beats(self) -> dict[int, list[int]]:
        """Return when each command has written, in nanoseconds."""
        found: dict[int, list[int]] = {who: [] for who in self.jobs}
        for write in self.writes:
            found[write.who].append(write.at)
        return found

    def holdings(self, frozen: dict[int, list[tuple[int, int]]] | None = None) -> list[Holding]:
        """
        Return what was held, from when to when, as far as that is to be judged.

        @param frozen: from when to when the host of a command was frozen, by numbers of commands. A command that was
            frozen for long holds until then, and again if it is still there L{RECOVERY} seconds after it was woken.
        """
        beats = self.beats()
        found: list[Holding] = []
        for job in self.jobs.values():
            whole = job.holding.replace(end=job.last)
            times = [whole.begin, *beats[job.who], job.last]
            for began, ended in (frozen or {}).get(job.who, []):
                if ended - began < PATIENT * SECOND or not whole.begin <= began <= whole.end:
                    continue
                found.append(whole.replace(end=max(time for time in times if time <= began)))
                later = [time for time in times if time >= ended + RECOVERY * SECOND]
                whole = whole.replace(begin=later[0] if later else inf)
            if whole.begin < inf:
                found.append(whole)
        return sorted(found, key=lambda each: each.begin)

    def late_writes(self) -> list[tuple[Write, Write]]:
        """
        Return writes that were taken though a later holder of the same had written, each with that one's.

        Later is who has begun later; tokens are not looked at.
        """
        found = []
        latest: dict[str, Write] = {}
        for write in self.writes:
            holding = self.jobs[write.who].holding
            if not write.is_taken or not is_fenced(holding):
                continue
            other = latest.setdefault(holding.name, write)
            if self.jobs[other.who].holding.begin > holding.begin:
                found.append((write, other))
            else:
                latest[holding.name] = write
        return found

    def problems(self, frozen: dict[int, list[tuple[int, int]]] | None = None) -> dict[str, list[Any]]:
        """Return what must not have been, by what it is; nothing if all is well."""
        holdings = self.holdings(frozen)
        firsts = [job.holding for job in self.jobs.values()]
        found: dict[str, list[Any]] = {
            "held beside each other": violations(holdings),
            "tokens did not grow": late_tokens(firsts),
            "no token": [each for each in firsts if not each.token],
            "late writes that were taken": self.late_writes(),
            "given twice": repeated_numbers(firsts),
        }
        return {what: which for what, which in found.items() if which}

    def lines(self, frozen: dict[int, list[tuple[int, int]]] | None = None) -> Iterable[str]:
        """
        Return L{holdings} as lines that C{flomctl check} reads (docs/reference/history.md).

        A command that was frozen for long may be there twice: before, and when it had not ended in time afterwards.
        """
        lead = time.time_ns() - time.monotonic_ns()
        for number, held in enumerate(self.holdings(frozen)):
            what = {key: getattr(held, key) for key in ("name", "mode", "quantity", "element")}
            told = what | {"token": str(held.token), "pid": held.who}
            for event, at in (("begin", held.begin), ("end", held.end)):
                times = {"boottime_ns": int(at), "wall_ns": int(at) + lead}
                always = {"format": 1, "event": event, "id": str(number), "clock": "monotonic"}
                yield json.dumps(always | times | (told if event == "begin" else {}))


def is_fenced(holding: Holding) -> bool:
    """Return whether the store compares the tokens of such a lock: it excludes all others of its resource."""
    return holding.name[0] == "R"


class TokenStore(Store):
    """
    The store; as a context manager, it is gone outside.

    @ivar history: what it has heard.
    """

    def __init__(self, folder: Path) -> None:
        """@param folder: for its socket and the fences of its files."""
        super().__init__(folder / "store")
        self.history = History()
        self._folder = folder

    def command(
        self,
        who: int,
        name: str,
        mode: str = "EX",
        quantity: int = 1,
        *,
        seconds: float | None,
        is_stubborn: bool = False,
    ) -> list[str]:
        """
        Return the words of a command that writes to it.

        @param who: its number; each command has another one.
        @param seconds: how long it writes; C{None}: until it is ended.
        """
        lasting = "-" if seconds is None else f"{seconds:.3f}"
        clock = ["env", "-u", "LD_PRELOAD"]  # whatever the clock of its host is
        program = [*clock, sys.executable, "-I", "-S", writer.__file__, self.path]
        return [*program, str(who), name, mode, str(quantity), lasting, "stubborn" if is_stubborn else "polite"]

    def hear(self, line: str) -> bool:
        """Note what a command tells; return whether its write is taken."""
        told = json.loads(line)
        who, at = told["who"], told["at"]
        if told["what"] == "begin":
            keys = ("name", "mode", "quantity", "element", "token")
            self.history.jobs[who] = Job(who, Holding(who, begin=at, **{key: told[key] for key in keys}), at)
            return True
        job = self.history.jobs[who]
        job.last = at
        if told["what"] == "end":
            job.has_ended = True
            return True
        is_taken = self._is_taken(job.holding)
        self.history.writes.append(Write(who, at, is_taken))
        return is_taken

    def _is_taken(self, holding: Holding) -> bool:
        if not is_fenced(holding):
            return True
        try:
            Fence(self._folder / f"file-{holding.name}").check(holding.token)
        except StaleToken:
            return False
        return True

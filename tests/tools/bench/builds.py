"""What is measured beside each other: this checkout, another one of ours (C{--vs}), and another FLoM (FLOM_PEER)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from shutil import which
from statistics import median
from typing import Final, TypeVar

from tests.fakes.daemon import BIN

OURS: Final = "ours"
VS: Final = "vs"
PEER: Final = "peer"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Build:
    """
    The programs of one build.

    @ivar name: L{OURS}, L{VS} or L{PEER}; the last understands FLoM's options only.
    @ivar bin: the folder where they are.
    """

    name: str
    bin: Path

    def program(self, name: str) -> str | None:
        """
        Return the path of a program; C{None} if this build has none.

        C{flom} stands in for C{flom-run} where there is none. A program of the system counts as one of ours, so that
        it is measured once.
        """
        for own in (name, "flom") if name == "flom-run" else (name,):
            if os.access(self.bin / own, os.X_OK):
                return str(self.bin / own)
        return which(name) if self.name == OURS else None


OUR_BUILD: Final = Build(OURS, BIN)


def find_builds(vs: Path | None, peer: str | None) -> tuple[Build, ...]:
    """
    Return what is to be measured, our own build first.

    @param vs: the folder of another checkout, if there is one.
    @param peer: the folder of another C{flom}, if there is one.
    @raise SystemExit: there is no C{flom} in one of them.
    """
    builds = [OUR_BUILD]
    if vs is not None:
        builds.append(Build(VS, vs.resolve() / ".venv" / "bin"))
    if peer:
        builds.append(Build(PEER, Path(peer).resolve()))
    for build in builds:
        if build.program("flom") is None:
            raise SystemExit(f"bench: there is no program named flom in {build.bin}")
    return tuple(builds)


def take_turns(contenders: Mapping[str, Callable[[], _T]], rounds: int) -> dict[str, list[_T]]:
    """Call C{contenders} in turn, round by round; return what each has returned, by their names."""
    seen: dict[str, list[_T]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contend in contenders.items():
            seen[name].append(contend())
    return seen


def median_ratio(values: Sequence[float], of: Sequence[float]) -> float:
    """
    Compare round by round: the machine may be slower in one round than in the next.

    @param values: one for each round.
    @param of: what they are compared with, likewise.
    """
    return median(ours / theirs if theirs else inf for ours, theirs in zip(values, of, strict=True))

"""
What was held when, as the holders themselves have marked it, and whether it can have been so.

The rules stand here once more, from docs/compatibility.md, "Locks", without any help of the code that arbitrates.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from tests.fakes import critical_section

# docs/compatibility.md, "Lock modes": beside a holder in one mode, these may be held
_BESIDE: Final = {
    "NL": "NL CR CW PR PW EX",
    "CR": "NL CR CW PR PW",
    "CW": "NL CR CW",
    "PR": "NL CR PR",
    "PW": "NL CR",
    "EX": "NL",
}


@dataclass(frozen=True)
class Holding:
    """
    A lock that was held.

    @ivar who: the process id of the command, or any other number of the holder.
    @ivar name: of the resource.
    @ivar begin: nanoseconds on the monotonic clock, which all hosts of one kernel share.
    @ivar end: likewise; infinite if the holder has never told it.
    @ivar mode: counts if the resource has modes.
    @ivar quantity: counts if the resource has units.
    @ivar element: what the lock yielded; empty if nothing.
    @ivar token: the fencing token; 0 if the holder has not told it.
    """

    who: int
    name: str
    begin: float
    end: float = math.inf
    mode: str = "EX"
    quantity: int = 1
    element: str = ""
    token: int = 0


class Violation(NamedTuple):
    """A lock that must not have been held beside others, which had begun before, or at all."""

    holding: Holding
    beside: tuple[Holding, ...]
    why: str


def violations(holdings: Iterable[Holding]) -> list[Violation]:
    """Return all holdings that should not have begun when they did, in order; they count all the same afterwards."""
    found: list[Violation] = []
    held: dict[str, list[Holding]] = defaultdict(list)  # by resources
    for holding in sorted(holdings, key=lambda each: each.begin):
        resource = resource_of(holding)
        beside = [other for other in held[resource] if other.end >= holding.begin]
        found += [Violation(holding, tuple(others), why) for others, why in _excluded(holding, beside)]
        held[resource] = [*beside, holding]
    return found


def resource_of(holding: Holding) -> str:
    """Return the name of the resource that C{holding} is of: in a hierarchy, of its tree."""
    return "/" + holding.name.split("/")[1] if holding.name.startswith("/") else holding.name


def late_tokens(holdings: Iterable[Holding]) -> list[tuple[Holding, Holding]]:
    """
    Return holdings whose token is not what it should be, each with the one before it that shows that: two holdings of
    one resource have the same token, or the later one has the lower token of two that exclude each other.

    Of two that may be held beside each other, the one that was granted first may begin last.
    """
    found: list[tuple[Holding, Holding]] = []
    owners: dict[tuple[str, int], Holding] = {}
    highest: dict[str, dict[tuple[str, str, str, int], Holding]] = defaultdict(dict)  # of each kind, by resources
    for holding in sorted(filter(lambda each: each.token, holdings), key=lambda each: each.begin):
        resource = resource_of(holding)
        if (owner := owners.setdefault((resource, holding.token), holding)) is not holding:
            found.append((holding, owner))
        kinds = highest[resource]
        for other in kinds.values():
            if other.token > holding.token and any(others for others, _ in _excluded(holding, [other])):
                found.append((holding, other))
        kind = (holding.name, holding.mode, holding.element, holding.quantity)
        kinds[kind] = max(kinds.get(kind, holding), holding, key=lambda each: each.token)
    return found


def repeated_numbers(holdings: Iterable[Holding], kills: Sequence[float] = ()) -> list[tuple[Holding, Holding]]:
    """
    Return holdings of sequences whose number an earlier one has had already, each with that one.

    @param kills: when daemons were killed whose successors know no more than what holders reclaim, in nanoseconds. If
        none of the numbers from that one on was held then, it may be given again.
    """
    found: list[tuple[Holding, Holding]] = []
    held: dict[str, list[Holding]] = defaultdict(list)
    for holding in sorted(holdings, key=lambda each: each.begin):
        if holding.name.startswith(("_s_", "_S_")):
            held[holding.name].append(holding)
    for its in held.values():
        last: dict[str, Holding] = {}
        for holding in its:
            former = last.get(holding.element)
            last[holding.element] = holding
            if former is None:
                continue
            between = [kill for kill in kills if former.begin < kill < holding.begin]
            if not between or any(
                each.begin < between[-1] < each.end and int(each.element) >= int(holding.element) for each in its
            ):
                found.append((holding, former))
    return found


def _excluded(holding: Holding, beside: list[Holding]) -> Iterator[tuple[list[Holding], str]]:
    """Return which of C{beside}, of the same resource, exclude C{holding}, and why."""
    name = holding.name
    if name.startswith("/"):
        yield from _excluded_by_mode(holding, [other for other in beside if _are_related(name, other.name)])
    elif name.startswith("_t_"):
        yield from _excluded_by_number(len(beside) + 1, name, beside, "slots")
    elif name.startswith(("_s_", "_S_")):
        yield from _excluded_by_number(len(beside) + 1, name, beside, "slots")
        yield from _excluded_by_element(holding, beside, 1 if holding.element else 0)
    elif name.endswith("]"):
        others = [other for other in beside if other.quantity]
        yield from _excluded_by_number(sum(each.quantity for each in [*others, holding]), name, others, "units")
    elif "." in name:
        yield from _excluded_by_element(holding, beside, name.split(".").count(holding.element))
    else:
        yield from _excluded_by_mode(holding, beside)


def _excluded_by_mode(holding: Holding, beside: list[Holding]) -> Iterator[tuple[list[Holding], str]]:
    if others := [other for other in beside if holding.mode not in _BESIDE[other.mode].split()]:
        yield others, f"{holding.mode} beside {', '.join(other.mode for other in others)}"


def _excluded_by_number(taken: int, name: str, beside: list[Holding], what: str) -> Iterator[tuple[list[Holding], str]]:
    total = int(name[name.rindex("[") + 1 : -1])
    if taken > total:
        yield beside, f"{taken} of {total} {what}"


def _excluded_by_element(holding: Holding, beside: list[Holding], times: int) -> Iterator[tuple[list[Holding], str]]:
    """@param times: how often the resource has the element of C{holding}."""
    others = [other for other in beside if other.element == holding.element]
    if not times:
        yield [], f"{holding.element!r} is no element"
    elif len(others) >= times:
        yield others, f"{holding.element!r} is held"


def _are_related(node: str, other: str) -> bool:
    """Return whether two nodes of a hierarchy are the same, or one is above the other."""
    return f"{node}/".startswith(f"{other}/") or f"{other}/".startswith(f"{node}/")


class Marks:
    """The file that the commands of a test write to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def job(self, *options: str, seconds: float | None = None) -> list[str]:
        """Return words for C{flom-run}: C{options}, and the L{command} under the lock that they name."""
        return [*options, "--", *self.command(*options, seconds=seconds)]

    def command(self, *options: str, seconds: float | None = None) -> list[str]:
        """
        Return a command to be run under the lock that C{options} of C{flom-run} name.

        @param seconds: how long it takes; by default, until it gets a line or its stdin is closed.
        """
        name, mode, quantity = (
            _value("-r", options, "_RESOURCE"),
            _value("-l", options, "EX"),
            _value("-q", options, "1"),
        )
        assert mode in _BESIDE
        lasting = "-" if seconds is None else str(seconds)
        program = [sys.executable, "-I", "-S", critical_section.__file__]
        return [*program, str(self._path), name, mode, str(int(quantity)), lasting]

    def note_death(self, pid: int) -> None:
        """Mark that a process is about to be killed, which cannot mark its end then, if it is a command at all."""
        critical_section.mark(str(self._path), "death", pid)

    def holdings(self) -> list[Holding]:
        """Return all that have begun, in the order of their marks."""
        found: list[Holding] = []
        open_: dict[str, int] = {}  # the places there of those that have not ended, by process
        for word, pid, when, *lock in self._lines():
            if word == "begin":
                name, mode, quantity, element, token = lock
                open_[pid] = len(found)
                held = Holding(int(pid), name, int(when), math.inf, mode, int(quantity), element, int(token or 0))
                found.append(held)
            elif pid in open_:
                place = open_.pop(pid)
                found[place] = replace(found[place], end=int(when))
        return found

    def violations(self) -> list[Violation]:
        """Return what must not have been, see L{violations}."""
        return violations(self.holdings())

    def _lines(self) -> Iterator[list[str]]:
        text = self._path.read_text(errors="surrogateescape") if self._path.exists() else ""
        return (line.split("\t") for line in text.split("\n")[:-1])


def _value(option: str, options: tuple[str, ...], default: str) -> str:
    """Return the value of an option, the last one if it is there twice."""
    places = [place for place, word in enumerate(options) if word == option]
    return options[places[-1] + 1] if places else default

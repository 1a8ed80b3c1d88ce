"""
Whether each number of a sequence was given once, and those that were rolled back again
(docs/explanation/resources.md).
"""

from __future__ import annotations

from collections import defaultdict

from flom.core.history.holding import Holding, Violation
from flom.core.names import SequenceName, parse_name
from flom.core.tokens import epoch_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


def repeated_numbers(holdings: Iterable[Holding], kills: Sequence[float] = (), skew: float = 0) -> list[Violation]:
    """
    Return holdings of sequences whose number an earlier one has had already, each with that one.

    A number may be given again if it was rolled back, in a transactional sequence, or if that is not known. So it may
    be if the sequence may have been forgotten, because it had no holder for its lifespan.

    @param kills: when daemons were killed whose successors know no more than what holders reclaim, in nanoseconds. If
        none of the numbers from that one on was held then, it may be given again.
    @param skew: nanoseconds by which clocks differ at most.
    """
    found: list[Violation] = []
    for name, its in _by_sequences(holdings):
        lapses = sorted([*kills, *_lapses(its, skew)])
        last: dict[str, Holding] = {}
        for holding in its:
            former = last.get(holding.element)
            last[holding.element] = holding
            if former is None or (name.transactional and not _is_kept_before(former, holding, skew)):
                continue
            between = [lapse for lapse in lapses if former.begin < lapse < holding.begin]
            if not between or any(
                each.begin < between[-1] < each.end and _number(each) >= _number(holding) for each in its
            ):
                found.append(Violation(holding, (former,), f"number {holding.element} a second time"))
    return found


def lost_rollbacks(holdings: Iterable[Holding], undecided: Iterable[str] = (), skew: float = 0) -> list[Violation]:
    """
    Return holdings of transactional sequences that were given a new number, though one that had been rolled back was
    free and was never given again, each with the one that had rolled back.

    Only numbers of one daemon are compared: what a daemon was about to give when it was killed is left out.

    @param undecided: the names of resources that were asked for without a known outcome: a lost answer may have had the
        number.
    """
    found: list[Violation] = []
    skipped = {parse_name(name).key for name in undecided}
    for name, its in _by_sequences(holdings):
        if not name.transactional or name.key in skipped or any(each.is_kept is None for each in its):
            continue
        last = {each.element: each for each in its}
        free = [each for each in last.values() if each.is_kept is False]
        given: set[str] = set()
        for holding in its:
            if holding.element not in given:
                for other in free:
                    if other.released + skew < holding.asked and epoch_of(other.token) == epoch_of(holding.token):
                        why = f"number {holding.element}, and {other.element}, rolled back before, is free"
                        found.append(Violation(holding, (other,), why))
            given.add(holding.element)
    return found


def _by_sequences(holdings: Iterable[Holding]) -> Iterator[tuple[SequenceName, list[Holding]]]:
    """Return each sequence, and its holdings in the order in which they have begun."""
    of: dict[SequenceName, list[Holding]] = defaultdict(list)
    for holding in sorted(holdings, key=lambda each: each.begin):
        name = parse_name(holding.name)
        if isinstance(name, SequenceName) and holding.element.isascii() and holding.element.isdigit():
            of[name].append(holding)
    yield from of.items()


def _is_kept_before(former: Holding, holding: Holding, skew: float) -> bool:
    """
    Return whether C{former} has kept its number before C{holding} was given it: if it is not sure which of the two came
    first, whether both have kept it.
    """
    is_in_order = former.begin + skew <= holding.begin
    return bool(former.is_kept) and (is_in_order or bool(holding.is_kept))


def _lapses(its: list[Holding], skew: float) -> Iterator[float]:
    """Return moments at which the sequence of C{its}, in order, may have been forgotten: it had no holder for long."""
    lifespan = min(each.lifespan for each in its)
    until = its[0].end
    for holding in its[1:]:
        if holding.begin - until + skew > lifespan:
            yield (until + holding.begin) / 2
        until = max(until, holding.end)


def _number(holding: Holding) -> int:
    return int(holding.element)

"""
All that a history violates, also if its lines come from several hosts.

Times of one clock are compared as they are: that is the clock of one kernel, which all its processes share. Of two
clocks, the wall clocks are compared, which may differ by a skew. So what is found is a violation for sure, if they do
not differ by more, and what overlaps for less than the skew is not found.
"""

from __future__ import annotations

from collections import defaultdict

from flom.core.history.exclusion import violations
from flom.core.history.holding import Holding, Violation, without_shares
from flom.core.history.numbers import lost_rollbacks, repeated_numbers
from flom.core.history.tokens import late_tokens
from flom.core.names import parse_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def judge(
    holdings: Iterable[Holding], skew: float, *, undecided: Iterable[str] = (), unsure: Iterable[str] = ()
) -> list[Violation]:
    """
    Return all violations, in the order of the names of resources.

    @param holdings: with times of the clocks that they name.
    @param skew: nanoseconds by which the wall clocks of two hosts may differ.
    @param undecided: see L{lost_rollbacks}.
    @param unsure: clocks beside which the wall clock was set: what they show is compared with no other clock's.
    """
    of: dict[str, list[Holding]] = defaultdict(list)
    for holding in without_shares(holdings):
        of[parse_name(holding.name).key].append(holding)
    undecided, unsure = set(undecided), set(unsure)
    found: list[Violation] = []
    for _, its in sorted(of.items()):
        clocks = sorted({holding.clock for holding in its})
        for clock in clocks:
            same = [holding for holding in its if holding.clock == clock]
            found += [*violations(same), *late_tokens(same)]
        if len(clocks) == 1:
            found += [*repeated_numbers(its), *lost_rollbacks(its, undecided)]
            continue
        walls = [holding.on_wall_clock() for holding in its if holding.clock not in unsure]
        shrunk = [_shrink(holding, skew / 2) for holding in walls]
        across = [*violations(each for each in shrunk if each.begin <= each.end), *late_tokens(walls, skew)]
        found += [each for each in across if any(other.clock != each.holding.clock for other in each.beside)]
        found += [*repeated_numbers(walls, skew=skew), *lost_rollbacks(walls, undecided, skew)]
    return found


def _shrink(holding: Holding, by: float) -> Holding:
    """
    Return the part of C{holding} that is in it for sure if its clock differs by C{by}: those of two clocks that differ
    by twice as much overlap for sure if these parts do.
    """
    return holding.replace(begin=holding.begin + by, end=holding.end - by)

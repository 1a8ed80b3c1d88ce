"""Whether fencing tokens have grown with the grants (docs/explanation/tokens.md)."""

from __future__ import annotations

from collections import defaultdict

from flom.core.history.exclusion import excluded
from flom.core.history.holding import Holding, Violation
from flom.core.names import parse_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def late_tokens(holdings: Iterable[Holding], skew: float = 0) -> list[Violation]:
    """
    Return holdings whose token is not what it should be, each with the one before it that shows that: two holdings of
    one resource have the same token, or the later one has the lower token of two that exclude each other.

    Of two that may be held beside each other, the one that was granted first may begin last.

    @param skew: nanoseconds by which clocks differ at most; which of two is the later one is not known within them.
    """
    found: list[Violation] = []
    owners: dict[tuple[str, int], Holding] = {}
    highest: dict[str, dict[tuple[str, str, str, int], Holding]] = defaultdict(dict)  # of each kind, by resources
    in_order = sorted((each for each in holdings if each.token), key=lambda each: each.begin)
    earlier = 0  # how many of them have begun before the present one for sure
    for holding in in_order:
        name = parse_name(holding.name)
        if (owner := owners.setdefault((name.key, holding.token), holding)) is not holding:
            found.append(Violation(holding, (owner,), f"token {holding.token} a second time"))
        while in_order[earlier] is not holding and in_order[earlier].begin + skew <= holding.begin:
            _note(highest, in_order[earlier])
            earlier += 1
        for other in highest[name.key].values():
            if other.token > holding.token and any(others for others, _ in excluded(name, holding, [other])):
                found.append(Violation(holding, (other,), f"token {holding.token} after {other.token}"))
    return found


def _note(highest: dict[str, dict[tuple[str, str, str, int], Holding]], holding: Holding) -> None:
    """Note C{holding} in C{highest}, if no other of its kind has a higher token there."""
    kind = (holding.name, holding.mode, holding.element, holding.quantity)
    kinds = highest[parse_name(holding.name).key]
    kinds[kind] = max(kinds.get(kind, holding), holding, key=lambda each: each.token)

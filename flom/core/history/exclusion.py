"""Whether locks were held beside each other that exclude each other (docs/explanation/resources.md)."""

from __future__ import annotations

from collections import defaultdict

from typing_extensions import assert_never

from flom.core.history.holding import Holding, Violation
from flom.core.modes import LockMode, compatible
from flom.core.names import (
    HierarchicalName,
    NumericName,
    SequenceName,
    SetName,
    SimpleName,
    TimestampName,
    parse_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flom.core.names import ResourceName


def violations(holdings: Iterable[Holding]) -> list[Violation]:
    """
    Return all holdings that should not have begun when they did, in order; they count all the same afterwards.

    @param holdings: with times of one clock.
    """
    found: list[Violation] = []
    held: dict[str, list[Holding]] = defaultdict(list)  # by resources
    for holding in sorted(holdings, key=lambda each: each.begin):
        if not holding.has_begun:
            continue
        name = parse_name(holding.name)
        beside = [other for other in held[name.key] if other.end >= holding.begin]
        found += [Violation(holding, tuple(others), why) for others, why in excluded(name, holding, beside)]
        held[name.key] = [*beside, holding]
    return found


def excluded(name: ResourceName, holding: Holding, beside: list[Holding]) -> Iterator[tuple[list[Holding], str]]:
    """
    Return which of C{beside} exclude C{holding}, and why.

    @param name: of C{holding}.
    @param beside: holders of the same resource, at the same time.
    """
    match name:
        case SimpleName():
            yield from _excluded_by_mode(holding, beside)
        case HierarchicalName():
            related = [other for other in beside if _are_related(name, parse_name(other.name))]
            yield from _excluded_by_mode(holding, related)
        case TimestampName():
            yield from _excluded_by_number(len(beside) + 1, name.slots, beside, "slots")
        case SequenceName():
            yield from _excluded_by_number(len(beside) + 1, name.slots, beside, "slots")
            yield from _excluded_by_element(holding, beside, 1 if holding.element else 0)
        case NumericName():
            others = [other for other in beside if other.quantity]
            taken = sum(other.quantity for other in others) + holding.quantity
            yield from _excluded_by_number(taken, name.total, others, "units")
        case SetName():
            yield from _excluded_by_element(holding, beside, name.elements.count(holding.element))
        case _:
            assert_never(name)


def _excluded_by_mode(holding: Holding, beside: list[Holding]) -> Iterator[tuple[list[Holding], str]]:
    mode = LockMode[holding.mode]
    if others := [other for other in beside if not compatible(LockMode[other.mode], mode)]:
        yield others, f"{holding.mode} beside {', '.join(other.mode for other in others)}"


def _excluded_by_number(
    taken: int, total: int, beside: list[Holding], what: str
) -> Iterator[tuple[list[Holding], str]]:
    if taken > total:
        yield beside, f"{taken} of {total} {what}"


def _excluded_by_element(holding: Holding, beside: list[Holding], times: int) -> Iterator[tuple[list[Holding], str]]:
    """@param times: how often the resource has the element of C{holding}."""
    others = [other for other in beside if other.element == holding.element]
    if not times:
        yield [], f"{holding.element!r} is no element"
    elif len(others) >= times:
        yield others, f"{holding.element!r} is held"


def _are_related(node: HierarchicalName, other: ResourceName) -> bool:
    """Return whether two nodes of a hierarchy are the same, or one is above the other."""
    assert isinstance(other, HierarchicalName)
    return all(one == another for one, another in zip(node.levels, other.levels, strict=False))

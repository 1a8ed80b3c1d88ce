"""
Holders that want to know when they stand in the way (docs/howto/yield-when-wanted.md).

A holder stands in the way if a request waits that could not be granted beside what it holds, whatever else is held. It
is told once, until no such request waits any more; then it is told of the next one.

Holders of the same name in the same mode stand in the way of the same requests, so they make one group, and a change of
the queue is looked at once for each group: a simple resource has six at most, a hierarchy as many as there are nodes
that such holders hold, in as many modes.
"""

from __future__ import annotations

from collections.abc import Collection

from flom.core.effects import Effect, Wanted
from flom.core.locks.circles import is_in_the_way
from flom.core.locks.resources.base import Holding, Resource
from flom.core.modes import LockMode
from flom.core.requests import LockRequest

_Kind = tuple[str, LockMode, bool]
"""The name, the mode, and whether it is more than no units: what decides of which requests a holding stops."""


class _Group:
    """
    Holdings of one kind.

    @ivar told: those whose holder knows that it stands in the way.
    @ivar untold: the others.
    """

    __slots__ = ("told", "untold")

    def __init__(self) -> None:
        self.told: dict[Holding, None] = {}
        self.untold: dict[Holding, None] = {}


class Watch:
    """The holders of one resource that want to know; it is false if there are none."""

    __slots__ = ("_groups", "_resource")

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._groups: dict[_Kind, _Group] = {}

    def __bool__(self) -> bool:
        return bool(self._groups)

    def begin(self, holding: Holding) -> None:
        """Note that C{holding} was granted to a holder that wants to know; L{look} tells it."""
        self._groups.setdefault(_kind(holding), _Group()).untold[holding] = None

    def end(self, holding: Holding) -> bool:
        """Note that C{holding} has ended; return whether its holder wanted to know."""
        kind = _kind(holding)
        group = self._groups.get(kind)
        if group is None or not (holding in group.told or holding in group.untold):
            return False
        group.told.pop(holding, None)
        group.untold.pop(holding, None)
        if not group.told and not group.untold:
            del self._groups[kind]
        return True

    def look(
        self,
        effects: list[Effect],
        elsewhere: Collection[LockRequest] = (),
        conversions: Collection[tuple[Holding, LockRequest]] = (),
    ) -> None:
        """
        Add to C{effects} what is to be told to holders, after any change of the holders or of the queue.

        @param elsewhere: requests that wait in another queue than that of the resource.
        @param conversions: of what waits to be converted, each with what it would be.
        """
        for group in self._groups.values():
            one = next(iter(group.told or group.untold))
            spared: Holding | None = None
            is_wanted = self._resource.is_in_the_way(one) or (
                bool(elsewhere)
                and self._resource.is_full()
                and any(is_in_the_way(one.request, each) for each in elsewhere)
            )
            if not is_wanted and conversions:
                waiting = [holding for holding, asked in conversions if is_in_the_way(one.request, asked)]
                is_wanted = bool(waiting)
                spared = waiting[0] if len(waiting) == 1 else None  # it waits for itself alone
            if not is_wanted:
                group.untold |= group.told
                group.told.clear()
                continue
            if spared is not None and spared in group.told:
                del group.told[spared]
                group.untold[spared] = None
            for holding in [each for each in group.untold if each is not spared]:
                effects.append(Wanted(holding.request))
                del group.untold[holding]
                group.told[holding] = None


def _kind(holding: Holding) -> _Kind:
    request = holding.request
    return request.name.text, request.mode, request.quantity > 0

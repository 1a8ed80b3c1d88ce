"""What a status says, in the words that users read."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from flom.status.model import Party, ResourceStatus

_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"))


def spell_seconds(seconds: float) -> str:
    """Write for how long something has been so, in whole units: C{"37 s"}, C{"2 min"}, C{"3 h"}, C{"4 d"}."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0) // 1:.0f} s"


def spell_party(party: Party) -> str:
    """Name somebody who holds or waits: C{"pid 4711 (uid 0)"}, or the address."""
    return party.who if party.uid is None else f"{party.who} (uid {party.uid})"


def spell_wish(party: Party) -> str:
    """Write in which mode, how much or what is held or waited for; the empty string if there is nothing to tell."""
    if party.mode is not None:
        return party.mode
    if party.quantity is not None:
        return str(party.quantity)
    return party.element or ""


def before(resource: ResourceStatus, waiter: Party) -> list[Party]:
    """Give those who wait for C{resource} and came before C{waiter}; in a hierarchy, only if they are in its way."""
    earlier = tuple(other for other in resource.waiters if other.number < waiter.number)
    if resource.type != "hierarchical":
        return list(earlier)
    return replace(resource, holders=earlier).blockers(waiter)

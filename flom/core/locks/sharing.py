"""
Locks that several sessions hold together: a command and those that run under it (docs/howto/nested-locks.md).

The resource has granted one of them what all of them hold. It stays held until the last of them has ended.
"""

from __future__ import annotations

from flom.core.effects import Instant
from flom.core.locks.circles import covers
from flom.core.locks.resources.base import Holding, Resource
from flom.core.modes import CW, PR, PW
from flom.core.requests import LockRequest


class Sharing:
    """
    All who share what was granted once.

    @ivar bases: what the resource has granted, and is to release in the end; the sessions may have ended it. There is
        one, or several nodes of a hierarchy while they are reclaimed.
    @ivar number: that of the first of them.
    """

    __slots__ = ("_members", "_rollback", "bases", "number")

    def __init__(self, first: Holding) -> None:
        self.bases = [first]
        self.number = first.number
        self._rollback = True
        self._members = {first: None}
        first.sharing = self

    def base_of(self, request: LockRequest) -> LockRequest:
        """Return for what the resource has granted what C{request} shares."""
        return next((base.request for base in self.bases if covers(base.request, request)), self.bases[0].request)

    def add(self, holding: Holding) -> None:
        """Note that C{holding} shares it."""
        holding.sharing = self
        self._members[holding] = None

    def release(self, resource: Resource, holding: Holding, rollback: bool) -> None:
        """
        End C{holding}; if it was the last one, release all of it, which is rolled back if the session that was granted
        it has done so, or has not been seen to end.
        """
        del self._members[holding]
        if holding in self.bases:
            self._rollback = rollback
        if not self._members:
            for base in self.bases:
                resource.release(base, self._rollback)


def free(resource: Resource, holding: Holding, rollback: bool) -> None:
    """End C{holding}, be it shared or not; its resource may be held by others who share it."""
    if holding.sharing is None:
        resource.release(holding, rollback)
    else:
        holding.sharing.release(resource, holding, rollback)


def share(held: Holding, request: LockRequest) -> Holding:
    """Return what C{request} gets, which shares what was granted to C{held}."""
    holding = Holding(request, held.element, held.slot, token=held.token)
    (held.sharing or Sharing(held)).add(holding)
    return holding


def share_again(resource: Resource, held: Holding, request: LockRequest, now: Instant) -> Holding | None:
    """
    Return what C{request} gets, which reclaims what it has shared with C{held} at another daemon; C{None} if that is
    not possible beside what is held now.

    They come in any order. If a stronger one comes later, or one of another node, the resource grants that, in the
    place of what it covers. Two of which none covers the other, in PR and CW, had shared at least PW.
    """
    sharing = held.sharing or Sharing(held)
    if any(covers(base.request, request) for base in sharing.bases):
        return share(held, request)
    stronger = [request, request.in_mode(PW)] if request.name.has_mode and request.mode in (CW, PR) else [request]
    for asked in stronger:
        covered = [base for base in sharing.bases if covers(asked, base.request)]
        for base in covered:
            resource.release(base, False)
        fits = resource.fits(asked, now)
        if fits:
            sharing.bases = [base for base in sharing.bases if base not in covered] + [resource.take(asked, now)]
            break
        again = {id(base): resource.take(base.request, now) for base in covered}
        sharing.bases = [again.get(id(base), base) for base in sharing.bases]
    return share(held, request) if fits else None

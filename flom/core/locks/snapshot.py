"""The lock table as others may see it: its holders and waiters, as values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flom.core.locks.resources.base import Holding
from flom.core.requests import LockRequest


class LockView(NamedTuple):
    """
    A holder or a waiter.

    @ivar number: names it; no two locks, requests or resources of a table have the same; later ones have higher ones.
    @ivar since: when it began to hold or to wait, in seconds of the monotonic clock.
    @ivar element: which one it holds, for sets, sequences and timestamps.
    @ivar token: of a holder, see L{flom.core.effects.Granted}; 0 for a waiter.
    @ivar joint: of a waiter for several locks at once: the number of the first of them; 0 for others.
    @ivar beside: the names of the others of these, in the order in which they were asked for.
    @ivar held: for what was granted what it shares with other holders; C{None} if it shares nothing.
    @ivar shares: the number that all have in common who share it, that of the first of them; C{None} likewise.
    @ivar converts: of a conversion that waits: the number of what is held, and waits for another mode; 0 for others.
    @ivar until: when it will have been held for too long, in seconds of the monotonic clock; C{None} for no limit.
    """

    number: int
    request: LockRequest
    since: float
    element: str | None = None
    token: int = 0
    joint: int = 0
    beside: tuple[str, ...] = ()
    held: LockRequest | None = None
    shares: int | None = None
    converts: int = 0
    until: float | None = None


class LostView(NamedTuple):
    """
    What a holder has lost, and no client is granted yet because of a lock delay.

    @ivar number: that of the lock, see L{LockView}, as for C{token}.
    @ivar until: when it is free, in seconds of the monotonic clock.
    """

    number: int
    request: LockRequest
    element: str | None
    token: int
    until: float

    @classmethod
    def of(cls, lost: tuple[Holding, float]) -> LostView:
        """Return how others may see what is C{lost}, until when."""
        holding, until = lost
        return cls(holding.number, holding.granted, holding.element, holding.token, until)


class ResourceView(NamedTuple):
    """
    One resource.

    @ivar number: see L{LockView}.
    @ivar name: what it was called when it was made.
    @ivar since: when that was, in seconds of the monotonic clock.
    @ivar holders: in the order in which they were granted it.
    @ivar waiters: in the order of arrival; the conversions that wait are among them.
    @ivar free: what is left: units, elements or slots; C{None} for types that have no such number.
    @ivar idle_until: when it will be forgotten, if no session is bound to it; otherwise C{None}.
    @ivar lost: what was lost last and is not free yet.
    """

    number: int
    name: str
    since: float
    holders: list[LockView]
    waiters: list[LockView]
    free: int | tuple[str, ...] | None
    idle_until: float | None
    lost: Sequence[LostView] = ()


class TableView(NamedTuple):
    """
    All of it.

    @ivar incubator: the waiters for resources that are to be made, in the order of arrival for each resource.
    """

    resources: list[ResourceView]
    incubator: list[LockView]

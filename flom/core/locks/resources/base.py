"""What the lock table asks of a resource of any type."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from flom.core.effects import Instant
from flom.core.requests import LockRequest

if TYPE_CHECKING:
    from flom.core.locks.sharing import Sharing

Strftime = Callable[[str, float], str]
"""C's strftime for the local time zone: a format and seconds since the epoch give a text."""


@dataclass(slots=True, eq=False)
class Holding:
    """
    One lock: what a grant gave its holder.

    @ivar element: the text that the holder gets, for the types that have one.
    @ivar slot: the rule's own number for it: the position of a set's element, the value of a sequence.
    @ivar number: see L{flom.core.locks.snapshot.LockView}; it and C{since} are the table's.
    @ivar since: when it was granted, in seconds of the monotonic clock.
    @ivar token: see L{flom.core.effects.Granted}; it too is the table's.
    @ivar sharing: all who share what was granted once; C{None} if there is one.
    """

    request: LockRequest
    element: str | None = None
    slot: int = 0
    number: int = 0
    since: float = 0.0
    token: int = 0
    sharing: Sharing | None = None

    @property
    def granted(self) -> LockRequest:
        """The request for which the resource has granted it: another one's, if it is shared."""
        return self.request if self.sharing is None else self.sharing.base_of(self.request)


class Resource(ABC):
    """
    The holders of a resource and the waiters for it.

    A rule never looks at the whole queue: L{next_waiter} must find the first waiter that fits, in the order of arrival,
    at a cost that grows at most with the logarithm of the number of waiters that do not fit.
    """

    waits_for_time: ClassVar[bool] = False
    """Whether a waiter may come to fit although nothing is released, see L{next_chance}."""

    unlock_needs_holding: ClassVar[bool] = False
    """Whether an unlock by a session that holds nothing is a breach (docs/compatibility.md, "Sequences") or ignored."""

    @abstractmethod
    def fits(self, request: LockRequest, now: Instant) -> bool:
        """
        Return whether C{request} can be granted beside what is held now; waiters do not matter
        (docs/compatibility.md, "Grants and queues").
        """

    def never_fits(self, request: LockRequest) -> bool:
        """Return whether C{request}, which does not fit, would not fit even if nothing were held."""
        return False

    @abstractmethod
    def take(self, request: LockRequest, now: Instant) -> Holding:
        """Grant C{request}, which fits."""

    def reclaim(self, request: LockRequest, now: Instant) -> Holding | None:
        """
        Grant C{request} again, which another daemon had granted: of the types that have elements, the same one.

        @return: C{None} if that is not possible beside what is held now.
        """
        return self.take(request, now) if self.fits(request, now) else None

    @abstractmethod
    def release(self, holding: Holding, rollback: bool) -> None:
        """
        End C{holding}.

        @param rollback: undo what it was for, where the type knows how (docs/compatibility.md, "Sequences").
        """

    @abstractmethod
    def enqueue(self, request: LockRequest) -> None:
        """Put C{request} at the end of the queue."""

    @abstractmethod
    def withdraw(self, request: LockRequest) -> None:
        """Remove C{request} from the queue."""

    @abstractmethod
    def next_waiter(self, now: Instant) -> LockRequest | None:
        """Find the first waiter that fits, and leave it in the queue."""

    def is_full(self) -> bool:
        """Return whether what is held may be why a request does not fit, rather than time that has to come."""
        return True

    @abstractmethod
    def is_in_the_way(self, holding: Holding) -> bool:
        """Return whether a waiter could not be granted what it wants beside C{holding}, whatever else is held."""

    def next_chance(self, now: Instant, *, is_wanted: bool = False) -> float | None:
        """
        Return in how many seconds a waiter may fit although nothing is released; C{None} if never.

        @param is_wanted: true if a request waits that is not in the queue.
        """
        return None

    def free(self) -> int | tuple[str, ...] | None:
        """Return what is left, see L{flom.core.locks.snapshot.ResourceView}."""
        return None

    def memory(self) -> tuple[int, ...]:
        """Return what has to be known of this resource, besides what is held, to go on with it elsewhere."""
        return ()

    def recall(self, memory: tuple[int, ...]) -> None:
        """
        Go on where a resource of this name was at another daemon, before anything is granted here.

        @param memory: what L{memory} has returned there; C{ValueError} is raised if it cannot have.
        """
        if memory:
            raise ValueError(f"{memory} means nothing to this resource")

    def pop_first_to_unlock(self, holdings: list[Holding]) -> Holding:
        """Remove from a session's holdings, oldest first, the one that an unlock ends."""
        return holdings.pop()


class OneQueueResource(Resource):
    """A resource whose waiters all want the same, so that the first of them fits whenever any does."""

    def __init__(self) -> None:
        self._queue: OrderedDict[LockRequest, None] = OrderedDict()

    def enqueue(self, request: LockRequest) -> None:
        self._queue[request] = None

    def withdraw(self, request: LockRequest) -> None:
        del self._queue[request]

    def next_waiter(self, now: Instant) -> LockRequest | None:
        if not self._queue:
            return None
        first = next(iter(self._queue))
        return first if self.fits(first, now) else None

    def is_full(self) -> bool:
        return not self.free()

    def is_in_the_way(self, holding: Holding) -> bool:
        return bool(self._queue) and self.is_full()

"""What many clients ask for, made once for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.python.failure import Failure

_T = TypeVar("_T")

LIFETIME: Final = 1.0
"""Seconds from when it is begun to be made for which it is served, at least."""

SHARE: Final = 4
"""What took a while to make is served for this many times as long: 100,000 waiters take a second."""


class Cache(Generic[_T]):
    """The latest one, made anew when it is requested after its lifetime."""

    def __init__(self, now: Callable[[], float], make: Callable[[], Deferred[_T]]) -> None:
        """@param now: returns the present, in seconds of a monotonic clock."""
        self._now = now
        self._make = make
        self._made: _T | None = None
        self._old_at = float("-inf")
        self._is_making = False
        self._waiting: list[Deferred[_T]] = []

    def get(self) -> Deferred[_T]:
        """Return it; an error of C{make} goes to all that wait for this one. It can be cancelled."""
        began = self._now()
        if self._made is not None and began < self._old_at:
            return succeed(self._made)
        asked: Deferred[_T] = Deferred(self._waiting.remove)
        self._waiting.append(asked)
        if not self._is_making:
            self._is_making = True
            maybeDeferred(self._make).addBoth(self._finish, began)
        return asked

    def _finish(self, made: _T | Failure, began: float) -> None:
        self._is_making = False
        if not isinstance(made, Failure):
            now = self._now()
            self._made, self._old_at = made, max(began + LIFETIME, now + SHARE * (now - began))
        while self._waiting:
            self._waiting.pop(0).callback(made)  # a failure too

"""A body that many clients ask for, made once for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.python.failure import Failure

LIFETIME: Final = 1.0
"""Seconds from when a body is begun for which it is served, at least."""

SHARE: Final = 4
"""A body that took a while to make is served for this many times as long: 100,000 waiters take a second."""


class Cache:
    """The latest body, made anew when it is requested after its lifetime."""

    def __init__(self, now: Callable[[], float], make: Callable[[], Deferred[bytes]]) -> None:
        """@param now: returns the present, in seconds of a monotonic clock."""
        self._now = now
        self._make = make
        self._made = b""
        self._old_at = float("-inf")
        self._is_making = False
        self._waiting: list[Deferred[bytes]] = []

    def get(self) -> Deferred[bytes]:
        """Return the body; an error of C{make} goes to all that wait for this one. It can be cancelled."""
        began = self._now()
        if began < self._old_at:
            return succeed(self._made)
        asked: Deferred[bytes] = Deferred(self._waiting.remove)
        self._waiting.append(asked)
        if not self._is_making:
            self._is_making = True
            maybeDeferred(self._make).addBoth(self._finish, began)
        return asked

    def _finish(self, made: bytes | Failure, began: float) -> None:
        self._is_making = False
        if isinstance(made, bytes):
            now = self._now()
            self._made, self._old_at = made, max(began + LIFETIME, now + SHARE * (now - began))
        while self._waiting:
            self._waiting.pop(0).callback(made)  # a failure too

"""Results that are kept, of functions that are asked the same again and again."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    _K = TypeVar("_K")
    _V = TypeVar("_V")


class Cache(dict["_K", "_V"]):
    """
    What C{make} returns for each key that is looked up, as in C{cache[key]}.

    When there would be more than C{most}, all are forgotten. What is kept already costs no call, which is why this is
    not C{functools.lru_cache}; nor is that worth its import to a program that asks twice.
    """

    __slots__ = ("_make", "_most")

    def __init__(self, make: Callable[[_K], _V], most: int) -> None:
        super().__init__()
        self._make = make
        self._most = most

    def __missing__(self, key: _K) -> _V:
        value = self._make(key)
        if len(self) >= self._most:
            self.clear()
        self[key] = value
        return value

"""When to look after which of many things, each at its own time."""

from __future__ import annotations

from _heapq import heappop, heappush

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Schedule:
    """Knows for each of any number of things, which are keys of a dictionary, when it is due next."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int]] = []  # with what is not due any more, until the time has come
        self._things: dict[int, Any] = {}
        self._numbers: dict[Any, int] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._things)

    def put(self, thing: Any, due: float) -> None:
        """Note that C{thing} is due at C{due}, and at no other time."""
        self._last = number = self._last + 1
        former = self._numbers.get(thing)
        if former is not None:
            del self._things[former]
        self._things[number] = thing
        self._numbers[thing] = number
        heappush(self._heap, (due, number))

    def discard(self, thing: Any) -> None:
        """Note that C{thing} is due no more, if it is."""
        number = self._numbers.pop(thing, None)
        if number is not None:
            del self._things[number]

    @property
    def next_due(self) -> float:
        """When the first is due; infinity if nothing is."""
        heap = self._heap
        while heap and heap[0][1] not in self._things:
            heappop(heap)
        return heap[0][0] if heap else float("inf")

    def take_due(self, now: float) -> list[Any]:
        """Return what is due by C{now}, the first one first; it is due no more, unless it is L{put} again."""
        due = []
        while self.next_due <= now:
            thing = self._things[heappop(self._heap)[1]]
            self.discard(thing)
            due.append(thing)
        return due

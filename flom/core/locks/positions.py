"""
What a daemon that starts again has to know of a sequence with a lifespan (docs/resources.md, "How long a resource is
remembered").
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """
    Where a sequence is.

    @ivar last: no value after this one was given; 0 if none was.
    @ivar rolled_back: values before it that are to be given again, in this order.
    """

    last: int = 0
    rolled_back: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Remembered:
    """
    A sequence that is remembered beyond the end of the daemon.

    @ivar name: of the resource.
    @ivar retention: seconds that it is remembered while idle.
    """

    name: str
    retention: float
    position: Position

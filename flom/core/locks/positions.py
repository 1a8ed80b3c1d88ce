"""
What a daemon that starts again has to know of a sequence with a lifespan (docs/explanation/resources.md, "How long a
resource is remembered"), and what one that takes over has to know of every resource.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from flom.core.names import ResourceName


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


class Kept(NamedTuple):
    """
    A resource that is remembered.

    @ivar name: what it was called when it was made.
    @ivar retention: seconds that it is remembered while idle.
    @ivar left: how many of these are left; all of them if it is not idle.
    @ivar is_saved: true if it is to be remembered beyond the end of a daemon.
    @ivar memory: see L{flom.core.locks.resources.base.Resource.memory}.
    """

    name: ResourceName
    retention: float
    left: float
    is_saved: bool
    memory: tuple[int, ...]

"""
What a lock on each type of resource means: one rule a file.

L{make_resource} picks the rule by the name; L{flom.core.locks.resources.base} says what a rule has to answer.
"""

from __future__ import annotations

from typing_extensions import assert_never

from flom.core.locks.resources.base import Resource, Strftime
from flom.core.locks.resources.hierarchical import HierarchicalResource
from flom.core.locks.resources.numeric import NumericResource
from flom.core.locks.resources.sequence import SequenceResource
from flom.core.locks.resources.set import SetResource
from flom.core.locks.resources.simple import SimpleResource
from flom.core.locks.resources.timestamp import TimestampResource
from flom.core.names import (
    HierarchicalName,
    NumericName,
    ResourceName,
    SequenceName,
    SetName,
    SimpleName,
    TimestampName,
)

__all__ = ["Resource", "Strftime", "make_resource"]


def make_resource(name: ResourceName, strftime: Strftime) -> Resource:
    """
    Return a new resource, without holders, to which C{name} belongs.

    @raise InvalidTimestampFormat: C{name} is a timestamp whose format cannot be used.
    """
    match name:
        case SimpleName():
            return SimpleResource()
        case NumericName(total=total):
            return NumericResource(total)
        case SetName(elements=elements):
            return SetResource(elements)
        case HierarchicalName():
            return HierarchicalResource()
        case SequenceName(slots=slots, transactional=transactional):
            return SequenceResource(slots, transactional)
        case TimestampName():
            return TimestampResource(name, strftime)
        case _:
            assert_never(name)

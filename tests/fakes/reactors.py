"""A reactor that does nothing by itself."""

from __future__ import annotations

from twisted.internet.testing import MemoryReactorClock
from zope.interface import implementer

from flom.interfaces import IReactor


@implementer(IReactor)
class MemoryReactor(MemoryReactorClock):  # type: ignore[misc]  # no test needs processes or threads of it
    """Twisted's, for code that asks for the whole interface."""

"""
A reactor whose timers do not follow the wall clock.

Twisted's reactors measure time by C{time.time}. If the administrator sets that back by an hour, each timer is an hour
late; if it is set forward, each expires at once (Twisted's issue 2424).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from twisted.internet.base import ReactorBase
from twisted.internet.interfaces import IReactorTime

from flom.core.effects import Instant
from flom.lean import boottime
from flom.net.clock import system_instant


def follows_wall_clock(reactor: object) -> bool:
    """Return whether C{reactor} is one of Twisted's, measures time as they do, and was not made monotonic."""
    is_usual = isinstance(reactor, ReactorBase) and type(reactor).seconds is ReactorBase.seconds
    return is_usual and "seconds" not in vars(reactor)


def make_monotonic(reactor: object) -> None:
    """
    Make C{reactor} measure all durations by C{time.monotonic}; timers that run already keep the seconds they have left.

    From then on, C{reactor.seconds()} and C{IDelayedCall.getTime()} are no seconds since the epoch any more. A reactor
    or clock that has a time of its own is left as it is.
    """
    if isinstance(reactor, ReactorBase) and follows_wall_clock(reactor):
        ahead = time.monotonic() - reactor.seconds()
        for call in (*reactor._pendingTimedCalls, *reactor._newTimedCalls):  # the cancelled ones too: it is a heap
            call.time += ahead
            call.seconds = time.monotonic
        reactor.seconds = time.monotonic


def boottime_of(clock: IReactorTime) -> Callable[[], float]:
    """Return what reads a clock that goes on while the machine sleeps; if C{clock} is no reactor, it is that one."""
    return boottime if isinstance(clock, ReactorBase) else clock.seconds


def instant_of(clock: IReactorTime) -> Callable[[], Instant]:
    """Return what reads both clocks: for a reactor, the machine's; otherwise C{clock}, as in tests."""
    if isinstance(clock, ReactorBase):
        return system_instant
    return lambda: Instant(clock.seconds(), clock.seconds())

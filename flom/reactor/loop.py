"""A reactor's main loop without what Twisted does for each event and a daemon does not need."""

from __future__ import annotations

from os import sched_yield
from select import EPOLLIN, EPOLLOUT
from time import monotonic
from typing import Any, Final

from twisted.internet.epollreactor import EPollReactor
from twisted.python import log

_PRIVATE_NAMES: Final = ("_poller", "_selectables", "_doReadOrWrite", "_disconnectSelectable")

_POLLS: Final = 16
"""How often a turn looks for events at most, if there are some each time, before the reactor looks after its timers."""

_AWAKE: Final = 0.00005
"""
Seconds for which a turn that had events waits for the next ones without sleeping: an answer often brings the next
request at once, and to be woken takes longer than to answer that.
"""

_IN_THE_WAY: Final = 0.0001
"""If that wait ends so many seconds late, other processes need the processor."""

_ASLEEP: Final = 300
"""
Turns sleep at once then, and leave the processor to them, for so many times as long as that wait was late: so late
waits take a third of a per cent of the time at most, however many processes take turns.
"""


def speed_up(reactor: object) -> bool:
    """
    Make C{reactor} read, and note the end of connections, without a log context for each event, which takes longer than
    reading a small message does.

    Such a context only names a connection in lines of C{twisted.python.log.msg}; ours name it anyway.

    @return: whether that is possible: C{reactor} uses epoll, and Twisted has the private names that this uses.
    """
    if not (type(reactor) is EPollReactor and all(hasattr(reactor, name) for name in _PRIVATE_NAMES)):
        return False
    reactor.doIteration = _Turns(reactor).turn  # type: ignore[method-assign]  # which its main loop calls
    return True


class _Turns:
    """The turns of one reactor."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._asleep_until = 0.0  # in seconds of the monotonic clock

    def turn(self, timeout: float | None) -> None:
        """
        Do what C{EPollReactor.doPoll} does, without asking each descriptor whether it has been closed; and again, while
        there is something to do at once, or within L{_AWAKE}.
        """
        selectables, poll = self._reactor._selectables, self._reactor._poller.poll
        events = poll(timeout, len(selectables))
        for _ in range(_POLLS):
            if not events:
                break
            _handle(self._reactor, selectables, events)
            events = poll(0, len(selectables)) or self._events_soon()

    def _events_soon(self) -> list[tuple[int, int]]:
        """Return the events of the next moment, L{_AWAKE}, as soon as there are any; none if a timer is due before."""
        now = monotonic()
        events: list[tuple[int, int]] = []
        if now < self._asleep_until:
            return events
        due = self._reactor.timeout()
        end = now + (_AWAKE if due is None else min(due, _AWAKE))
        while not events and now < end:
            sched_yield()
            events = self._reactor._poller.poll(0, len(self._reactor._selectables))
            now = monotonic()
        if now > end + _IN_THE_WAY:
            self._asleep_until = now + _ASLEEP * (now - end)
        return events


def _handle(reactor: Any, selectables: dict[int, Any], events: list[tuple[int, int]]) -> None:
    for descriptor, event in events:
        selectable = selectables.get(descriptor)
        if selectable is None:
            continue  # it was removed in this turn
        if event & EPOLLOUT or not event & EPOLLIN:
            log.callWithLogger(selectable, reactor._doReadOrWrite, selectable, descriptor, event)
            continue
        try:
            why, has_read = selectable.doRead(), True
        except BaseException as e:
            why, has_read = e, False
            log.callWithLogger(selectable, log.err)
        if why:
            try:
                reactor._disconnectSelectable(selectable, why, has_read)
            except BaseException:
                log.callWithLogger(selectable, log.err)

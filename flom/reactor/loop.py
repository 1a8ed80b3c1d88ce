"""A reactor's main loop without what Twisted does for each event and a daemon does not need."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from select import EPOLLIN, EPOLLOUT
from typing import Any, Final

from twisted.internet.epollreactor import EPollReactor
from twisted.python import log

_PRIVATE_NAMES: Final = ("_poller", "_selectables", "_doReadOrWrite", "_disconnectSelectable")

_POLLS: Final = 16
"""How often a turn looks for events at most, if there are some each time, before the reactor looks after its timers."""


def speed_up(reactor: object) -> bool:
    """
    Make C{reactor} read without a log context for each event, which takes longer than reading a small message does.

    Such a context only names a connection in lines of C{twisted.python.log.msg}; ours name it anyway.

    @return: whether that is possible: C{reactor} uses epoll, and Twisted has the private names that this uses.
    """
    if not (type(reactor) is EPollReactor and all(hasattr(reactor, name) for name in _PRIVATE_NAMES)):
        return False
    turn: Callable[[float | None], None] = partial(_turn, reactor)
    reactor.doIteration = turn  # type: ignore[method-assign]  # which its main loop calls
    return True


def _turn(reactor: Any, timeout: float | None) -> None:
    """
    Do what C{EPollReactor.doPoll} does, without asking each descriptor whether it has been closed; and at once again,
    while there is something to do.
    """
    selectables, poll = reactor._selectables, reactor._poller.poll
    events = poll(timeout, len(selectables))
    for _ in range(_POLLS):
        if not events:
            break
        _handle(reactor, selectables, events)
        events = poll(0, len(selectables))


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
            log.callWithLogger(selectable, reactor._disconnectSelectable, selectable, why, has_read)

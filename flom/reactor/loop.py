"""A reactor's turns, without what Twisted does for each event and none of ours needs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from select import EPOLLIN, EPOLLOUT
from typing import Any, Final

from twisted.internet.epollreactor import EPollReactor
from twisted.python import log

_PARTS: Final = ("_poller", "_selectables", "_doReadOrWrite", "_disconnectSelectable")  # of Twisted's, undocumented


def hasten(reactor: Any) -> bool:
    """
    Have C{reactor} read without a log context for each event, which takes longer than a small message does.

    Such a context adds where it comes from to what is logged by C{twisted.python.log.msg}; whoever logs for a
    connection of ours says so anyway. What fails, and what ends, has one still.

    @return: whether that is possible: C{reactor} uses epoll, and Twisted is as we know it.
    """
    if not (type(reactor) is EPollReactor and all(hasattr(reactor, part) for part in _PARTS)):
        return False
    turn: Callable[[float | None], None] = partial(_turn, reactor)
    reactor.doIteration = turn  # type: ignore[method-assign]  # which its main loop calls
    return True


def _turn(reactor: Any, timeout: float | None) -> None:
    """
    Do what C{EPollReactor.doPoll} does, but for asking each descriptor whether it has been closed.

    @param timeout: seconds to wait for something to happen; C{None}: for ever.
    """
    selectables = reactor._selectables
    for descriptor, event in reactor._poller.poll(timeout, len(selectables)):
        selectable = selectables.get(descriptor)
        if selectable is None:
            continue  # it has gone in this turn
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

"""
Code of L{flom.client.blocking} in a task of asyncio: where it would wait in the kernel, it suspends the task.

A greenlet is a call with a stack of its own, which can be left in the middle and gone on with later. L{run} makes one
for a call. When that has to wait, it switches to the task, with what the task is to await; the task switches back when
that has come, or raises in the call what has come instead, such as C{CancelledError}. SQLAlchemy has its asyncio in the
same way. So how a daemon is found, asked, asked again, started, elected and reclaimed from stands in one place only.
"""

from __future__ import annotations

import asyncio
from select import POLLIN
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

from greenlet import getcurrent, greenlet

from flom.client.blocking import stream
from flom.errors import LockTimeout, NoProcess
from flom.lean import start_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from socket import socket

_T = TypeVar("_T")

_LONGEST: Final = 86_400.0  # seconds of one timer


class Suspended(greenlet):
    """A call that may be suspended; it waits by these methods (L{flom.client.blocking.stream.Suspending})."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(call)
        self.gr_context = getcurrent().gr_context  # or else it would see no context variable of the program

    def wait_on(self, awaited: Awaitable[_T]) -> _T:
        """Suspend the task until C{awaited} has come, and return or raise what that does."""
        assert self.parent is not None
        result: _T = self.parent.switch(awaited)
        return result

    def wait_for(self, waiting: socket, event: int, deadline: float) -> None:
        """See L{stream.wait_for}."""
        while not self.wait_on(_is_ready(waiting, event, deadline - monotonic())):
            if monotonic() >= deadline:
                raise LockTimeout("too late")

    def sleep(self, seconds: float) -> None:
        """See L{stream.sleep}."""
        self.wait_on(asyncio.sleep(seconds))

    def call_in_thread(self, call: Callable[[], _T], deadline: float) -> _T:
        """Return what C{call} does in a thread; L{LockTimeout} is raised at C{deadline}, and the thread is left."""
        return self.wait_on(_in_thread(call, deadline - monotonic()))


def running() -> Suspended | None:
    """Return the call that runs here, if it is in a task."""
    current = getcurrent()
    return current if isinstance(current, Suspended) else None


stream.running_task = running


async def run(call: Callable[[], _T]) -> _T:
    """Return or raise what C{call} does, which suspends this task where it waits. Cancelling the task ends the wait."""
    suspended = Suspended(call)
    result: Any = suspended.switch()
    while not suspended.dead:
        try:
            come = await result
        except BaseException as e:
            suspended.parent = getcurrent()  # an eager task begins where it is made, which may be in another such call
            result = suspended.throw(e)
        else:
            suspended.parent = getcurrent()
            result = suspended.switch(come)
    returned: _T = result
    return returned


async def _is_ready(waiting: socket, event: int, seconds: float) -> bool:
    """Return true when something can be done with C{waiting}, or false after C{seconds}, or L{_LONGEST}."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[bool] = loop.create_future()
    number = waiting.fileno()
    is_reading = event == POLLIN
    (loop.add_reader if is_reading else loop.add_writer)(number, _settle, ready, True)
    timer = None
    try:
        if seconds != stream.NEVER:
            timer = loop.call_later(max(0.0, min(seconds, _LONGEST)), _settle, ready, False)
        return await ready
    finally:
        (loop.remove_reader if is_reading else loop.remove_writer)(number)
        if timer is not None:
            timer.cancel()


def _settle(ready: asyncio.Future[_T], result: _T) -> None:
    if not ready.done():
        ready.set_result(result)


async def _in_thread(call: Callable[[], _T], seconds: float) -> _T:
    """Return what C{call} does in a thread, for which neither the loop nor the program waits at its end."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[tuple[list[_T], list[BaseException]]] = loop.create_future()

    def work() -> None:
        results, errors = [], []
        try:
            results.append(call())
        except BaseException as e:
            errors.append(e)
        try:
            loop.call_soon_threadsafe(_settle, over, (results, errors))
        except RuntimeError:
            pass  # the loop was closed meanwhile

    try:
        start_thread(work)
    except NoProcess:
        return call()
    try:
        results, errors = await asyncio.wait_for(over, None if seconds == stream.NEVER else max(0.0, seconds))
    except asyncio.TimeoutError:
        raise LockTimeout("too late") from None
    for error in errors:
        raise error
    return results[0]

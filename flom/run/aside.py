"""A call that may take long while a command runs, of which nobody waits for the end once that has ended."""

from __future__ import annotations

import os
from select import POLLIN, poll

from flom.client.retry import CLOSE_TIMEOUT
from flom.errors import LockTimeout, NoProcess
from flom.lean import start_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from flom.run.child import Child
    from flom.run.guardian import Orphan

    _T = TypeVar("_T")


def call_aside(
    work: Callable[[], _T],
    child: Child | Orphan,
    left: Callable[[], float] | None = None,
    hurry: Callable[[], float] = lambda: CLOSE_TIMEOUT,
) -> _T:
    """
    Return what C{work} returns, or raise what it raises; it is called in another thread, if there can be one.

    @param left: returns the seconds that there are; C{None} for as many as it takes.
    @param hurry: called when the command has ended; returns the seconds that there are then.
    @raise LockTimeout: the command has ended so long ago, or nothing is C{left}, and C{work} has not ended.
    """
    results: list[_T] = []
    errors: list[BaseException] = []

    def run(ending: int) -> None:
        try:
            results.append(work())
        except BaseException as e:
            errors.append(e)
        finally:
            os.close(ending)

    try:
        over, ending = os.pipe()
    except OSError:
        return work()
    try:
        start_thread(run, ending)
    except NoProcess:
        os.close(ending)
        os.close(over)
        return work()
    waiting = poll()
    waiting.register(over, POLLIN)
    waiting.register(child, POLLIN)
    ready: list[tuple[int, int]] = []
    while not ready and (left is None or left() > 0):
        ready = waiting.poll(None if left is None else max(0.0, left()) * 1000)
    seconds = CLOSE_TIMEOUT
    if ready and over not in [descriptor for descriptor, _ in ready]:
        waiting.unregister(child)
        seconds = hurry()
        waiting.poll(seconds * 1000)
    os.close(over)
    if errors:
        raise errors[0]
    if not results:
        after = f"within {seconds:g} s after the end of the command" if ready else "in time"
        raise LockTimeout(f"no daemon has come {after}")
    return results[0]

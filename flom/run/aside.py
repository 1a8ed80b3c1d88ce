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

    _T = TypeVar("_T")


def call_aside(work: Callable[[], _T], child: Child) -> _T:
    """
    Return what C{work} returns, or raise what it raises; it is called in another thread, if there can be one.

    @raise LockTimeout: the command has ended L{CLOSE_TIMEOUT} seconds ago, and C{work} has not.
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
    if over not in [descriptor for descriptor, _ in waiting.poll()]:
        waiting.unregister(child)
        waiting.poll(CLOSE_TIMEOUT * 1000)
    os.close(over)
    if errors:
        raise errors[0]
    if not results:
        raise LockTimeout(f"no daemon has come within {CLOSE_TIMEOUT:g} s after the end of the command")
    return results[0]

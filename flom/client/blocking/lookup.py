"""Looking up the name of a host within a deadline, which the C library has no parameter for."""

from __future__ import annotations

from time import monotonic

from flom.client.blocking import stream
from flom.errors import LockTimeout, NoProcess
from flom.lean import Lock, start_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, TypeVar

    _T = TypeVar("_T")

_LONGEST: Final = 86_400.0  # seconds; a lock could not be waited for much longer


class LookupTimeout(LockTimeout):
    """No name server has answered in time."""


def look_up_by(deadline: float, name: str, look_up: Callable[[], _T]) -> _T:
    """
    Return what C{look_up} does, which is called in a thread, or raise what it raises.

    If there can be no thread, it takes as long as it takes.

    @param deadline: a time of C{time.monotonic}.
    @param name: of the host, for the error.
    @raise LookupTimeout: it is C{deadline}; the thread goes on in vain.
    """
    task = None if stream.running_task is None else stream.running_task()
    if task is not None:
        try:
            return task.call_in_thread(look_up, deadline)
        except LockTimeout:
            raise LookupTimeout(f"{name}: no name server has answered in time") from None
    found: list[_T] = []
    problems: list[BaseException] = []
    is_done = Lock()

    def run() -> None:
        try:
            found.append(look_up())
        except BaseException as e:
            problems.append(e)
        finally:
            is_done.release()

    is_done.acquire()
    try:
        start_thread(run)
    except NoProcess:
        return look_up()
    while not is_done.acquire(timeout=max(0.0, min(deadline - monotonic(), _LONGEST))):
        if monotonic() >= deadline:
            raise LookupTimeout(f"{name}: no name server has answered in time")
    for problem in problems:
        raise problem
    return found[0]

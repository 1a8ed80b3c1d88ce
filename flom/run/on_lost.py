"""
What the command gets if its lock is lost while it runs (docs/reference/flom-run.md, "A lock that is lost").

A thread of its own sends it: a terminal that takes no message just now must not delay that.
"""

from __future__ import annotations

import os
from select import POLLIN, poll
from time import sleep

from flom.client.blocking.stream import NEVER
from flom.errors import NoProcess
from flom.lean import Lock, boottime, signal, start_thread
from flom.run.terminal import print_error, warn
from flom.text import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.job.wording import Wording
    from flom.run.child import Child
    from flom.run.guardian import Orphan

_POLL: Final = 0.02  # seconds; nothing wakes us when the last process of a group ends
_LONGEST_POLL: Final = 0.2  # seconds; no sleep of the machine ends a poll


class OnLost:
    """Sends a signal to the process group that the command leads, or, if it leads none, to the command."""

    def __init__(self, number: int, kill_after: float | None, wording: Wording) -> None:
        """
        @param number: of the signal.
        @param kill_after: seconds after which SIGKILL follows, unless all have ended; C{None}: it does not follow.
        """
        self._number = number
        self._kill_after = kill_after
        self._wording = wording
        self._has_acted = False
        self._is_over = Lock()

    def act(self, child: Child | Orphan, left: float = NEVER) -> None:
        """
        Begin with the signal, once; nothing happens if the command has ended.

        @param left: seconds after which SIGKILL follows at the latest; 0 or less for at once.
        """
        if self._has_acted or child.status is not None:
            return
        self._has_acted = True
        if self._kill_after is not None:
            self._kill_after = min(self._kill_after, max(0.0, left))
        self._is_over.acquire()
        try:
            start_thread(self._run, child)
        except NoProcess:
            self._run(child)

    def note_act(self) -> None:
        """Note that another process has done it."""
        self._has_acted = True

    def finish(self) -> None:
        """Wait until nothing is left to be done."""
        with self._is_over:
            pass

    def has_ended(self, status: int) -> bool:
        """Return whether it is the signal that has ended the command, as whose C{status} it is taken."""
        return self._has_acted and (self._kill_after is not None or status == -self._number)

    def _run(self, child: Child | Orphan) -> None:
        try:
            self._end(child, to_group=_leads_group(child.pid))
        finally:
            self._is_over.release()

    def _end(self, child: Child | Orphan, *, to_group: bool) -> None:
        _send(child, self._number, to_group)
        if self._kill_after is not None:
            _send(child, signal.SIGCONT, to_group)  # one that is stopped would not end
            if not _await_end(child, to_group, self._kill_after):
                _send(child, signal.SIGKILL, to_group)
                print_error(self._wording.outlived(self._kill_after))


def _leads_group(pid: int) -> bool:
    try:
        return os.getpgid(pid) == pid
    except OSError:
        return False  # it has ended


def _send(child: Child | Orphan, number: int, to_group: bool) -> None:
    try:
        if child.status is None:
            child.signal(number, to_group)
        elif to_group:
            os.killpg(child.pid, number)
    except ProcessLookupError:
        pass
    except PermissionError as e:  # it has become another user, as sudo does
        warn(f"signal {number} cannot be sent to the command (pid {child.pid}): {reason(e)}")


def _await_end(child: Child | Orphan, to_group: bool, seconds: float) -> bool:
    """Wait for the end of the command, and of its group if C{to_group}; return whether it came within C{seconds}."""
    deadline = boottime() + seconds  # whatever the machine sleeps meanwhile
    waiting = poll()
    waiting.register(child, POLLIN)
    while child.status is None or (to_group and _is_there(child.pid)):
        left = deadline - boottime()
        if left <= 0:
            return False
        if child.status is None:
            waiting.poll(min(left, _LONGEST_POLL) * 1000 + 1)
        if child.status is None or to_group:
            sleep(min(left, _POLL))
    return True


def _is_there(group: int) -> bool:
    """
    Return whether the process group has a process that has not ended; until then, the number of its leader, which has
    ended, is its.
    """
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    if not os.path.exists("/proc/self"):
        return True
    # a container may have no init that takes note of their end
    return any(fields[2:3] == [b"%d" % group] and fields[0] != b"Z" for fields in map(_fields_of, os.listdir("/proc")))


def _fields_of(process: str) -> list[bytes]:
    """Return the state of C{process}, its parent, its group, and so on; nothing if there is no such process."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []

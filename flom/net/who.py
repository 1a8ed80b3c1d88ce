"""Who the clients of this host are that have not said so: FLoM's do not. It is found out when a status is asked for."""

from __future__ import annotations

import os
import pwd
from threading import Thread
from time import monotonic

from flom.lean import boottime
from flom.net.processes import LONGEST_KNOWN, read_about

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")  # in a second

_SLACK: Final = 1.0  # seconds by which a process may look younger than what it has asked for

_PATIENCE: Final = 0.02
"""Seconds for which a status waits for the name of a user at most: the directory of a network may be slow."""


class Commands:
    """
    What the commands of processes are called.

    Each process that is new costs some 20 us; one that was asked for in the last round is remembered.
    """

    def __init__(self) -> None:
        self._known: dict[int, str | None] = {}
        self._known_before: dict[int, str | None] = {}
        self._began = monotonic()

    def begin(self) -> None:
        """Begin a round."""
        now = monotonic()
        self._known_before = self._known if now - self._began < LONGEST_KNOWN else {}
        self._known = {}
        self._began = now

    def find(self, pid: int, number: int, seconds: float) -> str | None:
        """
        Return the name of the command that the process C{pid} runs; C{None} if it is not known, or another process has
        the number by now.

        @param number: of what the process holds or waits for, see L{flom.status.model.LockStatus}.
        @param seconds: for how long it has done so.
        """
        if number in self._known:
            return self._known[number]
        command = self._known_before[number] if number in self._known_before else command_of(pid, seconds)
        self._known[number] = command
        return command


def command_of(pid: int, seconds: float) -> str | None:
    """Return the name of the command of the process C{pid}, if that has run for C{seconds}; otherwise C{None}."""
    head, _, tail = read_about(pid, "stat").rpartition(b")")
    try:
        started = int(tail.split()[19]) / _TICKS
    except (ValueError, IndexError):
        return None
    if boottime() - started < seconds - _SLACK:
        return None
    return head.partition(b"(")[2].decode("utf-8", "replace") or None


class UserNames:
    """What users are called; one that is not known within L{_PATIENCE} is known later."""

    def __init__(self, look_up: Callable[[int], str | None] | None = None) -> None:
        """@param look_up: returns the name of a user; by default, the one of this host."""
        self._look_up = look_up or _name_of
        self._known: dict[int, str | None] = {}
        self._thread: Thread | None = None

    def find(self, uid: int) -> str | None:
        """Return the name of the user C{uid}; C{None} if there is none, or it is not known yet."""
        if uid not in self._known and not (self._thread is not None and self._thread.is_alive()):
            self._thread = Thread(target=self._learn, args=(uid,), name="flom-user", daemon=True)
            self._thread.start()
            self._thread.join(_PATIENCE)
        return self._known.get(uid)

    def _learn(self, uid: int) -> None:
        self._known[uid] = self._look_up(uid)


def _name_of(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None

"""What a signal to the program that runs a command means (docs/compatibility.md, "Signals to the runner")."""

from __future__ import annotations

import os
from time import monotonic

from flom.job.signals import ENDING
from flom.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Final

_CANNOT_BE_IGNORED: Final = frozenset({signal.SIGKILL, signal.SIGSTOP})

_UNCERTAIN: Final = 0.01
"""
Seconds after the start of the command in which a signal of the terminal may have come before the command was there to
get it: then it gets the signal from us, better twice than never.
"""


class Forwarding:
    """
    Receives the signals to a program that runs one command under a lock.

    Before the command runs, a signal ends this process at once: the kernel closes the connection, by which the request
    leaves the queue. While the command runs, the signal is the command's, which has it already if the terminal sent
    it. Afterwards, one that would end a program ends the wait for the daemon to take the unlock.
    """

    def __init__(self, ignored: Collection[int], leave: Callable[[], None] = lambda: None) -> None:
        """
        @param ignored: numbers of the signals that are not for the command.
        @param leave: called before a signal ends this process before the command runs.
        """
        self._ignored = ignored
        self._leave = leave
        self._send: Callable[[int], None] | None = None
        self._started_at = 0.0  # in seconds of the monotonic clock
        self._status: int | None = None

    def receive(self, number: int, from_terminal: bool) -> None:
        """Receive a signal; see L{flom.job.signals.Receive}."""
        if self._status is not None:
            if number in ENDING:
                os._exit(self._status)
        elif self._send is not None:
            has_it = from_terminal and monotonic() > self._started_at + _UNCERTAIN
            if not has_it and number not in self._ignored:
                self._send(number)
        elif number in ENDING:
            self._leave()
            os._exit(128 + number)

    def note_start(self, send: Callable[[int], None]) -> None:
        """Note that the command runs, to which C{send} sends a signal, unless it has ended."""
        self._send = send
        self._started_at = monotonic()

    def note_end(self, status: int) -> None:
        """Note that the command has ended, or could not be executed, and what this process is to exit with."""
        self._status = status


def ignore_signals(numbers: Collection[int]) -> list[int]:
    """
    Ignore the signals C{numbers} in this process, once the command runs.

    SIGCHLD, which tells of the command's end and does nothing else here, is left as it is.

    @return: those that cannot be ignored.
    """
    for number in numbers:
        if number not in _CANNOT_BE_IGNORED and number != signal.SIGCHLD:
            signal.signal(number, signal.SIG_IGN)
    return [number for number in numbers if number in _CANNOT_BE_IGNORED]

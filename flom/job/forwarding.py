"""What a signal to the program that runs a command means (docs/compatibility.md, "Signals to the runner")."""

from __future__ import annotations

import os
from time import monotonic

from flom.job.signals import ENDING, stop_ourselves
from flom.job.status import leave
from flom.lean import signal
from flom.text import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Final

    Send = Callable[[int, bool], None]
    """Sends a signal to the command, or, if the second argument is true, to the process group that it leads."""

_CANNOT_BE_IGNORED: Final = frozenset({signal.SIGKILL, signal.SIGSTOP})

UNCERTAIN: Final = 0.01
"""
Seconds after the start of the command in which a signal of the terminal may have come before the command was there to
get it: then it gets the signal from us, better twice than never.
"""


class Forwarding:
    """
    Receives the signals to a program that runs one command under a lock.

    Before the command runs, a signal ends this process at once: the kernel closes the connection, by which the request
    leaves the queue. While the command runs, the signal is the command's, which has it already if the terminal sent
    it to the process group that both are in. Afterwards, one that would end a program ends the wait for the daemon to
    take the unlock. SIGTSTP stops this process, too.
    """

    def __init__(
        self,
        ignored: Collection[int],
        *,
        warn: Callable[[str], None],
        end: Callable[[int], object] = leave,
        step_out: Callable[[], object] = lambda: None,
    ) -> None:
        """
        @param ignored: numbers of the signals that are not for the command.
        @param warn: called with a warning for the user.
        @param end: ends this process; it is called with what to exit with, -N for death by signal N.
        @param step_out: called before SIGTSTP stops this process before the command runs.
        """
        self._ignored = ignored
        self._warn = warn
        self._end = end
        self._step_out = step_out
        self._pid = 0
        self._send: Send | None = None
        self._started_at = 0.0  # in seconds of the monotonic clock
        self._status: int | None = None

    def receive(self, number: int, from_terminal: bool) -> None:
        """Receive a signal; see L{flom.job.signals.Receive}."""
        if self._status is not None:
            if number in ENDING:
                self._end(self._status)
        elif self._send is not None:
            if number in self._ignored:
                return
            self._pass_on(self._send, number, from_terminal)
        elif number in ENDING:
            self._end(-number)
        elif number == signal.SIGTSTP:
            self._step_out()
        if number == signal.SIGTSTP:
            stop_ourselves()

    def note_start(self, pid: int, send: Send) -> None:
        """Note that the command runs, process C{pid}, to which C{send} sends a signal, unless it has ended."""
        self._pid = pid
        self._send = send
        self._started_at = monotonic()

    def note_end(self, status: int) -> None:
        """Note that the command has ended, or could not be executed, and what this process is to exit with."""
        self._status = status

    def _pass_on(self, send: Send, number: int, from_terminal: bool) -> None:
        """
        Send the command a signal, unless it has it.

        One of the terminal goes to the group that the command leads, if it leads one, and so does SIGCONT, which
        continues what a SIGTSTP of the terminal has stopped.
        """
        try:
            group = os.getpgid(self._pid)
        except OSError:
            return  # it has ended
        is_certain = monotonic() > self._started_at + UNCERTAIN
        if from_terminal and is_certain and group == os.getpgrp():
            return
        try:
            send(number, (from_terminal or number == signal.SIGCONT) and group == self._pid)
        except PermissionError as e:  # it has become another user, as sudo does
            what = f"signal {number} cannot be passed on to the command (pid {self._pid})"
            self._warn(f"{what}: {reason(e)}")


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

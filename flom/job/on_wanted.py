"""
How the command learns that others wait because of its lock: by a signal, or by a line that it can read
(docs/howto/yield-when-wanted.md).
"""

from __future__ import annotations

import os

from flom.errors import ConfigError
from flom.job.environment import WANTED
from flom.text import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

_LINE: Final = b"wanted\n"


class OnWanted:
    """
    Tells the command, each time that others begin to wait.

    A descriptor of the command is the end of a pipe. It is taken when this is made, so that nothing else gets its
    number, and is inheritable only while the command is started.
    """

    def __init__(self, kind: str, number: int) -> None:
        """
        @param kind: C{"signal"}, or C{"fd"}.
        @param number: of the signal, or of the descriptor; -1 for any.
        @raise ConfigError: the descriptor is in use, or there are no more.
        """
        self._signal = number if kind == "signal" else 0
        self._read = self._write = -1
        if kind == "fd":
            if number >= 0 and _is_open(number):
                raise in_use(number)
            try:
                self._read, self._write = os.pipe()
                if number >= 0:
                    self._take(number)
            except OSError as e:
                raise ConfigError(f"notify-wanted: there is no descriptor: {reason(e)}") from None
            os.set_blocking(self._write, False)

    def fileno(self) -> int:
        """Return the descriptor by which this tells the command; -1 for none."""
        return self._write

    @property
    def given(self) -> int:
        """The descriptor that is for the command, until L{note_start}; -1 for none."""
        return self._read

    def prepare(self, environment: dict[bytes, bytes]) -> None:
        """Hand its descriptor to processes that are started from now on; C{environment} gets the number."""
        if self._read >= 0:
            os.set_inheritable(self._read, True)
            environment[WANTED] = b"%d" % self._read

    def note_start(self) -> None:
        """Note that the command has its descriptor, or will never run."""
        if self._read >= 0:
            os.close(self._read)
            self._read = -1

    def tell(self, pid: int, send: Callable[[int], object], warn: Callable[[str], object]) -> None:
        """
        Notify the command, process C{pid}, that others wait; nothing happens if it has left too many lines unread.

        @param send: sends it a signal.
        @param warn: called with a line for the user if that is not possible.
        """
        try:
            if self._signal:
                send(self._signal)
            elif self._write >= 0:
                os.write(self._write, _LINE)
        except (BlockingIOError, BrokenPipeError, ProcessLookupError):
            pass
        except OSError as e:  # it may have become another user's, as by sudo
            warn(f"the command (pid {pid}) cannot be told that its lock is wanted: {reason(e)}")

    def close(self) -> None:
        """End what there is of a pipe: the command has ended, or will never run."""
        self.note_start()
        if self._write >= 0:
            os.close(self._write)
            self._write = -1

    def _take(self, number: int) -> None:
        """Move the descriptor of the command to this C{number}, which neither is in use nor ours."""
        if number == self._write:
            self._write, former = os.dup(self._write), self._write
            os.close(former)
        if number != self._read:
            os.dup2(self._read, number, inheritable=False)
            os.close(self._read)
            self._read = number


def in_use(number: int) -> ConfigError:
    """Return the error that the command cannot have a descriptor of this C{number}, because there is another one."""
    return ConfigError(f"notify-wanted: 'fd:{number}' is open already: choose another number, or 'fd'")


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True

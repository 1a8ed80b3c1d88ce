"""
A terminal that is drawn on as a whole, and left as it was found whatever ends that.

Signals that end a program are raised as L{Ended} in the middle of whatever goes on, once; the way out is not disturbed
by more of them.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from rich.console import RenderableType
from rich.screen import Screen as Filling

from flom.ctl.table import make_console

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

_ENTER: Final = b"\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J"  # the other screen, no cursor, all of it empty
_LEAVE: Final = b"\x1b[0m\x1b[?1049l\x1b[?25h"
_HOME: Final = "\x1b[H"


class Ended(BaseException):
    """
    A signal ends the program.

    @ivar number: which.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Screen:
    """The terminal of this process; as a context manager, it is as it was outside."""

    def __init__(self) -> None:
        self._console = make_console()
        self._out = sys.stdout.fileno()
        self._keys: int | None = None
        self._kept: list[Any] | None = None
        self._handlers: dict[int, Any] = {}

    @property
    def is_usable(self) -> bool:
        """Whether there is a terminal, and one that can be drawn on."""
        return os.isatty(self._out) and not self._console.is_dumb_terminal

    @property
    def size(self) -> tuple[int, int]:
        """How many columns and lines there are at the moment."""
        return self._console.size

    def draw(self, content: RenderableType) -> None:
        """Fill the screen with C{content}, whatever its size is now."""
        with self._console.capture() as drawn:
            self._console.print(Filling(content), end="")
        data = (_HOME + drawn.get()).encode(sys.stdout.encoding, "backslashreplace")
        while data:
            data = data[os.write(self._out, data) :]

    def wait_for_key(self, seconds: float) -> str | None:
        """
        Wait for a key.

        @return: the key; the empty string when there are none any more; C{None} when the time is over, or when the
            terminal has another size now.
        """
        deadline = monotonic() + seconds
        watched = [self._woken] if self._keys is None else [self._woken, self._keys]
        ready, _, _ = select.select(watched, [], [], max(0.0, deadline - monotonic()))
        if self._woken in ready:
            os.read(self._woken, 4096)
        if self._keys is None or self._keys not in ready:
            return None
        return os.read(self._keys, 1).decode("ascii", "replace")

    def __enter__(self) -> Screen:
        self._woken, self._waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._previous = signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        wanted: dict[int, Any] = {signal.SIGWINCH: _ignore, signal.SIGTSTP: signal.SIG_IGN}
        wanted |= {int(number): _end for number in _ENDING}
        for number, handler in wanted.items():
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has wanted it
                self._handlers[number] = signal.signal(number, handler)
        try:
            if sys.stdin is not None and sys.stdin.isatty():
                self._keys = sys.stdin.fileno()
                self._kept = termios.tcgetattr(self._keys)
                termios.tcsetattr(self._keys, termios.TCSANOW, _raw(self._kept))
            os.write(self._out, _ENTER)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for ending in _ENDING:
            signal.signal(ending, signal.SIG_IGN)
        with suppress(OSError, termios.error):  # it may be gone
            if self._kept is not None and self._keys is not None:
                termios.tcflush(self._keys, termios.TCIFLUSH)
                termios.tcsetattr(self._keys, termios.TCSANOW, self._kept)
        with suppress(OSError):
            os.write(self._out, _LEAVE)
        signal.set_wakeup_fd(self._previous)
        os.close(self._woken)
        os.close(self._waking)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)


def _raw(kept: list[Any]) -> list[Any]:
    """Change a terminal's settings so that each key comes at once and is not shown, and none stops anything."""
    changed = [*kept[:6], list(kept[6])]
    changed[0] &= ~termios.IXON
    changed[3] &= ~(termios.ICANON | termios.ECHO)
    changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
    changed[6][termios.VSUSP] = b"\0"  # nobody would tidy the screen
    return changed


def _end(number: int, frame: object) -> None:
    for other in _ENDING:
        signal.signal(other, signal.SIG_IGN)
    raise Ended(number)


def _ignore(number: int, frame: object) -> None:
    """Take a signal that only wakes us."""

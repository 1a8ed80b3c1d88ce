"""
A terminal that is drawn on as a whole, and restored however the program ends.

Signals that end a program are raised as L{Ended} in the middle of what the program does, once; more of them do not
disturb the way out.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import tty
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from rich.console import RenderableType
from rich.control import Control
from rich.screen import Screen as Filling

from flom.ctl.drawing import make_console

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


_NAMES: Final = {
    **{f"\x1b{bracket}A": "up" for bracket in "[O"},
    **{f"\x1b{bracket}B": "down" for bracket in "[O"},
    **dict.fromkeys(("\x1b[H", "\x1bOH", "\x1b[1~"), "home"),
    **dict.fromkeys(("\x1b[F", "\x1bOF", "\x1b[4~"), "end"),
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b": "escape",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\b": "backspace",
}
"""What terminals send for keys that are no characters."""

_KEY: Final = re.compile(r"\x1b[\[O][0-9;]*[~A-Za-z]|.", re.DOTALL)


def keys_in(data: bytes) -> list[str]:
    """Return the names of the keys that C{data} stands for; the empty one for no data."""
    if not data:
        return [""]
    return [_NAMES.get(each, each) for each in _KEY.findall(data.decode("utf-8", "replace"))]


class Ended(BaseException):
    """The signal of this C{number} ends the program."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Screen:
    """The terminal of this process, a context manager: outside, the terminal is as it was."""

    def __init__(self) -> None:
        self._console = make_console()
        self._keys: int | None = None
        self._kept: list[Any] | None = None
        self._handlers: dict[int, Any] = {}

    @property
    def is_usable(self) -> bool:
        """Whether there is a terminal, and one that can be drawn on."""
        return sys.stdout.isatty() and not self._console.is_dumb_terminal

    @property
    def size(self) -> tuple[int, int]:
        """The present number of columns and lines."""
        return self._console.size

    def draw(self, content: RenderableType) -> None:
        """Fill the screen with C{content}, in its present size."""
        with self._console:  # written at once
            self._console.control(Control.home())
            self._console.print(Filling(content), end="")

    def wait_for_keys(self, seconds: float) -> list[str]:
        """
        Wait for keys.

        @return: their names: characters, and those of L{_NAMES}; an empty one if no more can come; none when C{seconds}
            are over, or the terminal has got another size.
        """
        deadline = monotonic() + seconds
        watched = [self._woken] if self._keys is None else [self._woken, self._keys]
        ready, _, _ = select.select(watched, [], [], max(0.0, deadline - monotonic()))
        if self._woken in ready:
            os.read(self._woken, 4096)
        if self._keys is None or self._keys not in ready:
            return []
        return keys_in(os.read(self._keys, 256))

    def __enter__(self) -> Screen:
        self._woken, self._waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._previous = signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        # the size has changed: it only wakes the program
        wanted: dict[int, Any] = {signal.SIGWINCH: lambda number, frame: None, signal.SIGTSTP: signal.SIG_IGN}
        wanted |= {int(number): _end for number in _ENDING}
        for number, handler in wanted.items():
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup sets it
                self._handlers[number] = signal.signal(number, handler)
        try:
            if sys.stdin is not None and sys.stdin.isatty():
                self._keys = sys.stdin.fileno()
                self._kept = termios.tcgetattr(self._keys)
                tty.setcbreak(self._keys, termios.TCSANOW)  # each key comes at once and is not shown
                changed = termios.tcgetattr(self._keys)
                changed[0] &= ~termios.IXON  # and none of them stops the output
                termios.tcsetattr(self._keys, termios.TCSANOW, changed)
            self._console.set_alt_screen()
            self._console.show_cursor(False)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for ending in _ENDING:
            signal.signal(ending, signal.SIG_IGN)
        with suppress(OSError, termios.error):  # the terminal may be gone
            if self._kept is not None and self._keys is not None:
                termios.tcflush(self._keys, termios.TCIFLUSH)
                termios.tcsetattr(self._keys, termios.TCSANOW, self._kept)
        with suppress(OSError):
            self._console.set_alt_screen(False)
            self._console.show_cursor()
        signal.set_wakeup_fd(self._previous)
        os.close(self._woken)
        os.close(self._waking)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)


def _end(number: int, frame: object) -> None:
    for other in _ENDING:
        signal.signal(other, signal.SIG_IGN)
    raise Ended(number)

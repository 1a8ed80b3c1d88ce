"""A terminal, and what its user sees."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
from collections.abc import Callable
from time import monotonic
from typing import Any

import pyte

from tests.fakes.programs import PATIENCE, Programs, Running

SHOWN = b"\x1b[?25h"  # the cursor
HIDDEN = b"\x1b[?25l"
OTHER_SCREEN = b"\x1b[?1049h"
FIRST_SCREEN = b"\x1b[?1049l"


class Terminal:
    """
    A terminal for one program and its children; as a context manager, it is gone outside.

    @ivar written: all that was written to it.
    """

    def __init__(self, columns: int = 100, lines: int = 30) -> None:
        self._master, self._slave = os.openpty()
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._set_size(columns, lines)
        self.written = b""

    def start(self, programs: Programs, *words: str, is_stderr: bool = False, **options: Any) -> Running:
        """Start a program that has this as its controlling terminal, but for stderr, unless that is this too."""
        options = {"stdin": self._slave, "environment": {"TERM": "xterm"}, **options}
        if is_stderr:
            options["stderr"] = self._slave
        return programs.start_program(*words, stdout=self._slave, own_session=True, first=self._seize, **options)

    @property
    def settings(self) -> list[Any]:
        """What the terminal does with keys and the like."""
        return termios.tcgetattr(self._slave)

    @property
    def lines(self) -> list[str]:
        """What is to be seen, without empty lines."""
        return [line.rstrip() for line in self._screen.display if line.strip()]

    def see(self, *texts: str) -> list[str]:
        """Wait until all of C{texts} are to be seen; give the lines."""
        return self.watch(lambda lines: all(any(text in line for line in lines) for text in texts), repr(texts))

    def see_no(self, text: str) -> list[str]:
        """Wait until C{text} is not to be seen any more; give the lines."""
        return self.watch(lambda lines: not any(text in line for line in lines), f"not {text!r}")

    def watch(self, condition: Callable[[list[str]], bool], what: str) -> list[str]:
        """Wait until what is to be seen fulfils C{condition}; give the lines."""
        give_up = monotonic() + PATIENCE
        while not condition(self.lines):
            assert self._read(give_up - monotonic()), f"{what} was not seen, but {self.lines}"
        return self.lines

    def finish(self, running: Running) -> subprocess.CompletedProcess[str]:
        """Wait for the end of C{running}, and look at what it writes until then."""
        give_up = monotonic() + PATIENCE
        while running.process.poll() is None:
            assert monotonic() < give_up, f"it does not end, but shows {self.lines}"
            self._read(0.05)
        self.read_rest()
        _, err = running.process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(running.process.args, running.process.returncode, "", (err or b"").decode())

    def read_rest(self) -> None:
        """Read what was written and not yet looked at; for when the program has ended."""
        while self._read(0):
            pass

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        self._screen.resize(lines, columns)
        self._set_size(columns, lines)

    def _read(self, patience: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, patience))
        if ready:
            data = os.read(self._master, 65536)
            self.written += data
            self._stream.feed(data)
        return bool(ready)

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))

    def _seize(self) -> None:
        fcntl.ioctl(1, termios.TIOCSCTTY, 0)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._master)
        os.close(self._slave)

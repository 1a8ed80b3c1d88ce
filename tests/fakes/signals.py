"""A command that writes down the signals it gets, and a terminal that sends some."""

from __future__ import annotations

import fcntl
import os
import sys
import termios
from typing import Final

_RECORDER = """
import os, signal, sys
wanted = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGTERM,
    signal.SIGCONT, signal.SIGWINCH, signal.SIGXCPU, signal.SIGVTALRM, signal.SIGPWR, signal.SIGIO,
    signal.SIGRTMIN}
signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
print(os.getpid(), flush=True)
got = None
while got != signal.SIGUSR2:
    got = signal.sigwait(wanted)
    print(signal.Signals(got).name, flush=True)
sys.exit(5)
"""
RECORD: Final = [sys.executable, "-I", "-S", "-c", _RECORDER]
"""A command that writes its process id, then the signals that it gets, until it gets SIGUSR2."""


class ControllingTerminal:
    """
    A terminal for one program and its children.

    @ivar slave: their stdin.
    """

    def __init__(self) -> None:
        self._master, self.slave = os.openpty()

    def seize(self) -> None:
        """Make it the controlling terminal of the process, which leads a session and has it as stdin."""
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def hang_up(self) -> None:
        """Make the terminal go away, as when its window is closed."""
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        if self._master >= 0:
            os.close(self._master)
        os.close(self.slave)

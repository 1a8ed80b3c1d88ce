"""
The signals of C{flom-run}, with the knowledge of where they come from.

A signal that the terminal has sent went to the command too, so it must not be passed on a second time; one that
somebody has sent to us alone must. Only C{sigwaitinfo} tells them apart. It wants the signals blocked in every thread,
and a thread of its own to wait in.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

ENDING: Final = frozenset(
    {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGTERM}
)
"""Signals that end a program that does nothing about them."""

_WATCHED: Final = ENDING | {signal.SIGCONT, signal.SIGWINCH}
_SI_KERNEL: Final = 0x80  # siginfo(2): sent by the kernel, which is how a terminal's signals come

Receive = Callable[[int, bool], None]
"""Takes the number of a signal and whether the kernel, for a terminal, has sent it."""


class SignalWatch:
    """
    Turns signals into calls.

    Signals that were ignored when the program started, as by nohup, stay ignored.

    @ivar ignored: those, but for the ones that Python itself ignores.
    """

    def __init__(self) -> None:
        """
        Block the signals; to be called before there is another thread.

        Those that whoever started us had blocked are let through: without SIGCHLD no command would ever seem to end.
        """
        self.ignored = frozenset(number for number in _WATCHED if signal.getsignal(number) == signal.SIG_IGN)
        self._watched = _WATCHED - self.ignored
        if signal.SIGINT in self._watched:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # in L{unblocked}, Python would raise KeyboardInterrupt
        signal.pthread_sigmask(signal.SIG_SETMASK, self._watched)

    def start(self, receive: Receive) -> None:
        """
        Have C{receive} called from now on, also with the signals that came before.

        @param receive: is called in a thread of its own, and in the moments of L{unblocked} in the main one.
        """
        self._receive = receive
        for number in self._watched:
            # for the moments of L{unblocked}; it replaces the reactor's handlers, which would stop it
            signal.signal(number, self._note)
        threading.Thread(target=self._wait, name="signals", daemon=True).start()

    @contextmanager
    def unblocked(self) -> Iterator[None]:
        """Let the signals through while a process is made, because it inherits the mask."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._watched)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, self._watched)

    def _note(self, number: int, frame: object) -> None:
        """Take a signal of such a moment, in the middle of whatever goes on."""
        self._receive(number, False)

    def _wait(self) -> None:
        while True:
            info = signal.sigwaitinfo(self._watched)
            self._receive(info.si_signo, info.si_code == _SI_KERNEL)

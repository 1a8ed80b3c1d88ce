"""
The signals of a program that runs a command under a lock, with the knowledge of where they come from.

A signal of the terminal went to the command too, so it must not be passed on a second time; one that was sent to us
alone must. Only C{sigwaitinfo} tells them apart. It wants the signals blocked in every thread, and a thread of its own
to wait in.
"""

from __future__ import annotations

from flom.lean import signal, start_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    Receive = Callable[[int, bool], None]
    """Takes the number of a signal and whether the kernel, for a terminal, has sent it."""

ENDING: Final = frozenset(
    {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGTERM}
)
"""Signals that end a program that does nothing about them."""

_WATCHED: Final = ENDING | {signal.SIGCONT, signal.SIGWINCH}
_SI_KERNEL: Final = 0x80  # siginfo(2): sent by the kernel, which is how a terminal's signals come


class SignalWatch:
    """Turns signals into calls; those that were ignored when the program started, as by nohup, stay ignored."""

    def __init__(self) -> None:
        """
        Block the signals; to be called before there is another thread.

        Others, which our starter may have blocked, are let through: without SIGCHLD no command would ever seem to end.
        """
        self._watched = frozenset(number for number in _WATCHED if signal.getsignal(number) != signal.SIG_IGN)
        if signal.SIGINT in self._watched:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # in L{unblocked}, Python would raise KeyboardInterrupt
        signal.pthread_sigmask(signal.SIG_SETMASK, self._watched)

    def start(self, receive: Receive) -> None:
        """
        Call C{receive} for each signal from now on, also for those that came before.

        @param receive: is called in a thread of its own, and in the moments of L{unblocked} in the main one.
        """
        self._receive = receive
        for number in self._watched:
            # for the moments of L{unblocked}; it replaces the reactor's handlers, which would stop it
            signal.signal(number, self._note)
        start_thread(self._wait)

    def unblocked(self) -> SignalWatch:
        """Return a context in which signals come through, because a process that is made there inherits the mask."""
        return self

    def __enter__(self) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._watched)

    def __exit__(self, *_: object) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, self._watched)

    def _note(self, number: int, frame: object) -> None:
        """Receive a signal of such a moment."""
        self._receive(number, False)

    def _wait(self) -> None:
        while True:
            info = signal.sigwaitinfo(self._watched)
            self._receive(info.si_signo, info.si_code == _SI_KERNEL)

"""
The signals of a program that runs a command under a lock, with the knowledge of where they come from.

A signal of the terminal went to the command too, so it must not be passed on a second time; one that was sent to us
alone must. Only C{sigwaitinfo} tells them apart. It wants the signals blocked in every thread, and a thread of its own
to wait in.
"""

from __future__ import annotations

import os

from flom.lean import signal, start_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    Receive = Callable[[int, bool], None]
    """Takes the number of a signal and whether a terminal has sent it, to a whole process group."""

PYTHON_IGNORES: Final = frozenset({signal.SIGPIPE, signal.SIGXFSZ})
"""Signals that Python ignores for itself: commands and daemons get them as they were."""

_FAULTS: Final = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS}
_CANNOT_BE_CAUGHT: Final = {signal.SIGKILL, signal.SIGSTOP}
_END_NOTHING: Final = {
    *(signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH),
    *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
}

ENDING: Final = frozenset(
    signal.valid_signals() - _FAULTS - PYTHON_IGNORES - _CANNOT_BE_CAUGHT - _END_NOTHING  # all others, by default
)
"""Signals that end a program that does nothing about them, and come from outside; real-time signals are among them."""

_WATCHED: Final = ENDING | {signal.SIGCONT, signal.SIGWINCH, signal.SIGTSTP}
_SI_KERNEL: Final = 0x80  # siginfo(2): sent by the kernel, which is how a terminal's signals come

IGNORED: Final = "FLOM_RUN_IGNORED"
"""The variable in which the script C{flom-run} has which signals it was called to ignore, in the kernel's notation."""

_OF_A_TERMINAL: Final = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGWINCH})
"""
Signals that the kernel sends to the whole process group in the terminal's foreground. Others it sends to us alone:
SIGALRM, SIGXCPU, and SIGHUP to the leader of a session whose terminal goes away.
"""


class SignalWatch:
    """Turns signals into calls; those that were ignored when the program started, as by nohup, stay ignored."""

    def __init__(self) -> None:
        """
        Block the signals; to be called before there is another thread.

        Others, which our starter may have blocked, are let through: without SIGCHLD no command would ever seem to end.
        """
        self._receive: Receive | None = None
        self._watched = frozenset(number for number in _WATCHED if signal.getsignal(number) != signal.SIG_IGN)
        if signal.SIGINT in self._watched:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # in L{unblocked}, Python would raise KeyboardInterrupt
        signal.pthread_sigmask(signal.SIG_SETMASK, self._watched)

    def start(self, receive: Receive) -> None:
        """
        Call C{receive} for each signal from now on, and at first for those that came before.

        @param receive: is called in a thread of its own, and in the main one now and in the moments of L{unblocked}.
        @raise flom.errors.NoProcess: there can be no more threads.
        """
        self._receive = receive
        while (info := signal.sigtimedwait(self._watched, 0)) is not None:
            self._pass_on(info)
        start_thread(self._wait)

    def unblocked(self) -> SignalWatch:
        """Return a context in which signals come through, because a process that is made there inherits the mask."""
        return self

    def __enter__(self) -> None:
        self._handle(signal.SIG_DFL if self._receive is None else self._note)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._watched)

    def __exit__(self, *_: object) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, self._watched)
        self._handle(signal.SIG_DFL)  # by which we can die, when we are to

    def _handle(self, action: Callable[..., None] | int) -> None:
        """Set C{action} for signals that may come through; it replaces a reactor's handlers, which would stop it."""
        for number in self._watched - {signal.SIGTSTP}:
            if signal.getsignal(number) != action:
                signal.signal(number, action)

    def _note(self, number: int, frame: object) -> None:
        """Receive a signal of such a moment."""
        assert self._receive is not None
        self._receive(number, False)

    def _wait(self) -> None:
        while True:
            self._pass_on(signal.sigwaitinfo(self._watched))

    def _pass_on(self, info: signal.struct_siginfo) -> None:
        assert self._receive is not None
        self._receive(info.si_signo, info.si_code == _SI_KERNEL and info.si_signo in _OF_A_TERMINAL)


def changed_by_python() -> list[int]:
    """Return the signals that Python ignores for itself, and that this program was not called to ignore."""
    ignored = int(os.environ.get(IGNORED) or "0", 16)
    return [number for number in PYTHON_IGNORES if not ignored >> (number - 1) & 1]


def stop_ourselves() -> None:
    """
    Stop this process, as SIGTSTP does, which is watched; return when it is continued.

    The kernel does not stop one whose session has nothing left that could continue it.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})

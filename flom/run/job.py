"""
One command that is to run under a lock, by whichever way the lock comes: what it is told, which signals reach it, and
what is said of what goes wrong (docs/compatibility.md, "Commands under a lock").
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from flom.codes import ExitStatus
from flom.config import SIGNAL_NAMES, Config
from flom.errors import FlomError, LockTimeout
from flom.job.environment import add_lock, inherited_environment
from flom.job.signals import ENDING, SignalWatch
from flom.job.wording import explain, lost, timed_out
from flom.job.words import words_with
from flom.net.machine_id import unique_id
from flom.run.output import complain, tell
from flom.trace import tracer

if TYPE_CHECKING:
    from flom.core.protocol.messages import Lock

_CANNOT_BE_IGNORED: Final = frozenset({signal.SIGKILL, signal.SIGSTOP})

_UNCERTAIN: Final = 0.01
"""
Seconds after the start of the command in which a signal that the terminal has sent may have come before the command
was there to get it: then it gets it from us, better twice than never.
"""

_trace = tracer("exec")


class RunningChild(Protocol):
    """A command that was started."""

    def signal(self, number: int) -> None:
        """Send it a signal; if it has ended by now, nothing happens."""


class Job:
    """One command and its lock; L{flom.run.direct} and L{flom.run.runner} are the two ways to the lock."""

    def __init__(
        self, config: Config, command: Sequence[str], watch: SignalWatch, descriptors: Collection[int]
    ) -> None:
        """
        @param descriptors: those that the command gets beside stdin, stdout and stderr.
        """
        self._config = config
        self._command = command
        self._watch = watch
        self._descriptors = descriptors
        self._child: RunningChild | None = None
        self._started_at = 0.0  # in seconds of the monotonic clock
        self._status: int | None = None

    def _request(self) -> Lock:
        """Say what is to be locked."""
        from flom.core.protocol.messages import Lock  # who starts a daemon first need not wait for its import

        config = self._config
        return Lock(
            config.resource_name,
            config.lock_mode,
            config.quantity,
            wait=config.timeout_ms != 0,
            create=config.create,
            lifespan=config.idle_lifespan_ms / 1000,
            peer_id=unique_id(),
        )

    def signal(self, number: int, from_terminal: bool) -> None:
        """
        Take a signal.

        While the command runs, it is the command's, which has it already if the terminal sent it. Before that, it ends
        this process at once: the kernel closes the connection, and by that we leave the queue. Afterwards, it ends the
        wait for the daemon to take the lock back. While the command runs, the user may have it ignored
        (docs/compatibility.md, "Signals to the runner").
        """
        if self._status is not None:
            os._exit(self._status)
        if self._child is not None:
            has_it = from_terminal and monotonic() > self._started_at + _UNCERTAIN
            if not has_it and number not in self._config.ignored_signals:
                self._child.signal(number)
        elif number in ENDING:
            self._leave()
            os._exit(128 + number)

    def _note_start(self, child: RunningChild) -> None:
        """Take note that the command runs."""
        self._child = child
        self._started_at = monotonic()
        _trace.debug("running %s", self._command[0])

    def _leave(self) -> None:
        """Do what is to be done before a signal ends us while we wait for the lock."""

    def _words(self, element: str | None) -> list[str]:
        return words_with(element, self._command)

    def _note_end(self, status: int) -> None:
        """Take note that the command has ended."""
        self._status = status
        _trace.debug("%s has ended with status %d", self._command[0], status)

    def _ignore_signals(self) -> None:
        """
        Ignore what the user wants ignored, and does not come by L{signal}.

        SIGCHLD tells us of the command's end, and does nothing else to us.
        """
        for number in self._config.ignored_signals:
            if number in _CANNOT_BE_IGNORED:
                complain(f"Warning: couldn't ignore signal {number}:{SIGNAL_NAMES[number - 1]}")
            elif number != signal.SIGCHLD:
                signal.signal(number, signal.SIG_IGN)

    def _environment(self, element: str | None) -> dict[bytes, bytes]:
        """Return ours, and what the command may want to know of its lock."""
        environment = inherited_environment()
        add_lock(environment, self._config.resource_name, self._config.lock_mode, element)
        return environment

    def _lament_refusal(self, error: FlomError) -> ExitStatus:
        """Say why there is no lock, or no shutdown; give what to exit with."""
        complaint, status = explain(error)
        complain(complaint)
        return status

    def _timed_out(self) -> LockTimeout:
        """Return the error that tells that the user's timeout is over."""
        return timed_out(self._config.timeout or 0.0)

    def _lament(self, why: FlomError) -> None:
        """Say that the lock is gone; the command is left alone, because only its user knows whether that matters."""
        complain(lost(why))

    def _say(self, text: str) -> None:
        if self._config.verbose:
            tell(text)

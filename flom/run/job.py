"""
One command that is to run under a lock, by whichever way the lock comes: what it is told, which signals reach it, and
what is said of what goes wrong (docs/compatibility.md, "Commands under a lock").
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from flom.codes import ExitStatus
from flom.config import SIGNAL_NAMES, Config
from flom.errors import FlomError, LockTimeout
from flom.job.environment import add_lock, inherited_environment
from flom.job.forwarding import Forwarding, ignore_signals
from flom.job.signals import SignalWatch
from flom.job.wording import explain, lost, timed_out
from flom.job.words import words_with
from flom.net.machine_id import unique_id
from flom.run.output import complain, tell
from flom.trace import tracer

if TYPE_CHECKING:
    from flom.core.protocol.messages import Lock
    from flom.job.forwarding import Signalled

_trace = tracer("exec")


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
        self._forwarding = Forwarding(config.ignored_signals, self._leave)

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
        """See L{Forwarding.receive}."""
        self._forwarding.receive(number, from_terminal)

    def _note_start(self, child: Signalled) -> None:
        """Note that the command runs."""
        self._forwarding.note_start(child)
        _trace.debug("running %s", self._command[0])

    def _leave(self) -> None:
        """Do what is to be done before a signal ends us while we wait for the lock."""

    def _words(self, element: str | None) -> list[str]:
        return words_with(element, self._command)

    def _note_end(self, status: int) -> None:
        """Note that the command has ended."""
        self._forwarding.note_end(status)
        _trace.debug("%s has ended with status %d", self._command[0], status)

    def _ignore_signals(self) -> None:
        """Ignore what the user wants ignored, and does not come by L{signal}."""
        for number in ignore_signals(self._config.ignored_signals):
            complain(f"Warning: couldn't ignore signal {number}:{SIGNAL_NAMES[number - 1]}")

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

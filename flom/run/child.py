"""The command: a child process that keeps everything it would have had without us (spec 8.1)."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from flom.errors import FlomError, reason
from flom.run import ignoring


class CannotExecute(FlomError):
    """The command cannot be started."""


class Child(ProcessProtocol):
    """
    A running command.

    @ivar ended: fires with its status: what it exited with, or 128 and the number of the signal that killed it.
    """

    transport: Any  # an IProcessTransport, once it runs

    def __init__(self) -> None:
        self.ended: Deferred[int] = Deferred()

    def processExited(self, reason: Failure) -> None:
        how: Any = reason.value  # a ProcessDone or a ProcessTerminated
        self.ended.callback(how.exitCode if how.signal is None else 128 + how.signal)

    def signal(self, number: int) -> None:
        """Send the child a signal; if it has ended by now, nothing happens."""
        try:
            self.transport.signalProcess(number)
        except ProcessExitedAlready:
            pass


def start_child(
    reactor: Any,
    command: Sequence[str],
    environment: dict[bytes, bytes],
    *,
    inherit: Iterable[int],
    ignored: Collection[int],
) -> Child:
    """
    Start C{command} with our terminal, process group and working directory.

    @param inherit: descriptors that it gets beside stdin, stdout and stderr, under the same numbers.
    @param ignored: signals that it is to ignore, as we do because whoever started us wanted it.
    @raise CannotExecute: there is no such command, or it is no program.
    """
    if not command[0]:
        raise CannotExecute("Unable to execute command '': it has no name")
    words = [os.fsencode(word) for word in command]
    if ignored:
        numbers = ",".join(str(int(number)) for number in sorted(ignored))
        program = [sys.executable, "-I", "-S", ignoring.__file__, numbers]
        words = [*map(os.fsencode, program), *words]
    child_fds = {number: number for number in (0, 1, 2, *inherit)}
    child = Child()
    try:
        try:
            reactor.spawnProcess(child, words[0], words, env=environment, childFDs=child_fds)
        except OSError as e:
            if e.errno != errno.ENOEXEC:
                raise
            words = [os.fsencode(word) for word in ignoring.as_script(command)]
            reactor.spawnProcess(child, words[0], words, env=environment, childFDs=child_fds)
    except (OSError, ValueError) as e:
        why = reason(e) if isinstance(e, OSError) else str(e)
        raise CannotExecute(f"Unable to execute command '{command[0]}': {why}") from e
    return child

"""
The command: a child process that keeps everything it would have had without us
(docs/compatibility.md, "Running the command").
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from flom.job.words import execute
from flom.run import ignoring


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
    @raise flom.job.words.CannotExecute: there is no such command, or it is no program.
    """
    wrapper: list[str] = []
    if ignored:
        numbers = ",".join(str(int(number)) for number in sorted(ignored))
        wrapper = [sys.executable, "-I", "-S", ignoring.__file__, numbers]
    child_fds = {number: number for number in (0, 1, 2, *inherit)}
    child = Child()

    def spawn(words: Sequence[str]) -> None:
        encoded = [os.fsencode(word) for word in (*wrapper, *words)]
        reactor.spawnProcess(child, encoded[0], encoded, env=environment, childFDs=child_fds)

    execute(command, spawn)
    return child

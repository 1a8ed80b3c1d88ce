"""What needs a reactor: groups, TLS, reports of what goes on, shutdowns, debug features."""

from __future__ import annotations

import gc
import os
from collections.abc import Collection, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from flom.codes import ExitStatus
from flom.config import Config
from flom.job.command_line import CommandLine
from flom.job.signals import ENDING, Receive, SignalWatch
from flom.run.output import complain_of_bug
from flom.run.runner import Runner


def run_with_reactor(line: CommandLine, config: Config, watch: SignalWatch, descriptors: Collection[int]) -> int:
    """
    Do what C{line} asks for.

    @param descriptors: see L{flom.run.program.run}.
    @return: the status to exit with.
    """
    from twisted.internet import reactor

    gc.enable()
    if line.debug_feature is not None:
        from flom.run.debug import try_feature  # hardly anybody needs it

        job = try_feature(reactor, line.debug_feature, config)
        return _react(reactor, job, watch, _end_by, ExitStatus.DEBUG_FAILED)
    runner = Runner(reactor, config, line.command, watch, descriptors)
    job = runner.shut_down(line.immediate) if line.quiesce or line.immediate else runner.run()
    return _react(reactor, job, watch, runner.signal, ExitStatus.ERROR)


def _end_by(number: int, from_terminal: bool) -> None:
    if number in ENDING:
        os._exit(128 + number)


def _react(reactor: Any, job: Coroutine[Any, Any, int], watch: SignalWatch, signal: Receive, failed: int) -> int:
    """Run C{job} to its end; give its status."""
    statuses: list[int] = []

    def begin() -> None:
        watch.start(lambda number, from_terminal: reactor.callFromThread(signal, number, from_terminal))
        Deferred.fromCoroutine(job).addErrback(unexpected).addCallback(end)

    def unexpected(failure: Failure) -> int:
        complain_of_bug(failure.value)
        return failed

    def end(status: int) -> None:
        statuses.append(status)
        reactor.stop()

    reactor.callWhenRunning(begin)
    reactor.run()
    return statuses[0]

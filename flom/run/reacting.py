"""What needs a reactor: shutdowns and debug features."""

from __future__ import annotations

import gc
import os
from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from flom.client.deferred.group import GroupEndpoint
from flom.client.deferred.locator import DaemonEndpoint, locate
from flom.client.deferred.shutdown import shut_down
from flom.codes import ExitStatus
from flom.config import Config
from flom.errors import FlomError
from flom.job.command_line import CommandLine
from flom.job.signals import ENDING, SignalWatch
from flom.job.wording import explain
from flom.net.multicast import group_of
from flom.reactor.transports import tls_of
from flom.run.terminal import print_bug, print_error, tell, warn


def run_with_reactor(line: CommandLine, config: Config, watch: SignalWatch) -> int:
    """
    Do what C{line} asks for.

    @return: the status to exit with.
    """
    from twisted.internet import reactor

    gc.enable()
    if line.debug_feature is not None:
        from flom.run.debug import try_feature  # hardly anybody needs it

        job = try_feature(reactor, line.debug_feature, config)
        return _react(reactor, job, watch, ExitStatus.DEBUG_FAILED)
    return _react(reactor, _shut_down(reactor, config, line.immediate), watch, ExitStatus.ERROR)


async def _shut_down(reactor: Any, config: Config, immediate: bool) -> int:
    tell(f"Starting FLoM daemon {'immediate' if immediate else 'quiesce'} shutdown...")
    try:
        endpoint: Any
        if config.multicast_address:
            endpoint = GroupEndpoint(
                reactor, config, group_of(config), tell if config.verbose else lambda text: None, warn
            )
        else:
            endpoint = DaemonEndpoint(reactor, locate(config, reactor))
        is_in_group = bool(config.multicast_address)
        await shut_down(reactor, endpoint, endpoint.peer, immediate, tls=tls_of(config), is_in_pool=is_in_group)
    except FlomError as e:
        text, status = explain(e)
        print_error(text)
        return status
    return ExitStatus.OK


def _react(reactor: Any, job: Coroutine[Any, Any, int], watch: SignalWatch, failed: int) -> int:
    """Run C{job} to its end; return its status."""
    statuses: list[int] = []

    def begin() -> None:
        watch.start(end_by)
        Deferred.fromCoroutine(job).addErrback(unexpected).addCallback(end)

    def end_by(number: int, from_terminal: bool) -> None:
        if number in ENDING:
            os._exit(128 + number)

    def unexpected(failure: Failure) -> int:
        print_bug(failure.value)
        return failed

    def end(status: int) -> None:
        statuses.append(status)
        reactor.stop()

    reactor.callWhenRunning(begin)
    reactor.run()
    return statuses[0]

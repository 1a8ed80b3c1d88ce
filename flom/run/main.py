"""The door of C{flom-run}: takes a lock, runs a command, gives the lock back (spec 8)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.python.failure import Failure

from flom import __version__
from flom.client.lock import RemoteArbiter, RemoteHeld
from flom.config import SETTINGS, Config, load, override
from flom.core.messages import Lock
from flom.core.names import HierarchicalName, SimpleName, parse_name
from flom.core.resources.timestamp import InvalidTimestampFormat
from flom.errors import (
    CannotWait,
    ConfigError,
    DaemonLost,
    DaemonUnreachable,
    ExitStatus,
    FlomError,
    LocalProtocolError,
    LockBusy,
    LockRefused,
    Outcome,
    RemoteProtocolError,
    ReturnCode,
)
from flom.identity import unique_id
from flom.run.child import CannotExecute, Child, start_child
from flom.run.daemonize import StartingEndpoint
from flom.run.options import parse, usage
from flom.run.signals import ENDING, SignalWatch

_VERSION = f"""\
FLoM: Free Lock Manager, on Twisted
Package name: flom; package version: {__version__}; compatible with FLoM 1.7.2
License: MIT"""


def main() -> None:
    """Run the program of this process's command line, and exit."""
    for descriptor in range(3):
        _open_if_closed(descriptor)
    watch = SignalWatch()  # before the reactor, which may start threads
    sys.exit(run(sys.argv[1:], watch))


def run(words: Sequence[str], watch: SignalWatch) -> int:
    """
    Do what the command line C{words} says.

    @return: the status to exit with (spec 1.5).
    """
    try:
        line = parse(words)
        if line.help:
            print(usage())
            return ExitStatus.OK
        if line.version:
            print(_VERSION)
            return ExitStatus.OK
        config = override(load(line.config_file, os.environ), line.options)
        if config.verbose:
            for setting in SETTINGS:
                print(setting.show(config))
        config.check()
    except ConfigError as e:
        _complain(str(e))
        return ExitStatus.ERROR
    if not line.command:
        _complain("No command to execute!")
        return ExitStatus.CANNOT_EXECUTE

    from twisted.internet import reactor

    runner = Runner(reactor, config, line.command, watch)
    statuses: list[int] = []

    def begin() -> None:
        watch.start(reactor, runner.signal)
        Deferred.fromCoroutine(runner.run()).addErrback(_unexpected).addCallback(end)

    def end(status: int) -> None:
        statuses.append(status)
        reactor.stop()

    reactor.callWhenRunning(begin)
    reactor.run()
    return statuses[0]


class Runner:
    """One command and its lock."""

    def __init__(self, reactor: Any, config: Config, command: Sequence[str], watch: SignalWatch) -> None:
        self._reactor = reactor
        self._config = config
        self._command = command
        self._watch = watch
        self._waiting: Deferred[RemoteHeld] | None = None
        self._ended_by: int | None = None
        self._child: Child | None = None

    def signal(self, number: int, from_terminal: bool) -> None:
        """
        Take a signal.

        While the command runs, it is the command's, which has it already if the terminal sent it; before that, it ends
        the wait.
        """
        if self._child is not None:
            if not from_terminal:
                self._child.signal(number)
        elif number in ENDING and self._ended_by is None:
            self._ended_by = number
            if self._waiting is not None:
                self._waiting.cancel()

    async def run(self) -> int:
        """
        Take the lock, run the command, give the lock back.

        @return: the status to exit with.
        """
        try:
            held = await self._acquire()
        except CancelledError:
            return 128 + (self._ended_by or 0)
        except (FlomError, TimeoutError) as e:
            complaint, refusal = self._explain(e)
            _complain(complaint)
            return refusal
        held.lost.addCallback(self._lost)
        if held.element is not None:
            self._say(f"Locked element is '{held.element}'")
        try:
            with self._watch.unblocked():
                self._child = start_child(
                    self._reactor,
                    [*self._command, *([] if held.element is None else [held.element])],
                    self._environment(held),
                    inherit=[] if self._config.close else [held.fileno()],
                    ignored=self._watch.ignored,
                )
        except CannotExecute as e:
            _complain(str(e))
            status = int(ExitStatus.CANNOT_EXECUTE)
        else:
            status = await self._child.ended
        try:
            await held.release(rollback=status != 0)
        except DaemonLost:
            return status or ExitStatus.ERROR  # the user was told when it happened
        return status

    async def _acquire(self) -> RemoteHeld:
        if self._ended_by is not None:
            raise CancelledError
        config = self._config
        endpoint = StartingEndpoint(self._reactor, config, self._watch.unblocked, self._say)
        arbiter = RemoteArbiter(endpoint, endpoint.peer, self._reactor, config.keepalive)
        lock = Lock(
            config.resource_name,
            config.lock_mode,
            config.quantity,
            wait=config.timeout_ms != 0,
            create=config.create,
            lifespan=config.idle_lifespan_ms / 1000,
            peer_id=unique_id(),
        )
        self._waiting = Deferred.fromCoroutine(arbiter.lock(lock))
        if config.timeout:
            self._waiting.addTimeout(config.timeout, self._reactor)
        try:
            return await self._waiting
        finally:
            self._waiting = None

    def _environment(self, held: RemoteHeld) -> dict[bytes, bytes]:
        """Give ours, and what the command may want to know of its lock."""
        config = self._config
        name = parse_name(config.resource_name)
        told = {
            "FLOM_RESOURCE": config.resource_name,
            "FLOM_LOCK_MODE": config.lock_mode.name if isinstance(name, SimpleName | HierarchicalName) else "EX",
            "FLOM_ELEMENT": held.element,
        }
        environment = dict(os.environb)
        for key, value in told.items():
            environment.pop(os.fsencode(key), None)  # of a flom-run around this one
            if value is not None:
                environment[os.fsencode(key)] = os.fsencode(value)
        return environment

    def _explain(self, error: Exception) -> tuple[str, ExitStatus]:
        """Tell what to say of C{error}, and what to exit with (spec 1.5, 1.6)."""
        match error:
            case TimeoutError():
                limit = self._config.timeout_ms
                return (
                    f"The lock was not obtained because timeout ({limit} milliseconds) expired",
                    ExitStatus.BUSY,
                )
            case LockBusy():
                return "Resource already locked, the lock cannot be obtained", ExitStatus.BUSY
            case CannotWait():
                return (
                    "The resource could be available in the future, but the requester can't wait",
                    ExitStatus.CANNOT_WAIT,
                )
            case LockRefused(outcome=Outcome.IMPOSSIBLE):
                return "Resource will never satisfy the request, the lock cannot be obtained", ExitStatus.ERROR
            case DaemonUnreachable(code=code):
                return _failed("flom_client_connect", code, error), ExitStatus.ERROR
            case LockRefused():
                return _failed("flom_client_lock", ReturnCode.INVALID_RESOURCE_NAME, error), ExitStatus.ERROR
            case InvalidTimestampFormat():
                return _failed("flom_client_lock", ReturnCode.INVALID_TIMESTAMP_FORMAT, error), ExitStatus.ERROR
            case LocalProtocolError():
                return _failed("flom_client_lock", ReturnCode.CONTAINER_FULL, error), ExitStatus.ERROR
            case RemoteProtocolError():
                return _failed("flom_client_lock", ReturnCode.PROTOCOL_ERROR, error), ExitStatus.ERROR
            case DaemonLost():
                return _failed("flom_client_lock", ReturnCode.RECV_ERROR, error), ExitStatus.ERROR
            case _:
                return str(error), ExitStatus.ERROR

    def _lost(self, why: FlomError) -> None:
        """Say that the lock is gone; the command is left alone, because only its user knows whether that matters."""
        _complain(_failed("flom_client_unlock", ReturnCode.SEND_ERROR, f"{why}, the command goes on unlocked"))

    def _say(self, text: str) -> None:
        if self._config.verbose:
            print(text, flush=True)


def _failed(what: str, code: ReturnCode, why: object) -> str:
    return f"{what}: ret_cod={code} ({code.text}): {why}"


def _complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _unexpected(failure: Failure) -> int:
    _complain(f"flom-run: internal error: {failure.value!r}")
    return ExitStatus.ERROR


def _open_if_closed(descriptor: int) -> None:
    """See that C{descriptor} is open, so that none of our own gets its number and ends up as the command's stdin."""
    try:
        os.fstat(descriptor)
    except OSError:
        os.open(os.devnull, os.O_RDWR)

"""
C{reactor.spawnProcess} under a lock (docs/compatibility.md, "Commands under a lock").

The command inherits the connection to the daemon, so that the lock lives as long as one of the two processes. It cannot
inherit the connection of a reclaim, which comes later: a process beside it has that (L{flom.net.stand_in}).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IProcessProtocol
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.acquisition import Acquisition, Held
from flom.client.deferred import become
from flom.config.parsers import Unclear, wanted_by
from flom.core.modes import LockMode, as_mode
from flom.errors import ConfigError, FlomError, InvalidRequest
from flom.interfaces import IReactor
from flom.job.descriptors import EndWatch
from flom.job.environment import DEADLINE, WANTED, TakenLock, add_locks
from flom.job.lineage import pass_on
from flom.job.on_wanted import OnWanted
from flom.job.signals import PYTHON_IGNORES
from flom.job.status import status_after
from flom.job.words import CannotExecute, execute, words_with
from flom.net.stand_in import StandIn
from flom.reactor.processes import ExitWatch
from flom.text import reason
from flom.trace import tracer

Text = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_PIPES: Final[dict[int, int | str]] = {0: "w", 1: "r", 2: "r"}
_OURS: Final[dict[int, int | str]] = {0: 0, 1: 1, 2: 2}

_log = Logger()
_trace = tracer("exec")


class Child:
    """
    A command that runs under a lock.

    @ivar held: its lock, see L{flom.interfaces.IHeld}; if C{held.lost} fires, the command is left alone.
    @ivar code: what the command has exited with, -N if signal N has ended it; C{None} before it has ended.
    @ivar exited: fires when the command has ended and its lock is released, with the status: what it has exited with,
        0 to 255, or 128 + N if signal N has ended it. It fails only if it is cancelled, which ends nothing else.
    @ivar warn: called with a line if the command cannot be told that others wait; by default, this is logged.
    """

    def __init__(self, process: _Process, held: Held, deadline: _Deadline) -> None:
        self.held = held
        self.pid: int = process.pid
        self.code: int | None = None
        self.exited: Deferred[int] = Deferred()
        self.warn: Callable[[str], object] = _warn
        self._process = process
        self._deadline = deadline
        ending = Deferred.fromCoroutine(self._end())
        ending.addErrback(lambda failure: _log.failure("after the end of process {pid}", failure, pid=self.pid))

    def signal(self, number: int) -> None:
        """Send the command signal C{number}; nothing happens if it has ended."""
        self._process.signal(number)

    async def _end(self) -> None:
        self.code = code = await self._process.ended
        self._deadline.close()
        await _release(self.held, rollback=code != 0)
        if not self.exited.called:
            self.exited.callback(status_after(code))


async def spawn(
    reactor: IReactor,
    acquiring: Acquisition,
    name: str,
    mode: LockMode | str | int,
    words: Sequence[str],
    protocol: IProcessProtocol | ProcessProtocol | None = None,
    childFDs: Mapping[int, int | str] | None = None,
    env: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
    path: Text | None = None,
    *,
    inherit: bool = True,
    quantity: int = 1,
    lineage: tuple[str, ...] = (),
    telling: Telling | None = None,
) -> Child:
    """
    Start a command when C{acquiring}, a request for C{name} in C{mode}, fires; see C{RemoteArbiter.spawn}.

    @param lineage: what the request has told; empty if it has told none.
    @param telling: tells the command that others wait; C{None} if it is not to know.
    """
    held = await acquiring
    process: _Process | None = None
    deadline, keeping = _Deadline(), _Keeping()
    try:
        given = os.environb if env is None else env
        environment = {os.fsencode(key): os.fsencode(value) for key, value in given.items()}
        if lineage:
            pass_on(lineage, environment)
        add_locks(environment, [TakenLock(name, as_mode(mode), quantity, held.element, held.token)])
        descriptors = dict(childFDs if childFDs is not None else _OURS if protocol is None else _PIPES)
        if telling is not None:
            telling.pass_on(descriptors, environment)
        if inherit:
            keeping.pass_on(held, descriptors)
        environment[DEADLINE] = b"%d" % _pass_on(deadline.open(held), descriptors)
        command = words_with([held.element], words)
        directory = os.fsdecode(path or "")
        process = _Process(reactor, protocol or ProcessProtocol(), command, environment, directory, descriptors)
        deadline.note_start()
        keeping.note_start(process.pid)
        process.ended.addCallback(keeping.note_end)
        if telling is not None:
            process.ended.addCallback(telling.note_start())
        await process.executed
    except BaseException:
        deadline.close()
        if process is None:
            keeping.close()
            if telling is not None:
                telling.close()
        ended = succeed(0) if process is None else process.ended
        released: Deferred[None] = Deferred()  # by cancelling once more, the user cancels nothing of ours
        ended.addCallback(lambda _: Deferred.fromCoroutine(_release(held, rollback=True))).chainDeferred(released)
        await released
        raise
    child = Child(process, held, deadline)
    if telling is not None:
        telling.begin(child)
    return child


def _warn(text: str) -> None:
    _log.warn("{text}", text=text)


def _pass_on(ours: int, descriptors: dict[int, int | str]) -> int:
    """Add our descriptor to those of a child; return its number there."""
    number = ours if ours not in descriptors else max(descriptors) + 1
    descriptors[number] = ours
    return number


class _Deadline:
    """A pipe whose reading end, which a command has by L{DEADLINE}, is at its end when the lock is lost."""

    def __init__(self) -> None:
        self._open: list[int] = []

    def open(self, held: Held) -> int:
        """Make the pipe; return the descriptor for the command that is to run under C{held}."""
        try:
            self._open = list(os.pipe())
        except OSError as e:
            raise CannotExecute(f"Unable to execute a command: {reason(e)}") from e

        def tell(why: FlomError) -> FlomError:
            self.close()
            return why

        held.lost.addCallback(tell)
        return self._open[0]

    def note_start(self) -> None:
        """Keep only our end: the command has its own."""
        os.close(self._open.pop(0))

    def close(self) -> None:
        """Close what is open."""
        while self._open:
            os.close(self._open.pop())


class Telling:
    """How one command learns that others wait because of its lock, as by C{flom-run --notify-wanted}."""

    def __init__(self, name: str, how: str, descriptors: Mapping[int, int | str] | None) -> None:
        """
        @param name: of the resource, for errors.
        @param how: see C{RemoteArbiter.spawn}.
        @param descriptors: that the command is to have.
        @raise InvalidRequest: C{how} says nothing of the kind, or names one of them.
        """
        try:
            self._kind, self._number = wanted_by(how)
            if self._kind == "fd" and self._number in (descriptors or ()):
                raise Unclear("the command has another descriptor of this number")
        except Unclear as e:
            raise InvalidRequest(f"{name}: notify_wanted {how!r}: {e}") from None
        self._on_wanted: OnWanted | None = None

    def pass_on(self, descriptors: dict[int, int | str], environment: dict[bytes, bytes]) -> None:
        """Add what the command is told by to its C{descriptors}, if that is one, and say so in its C{environment}."""
        try:
            self._on_wanted = OnWanted(self._kind, self._number if self._kind == "signal" else -1)
        except ConfigError as e:
            raise CannotExecute(f"Unable to execute a command: {e}") from e
        ours, number = self._on_wanted.given, self._number
        if ours >= 0:
            if number < 0:
                number = _pass_on(ours, descriptors)
            descriptors[number] = ours
            environment[WANTED] = b"%d" % number

    def note_start(self) -> Callable[[int], int]:
        """Note that the process is there; return what is to be called with its code when it has ended."""
        assert self._on_wanted is not None
        self._on_wanted.note_start()
        return self._note_end

    def begin(self, child: Child) -> None:
        """Begin to notify C{child}, which runs."""

        def tell() -> None:
            if child.code is None and self._on_wanted is not None:
                self._on_wanted.tell(child.pid, child.signal, child.warn)

        child.held.notify(tell)  # type: ignore[attr-defined]  # of a RemoteHeld

    def close(self) -> None:
        """End what there is of it."""
        if self._on_wanted is not None:
            self._on_wanted.close()

    def _note_end(self, code: int) -> int:
        self.close()
        return code


class _Keeping:
    """What a command has of its lock: what it inherits, and a process beside it, which has what comes by a reclaim."""

    def __init__(self) -> None:
        self._end_watch: EndWatch | None = None
        self._stand_in: StandIn | None = None
        self._pid = 0  # of the command, while it runs

    def pass_on(self, held: Held, descriptors: dict[int, int | str]) -> None:
        """
        Add the descriptors that are the lock of C{held} to those of a command that is to run under it.

        @raise CannotExecute: there are no more of them.
        """
        for number in held.descriptors():  # type: ignore[attr-defined]  # of a RemoteHeld
            _pass_on(number, descriptors)
        try:
            self._end_watch = EndWatch()
        except OSError as e:
            raise CannotExecute(f"Unable to execute a command: {reason(e)}") from e
        if self._end_watch.inherited >= 0:
            _pass_on(self._end_watch.inherited, descriptors)
        held.follow(self._keep)  # type: ignore[attr-defined]

    def note_start(self, pid: int) -> None:
        """Note that the command is process C{pid}."""
        self._pid = pid
        if self._end_watch is not None:
            self._end_watch.note_start()

    def note_end(self, code: int) -> int:
        """Note that the command has ended, with C{code}, and return that."""
        self._pid = 0
        self.close()
        return code

    def close(self) -> None:
        """End what is there for the command."""
        if self._stand_in is not None:
            self._stand_in.end()
            self._stand_in = None
        if self._end_watch is not None:
            self._end_watch.close()
            self._end_watch = None

    def _keep(self, descriptors: list[int]) -> None:
        """Start a process with C{descriptors} beside the command, in the place of the one that is there."""
        if not self._pid or self._end_watch is None:
            return
        former, self._stand_in = self._stand_in, None
        try:
            awaited = self._end_watch.open(self._pid)
            try:
                self._stand_in = StandIn(descriptors, [awaited])
            finally:
                os.close(awaited)
        except OSError as e:
            _trace.debug("no process keeps the lock if this one is killed: %s", e)
        if former is not None:
            former.end()


async def _release(held: Held, *, rollback: bool) -> None:
    """Release C{held} unless its user has; that it was lost has been said by C{held.lost}."""
    if not held.is_released:
        try:
            await held.release(rollback)
        except FlomError:
            pass


@implementer(IProcessProtocol)
class _Process:
    """
    Stands between a child process and its user's protocol, which is not called before the command is executed.

    @ivar executed: fires when the command runs; with L{CannotExecute} if it cannot. Cancelling it kills the process.
    @ivar ended: fires when the process has ended, with its status, or -N if signal N has ended it.
    """

    pid: int

    def __init__(
        self,
        reactor: IReactor,
        protocol: IProcessProtocol | ProcessProtocol,
        words: Sequence[str],
        environment: dict[bytes, bytes],
        path: str,
        descriptors: dict[int, int | str],
    ) -> None:
        """
        Start the process, in directory C{path} unless that is the empty string.

        @raise CannotExecute: there is no such command; if L{become} has to see to that, L{executed} fires with it.
        """
        self.executed: Deferred[None] = Deferred(canceller=lambda _: self.signal(signal.SIGKILL))
        self.ended: Deferred[int] = Deferred()
        self._reactor = reactor
        self._protocol = protocol
        self._transport: Any = None  # an IProcessTransport, once there is a process
        self._held_back: list[Callable[[], object]] | None = []
        self._watch: ExitWatch | None = None
        self._command = words[0]
        self._pipe = -1  # the child's number of the descriptor by which L{become} says why it cannot
        self._why = b""
        ignored = ignored_signals()
        before: list[str] = []
        if ignored or path or environment.get(b"PATH") != os.environb.get(b"PATH"):
            self._pipe = max(descriptors, default=2) + 1
            descriptors[self._pipe] = "r"
            numbers = ",".join(map(str, ignored))
            before = [sys.executable, "-I", "-S", become.__file__, str(self._pipe), numbers, path]

        def start(command: Sequence[str]) -> None:
            encoded = [os.fsencode(word) for word in (*before, *command)]
            reactor.spawnProcess(self, encoded[0], encoded, environment, childFDs=descriptors)

        execute(words, start)
        if not before:
            self._note_execution()

    def signal(self, number: int) -> None:
        try:
            self._transport.signalProcess(number)
        except ProcessExitedAlready:
            pass

    def makeConnection(self, process: Any) -> None:
        self._transport = process
        self.pid = process.pid
        self._watch = ExitWatch(self._reactor, process)
        self._pass_on(lambda: self._protocol.makeConnection(process))

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == self._pipe:
            self._why += data
        else:
            self._pass_on(lambda: self._protocol.childDataReceived(childFD, data))

    def childConnectionLost(self, childFD: int) -> None:
        if childFD == self._pipe:
            self._note_execution()
        else:
            self._pass_on(lambda: self._protocol.childConnectionLost(childFD))

    def processExited(self, reason: Failure) -> None:
        if self._watch is not None:
            self._watch.stop()
        how: Any = reason.value  # a ProcessDone or a ProcessTerminated
        self.ended.callback(how.exitCode if how.signal is None else -how.signal)
        self._pass_on(lambda: self._protocol.processExited(reason))

    def processEnded(self, reason: Failure) -> None:
        self._pass_on(lambda: self._protocol.processEnded(reason))

    def _pass_on(self, event: Callable[[], object]) -> None:
        if self._held_back is None:
            event()
        else:
            self._held_back.append(event)

    def _note_execution(self) -> None:
        """Pass on that the command runs, or why it cannot be executed."""
        if self.executed.called:
            return  # by being cancelled
        if self._why:
            why = os.fsdecode(self._why)
            self.executed.errback(CannotExecute(f"Unable to execute command '{self._command}': {why}"))
            return
        events, self._held_back = self._held_back or [], None
        for event in events:
            event()
        self.executed.callback(None)


def ignored_signals() -> list[int]:
    """Return the signals that this process ignores and a command of its own would, started by an exec."""
    ignored = {number for number in signal.valid_signals() if signal.getsignal(number) == signal.SIG_IGN}
    return sorted(ignored - PYTHON_IGNORES - {signal.SIGCHLD})

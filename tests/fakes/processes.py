"""A reactor's child processes, and a lock for them, that a test plays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.python.failure import Failure

from flom.core.modes import LockMode
from flom.core.protocol.parts import HeldPart
from flom.errors import FlomError

if TYPE_CHECKING:
    from flom.core.modes import ModeName


class FakeProcesses:
    """
    Has the C{spawnProcess} of a reactor, for one process.

    @ivar protocol: the process protocol that was given.
    @ivar descriptors: the C{childFDs} that were given.
    @ivar signals: what was sent to the process.
    @ivar ends_at_once: true if the process is to have ended before C{spawnProcess} returns.
    @ivar pid: its number.
    """

    pid = 12345

    def __init__(self) -> None:
        self.protocol: Any = None
        self.descriptors: dict[int, int | str] = {}
        self.signals: list[int | str] = []
        self.ends_at_once = False

    def spawnProcess(
        self,
        protocol: Any,
        executable: bytes,
        words: Sequence[bytes],
        environment: Mapping[bytes, bytes],
        childFDs: Mapping[int, int | str],
    ) -> None:
        self.protocol = protocol
        self.descriptors = dict(childFDs)
        protocol.makeConnection(self)
        if self.ends_at_once:
            self.end()

    def signalProcess(self, number: int | str) -> None:
        self.signals.append(number)

    def note_execution(self) -> None:
        """Close the last of the pipes, by which the helper says why it cannot execute the command."""
        self.protocol.childConnectionLost(max(self.descriptors))

    def end(self, number: int | None = None) -> None:
        """End the process: with status 0, or by the signal C{number}."""
        reason = Failure(ProcessTerminated(None, number, 0) if number else ProcessDone(0))
        self.protocol.processExited(reason)
        self.protocol.processEnded(reason)


class HeldOfTest:
    """
    A lock that is held, by a connection whose descriptor is C{number}.

    @ivar was_rolled_back: what C{release} was called with.
    """

    is_lost = False
    mode = LockMode.EX

    def __init__(self, number: int = 7) -> None:
        self.element: str | None = None
        self.token: int | None = None
        self.value = ""
        self.lost: Deferred[FlomError] = Deferred()
        self.is_wanted = False
        self.wanted: Deferred[None] = Deferred()
        self.is_released = False
        self.was_rolled_back: bool | None = None
        self.parts: tuple[HeldPart, ...] = ()
        self._number = number

    def convert(self, mode: LockMode | ModeName | int, *, timeout: float | None = None) -> Deferred[None]:
        raise AssertionError("it is not to be converted")

    def descriptors(self) -> list[int]:
        return [self._number]

    def follow(self, call: Callable[[list[int]], object]) -> None:
        pass  # it is never reclaimed

    def notify(self, call: Callable[[], object]) -> None:
        pass  # no request waits for it

    def fileno(self) -> int:
        return self._number

    def release(self, rollback: bool = False) -> Deferred[None]:
        self.is_released = True
        self.was_rolled_back = rollback
        return succeed(None)

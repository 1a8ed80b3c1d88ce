"""Wall clocks that an administrator sets back and forth, for reactors in this process and for real programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from twisted.internet.base import ReactorBase
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure

HOUR: Final = 3600.0

_LIBRARIES: Final = sorted(map(str, Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")))

needs_faketime: Final = pytest.mark.skipif(not _LIBRARIES, reason="needs libfaketime (Debian package faketime)")


class FakeWallClock:
    """
    The wall clock of programs that are started with L{environment}; it can be set while they run.

    @ivar environment: what to add to that of a program.
    """

    def __init__(self, folder: Path, name: str = "faketime") -> None:
        """
        @param folder: for the file that says what time it is.
        @param name: of this file.
        """
        self._file = folder / name
        self.environment = {
            "LD_PRELOAD": _LIBRARIES[0],
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set_ahead(0.0)

    def set_ahead(self, seconds: float) -> None:
        """Set it C{seconds} ahead of the true time; below 0: behind."""
        self.set(f"{seconds:+g}")

    def set(self, text: str) -> None:
        """Set it as libfaketime writes times: C{-3600 x1.1} is an hour behind, and counts 1.1 s in each second."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{text}\n")
        new.replace(self._file)  # it is read at any moment


class TimeMachine:
    """
    A real reactor that reads no real clock; L{pass_time} runs it.

    @ivar now: its monotonic clock, in seconds.
    @ivar ahead: seconds by which its wall clock is ahead of a right one.
    @ivar reactor: a reactor of Twisted's; timers are all that it serves.
    """

    def __init__(self, reactor: Any) -> None:
        self.now = 1000.0
        self.ahead = 0.0
        self.reactor = reactor

    @property
    def wall(self) -> float:
        """The time that people would read, in seconds since the epoch."""
        return 1_800_000_000.0 + self.now + self.ahead

    def pass_time(self, seconds: float, step: float = 0.002) -> None:
        """Advance in steps of C{step} seconds; the wall clock goes back or forth by an hour at every other one."""
        for number in range(round(seconds / step)):
            self.now += step
            self.ahead = (-HOUR, -HOUR, HOUR, HOUR)[number % 4]
            self.reactor.runUntilCurrent()


@contextmanager
def time_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[TimeMachine]:
    """Make a reactor whose clocks are those of the L{TimeMachine}."""
    reactor: Any = EPollReactor()
    machine = TimeMachine(reactor)
    monkeypatch.setattr(ReactorBase, "seconds", staticmethod(lambda: machine.wall))
    monkeypatch.setattr("flom.reactor.clock.time", SimpleNamespace(monotonic=lambda: machine.now))
    try:
        yield machine
    finally:
        reactor.waker.connectionLost(Failure(CONNECTION_DONE))

"""Fuzzing a real daemon, over a UNIX socket and TCP: L{LiveRun}."""

from __future__ import annotations

import fcntl
import signal
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from time import monotonic
from types import TracebackType
from typing import Final

from tests.fakes.programs import free_port
from tests.tools.fuzz.checker import Wrong
from tests.tools.fuzz.crowd import Address, Crowd, Vandal
from tests.tools.fuzz.watched import Watched

GROWTH: Final = 4096
"""KiB by which a daemon may be greater at the end than after a third of the loads; the allocator has its moods."""

SESSION_TIMEOUT: Final = "1s"
"""For which the locks of broken connections are kept, and those of a daemon that was killed: clients wait for that."""


class LiveRun:
    """
    A daemon and the loads that it is put under; the first is a warm-up as far as memory goes.

    @ivar did: how often what was done.
    @ivar history: the last things that clients did, in words.
    @ivar samples: KiB that the daemon took after each load.
    """

    def __init__(self, directory: Path, seed: int) -> None:
        """
        @param directory: where the socket is.
        @param seed: of all choices.
        """
        port = free_port()
        path = str(directory / "flom.sock")
        self._random = Random(seed)
        self._directory = directory
        self._addresses: list[Address] = [path, ("127.0.0.1", port)]
        place = ["--socket-name", path, "--unicast-address", "127.0.0.1", "--unicast-port", str(port)]
        self.daemon = Watched(*place, "--session-timeout", SESSION_TIMEOUT)
        self.did: Counter[str] = Counter()
        self.grants = 0
        self.history: deque[str] = deque(maxlen=5000)
        self.samples: list[int] = []

    def __enter__(self) -> LiveRun:
        self.daemon.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.daemon.__exit__(kind, error, tb)

    def load(self, seconds: float) -> None:
        """
        Run a crowd for C{seconds}.

        @raise Wrong: see L{Crowd.play}.
        """
        crowd = Crowd(self._addresses, self._random)
        try:
            crowd.play(seconds)
        finally:
            self._part(crowd)
        self.samples.append(self.daemon.rss)

    def outlive(self, seconds: float) -> None:
        """
        Kill the daemon under a crowd; another crowd, at the next one, reclaims what was held, or something like it.

        @param seconds: how long there is each of both crowds.
        @raise Wrong: see L{Crowd.play}, or memory was not flat.
        """
        check_memory(self.samples)
        self.samples.clear()
        first, second = Crowd(self._addresses, self._random), Crowd(self._addresses, self._random)
        try:
            end = monotonic() + seconds
            while monotonic() < end:
                first.turn()
            with ExitStack() as files:
                for path in self._directory.glob("flom.sock.holders-*"):
                    fcntl.flock(files.enter_context(path.open("rb")), fcntl.LOCK_SH)
                self.daemon.kill_and_restart()
                first.abandon()
                self.history.append("the daemon is killed, and started anew")
                second.former += first.former
                second.play(seconds)
        finally:
            self._part(first)
            self._part(second)
        self.did["kills"] += 1

    def _part(self, crowd: Crowd) -> None:
        crowd.close()
        self.did += crowd.did
        self.history += crowd.history
        self.grants += crowd.checker.grants

    def storm(self, connections: int) -> None:
        """Send C{connections} scripts, most of them malformed, one after another."""
        for _ in range(connections):
            vandal = Vandal(self._random.choice(self._addresses), self._random)
            while vandal.act() and not vandal.stays_silent:
                pass
            vandal.close()
        self.did["storm"] += connections

    def finish(self) -> None:
        """
        See that nothing is left, that memory is flat, and that the daemon ends in good order.

        @raise Wrong: it is not so.
        """
        self.daemon.check()
        check_memory(self.samples)
        if self.daemon.stop() not in (0, -signal.SIGTERM):
            raise Wrong(f"the daemon ended with {self.daemon.process.returncode}")
        self.daemon.check_log()


def check_memory(samples: Sequence[int]) -> None:
    """
    See that memory is flat.

    @param samples: KiB that the daemon has taken after each load. In the first third of them caches grow, some by the
        rarest of messages.
    @raise Wrong: it is not.
    """
    if samples and samples[-1] > samples[len(samples) // 3] + GROWTH:
        raise Wrong(f"memory grows, in KiB: {samples}")

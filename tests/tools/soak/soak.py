"""Round after round of everything that clients can do to a daemon: L{Soak}."""

from __future__ import annotations

import resource
import signal
from collections import Counter
from pathlib import Path
from random import Random
from time import monotonic, sleep
from types import TracebackType
from typing import Final

from tests.fakes.programs import free_port
from tests.tools.fuzz.checker import Checker, Wrong
from tests.tools.fuzz.crowd import Address, Crowd, Vandal
from tests.tools.fuzz.live import check_memory
from tests.tools.fuzz.watched import Watched
from tests.tools.soak.herd import Herd
from tests.tools.soak.runners import Runners
from tests.tools.soak.survivors import Survivors

_DESCRIPTORS: Final = 4096


class Soak:
    """
    A daemon and what it is put through.

    @ivar did: how often what was done.
    @ivar samples: KiB that the daemon took when it was at rest, after each round.
    @ivar checked: grants to clients that were checked.
    """

    def __init__(self, directory: Path, seed: int) -> None:
        """
        @param directory: for the socket and the files that commands lock.
        """
        port = free_port()
        path = str(directory / "flom.sock")
        self._random = Random(seed)
        self._survivors = Survivors(directory, self._random)
        self._addresses: list[Address] = [path, ("127.0.0.1", port)]
        self._locks = directory / "locks"
        self._locks.mkdir()
        self.daemon = Watched("--socket-name", path, "--unicast-address", "127.0.0.1", "--unicast-port", str(port))
        self.did: Counter[str] = Counter()
        self.samples: list[int] = []
        self.checked = 0
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(_DESCRIPTORS, most), most))

    def __enter__(self) -> Soak:
        self.daemon.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._survivors.close()
        self.daemon.__exit__(kind, error, tb)

    def round(
        self, seconds: float, *, idle: float = 0.0, waiters: int = 500, late: int = 100, malformed: int = 500
    ) -> None:
        """
        Put the daemon through everything once, then look at it at rest.

        @param seconds: how long the mixed load lasts.
        @param idle: seconds without clients, after C{waiters} have vanished at once and before C{late} come at once.
        @param malformed: how many scripts of vandals come one after another.
        @raise Wrong: the daemon did what it must not.
        """
        self._mix(seconds)
        self._herd(waiters, late, idle)
        self._storm(malformed)
        self.daemon.check()
        self.samples.append(self.daemon.rss)
        self.did["rounds"] += 1

    def outlive(self, seconds: float) -> None:
        """
        Kill another daemon under its commands, and reset the connections of others, each for some seconds.

        @raise Wrong: one of them was harmed, or two held what excludes each other.
        """
        before = Counter(self._survivors.did)
        try:
            self._survivors.outlive_daemons(seconds)
            self._survivors.outlive_connections(seconds)
        finally:
            self.did += self._survivors.did - before

    def finish(self) -> None:
        """
        See that memory is flat and that the daemon ends in good order.

        @raise Wrong: it is not so.
        """
        check_memory(self.samples)
        if self.daemon.stop() not in (0, -signal.SIGTERM):
            raise Wrong(f"the daemon ended with {self.daemon.process.returncode}")
        self.daemon.check_log()

    def _mix(self, seconds: float) -> None:
        crowd = Crowd(self._addresses, self._random)
        runners = Runners(self._addresses, self._locks, self._random)
        try:
            end = monotonic() + seconds
            while monotonic() < end:
                crowd.turn()
                runners.turn()
            crowd.settle()
            runners.settle()
        finally:
            crowd.close()
            runners.close()
            self.did += crowd.did + runners.did
            self.checked += crowd.checker.grants

    def _herd(self, waiters: int, late: int, idle: float) -> None:
        checker = Checker()
        for size, is_dropped in ((waiters, True), (late, False)):
            herd = Herd(self._addresses, self._random, checker, size)
            try:
                herd.ask()
                if is_dropped:
                    herd.drop_waiters()
                else:
                    herd.serve()
            finally:
                herd.close()
            if is_dropped:
                self.did["waiters dropped at once"] += size
                self.did["idle seconds"] += round(idle)
                sleep(idle)  # this is what is tested, nothing is waited for
            else:
                self.did["served after that"] += size
        self.checked += checker.grants

    def _storm(self, malformed: int) -> None:
        for _ in range(malformed):
            vandal = Vandal(self._random.choice(self._addresses), self._random)
            while vandal.act() and not vandal.stays_silent:
                pass
            vandal.close()
        self.did["malformed one after another"] += malformed

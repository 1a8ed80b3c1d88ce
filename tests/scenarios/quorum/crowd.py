"""Commands on all hosts that want locks of all types all the time, while a test does them harm."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Final, NamedTuple

from tests.fakes.programs import Running, eventually
from tests.scenarios.quorum.members import Node, Quorum
from tests.scenarios.quorum.store import TokenStore


class Wanted(NamedTuple):
    """What a command locks."""

    name: str
    mode: str = "EX"
    quantity: int = 1
    more: tuple[str, ...] = ()

    @property
    def options(self) -> list[str]:
        """Those of C{flom-run}."""
        mode = ["-l", self.mode] if self.mode != "EX" else []
        return ["-r", self.name, *mode, *(["-q", str(self.quantity)] if self.quantity != 1 else []), *self.more]


WANTED: Final = (
    Wanted("R1"),
    Wanted("R2"),
    Wanted("P", "PR"),
    Wanted("P", "PR"),
    Wanted("P"),
    Wanted("N[3]", quantity=2),
    Wanted("N[3]"),
    Wanted("a.b", more=("--type", "set")),
    Wanted("/h", "PR"),
    Wanted("/h/one"),
    Wanted("_s_seq[2]", more=("-i", "600000")),
    Wanted("_S_tra[1]", more=("-i", "600000")),
)
"""What is locked."""

LONGEST: Final = 4.0
"""Seconds that a command takes at most, unless it is ended."""

OUTCOMES: Final = {
    0: "ran",
    95: "told that the lock was lost",
    98: "told that it was locked",
    99: "told that it could not",
}
"""
Statuses of a command that ended, or was told, unless the test itself has killed its C{flom-run}.

A command that ends by SIGTERM of C{--on-lost} has 143, of which flom-run makes 95.
"""


@dataclass(frozen=True)
class Run:
    """
    One C{flom-run} that has ended.

    @ivar who: the number of its command.
    @ivar began: when it was started, and when it had C{ended}, by the monotonic clock, in seconds.
    """

    who: int
    node: str
    options: tuple[str, ...]
    began: float
    ended: float
    status: int
    said: str


class Crowd:
    """
    Some C{flom-run} on each host, one after the other; as a context manager, no more begin outside.

    @ivar runs: those that have ended.
    @ivar places: on which host the command of each number ran.
    @ivar killed: the numbers of commands whose C{flom-run} the test has killed.
    @ivar problems: what has not ended within C{patience}.
    """

    def __init__(self, quorum: Quorum, store: TokenStore, *, seed: int, each: int = 3, patience: float = 120.0) -> None:
        """
        @param each: how many there are on each host at a time.
        @param patience: seconds that one may take, faults included.
        """
        self.runs: list[Run] = []
        self.places: dict[int, Node] = {}
        self.killed: set[int] = set()
        self.problems: list[str] = []
        self._quorum = quorum
        self._store = store
        self._patience = patience
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._running: dict[int, Running] = {}
        self._threads = [
            threading.Thread(target=self._work, args=(node, Random(f"{seed} {place} {number}")), daemon=True)
            for place, node in enumerate(quorum.nodes)
            for number in range(each)
        ]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()

    def finish(self) -> None:
        """Wait for the end of all that have begun; what does not end is a problem."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(self._patience + 10.0)
            assert not thread.is_alive()

    def kill_one(self, random: Random) -> bool:
        """Kill one C{flom-run}, whose command goes on; return whether there was any."""
        if not (running := list(self._running.items())):
            return False
        who, one = random.choice(running)
        self.killed.add(who)
        with suppress(ProcessLookupError):
            one.process.kill()
        return True

    def outcomes(self) -> Counter[str]:
        """Return how many have ended how."""
        return Counter(OUTCOMES.get(run.status, f"status {run.status}") for run in self.runs)

    def words(self) -> Counter[str]:
        """Return what was said by those that have not run, without its numbers."""
        said = (run.said.strip().rpartition("\n")[2] for run in self.runs if run.status)
        return Counter(re.sub(r"[0-9]+", "N", line) for line in said)

    def frozen(self) -> dict[int, list[tuple[int, int]]]:
        """Return from when to when the host of each command was frozen, by the numbers of commands."""
        return {who: list(node.frozen) for who, node in self.places.items() if node.frozen}

    def await_progress(self, node: Node, patience: float) -> float:
        """
        Wait until a command that is started on C{node} from now on has run under its lock.

        @return: after how many seconds that was.
        """
        began = time.monotonic()

        def has_run() -> bool:
            return any(run.node == node.host.name and run.began > began and run.status == 0 for run in self.runs)

        eventually(has_run, f"a command that has run on {node}", patience, interval=0.05)
        return time.monotonic() - began

    def _work(self, node: Node, random: Random) -> None:
        while not self._is_over.is_set():
            if node.is_awake.wait(1.0):
                self._run(node, random)
            self._is_over.wait(random.uniform(0, 0.3))

    def _run(self, node: Node, random: Random) -> None:
        wanted = random.choice(WANTED)
        options = wanted.options
        if random.random() < 0.2:
            options += ["--timeout", f"{random.uniform(0, 5):.1f}"]
        if random.random() < 0.1:
            options += ["--on-lost", "kill"]
        with self._lock:
            who = next(self._numbers)
        lasting = random.uniform(0, LONGEST) ** 2 / LONGEST
        is_stubborn = random.random() < 0.3
        command = self._store.command(who, *wanted[:3], seconds=lasting, is_stubborn=is_stubborn)
        self.places[who] = node
        began = time.monotonic()
        running = node.host.start_flom(
            *self._quorum.place, *options, "--", *command, environment=node.environment, own_session=True
        )
        self._running[who] = running
        try:
            done = running.finish(self._patience)
        except subprocess.TimeoutExpired:
            self.problems.append(f"{who} on {node}, {options}: it has not ended within {self._patience:g} s")
            return
        finally:
            del self._running[who]
        said = (done.stdout + done.stderr)[-500:]
        self.runs.append(Run(who, node.host.name, tuple(options), began, time.monotonic(), done.returncode, said))


@contextmanager
def crowd_of(quorum: Quorum, store: TokenStore, *, seed: int, each: int = 3) -> Iterator[Crowd]:
    """Run a L{Crowd} inside; outside, all of it has ended, and is judged."""
    with Crowd(quorum, store, seed=seed, each=each) as crowd:
        yield crowd
    crowd.finish()
    judge(crowd, store)


def judge(crowd: Crowd, store: TokenStore) -> None:
    """Check all that has been: by the store's history, and how each C{flom-run} has ended."""
    unknown = [run for run in crowd.runs if run.status not in OUTCOMES and run.who not in crowd.killed]
    found = {
        **store.history.problems(crowd.frozen()),
        **({"never ended": crowd.problems} if crowd.problems else {}),
        **({"ended in another way": unknown} if unknown else {}),
    }
    assert not found, found
    assert crowd.runs

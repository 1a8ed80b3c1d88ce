"""
Real C{flom-run} processes that are killed and stopped: L{Runners}.

What their commands do under a lock is to lock a file without waiting, by the kernel's own flock: that fails only if two
commands run that must not. So the checker is the kernel, and it does not matter whom we have killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic
from typing import Final

from tests.fakes.daemon import FLOM_RUN
from tests.tools.fuzz.checker import Wrong
from tests.tools.fuzz.crowd import PATIENCE, Address

_COMMAND: Final = """
trap '' TERM
how=$1 directory=$2 file=$3 seconds=$4 element=$5
test "$file" != place || file=place-$element
flock -n -E 75 "$how" "$directory/$file" sleep "$seconds"
test $? != 75 || echo "$file" >> "$directory/violations"
"""
"""
flom-run appends what the lock yields, if it yields something.

SIGTERM would end the shell, and with it the command and the lock, before what the shell has started.
"""

_KINDS: Final = [
    (["-r", "job"], "-x", "job"),
    (["-r", "book", "-l", "PR"], "-s", "book"),
    (["-r", "book", "-l", "PR"], "-s", "book"),
    (["-r", "book", "-l", "EX"], "-x", "book"),
    (["-r", "east.west", "--type", "set"], "-x", "place"),
    (["-r", "_s_ticket[1]"], "-x", "ticket"),
    (["-r", "/tree/leaf"], "-x", "tree"),
    (["-r", "/tree"], "-x", "tree"),
    (["-r", "unit[2]", "-q", "2"], "-x", "unit"),
]
"""Options of flom-run, and how the command locks which file."""

_FATES: Final = [
    "none",
    "none",
    "none",
    "SIGTERM",
    "SIGKILL",
    "SIGKILL of all",
    "SIGSTOP and SIGCONT",
    "SIGSTOP and SIGKILL",
]
_LONGEST_COMMAND: Final = 0.2  # seconds
_LONGEST_STOP: Final = 1.0


@dataclass(eq=False)
class _Runner:
    process: subprocess.Popen[str]
    fate: str
    next_deed: float


class Runners:
    """
    Keeps some C{flom-run} processes in contention, and gives each its fate.

    @ivar did: how many of them met which.
    """

    def __init__(self, addresses: list[Address], directory: Path, random: Random, size: int = 6) -> None:
        """
        @param directory: where the commands lock files; it must be empty.
        @param size: how many processes there are at a time.
        """
        self._addresses = addresses
        self._directory = directory
        self._random = random
        self._size = size
        self._runners: list[_Runner] = []
        self.did: Counter[str] = Counter()

    def turn(self) -> None:
        """
        Start one if there are too few, and do to each what is due.

        @raise Wrong: two commands ran that must not, or one failed to which nothing was done.
        """
        if len(self._runners) < self._size:
            self._start()
        now = monotonic()
        for runner in self._runners[:]:
            if runner.process.poll() is not None:
                self._bury(runner)
            elif now >= runner.next_deed:
                self._meet_fate(runner)

    def settle(self) -> None:
        """
        Wait for their ends.

        @raise Wrong: see L{turn}; or one waits for ever.
        """
        for runner in self._runners:
            self._signal(runner, signal.SIGCONT)
        deadline = monotonic() + PATIENCE
        for runner in self._runners[:]:
            try:
                runner.process.wait(max(0.0, deadline - monotonic()))
            except subprocess.TimeoutExpired:
                raise Wrong(f"{_words(runner)} is never served") from None
            self._bury(runner)

    def close(self) -> None:
        """Kill those that are left, with their commands."""
        for runner in self._runners:
            self._signal(runner, signal.SIGKILL, to_all=True)
            runner.process.communicate()

    def _start(self) -> None:
        random = self._random
        options, how, file = random.choice(_KINDS)
        address = random.choice(self._addresses)
        place = ["-s", address] if isinstance(address, str) else ["-a", address[0], "-p", str(address[1])]
        seconds = f"{random.uniform(0, _LONGEST_COMMAND):.3f}"
        command = ["sh", "-c", _COMMAND, "sh", how, str(self._directory), file, seconds]
        process = subprocess.Popen(
            [FLOM_RUN, *place, *options, "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        fate = random.choice(_FATES)
        self.did["flom-run: " + fate] += 1
        self._runners.append(_Runner(process, fate, monotonic() + random.uniform(0, 1.0)))

    def _meet_fate(self, runner: _Runner) -> None:
        match runner.fate:
            case "SIGTERM":
                self._signal(runner, signal.SIGTERM)
            case "SIGKILL":
                self._signal(runner, signal.SIGKILL)
            case "SIGKILL of all":
                self._signal(runner, signal.SIGKILL, to_all=True)
            case "SIGSTOP and SIGCONT" | "SIGSTOP and SIGKILL":
                self._signal(runner, signal.SIGSTOP)
                runner.fate = runner.fate.removeprefix("SIGSTOP and ")
                runner.next_deed = monotonic() + self._random.uniform(0, _LONGEST_STOP)
                return
            case "SIGCONT":
                self._signal(runner, signal.SIGCONT)
        runner.next_deed = float("inf")
        runner.fate = "none" if runner.fate in ("none", "SIGCONT") else "met"

    def _signal(self, runner: _Runner, number: int, *, to_all: bool = False) -> None:
        if runner.process.poll() is None or to_all:
            try:
                (os.killpg if to_all else os.kill)(runner.process.pid, number)
            except ProcessLookupError:
                pass  # it has just ended

    def _bury(self, runner: _Runner) -> None:
        self._runners.remove(runner)
        violations = self._directory / "violations"
        if violations.exists():
            raise Wrong(f"commands ran together that must not: {violations.read_text()}")
        if runner.fate != "met":
            # who has the error output may outlive a runner that was killed; this one was not
            _, errors = runner.process.communicate(timeout=PATIENCE)
            if runner.process.returncode != 0:
                raise Wrong(f"{_words(runner)} ended with {runner.process.returncode}: {errors}")
        assert runner.process.stderr is not None
        runner.process.stderr.close()


def _words(runner: _Runner) -> str:
    arguments = runner.process.args
    assert isinstance(arguments, list)
    return " ".join(arguments[: arguments.index("--")])

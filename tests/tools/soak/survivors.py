"""
Commands that hold while their daemon is killed, or while their connections are reset: L{Survivors}.

They mark themselves when they begin and when they end, and what they hold; that is what is checked.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic, sleep
from typing import Final

from flom.core.history.exclusion import violations
from flom.core.history.numbers import repeated_numbers
from flom.core.history.tokens import late_tokens
from tests.fakes.daemon import FLOM_RUN
from tests.fakes.exclusion import Marks
from tests.fakes.programs import free_port
from tests.tools.fuzz.checker import Wrong
from tests.tools.fuzz.watched import Watched
from tests.tools.soak.proxy import ResettingProxy

PATIENCE: Final = 60.0
"""Seconds in which all commands have to end when no more are started; a session that is over takes 10 of them."""

BETWEEN_KILLS: Final = (1.5, 3.0)
"""Seconds between two kills of a daemon; it takes some tenths of one to start, and holders have to find it."""

BETWEEN_BREAKS: Final = (0.1, 1.0)
"""Seconds between two times at which connections are reset."""

_TURN: Final = 0.02

_LOCKS: Final = [
    ["-r", "job"],
    ["-r", "book", "-l", "PR"],
    ["-r", "book"],
    ["-r", "unit[3]", "-q", "2"],
    ["-r", "unit[3]"],
    ["-r", "east.west", "--type", "set"],
    ["-r", "/tree"],
    ["-r", "/tree/leaf"],
    ["-r", "_s_ticket[2]", "-i", "600000"],
    ["-r", "_S_ticket[2]", "-i", "600000"],
    ["-r", "_t_%H:%M:%S#fff[2]"],
]

_LONGEST: Final = 2.0  # seconds that a command takes


@dataclass(eq=False)
class _Command:
    """
    @ivar fate: C{none}, C{SIGKILL} for flom-run alone, or C{SIGSTOP}, which is followed by SIGCONT.
    """

    process: subprocess.Popen[str]
    fate: str
    due: float


class Survivors:
    """
    Some C{flom-run} processes, of which each has to end well.

    @ivar did: what happened how often.
    """

    def __init__(self, directory: Path, random: Random, size: int = 8) -> None:
        """
        @param directory: for a socket, a state directory, and the marks of the commands.
        @param size: how many commands there are at a time.
        """
        self._directory = directory / "survivors"
        self._directory.mkdir()
        self._random = random
        self._size = size
        self._commands: list[_Command] = []
        self.did: Counter[str] = Counter()

    def outlive_daemons(self, seconds: float) -> None:
        """
        Kill and restart their daemon, at a UNIX socket and TCP, for some seconds.

        @raise Wrong: a command was harmed, two held what excludes each other, or the daemon logs a fault.
        """
        port, path = free_port(), str(self._directory / f"{self.did['scenes']}.sock")
        words = ["--socket-name", path, "--unicast-address", "127.0.0.1", "--unicast-port", str(port)]
        places = [["-s", path], ["-a", "127.0.0.1", "-p", str(port)]]
        with Watched(*words, "--state", str(self._directory / "state"), reserves=True) as daemon:

            def kill() -> None:
                daemon.kill_and_restart(self._random.choice([0.0, 0.0, 1.0]))
                self.did["kills of the daemon"] += 1

            self._run(seconds, places, ["none", "none", "none", "SIGKILL", "SIGSTOP"], kill, BETWEEN_KILLS)
            _end(daemon)

    def outlive_connections(self, seconds: float) -> None:
        """
        Reset their connections for some seconds.

        @raise Wrong: see L{outlive_daemons}.
        """
        port = free_port()
        words = ["--unicast-address", "127.0.0.1", "--unicast-port", str(port)]
        with Watched(*words) as daemon, ResettingProxy(port) as proxy:
            places = [["-a", "127.0.0.1", "-p", str(proxy.port)]] * 3 + [["-a", "127.0.0.1", "-p", str(port)]]

            def reset() -> None:
                self.did["connections that were reset"] += proxy.break_some(self._random, 0.5)

            self._run(seconds, places, ["none", "none", "none", "SIGSTOP"], reset, BETWEEN_BREAKS)
            _end(daemon)

    def close(self) -> None:
        """Kill those that are left."""
        for command in self._commands:
            command.process.kill()
            command.process.communicate()
        self._commands.clear()

    def _run(
        self,
        seconds: float,
        places: list[list[str]],
        fates: list[str],
        harm: Callable[[], None],
        between: tuple[float, float],
    ) -> None:
        marks = Marks(self._directory / f"marks-{self.did['scenes']}")
        self.did["scenes"] += 1
        random, end = self._random, monotonic() + seconds
        next_harm = monotonic() + random.uniform(*between)
        while (now := monotonic()) < end or self._commands:
            if now >= end + PATIENCE:
                raise Wrong(f"{_words(self._commands[0])} does not end")
            if now < end and len(self._commands) < self._size:
                self._start(marks, random.choice(places), random.choice(fates))
            if now >= next_harm and now < end:
                harm()
                next_harm = monotonic() + random.uniform(*between)
            for command in self._commands[:]:
                self._turn(command)
            sleep(_TURN)  # between two turns; what comes meanwhile is seen in the next
        holdings = marks.holdings()
        if found := violations(holdings):
            raise Wrong(f"held at the same time: {found[0]}")
        if late := late_tokens(holdings):
            raise Wrong(f"a token that does not grow: {late[0]}")
        # a number of a transactional sequence comes again when flom-run is killed: nobody says that its command ended
        if again := repeated_numbers(each for each in holdings if not each.name.startswith("_S_")):
            raise Wrong(f"a number that came twice: {again[0]}")
        self.did["commands that marked what they held"] += len(holdings)

    def _start(self, marks: Marks, place: list[str], fate: str) -> None:
        job = marks.job(*self._random.choice(_LOCKS), seconds=round(self._random.uniform(0, _LONGEST), 3))
        process = subprocess.Popen(
            [FLOM_RUN, *place, "-d", "60000", *job],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.did[f"flom-run that meets {fate}"] += 1
        self._commands.append(_Command(process, fate, monotonic() + self._random.uniform(0, _LONGEST)))

    def _turn(self, command: _Command) -> None:
        process, now = command.process, monotonic()
        if process.poll() is not None:
            self._commands.remove(command)
            _, errors = process.communicate(timeout=PATIENCE)
            if process.returncode == -signal.SIGKILL and command.fate == "met":
                return
            if (process.returncode, errors) != (0, ""):
                raise Wrong(f"{_words(command)} ended with {process.returncode}: {errors}")
        elif now >= command.due:
            match command.fate:
                case "SIGKILL":
                    os.kill(process.pid, signal.SIGKILL)
                    command.fate = "met"
                case "SIGSTOP":
                    os.kill(process.pid, signal.SIGSTOP)
                    command.fate, command.due = "SIGCONT", now + self._random.uniform(0, 1.0)
                case "SIGCONT":
                    os.kill(process.pid, signal.SIGCONT)
                    command.fate = "none"


def _end(daemon: Watched) -> None:
    """End C{daemon} in good order, so that nobody waits for the next one at its place."""
    if daemon.stop() not in (0, -signal.SIGTERM):
        raise Wrong(f"the daemon ended with {daemon.process.returncode}")
    daemon.check_log()


def _words(command: _Command) -> str:
    arguments = command.process.args
    assert isinstance(arguments, list)
    return " ".join(map(str, arguments[: arguments.index("--")]))

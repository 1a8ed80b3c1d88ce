"""
Commands on all types of resources that begin and end all the time, while a test kills the daemon: ours, and FLoM's
clients beside them.
"""

from __future__ import annotations

import math
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Final

from flom.core.history.exclusion import violations
from flom.core.history.holding import Holding
from flom.core.history.numbers import repeated_numbers
from flom.core.history.tokens import late_tokens
from tests.fakes.exclusion import Marks
from tests.fakes.programs import Programs

KILLS: Final = int(os.environ.get("FLOM_STORM_KILLS") or 5)
"""How often a daemon is killed; C{FLOM_STORM_KILLS=200} makes it more often than usual, under more commands."""

PAUSE: Final = 2.0  # seconds between two kills, at least

RESOURCES: Final = ("R", "P", "N[3]", "a.b", "/h/one", "/h", "_s_seq[2]", "_S_tra[2]", "_t_%H:%M:%S#fff[2]")

_CROWD: Final = 2 if KILLS < 20 else 6  # commands for each resource
_OPTIONS: Final = {
    "P": ["-l", "PR"],
    "/h": ["-l", "PR"],
    "a.b": ["--type", "set"],
    "_s_": ["-i", "600000"],  # remembered also at a moment at which nobody holds
    "_S_": ["-i", "600000"],
}
_LONGEST: Final = 120.0  # seconds that a command waits for its lock, and runs

_FLOM_ASKS: Final = {
    "R": 'mode="5" wait="1" create="1" lifespan="0"',
    "N[3]": 'wait="1" quantity="1" create="1" lifespan="0"',
    "a.b": 'wait="1" create="1" lifespan="0"',
}
"""What FLoM's clients ask for (docs/compatibility.md, "Protocol: messages")."""

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8" ?>'
_ANSWER: Final = re.compile('<answer rc="(?P<code>-?[0-9]+)"(?: element="(?P<element>[^"]*)")?')


class Storm:
    """
    The commands; as a context manager, all of them have ended outside, and no more begin.

    @ivar problems: what has not ended well.
    @ivar ran: how many commands there were.
    """

    def __init__(
        self,
        programs: Programs,
        marks: Marks,
        options: Sequence[str],
        *,
        connect: Callable[[], socket.socket],
        place: Callable[[int], AbstractContextManager[None]] = lambda number: nullcontext(),
    ) -> None:
        """
        @param options: of C{flom-run}: where the daemon is.
        @param connect: connects a client of FLoM to it; raises C{OSError} while there is none.
        @param place: the context in which the command of this number is started.
        """
        self._programs = programs
        self._marks = marks
        self._options = options
        self._connect = connect
        self._place = place
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._kills: list[float] = []
        self._of_flom: list[Holding] = []
        self.problems: list[str] = []
        self.ran = 0
        self._threads = [
            threading.Thread(target=self._work, args=(name, number))
            for name in RESOURCES
            for number in range(_CROWD if name != "/h" else 2)  # of more readers, one would always keep writers out
        ]
        self._threads += [threading.Thread(target=self._work_as_flom, args=(name,)) for name in _FLOM_ASKS]

    def __enter__(self) -> Storm:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(_LONGEST)
            assert not thread.is_alive()

    def kill(self, daemon: int) -> None:
        """Kill the process C{daemon}."""
        os.kill(daemon, signal.SIGKILL)
        self._kills.append(_now())

    def check(self, *, forgets: bool = False) -> None:
        """
        Check that all commands have ended well, that no two held what excludes, that no number came twice, and that
        tokens grew.

        @param forgets: whether a daemon knows no more of sequences than what holders reclaim.
        """
        ours = self._marks.holdings()
        found = {
            "ended badly": self.problems,
            "held beside each other": violations([*ours, *self._of_flom]),
            "given twice": repeated_numbers(ours, self._kills if forgets else ()),
            "did not grow": late_tokens(ours),
        }
        assert not any(found.values()), found
        assert self.ran > len(RESOURCES)
        assert self._of_flom

    def _work(self, name: str, number: int) -> None:
        options = [*self._options, "-r", name, *_OPTIONS.get(name[:3], ())]
        while not self._is_over.is_set():
            with self._lock, self._place(number):
                running = self._programs.start(*self._marks.job(*options, seconds=0.3 + number % 3))
            try:
                done = running.finish(patience=_LONGEST)
            except subprocess.TimeoutExpired:
                self.problems.append(f"{name}: it has not ended within {_LONGEST:g} s")
                continue
            self.ran += 1
            if (done.returncode, done.stderr) != (0, ""):
                about = f"{done.returncode}, {done.stdout}{done.stderr}"
                self.problems.append(f"{name}: {about} at {_now()}, kills {self._kills[-3:]}")

    def _work_as_flom(self, name: str) -> None:
        """Lock C{name} again and again as FLoM's client does, whose lock ends with the daemon."""
        while not self._is_over.is_set():
            with suppress(OSError), self._connect() as connected:
                connected.settimeout(_LONGEST)
                self._lock_as_flom(connected, name)
            time.sleep(0.1)

    def _lock_as_flom(self, connected: socket.socket, name: str) -> None:
        resource = f'<resource name="{b64encode(name.encode()).decode()}"'
        _say(connected, f'verb="1" step="8"><session peerid="{"0" * 32}"/>{resource} {_FLOM_ASKS[name]}/>')
        answer = {"code": "1"}
        while answer["code"] == "1":  # it waits
            found = _ANSWER.search(_hear(connected))
            if found is None:
                return  # the daemon has gone
            answer = found.groupdict()
        if answer["code"] != "0":
            self.problems.append(f"FLoM's client: {name}: {answer}")
        elif not select.select([connected], [], [], 0)[0]:
            begin = _now()
            select.select([connected], [], [], 0.3)
            kill = next((kill for kill in self._kills if kill > begin), math.inf)  # we may be late to notice
            held = Holding(0, name, begin, min(kill, _now()), element=answer["element"] or "")
            self._of_flom.append(held)
            _say(connected, f'verb="2" step="8">{resource} rollback="0" />')


def _now() -> int:
    """Return nanoseconds on the clock of the marks."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _say(connected: socket.socket, what: str) -> None:
    connected.sendall(f'{_DECLARATION}<msg level="3" {what}</msg>'.encode())


def _hear(connected: socket.socket) -> str:
    """Return the next message; the empty string if the connection has ended."""
    heard = b""
    while not heard.endswith(b"</msg>"):
        if not (more := connected.recv(1)):
            return ""
        heard += more
    return heard.decode()

"""Where the commands of one build run: its daemon, hosts of their own, certificates."""

from __future__ import annotations

import os
import shlex
import signal
from contextlib import AbstractContextManager, ExitStack, nullcontext
from itertools import chain
from pathlib import Path
from subprocess import DEVNULL
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

from flom.net.machine_id import unique_id
from flom.tls.authority import issue, make_authority
from tests.fakes.exclusion import Marks
from tests.fakes.programs import Programs, Running, eventually, free_port
from tests.scenarios.lan.network import Lan
from tests.tools.bench.builds import Build

LEADER: Final = 0
"""The host on which the daemon is."""

OTHER: Final = 1
"""A host that a switch joins to the first."""

_SUBNET: Final = "10.77.9"

_SCRIPT_NAME: Final = "script.py"
_SCRIPT: Final = """
from flom import lock
with lock("bench", socket={socket!r}):
    pass
"""


class Scene:
    """
    As a context manager, all of it is ready inside and gone outside.

    Commands are written as users do; L{words} replaces these words in them:

      - SOCK: a UNIX socket, the same each time; NEW: one that has no daemon yet.
      - PORT: a TCP port, the same each time.
      - TLS: the options that name certificate, key and authority.
      - SCRIPT: a Python script that takes a lock at SOCK and releases it.

    @ivar socket: the path that SOCK stands for.
    @ivar stamp: the path of a program that tells the time.
    """

    def __init__(self, build: Build, stamp: str, *, daemon_at: str = "", has_hosts: bool = False) -> None:
        """
        @param daemon_at: options that say where a daemon is to be; none is started if there are none.
        @param has_hosts: whether there are the hosts L{LEADER} and L{OTHER}.
        """
        self.stamp = stamp
        self._build = build
        self._daemon_at = daemon_at
        self._has_hosts = has_hosts
        self._new_sockets = 0
        self._stack = ExitStack()

    def __enter__(self) -> Scene:
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(TemporaryDirectory()))
            self._programs = stack.enter_context(Programs())
            if self._has_hosts:
                marks = Marks(self._folder / "marks")  # of no command here
                name = f"flombench-{self._build.name}"
                self._lan = Lan(name, _SUBNET, self._programs, self._folder, marks)
                stack.enter_context(self._lan).add_hosts(2)
            self._port = free_port()
            self._tls = _make_certificates(self._folder / "certificates")
            self.socket = str(self._folder / "flom.sock")
            (self._folder / _SCRIPT_NAME).write_text(_SCRIPT.format(socket=self.socket))
            if self._daemon_at:
                self.seconds(f"flom {self._daemon_at} -d -1 -- true", LEADER if self._has_hosts else None)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def words(self, command: str) -> list[str]:
        """Return the words of C{command}, with the path of the program for its name."""
        name, *rest = shlex.split(command)
        program = self._build.program(name)
        assert program is not None
        self._new_sockets += 1
        meanings = {
            "SOCK": [self.socket],
            "NEW": [str(self._folder / f"new{self._new_sockets}.sock")],
            "PORT": [str(self._port)],
            "TLS": self._tls,
            "SCRIPT": [str(self._folder / _SCRIPT_NAME)],
        }
        return [program, *chain.from_iterable(meanings.get(word, [word]) for word in rest)]

    def start(self, words: list[str], host: int | None, **options: Any) -> Running:
        """
        Start a program, as C{Programs.start_program} does.

        @param host: L{LEADER} or L{OTHER}; C{None} for this machine.
        """
        with self._on(host):
            return self._programs.start_program(*words, **options)

    def seconds(self, command: str, host: int | None, stdout: int = DEVNULL) -> float:
        """
        Return the seconds from the start to the end of C{command}.

        @param host: as of L{start}.
        @raise SystemExit: it has failed.
        """
        words = self.words(command)
        with self._on(host):  # which has no part in it
            began = perf_counter()
            running = self._programs.start_program(*words, stdin=DEVNULL, stdout=stdout)
            running.process.wait()  # in the kernel: with a time limit, it would look every now and then
            took = perf_counter() - began
        done = running.finish()
        if done.returncode:
            raise SystemExit(f"bench: {shlex.join(words)} ended with status {done.returncode}: {done.stderr.strip()}")
        return took

    def daemons(self) -> list[int]:
        """Return the daemons that our commands have started."""
        return self._programs.daemons()

    def end_daemons(self) -> None:
        """End all daemons that our commands have started."""
        for daemon in self.daemons():
            os.kill(daemon, signal.SIGTERM)
        eventually(lambda: not self.daemons(), "the end of a daemon")

    def _on(self, host: int | None) -> AbstractContextManager[None]:
        return nullcontext() if host is None else self._lan.hosts[host].inside()


def _make_certificates(folder: Path) -> list[str]:
    """Return the options that have a daemon or a command speak TLS."""
    authority = make_authority(folder, days=1)
    issued = issue(folder, unique_id(), days=1)
    return [
        *("--tls-certificate", str(issued.certificate)),
        *("--tls-private-key", str(issued.key)),
        *("--tls-ca-certificate", str(authority.certificate)),
    ]

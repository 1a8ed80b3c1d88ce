"""Processes of C{flom-run}, and an end for everything that they leave behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.fakes.daemon import FLOM_RUN
from tests.fakes.pipes import PATIENCE as PATIENCE  # which users of this module need too
from tests.fakes.pipes import read_line, read_soon

_MARK = (
    "XDG_FLOM_TEST_MARK"  # in the environment of our processes, and of the daemons that they start, which keep XDG_*
)

RunHere = Callable[..., subprocess.CompletedProcess[str]]
"""Runs the program within this process: the fixture C{run_here}."""


def assert_refused(done: subprocess.CompletedProcess[str], status: int, *named: str, stdout: str = "") -> None:
    """
    Check that C{done} has run nothing and said why in one line.

    @param named: what is in that line.
    @param stdout: what FLoM writes there about it.
    """
    assert (done.returncode, done.stdout) == (status, stdout)
    assert done.stderr.endswith("\n")
    assert done.stderr.count("\n") == 1, done.stderr
    for word in named:
        assert word in done.stderr
    for word in ("Traceback", "internal error", "Success", "success"):
        assert word not in done.stderr


_ACCOUNT = re.compile(r"^flom-run: [^\n]*: waited \d[^\n]*\n", re.MULTILINE)


def complaints(done: subprocess.CompletedProcess[str]) -> str:
    """Return what C{done} has written to stderr, without the line by which C{flom-run -V} ends."""
    return _ACCOUNT.sub("", done.stderr)


class Running:
    """
    A program that runs.

    @ivar pid: its process id.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.pid = process.pid
        self._unread = b""

    def line(self) -> str:
        """Wait for the next line on its stdout."""
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        while b"\n" not in self._unread:
            try:
                data = read_soon(descriptor)
            except AssertionError as e:
                raise AssertionError(f"{e}, but {self._unread!r}") from None
            assert data, f"stdout ended after {self._unread!r}"
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def error_line(self) -> str:
        """Wait for the next line on its stderr; return it with its line feed, or less at the end."""
        return read_line(self.process.stderr)

    def say(self, text: str) -> None:
        """Write C{text} and a line feed to its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for its end; give its status, below 0 if a signal killed it."""
        return self.process.wait(PATIENCE)

    def finish(self, patience: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Close its stdin and wait for its end, and for all processes that have its stdout and stderr."""
        out, err = self.process.communicate(timeout=patience)
        return subprocess.CompletedProcess(
            self.process.args, self.process.returncode, (self._unread + (out or b"")).decode(), (err or b"").decode()
        )


class Programs:
    """Starts programs; as a context manager, they and what they have started are gone outside."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """
        @param environment: what to add to ours for each of them.
        """
        self._mark = uuid.uuid4().hex
        self._environment = dict(environment or {})
        self._running: list[Running] = []

    def start(self, *words: str, **options: Any) -> Running:
        """Start C{flom-run} with some arguments, as L{start_program} starts any program."""
        return self.start_program(FLOM_RUN, *words, **options)

    def start_program(
        self,
        *words: str,
        environment: Mapping[str, str] | None = None,
        stdin: Any = subprocess.PIPE,
        stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE,
        cwd: Path | None = None,
        own_session: bool = False,
        pass_fds: tuple[int, ...] = (),
        first: Callable[[], object] | None = None,
    ) -> Running:
        """
        Start any program.

        @param environment: what to add to ours.
        @param first: what the new process does before.
        """
        running = Running(
            subprocess.Popen(
                words,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=os.environ | {_MARK: self._mark} | self._environment | dict(environment or {}),
                cwd=cwd,
                start_new_session=own_session,
                pass_fds=pass_fds,
                preexec_fn=first,
            )
        )
        self._running.append(running)
        return running

    def run(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Start C{flom-run} as L{start} does, and wait for its end."""
        return self.start(*words, **options).finish()

    def daemons(self) -> list[int]:
        """Return the processes that C{pgrep flom} would find, if they have come of our programs."""
        running = {each.pid for each in self._running if each.process.poll() is None}  # others' numbers come again
        return [pid for pid in self.pids() if "flom" in name_of(pid) and pid not in running]

    def command_lines(self) -> list[str]:
        """Return the command lines of all that has come of our programs."""
        return [command_line_of(pid) for pid in self.pids()]

    def pids(self) -> list[int]:
        """Return all processes that have come of our programs."""
        mark = f"{_MARK}={self._mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    is_ours = mark in (entry / "environ").read_bytes().split(b"\0")
                except OSError:
                    continue
                if is_ours and is_alive(int(entry.name)):
                    found.append(int(entry.name))
        return found

    def __enter__(self) -> Programs:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        while pids := self.pids():  # again, because they may be starting others
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            for running in self._running:
                if running.process.poll() is None:
                    running.wait()
        for running in self._running:
            running.wait()
            for stream in (running.process.stdin, running.process.stdout, running.process.stderr):
                if stream is not None and not stream.closed:
                    try:
                        stream.close()
                    except BrokenPipeError:
                        pass


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def name_of(pid: int) -> str:
    """Return the name that C{pgrep} looks at."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def command_line_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def eventually(
    condition: Callable[[], object], what: str, patience: float = PATIENCE, *, interval: float = 0.01
) -> None:
    """
    Wait for what no event tells of, for some seconds.

    @param interval: seconds between two looks.
    """
    give_up = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up, f"{what} did not come true within {patience:g} s"
        time.sleep(interval)


def free_port() -> int:
    """Return a TCP port that was free a moment ago, on IPv4 and IPv6."""
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::", 0))
        port: int = probe.getsockname()[1]
        return port


def ignoring(*numbers: signal.Signals) -> Callable[[], None]:
    """Make what a parent such as nohup does before it starts us."""

    def ignore() -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)

    return ignore

"""
Signals to C{flom-run}, beyond what tests/contract/test_jobs.py has of every program that runs a command
(docs/compatibility.md, "Signals to the runner", "A signal ends the lock before the command").
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flom.codes import Outcome
from flom.core.protocol.messages import Goodbye, Unlock, WhyWithdrawn
from tests.fakes.daemon import FLOM_RUN_IN_PYTHON
from tests.fakes.peers import FakeDaemon, SocketClient, is_locked
from tests.fakes.pipes import read_all
from tests.fakes.programs import Programs, eventually, ignoring
from tests.fakes.signals import RECORD, ControllingTerminal


@pytest.fixture
def terminal() -> Iterator[ControllingTerminal]:
    terminal = ControllingTerminal()
    yield terminal
    terminal.close()


# before the command runs


def test_control_c_ends_the_wait(
    programs: Programs, fake: FakeDaemon, terminal: ControllingTerminal, tmp_path: Path
) -> None:
    running = programs.start(
        "-s",
        str(tmp_path / "fake.sock"),
        "--",
        "echo",
        "ran",
        stdin=terminal.slave,
        own_session=True,
        first=terminal.seize,
    )
    conversation, _ = fake.accept()
    conversation.answer(1)
    terminal.press(b"\x03")
    assert all(isinstance(said, Goodbye) for said in iter(conversation.read, None))  # if the answer was read already
    done = running.finish()
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@pytest.fixture
def full_port() -> Iterator[int]:
    """A TCP port where nobody answers an attempt to connect, because nobody accepts those before."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        before = []
        for _ in range(3):
            connection = socket.socket()
            connection.setblocking(False)
            connection.connect_ex(listening.getsockname())
            before.append(connection)
        yield listening.getsockname()[1]
        for connection in before:
            connection.close()


def attempts_to_connect(port: int) -> int:
    """Count the connections to C{port} that are not there yet."""
    return Path("/proc/net/tcp").read_text().count(f"0100007F:{port:04X} 02")


def test_a_signal_ends_an_attempt_to_connect(programs: Programs, full_port: int) -> None:
    before = attempts_to_connect(full_port)
    running = programs.start("-a", "127.0.0.1", "-p", str(full_port), "--", "echo", "ran")
    eventually(lambda: attempts_to_connect(full_port) > before, "the attempt to connect")
    running.signal(signal.SIGTERM)
    done = running.finish()
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "", "")


def test_the_timeout_bounds_an_attempt_to_connect(programs: Programs, full_port: int) -> None:
    done = programs.run("-a", "127.0.0.1", "-p", str(full_port), "-o", "400", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (98, "")
    assert done.stderr.count("\n") == 1
    assert "not granted within 0.4 s" in done.stderr


def test_a_signal_ends_the_wait_for_a_daemon_that_is_being_started(programs: Programs, tmp_path: Path) -> None:
    running = programs.start("-s", str(tmp_path / "s"), "-d", "300", "--", "echo", "ran")
    eventually(lambda: any("flom/daemon" in line for line in programs.command_lines()), "the daemon's start")
    running.signal(signal.SIGTERM)
    assert running.wait() == -signal.SIGTERM
    assert (read_all(running.process.stdout), read_all(running.process.stderr)) == (b"", b"")


IMPATIENT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "flom.client.blocking.connection":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""


def test_control_c_at_the_very_start_leaves_no_traceback(programs: Programs, address: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(IMPATIENT)  # presses it in the middle of our imports
    words = [*FLOM_RUN_IN_PYTHON, "-s", address, "--", "echo", "ran"]
    done = programs.start_program(*words, environment={"PYTHONPATH": str(tmp_path)}).finish()
    assert done.returncode == -signal.SIGINT
    assert (done.stdout, done.stderr) == ("", "")


# while the command runs


def test_a_signal_ends_the_wait_for_a_file_that_says_nothing(programs: Programs, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    waiting = programs.start("-c", str(pipe), "--", "true")
    with open(pipe, "wb"):  # returns when the other end is open
        waiting.signal(signal.SIGTERM)
        assert waiting.wait() == -signal.SIGTERM


def test_the_lock_is_held_until_the_command_has_ended(programs: Programs, address: str, resource: str) -> None:
    running = programs.start("-s", address, "-r", resource, "--", *RECORD)
    running.line()
    with SocketClient(address) as waiter:
        assert waiter.ask(resource, wait=True) == Outcome.QUEUED
        running.signal(signal.SIGTERM)
        assert running.line() == "SIGTERM"
        assert is_locked(address, resource)
        running.signal(signal.SIGUSR2)
        assert waiter.next() == Outcome.GRANTED
    assert running.finish().returncode == 5


def test_a_command_that_dies_of_the_signal_gives_its_status(
    programs: Programs, fake: FakeDaemon, tmp_path: Path
) -> None:
    running = programs.start("-s", str(tmp_path / "fake.sock"), "-r", "R1", "--", "sh", "-c", "echo; exec sleep 60")
    conversation, _ = fake.accept()
    conversation.answer(0)
    running.line()
    running.signal(signal.SIGTERM)
    assert conversation.read() == Unlock("R1", rollback=True)
    conversation.close()
    done = running.finish()
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")


# signals that the user wants ignored


def ignored_by(pid: int) -> set[int]:
    """Return the signals that a process ignores."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn:")]
    return {number for number in range(1, 32) if int(line.partition(":")[2], 16) >> (number - 1) & 1}


def test_an_ignored_signal_is_not_passed_on_and_costs_nobody_the_lock(
    programs: Programs, address: str, resource: str
) -> None:
    words = ["--ignore-signal=SIGTERM", "--ignore-signal=15", "--ignore-signal=SIGPROF"]
    running = programs.start("-s", address, "-r", resource, *words, "--", *RECORD)
    command = int(running.line())
    eventually(lambda: {signal.SIGTERM, signal.SIGPROF} <= ignored_by(running.pid), "the signals are ignored")
    assert not {signal.SIGTERM, signal.SIGPROF} & ignored_by(command)
    for number in (signal.SIGTERM, signal.SIGPROF):
        running.signal(number)
    running.signal(signal.SIGWINCH)  # of two that wait, the kernel hands over the one with the lower number first
    assert running.line() == "SIGWINCH"
    assert is_locked(address, resource)
    running.signal(signal.SIGUSR2)
    done = running.finish()
    assert (done.returncode, done.stdout, done.stderr) == (5, "SIGUSR2\n", "")


def test_a_signal_is_ignored_only_after_the_start_of_the_command(
    programs: Programs, fake: FakeDaemon, tmp_path: Path
) -> None:
    running = programs.start("-s", str(tmp_path / "fake.sock"), "--ignore-signal=SIGTERM", "--", "echo", "ran")
    conversation, _ = fake.accept()
    conversation.answer_as_ours(1)
    running.signal(signal.SIGTERM)
    assert conversation.read() == Goodbye("_RESOURCE", WhyWithdrawn.SIGNAL)
    assert conversation.read() is None
    done = running.finish()
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "", "")


def test_the_command_gets_an_ignored_signal_that_the_terminal_sends(
    programs: Programs, address: str, resource: str, terminal: ControllingTerminal
) -> None:
    words = ["-s", address, "-r", resource, "--ignore-signal=SIGINT", "--", *RECORD]
    running = programs.start(*words, stdin=terminal.slave, own_session=True, first=terminal.seize)
    running.line()
    terminal.press(b"\x03")
    assert running.line() == "SIGINT"
    running.signal(signal.SIGINT)
    running.signal(signal.SIGUSR2)
    done = running.finish()
    assert (done.returncode, done.stdout, done.stderr) == (5, "SIGUSR2\n", "")


def test_ignoring_sigchld_does_not_hide_the_end_of_the_command(programs: Programs, address: str, resource: str) -> None:
    done = programs.run("-s", address, "-r", resource, "--ignore-signal=SIGCHLD", "--", "sh", "-c", "exit 5")
    assert (done.returncode, done.stdout, done.stderr) == (5, "", "")


def test_signals_that_cannot_be_ignored_cause_a_warning(programs: Programs, address: str, resource: str) -> None:
    """The command runs."""
    words = ["--ignore-signal=9", "--ignore-signal=STOP"]
    done = programs.run("-s", address, "-r", resource, *words, "--", "sh", "-c", "echo ran; exit 5")
    assert (done.returncode, done.stdout) == (5, "ran\n")
    assert done.stderr.splitlines() == [
        "Warning: couldn't ignore signal 9:SIGKILL",
        "Warning: couldn't ignore signal 19:SIGSTOP",
    ]


# a program that starts flom-run with something done at the moment before the command is started
AT_THE_START = """
import os, signal
import flom.job.words as words
from flom.run.main import main
execute = words.execute
def start(*arguments):
    os.kill(os.getpid(), signal.SIGTERM)
    return execute(*arguments)
words.execute = start  # before anybody imports it
main()
"""


def test_a_signal_at_the_moment_of_the_start_is_not_lost(programs: Programs, address: str, resource: str) -> None:
    script = "echo ran; read line"
    running = programs.start_program(
        *(sys.executable, "-c", AT_THE_START, "-s", address, "-r", resource, "--", "sh", "-c", script)
    )
    assert (
        running.wait() == -signal.SIGTERM
    )  # the command was not started, or has got the signal; it was not left to run
    assert not is_locked(address, resource)


# a program that starts flom-run with a timer that runs out while the command runs, as C{alarm 1; exec flom-run} does
WITH_AN_ALARM = """
import signal
import flom.job.words as words
from flom.run.main import main
execute = words.execute
def start(*arguments):
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    return execute(*arguments)
words.execute = start
main()
"""


def test_an_alarm_that_was_set_for_us_ends_the_command(programs: Programs, address: str, resource: str) -> None:
    """The kernel sends it, but no terminal: the command does not have it."""
    words = [sys.executable, "-c", WITH_AN_ALARM, "-s", address, "-r", resource, "--", "sleep", "60"]
    assert programs.start_program(*words).wait() == -signal.SIGALRM
    assert not is_locked(address, resource)


# how we were started


def test_an_ignored_hangup_ends_neither_the_wait_nor_the_command(
    programs: Programs, fake: FakeDaemon, tmp_path: Path
) -> None:
    words = ["-s", str(tmp_path / "fake.sock"), "--", *RECORD]
    running = programs.start(*words, first=ignoring(signal.SIGHUP))
    conversation, _ = fake.accept()
    conversation.answer(1)
    running.signal(signal.SIGHUP)
    conversation.answer(0, step=24)
    running.line()
    running.signal(signal.SIGHUP)
    running.signal(signal.SIGUSR2)
    assert running.line() == "SIGUSR2"


@pytest.mark.parametrize("number", [signal.SIGPIPE, signal.SIGXFSZ])
def test_what_python_ignores_stays_as_we_were_called(
    programs: Programs, address: str, resource: str, number: signal.Signals
) -> None:
    words = ["-s", address, "-r", resource, "--", "sed", "-n", "s/^SigIgn://p", "/proc/self/status"]
    for first, expected in (ignoring(number), {number}), (lambda: None, set()):
        mask = int(programs.run(*words, first=first).stdout, 16)
        assert {other for other in (signal.SIGPIPE, signal.SIGXFSZ) if mask >> (other - 1) & 1} == expected


def test_the_end_of_the_command_is_noticed_with_sigchld_ignored(
    programs: Programs, address: str, resource: str
) -> None:
    words = ["-s", address, "-r", resource, "--", "sh", "-c", "exit 5"]
    assert programs.run(*words, first=ignoring(signal.SIGCHLD)).returncode == 5


def test_the_end_of_the_command_is_noticed_with_sigchld_blocked(
    programs: Programs, address: str, resource: str
) -> None:
    words = ["-s", address, "-r", resource, "--", "sh", "-c", "exit 5"]
    running = programs.start(*words, first=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD}))
    assert running.wait() == 5

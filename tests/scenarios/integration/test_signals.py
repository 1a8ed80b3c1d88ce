"""What signals do to a daemon, and to those who hold and wait."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.fakes.connections import lock, unlock
from tests.fakes.daemon import BIN, Daemon
from tests.fakes.programs import PATIENCE, Programs, Running, eventually, is_alive
from tests.scenarios.integration.test_daemon import ask, code, connect

HARMLESS = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE]
ORDERS = [signal.SIGTERM, signal.SIGINT]

each_harmless = pytest.mark.parametrize("number", HARMLESS, ids=lambda number: number.name)
each_order = pytest.mark.parametrize("number", ORDERS, ids=lambda number: number.name)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "flom.sock")


@contextmanager
def scene(path: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Start a holder, and a command that waits for its lock."""
    with ExitStack() as both:
        holder, waiter = both.enter_context(connect(path)), both.enter_context(connect(path))
        assert ask(holder, lock()) == b"0"
        assert ask(waiter, lock()) == b"1"
        yield holder, waiter


def assert_undisturbed(path: str, pid: int, number: signal.Signals) -> None:
    """Check that a daemon which gets C{number} goes on as if nothing had happened."""
    with scene(path) as (holder, waiter):
        os.kill(pid, number)
        with connect(path) as other:
            assert ask(other, lock(wait=0)) == b"4"  # still held
        holder.sendall(unlock())
        assert code(waiter) == b"0"
    assert is_alive(pid)


@each_harmless
def test_what_is_no_order_disturbs_nobody(daemon: Daemon, number: signal.Signals) -> None:
    assert_undisturbed(daemon.socket, daemon.process.pid, number)
    daemon.stop()
    assert "Traceback" not in daemon.log


@each_harmless
def test_nor_does_it_if_a_command_has_started_the_daemon(programs: Programs, path: str, number: signal.Signals) -> None:
    assert programs.run("-s", path, "-d", "60000", "--", "true").returncode == 0
    [pid] = programs.daemons()
    assert_undisturbed(path, pid, number)


def start(programs: Programs, *words: str) -> Running:
    """Start C{twistd} as at a terminal, whatever the tests run in; some have SIGINT ignored."""
    heeding = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    return programs.start_program(str(BIN / "twistd"), "--pidfile=", *words, own_session=True, first=heeding)


def test_sigusr1_turns_over_the_log_file_that_twistd_writes(programs: Programs, path: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    running = start(programs, "-n", f"--logfile={log}", "flom", "-s", path)
    eventually(lambda: log.exists() and "FLM003N" in log.read_text(), "a start")
    assert_undisturbed(path, running.pid, signal.SIGUSR1)
    eventually((tmp_path / "log.1").exists, "a log file put aside")
    assert "FLM003N" in (tmp_path / "log.1").read_text()
    running.signal(signal.SIGTERM)
    running.wait()
    assert "FLM004N" in log.read_text()


@each_order
def test_an_order_ends_it_in_good_order(programs: Programs, path: str, number: signal.Signals) -> None:
    running = start(programs, "-n", "flom", "-s", path)
    while "FLM003N" not in running.line():
        pass
    with scene(path) as (holder, waiter):
        running.signal(number)
        assert code(waiter) == b""  # it is not granted what the holder's command still uses
        assert code(holder) == b""
        done = running.finish()
    assert done.returncode == -number  # what a shell shows as 143 or 130
    assert "Traceback" not in done.stdout
    assert os.listdir(os.path.dirname(path)) == ["flom.sock.lock"]


@each_order
def test_an_order_ends_a_daemon_that_a_command_has_started(
    programs: Programs, path: str, number: signal.Signals
) -> None:
    assert programs.run("-s", path, "-d", "60000", "--", "true").returncode == 0
    [pid] = programs.daemons()
    with scene(path) as (holder, waiter):
        os.kill(pid, number)
        assert code(waiter) == b""
        assert code(holder) == b""
    eventually(lambda: not is_alive(pid), "an end")
    assert not os.path.exists(path)


def test_at_a_terminal_that_hangs_up_it_lives_on(programs: Programs, path: str) -> None:
    """A shell can end a daemon with its terminal; by itself, the daemon goes on for its holders."""
    running = start(programs, "-n", "flom", "-s", path)
    while "FLM003N" not in running.line():
        pass
    os.killpg(running.pid, signal.SIGHUP)
    assert_undisturbed(path, running.pid, signal.SIGHUP)


def test_who_reads_its_log_may_go_away(programs: Programs, path: str) -> None:
    running = start(programs, "-n", "flom", "--log-grants", "-s", path)
    while "FLM003N" not in running.line():
        pass
    assert running.process.stdout is not None
    running.process.stdout.close()
    assert_undisturbed(path, running.pid, signal.SIGUSR2)
    running.signal(signal.SIGTERM)
    assert running.process.wait(PATIENCE) == -signal.SIGTERM
    assert not os.path.exists(path)

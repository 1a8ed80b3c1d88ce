"""Addresses belong to one daemon: also while it is gone for a moment, and when its files are removed under it."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.daemon import FLOM_RUN, Daemon
from tests.fakes.exclusion import Marks
from tests.fakes.programs import Programs, Running, eventually, free_port

RESERVED = "belongs to a daemon that is to come back"  # in what -V says


def both(path: Path, port: int, *more: str) -> list[str]:
    """Return the arguments of a daemon that serves a UNIX socket and TCP."""
    return ["--socket-name", str(path), "--unicast-address", "127.0.0.1", "--unicast-port", str(port), *more]


@pytest.fixture
def port() -> Iterator[int]:
    """A TCP port whose reservations end with the test."""
    port = free_port()
    yield port
    for file in Path("/dev/shm").glob(f"flom-*-{port}.reserved"):
        file.unlink()


def kill(daemon: Daemon) -> None:
    daemon.process.kill()
    daemon.process.wait(30)


# the daemon is killed


def test_both_addresses_wait_for_the_daemon_that_was_killed(
    programs: Programs, tmp_path: Path, port: int, marks: Marks
) -> None:
    """Commands at its UNIX socket and at its TCP address start no daemon each, and the next one excludes them."""
    path = tmp_path / "s"
    ways = [["-s", str(path)], ["-a", "127.0.0.1", "-p", str(port)]]
    with Daemon(*both(path, port), reserves=True) as killed:
        kill(killed)
    running = [programs.start(*marks.job("-V", *way)) for way in ways]
    for waiter in running:
        while RESERVED not in waiter.line():
            pass
    assert programs.daemons() == []
    with Daemon(*both(path, port), reserves=True) as daemon:
        seen = daemon.process
        for _ in range(2):
            first = next_begin(running)
            running.remove(first)
            if running:
                probe = programs.run(*marks.job(*ways[0], "-o", "0", seconds=0))
                assert probe.returncode != 0
            assert first.finish().returncode == 0
        assert seen.poll() is None


def next_begin(running: list[Running]) -> Running:
    """Return the one of C{running} whose command has begun."""
    while True:
        by_descriptor = {each.process.stdout.fileno(): each for each in running if each.process.stdout is not None}
        ready, _, _ = select.select(list(by_descriptor), [], [], 20)
        assert ready, "no command began"
        if by_descriptor[ready[0]].line() == "held":
            return by_descriptor[ready[0]]


@pytest.mark.parametrize("where", ["unix", "tcp"])
def test_the_wait_limit_holds(programs: Programs, tmp_path: Path, where: str, port: int) -> None:
    path = tmp_path / "s"
    way = ["-s", str(path)] if where == "unix" else ["-a", "localhost", "-p", str(port)]
    with Daemon(*both(path, port), reserves=True) as killed:
        kill(killed)
    began = time.monotonic()
    done = programs.run(*way, "-o", "300", "--", "echo", "ran")
    assert 0.3 <= time.monotonic() - began < 5
    assert (done.returncode != 0, done.stdout) == (True, "")
    assert done.stderr.count("\n") == 1
    assert programs.daemons() == []


def test_a_daemon_that_does_not_come_back_is_replaced(programs: Programs, tmp_path: Path, port: int) -> None:
    path = tmp_path / "s"
    with Daemon(*both(path, port, "--reservation", "1000")) as killed:
        kill(killed)
    done = programs.run("-s", str(path), "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert "has not come back" in done.stderr
    assert done.stderr.count("\n") == 1
    assert programs.run("-s", str(path), "--", "true").stderr == ""


@pytest.mark.parametrize("end", ["stop", "0"])
def test_no_daemon_is_waited_for_that_ended_or_reserves_nothing(
    programs: Programs, tmp_path: Path, end: str, port: int
) -> None:
    path = tmp_path / "s"
    with Daemon(*both(path, port, "--reservation", "0" if end == "0" else "60000")) as daemon:
        if end == "stop":
            daemon.stop()
        else:
            kill(daemon)
    for way in ["-s", str(path)], ["-a", "127.0.0.1", "-p", str(port)]:
        done = programs.run(*way, "--", "echo", "ran")
        assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


def test_a_daemon_with_part_of_the_addresses_is_refused(programs: Programs, tmp_path: Path, port: int) -> None:
    path = tmp_path / "s"
    with Daemon(*both(path, port), reserves=True) as killed:
        kill(killed)
    daemon = programs.start_program(str(Path(FLOM_RUN).parent / "twistd"), "-n", "--pidfile=", "flom", "-s", str(path))
    done = daemon.finish()
    assert done.returncode == 1
    assert str(path) in done.stderr


# its files are removed


def remove_socket(path: Path) -> None:
    path.unlink()


def remove_lock(path: Path) -> None:
    Path(f"{path}.lock").unlink()


def remove_both(path: Path) -> None:
    path.unlink()
    Path(f"{path}.lock").unlink()


def remove_directory(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.mkdir()


@pytest.mark.parametrize("remove", [remove_socket, remove_lock, remove_both, remove_directory])
def test_a_daemon_whose_files_are_removed_is_found_again(
    programs: Programs, tmp_path: Path, marks: Marks, remove: Callable[[Path], None]
) -> None:
    """The holder from before excludes who comes afterwards; no second daemon is started."""
    path = tmp_path / "d" / "s"
    path.parent.mkdir()
    with Daemon("--socket-name", str(path)):
        holder = programs.start(*marks.job("-s", str(path)))
        assert holder.line() == "held"
        remove(path)
        for _ in range(5):
            assert programs.run(*marks.job("-s", str(path), "-o", "200", seconds=0)).returncode != 0
        assert programs.daemons() == []
        assert holder.finish().returncode == 0
        assert programs.run(*marks.job("-s", str(path), seconds=0)).returncode == 0


def test_a_stopped_daemon_whose_files_are_removed_keeps_others_out(
    programs: Programs, tmp_path: Path, marks: Marks
) -> None:
    path = tmp_path / "s"
    with Daemon("--socket-name", str(path)) as daemon:
        holder = programs.start(*marks.job("-s", str(path)))
        assert holder.line() == "held"
        daemon.process.send_signal(signal.SIGSTOP)
        remove_both(path)
        waiter = programs.start(*marks.job("-s", str(path), "-o", "3000", seconds=0))
        time.sleep(0.7)  # a daemon of its own would have granted the lock by now
        assert programs.daemons() == []
        daemon.process.send_signal(signal.SIGCONT)
        assert holder.finish().returncode == 0
        done = waiter.finish()
        assert (done.returncode, done.stdout) == (0, "held\n")


def test_a_daemon_replaced_by_another_program_grants_no_more(
    programs: Programs, tmp_path: Path, port: int, marks: Marks
) -> None:
    """Its holders learn it, TCP clients get nothing; it grants again when the other one has gone."""
    path = tmp_path / "s"
    tcp = ["-a", "127.0.0.1", "-p", str(port)]
    with Daemon(*both(path, port)) as daemon:
        holder = programs.start(*marks.job(*tcp))
        assert holder.line() == "held"
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path) + ".new")
            other.listen()
            os.rename(str(path) + ".new", path)
            daemon.wait_for_log("another daemon is listening there")
            assert programs.run(*tcp, "-r", "R2", "-o", "500", "--", "true").returncode != 0
            assert holder.finish().returncode == 95
        daemon.wait_for_log("grants locks again")
        eventually(lambda: programs.run(*marks.job(*tcp, seconds=0)).returncode == 0, "a grant")
        assert programs.run(*marks.job("-s", str(path), seconds=0)).returncode == 0
        assert programs.daemons() == []

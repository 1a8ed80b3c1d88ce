"""The daemon that C{flom-run} starts when it finds none (docs/compatibility.md, "Daemon")."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import stat
from pathlib import Path

import pytest

from tests.fakes.peers import SocketClient, is_locked
from tests.fakes.programs import PATIENCE, Programs, eventually, free_port, is_alive, name_of

LIFESPAN = ["-d", "300"]  # enough for a next command to find the daemon, because a resource is remembered for 2 s


def wait_for_end(pid: int) -> None:
    """Wait for a process that is not our child, and that we have seen alive."""
    descriptor = os.pidfd_open(pid)
    try:
        ended, _, _ = select.select([descriptor], [], [], PATIENCE)
        assert ended, f"process {pid} did not end"
    finally:
        os.close(descriptor)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "flom.sock")


def the_daemon(programs: Programs) -> int:
    """Return the one daemon that our programs have started."""
    (pid,) = programs.daemons()
    return pid


def test_a_daemon_is_started_and_serves_those_who_come_later(programs: Programs, path: str) -> None:
    first = programs.run("-s", path, *LIFESPAN, "-r", "_s_x[1]", "--", "echo")
    assert (first.returncode, first.stdout, first.stderr) == (0, "1\n", "")
    daemon = the_daemon(programs)
    second = programs.run("-s", path, "-d", "0", "-r", "_s_x[1]", "--", "echo")
    assert (second.returncode, second.stdout, second.stderr) == (0, "2\n", "")
    assert the_daemon(programs) == daemon


def test_the_daemon_is_detached_from_everything(programs: Programs, path: str, tmp_path: Path) -> None:
    script = "echo; read line"
    running = programs.start("-s", path, *LIFESPAN, "--", "sh", "-c", script, cwd=tmp_path, own_session=True)
    running.line()
    pid = the_daemon(programs)
    assert name_of(pid) == "flom"
    _, _, group, session, terminal = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:5]
    assert running.pid not in (int(group), int(session))
    assert terminal == "0"
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)] == ["/dev/null"] * 3
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert is_alive(pid)
    assert programs.run("-s", path, "-d", "0", "--", "true").returncode == 0


def test_the_daemon_keeps_no_descriptor_open_that_the_command_got(programs: Programs, path: str) -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as rest:
        assert programs.run("-s", path, "-d", "60000", "--", "true", pass_fds=(writing,)).returncode == 0
        pid = the_daemon(programs)
        os.close(writing)
        assert select.select([rest], [], [], PATIENCE)[0]
        assert rest.read() == b""
        assert is_alive(pid)


def test_nothing_is_imported_from_the_directory_in_which_it_is_started(
    programs: Programs, path: str, tmp_path: Path
) -> None:
    for name in ("flom", "signal", "twisted"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    done = programs.run("-s", path, *LIFESPAN, "--", "echo", "ran", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


def test_the_daemon_ends_after_its_lifespan_and_removes_its_socket(programs: Programs, path: str) -> None:
    assert programs.run("-s", path, "-d", "1", "--", "true").returncode == 0
    for pid in programs.daemons():  # none, if it was quick
        wait_for_end(pid)
    assert not os.path.exists(path)
    assert programs.run("-s", path, *LIFESPAN, "--", "true").returncode == 0


def test_with_lifespan_0_none_is_started(programs: Programs, path: str) -> None:
    done = programs.run("-s", path, "-d", "0", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (99, "")
    assert re.fullmatch(rf"flom-run: {re.escape(path)}.*daemon-lifespan.*\n", done.stderr)
    assert os.listdir(os.path.dirname(path)) == []


def test_verbose_tells_of_the_start_and_the_socket_is_everybody_s(programs: Programs, path: str) -> None:
    done = programs.run("-V", "-s", path, *LIFESPAN, "--", "echo", "ran", first=lambda: os.umask(0o077))
    assert done.stdout.splitlines()[-2:] == [f"no daemon at {path}, starting one", "ran"]
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o777


def test_a_daemon_that_was_killed_is_replaced(programs: Programs, path: str) -> None:
    assert programs.run("-s", path, *LIFESPAN, "--", "true").returncode == 0
    killed = the_daemon(programs)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: not is_alive(killed), "the daemon's end")
    assert stat.S_ISSOCK(os.stat(path).st_mode)  # left behind
    assert programs.run("-s", path, *LIFESPAN, "--", "true").returncode == 0
    assert the_daemon(programs) != killed


def test_the_socket_may_be_named_relative_to_our_directory(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    show = ["sh", "-c", "pwd"]
    done = programs.run("-s", "../s", *LIFESPAN, "--", *show, cwd=tmp_path / "one")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path}/one\n", "")
    assert not is_locked(str(tmp_path / "s"), "R1")
    done = programs.run("-s", "../s", "-d", "0", "--", *show, cwd=tmp_path / "two")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path}/two\n", "")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_daemon_is_started_on_a_tcp_port_too(programs: Programs, host: str) -> None:
    words = ["-a", host, "-p", str(free_port()), "-r", "_s_x[1]"]
    first = programs.run(*words, *LIFESPAN, "--", "echo")
    assert (first.returncode, first.stdout, first.stderr) == (0, "1\n", "")
    second = programs.run(*words, "-d", "0", "--", "echo")
    assert (second.returncode, second.stdout, second.stderr) == (0, "2\n", "")
    the_daemon(programs)


@pytest.mark.parametrize(("transport", "many"), [("unix", 8), ("tcp", 4)])
def test_of_many_who_start_at_once_one_starts_the_daemon(
    programs: Programs, path: str, tmp_path: Path, transport: str, many: int
) -> None:
    inside = tmp_path / "inside"
    where = ["-s", path] if transport == "unix" else ["-a", "127.0.0.1", "-p", str(free_port())]
    # mkdir fails if somebody else is inside
    script = f"mkdir '{inside}' && echo ran && rmdir '{inside}'"
    running = [programs.start(*where, "-d", "2000", "--", "sh", "-c", script) for _ in range(many)]
    done = [each.finish() for each in running]
    assert [(each.returncode, each.stdout, each.stderr) for each in done] == [(0, "ran\n", "")] * many
    the_daemon(programs)


def test_a_daemon_that_is_used_outlives_its_lifespan(programs: Programs, path: str) -> None:
    running = programs.start("-s", path, "-d", "1", "-r", "R1", "--", "sh", "-c", "echo; read line; exit 5")
    running.line()
    with SocketClient(path) as client:  # a second one, so that the daemon has had something to do
        client.ask("R2")
    assert is_locked(path, "R1")
    assert running.finish().returncode == 5


def test_a_daemon_with_a_crowd_at_its_door_is_waited_for(programs: Programs, path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as first:
        listening.bind(path)
        listening.listen(0)
        listening.settimeout(PATIENCE)
        first.connect(path)  # all that the kernel keeps
        hurried = programs.run("-s", path, "-o", "300", "--", "echo", "ran")
        assert (hurried.returncode, hurried.stdout) == (98, "")
        assert "not granted within" in hurried.stderr
        patient = programs.start("-s", path, "--", "echo", "ran")
        listening.accept()[0].close()
        with listening.accept()[0] as served:
            served.settimeout(PATIENCE)
            assert b'verb="1" step="8"' in served.recv(511)
            served.sendall(b'<msg level="3" verb="1" step="16"><answer rc="0"/></msg>')
            assert b'verb="2" step="8"' in served.recv(511)
        assert patient.finish().returncode == 0

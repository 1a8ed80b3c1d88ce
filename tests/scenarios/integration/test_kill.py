"""SIGKILL leaves nothing that hinders the next start, even one at the same moment."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.fakes.connections import lock
from tests.fakes.daemon import BIN, FLOM_RUN, Daemon
from tests.fakes.netns import Host, needs_network_namespaces
from tests.fakes.peers import is_locked
from tests.fakes.programs import Programs, command_line_of, eventually, free_port
from tests.scenarios.integration.test_daemon import ask, connect

KILLS = [signal.SIGKILL, signal.SIGQUIT]
each_kill = pytest.mark.parametrize("number", KILLS, ids=lambda number: number.name)


def kill(daemon: Daemon, number: signal.Signals = signal.SIGKILL) -> None:
    daemon.process.send_signal(number)
    daemon.process.wait(30)


@each_kill
def test_the_next_one_listens_on_the_same_path(tmp_path: Path, number: signal.Signals) -> None:
    path = str(tmp_path / "flom.sock")
    with Daemon("--socket-name", path) as killed:
        holder = connect(path)
        assert ask(holder, lock()) == b"0"
        kill(killed, number)
    found = {path.name.partition("-")[0] for path in tmp_path.iterdir()}
    assert found == {"flom.sock", "flom.sock.holders", "flom.sock.lock"}
    with Daemon("--socket-name", path) as daemon:
        assert ask(connect(path), lock()) == b"0"
        daemon.stop()
    assert os.listdir(tmp_path) == ["flom.sock.lock"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_next_one_listens_while_old_connections_linger(host: str) -> None:
    """The kernel keeps connections of a killed daemon for a while; the next one gets the same port all the same."""
    port = free_port()
    where = ["--unicast-address", host, "--unicast-port", str(port)]
    with Daemon(*where) as killed:
        holder = connect((host, port))
        assert ask(holder, lock()) == b"0"
        kill(killed)  # the kernel has closed first, so it is the daemon's port that has to wait
        with Daemon(*where):
            assert ask(connect((host, port)), lock()) == b"0"
        holder.close()
        with Daemon(*where):
            assert ask(connect((host, port)), lock()) == b"0"


@pytest.mark.parametrize("where", ["unix", "tcp"])
def test_the_next_command_starts_another_at_once(programs: Programs, tmp_path: Path, where: str) -> None:
    words = ["-s", str(tmp_path / "s")] if where == "unix" else ["-a", "127.0.0.1", "-p", str(free_port())]
    for _ in range(3):
        assert programs.run(*words, "-d", "60000", "--", "true").returncode == 0
        [pid] = programs.daemons()
        os.kill(pid, signal.SIGKILL)
        done = programs.run(*words, "-d", "60000", "--", "echo", "ran")
        assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")
        [pid] = programs.daemons()
        os.kill(pid, signal.SIGKILL)


def test_flom_s_own_client_gives_up(programs: Programs, tmp_path: Path) -> None:
    with Daemon("--socket-name", str(tmp_path / "s")) as daemon:
        holder = programs.start("-s", daemon.socket, "-r", "R", "--", "sh", "-c", "echo held; cat")
        assert holder.line() == "held"
        waiter = programs.start_program(str(BIN / "flom"), "-s", daemon.socket, "-r", "R", "-V", "--", "true")
        eventually(lambda: "waiting for" in waiter.line(), "the wait")
        kill(daemon)
        assert waiter.finish().returncode == 99


@needs_network_namespaces
def test_the_next_one_gets_the_seat_of_its_host(programs: Programs) -> None:
    with Host("flomkill") as host:
        host.add_interface("192.0.2.10/24")
        words = host.words(str(BIN / "flom-run"), "-A", "239.1.1.1", "-d", "60000", "--", "echo", "ran")
        for _ in range(2):
            done = programs.start_program(*words).finish()
            assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")
            [pid] = [pid for pid in host.pids() if "flom/daemon" in command_line_of(pid)]
            os.kill(pid, signal.SIGKILL)
            eventually(lambda: not host.pids(), "its end")


def read(file: Path) -> str:
    """Return what is in C{file}, the empty string if there is none."""
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


def test_a_pid_file_that_is_left_is_replaced_by_twistd(tmp_path: Path) -> None:
    pidfile, path = tmp_path / "pid", str(tmp_path / "flom.sock")
    dead = subprocess.Popen(["true"])
    dead.wait()
    pidfile.write_text(str(dead.pid))
    words = [str(BIN / "twistd"), "-n", f"--pidfile={pidfile}", "flom", "-s", path]
    daemon = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: read(pidfile) == str(daemon.pid), "its own pid")
        eventually(lambda: os.path.exists(path), "its socket")
        assert not is_locked(path, "R")  # it has answered, so its reactor runs
    finally:
        daemon.terminate()
        daemon.wait(30)
    assert not pidfile.exists()


def draw(programs: Programs, *words: str) -> str:
    """Run a command that prints its number; return that."""
    done = programs.run(*words, "--", "sh", "-c", "echo $FLOM_ELEMENT; exit ${STATUS:-0}")
    return str(done.stdout.strip())


@pytest.mark.parametrize("where", ["unix", "tcp"])
def test_the_next_one_goes_on_with_sequences_that_have_a_lifespan(
    programs: Programs, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain one leaves out what was remembered at once; the transactional one leaves out nothing."""
    words = ["-s", str(tmp_path / "s")] if where == "unix" else ["-a", "127.0.0.1", "-p", str(free_port())]
    words += ["-d", "60000", "-i", "60000", "-r"]
    plain, transactional = [], []
    for _ in range(2):
        for status in "010":
            monkeypatch.setenv("STATUS", status)
            plain.append(draw(programs, *words, "_s_n[1]"))
            transactional.append(draw(programs, *words, "_S_n[1]"))
        [pid] = programs.daemons()
        os.kill(pid, signal.SIGKILL)
    assert plain == ["1", "2", "3", "101", "102", "103"]
    assert transactional == ["1", "2", "2", "3", "4", "4"]


def test_no_number_is_given_twice_however_often_it_is_killed(programs: Programs, tmp_path: Path) -> None:
    """Programs draw numbers side by side, and start the daemons that are killed under them."""
    path = tmp_path / "numbers"
    words = ["-s", str(tmp_path / "s"), "-d", "60000", "-i", "60000"]
    command = ["sh", "-c", f'echo "$FLOM_RESOURCE $FLOM_ELEMENT" >> {path}; sleep 0.1']
    drawing = [
        programs.start_program("sh", "-c", f"for _ in 1 2 3 4 5 6 7 8; do {shlex.join(draw_one)}; done")
        for draw_one in ([FLOM_RUN, *words, "-r", name, "--", *command] for name in ("_s_n[2]", "_S_n[2]") * 2)
    ]

    def numbers() -> list[str]:
        return path.read_text().splitlines() if path.exists() else []

    for drawn in (5, 10, 15, 20, 25):
        eventually(lambda drawn=drawn: len(numbers()) > drawn, "more numbers")  # type: ignore[misc]
        for pid in programs.daemons():
            if "flom/daemon/" in command_line_of(pid):  # it is no flom-run
                os.kill(pid, signal.SIGKILL)
    for program in drawing:
        program.finish(60)
    assert len(numbers()) > 25  # a flom-run that loses two daemons before they answer gives up
    assert len(set(numbers())) == len(numbers())

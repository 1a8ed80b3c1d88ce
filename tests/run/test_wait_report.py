"""C{flom-run} tells what it waits for, and because of whom: with C{-V}, and on a terminal."""

from __future__ import annotations

import os
import pwd
import re
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from flom.codes import Outcome
from flom.config import Config
from flom.core.protocol.messages import Answer, ManagementRefused, StatusRequest
from flom.job.wording import Wording
from flom.run.runner import Runner
from flom.run.wait_report import WaitReport, describe_wait, why_not_served
from flom.status.model import QuorumStatus
from tests.fakes.authority import Authority
from tests.fakes.daemon import BIN, FLOM_RUN, Daemon
from tests.fakes.peers import FakeDaemon, SocketClient
from tests.fakes.programs import Programs, Running, complaints, free_port
from tests.fakes.status import make_status
from tests.fakes.terminal import Terminal
from tests.fakes.us import by_us

QUEUED = Outcome.QUEUED


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal for one program."""
    with Terminal(200) as terminal:
        yield terminal


@pytest.fixture
def holder(address: str, resource: str) -> Iterator[SocketClient]:
    """Holds the resource."""
    with SocketClient(address) as holder:
        assert holder.ask(resource) == Outcome.GRANTED
        yield holder


def told(line: str) -> str:
    """Return C{line} without how long anything has been so."""
    return re.sub(r"for \d+ s", "for N s", line)


# in a file


def test_it_is_told_once(programs: Programs, address: str, resource: str, holder: SocketClient) -> None:
    running = programs.start("-V", "-s", address, "-r", resource, "--", "echo", "ran")
    while not (line := running.line()).startswith("waiting"):
        pass
    assert told(line) == f"waiting for {resource} (EX): next in line, held by {by_us()} for N s"
    holder.close()
    done = running.finish()
    assert (done.returncode, done.stdout, complaints(done)) == (0, "ran\n", "")


def test_those_ahead_and_the_other_holders_are_counted(programs: Programs, address: str) -> None:
    with (
        SocketClient(address) as one,
        SocketClient(address) as other,
        SocketClient(address) as first,
        SocketClient(address) as second,
    ):
        for client in (one, other, first, second):
            client.ask("counted[2]", wait=True)
        running = programs.start("-V", "-s", address, "-r", "counted[2]", "-q", "2", "--", "true")
        while not (line := running.line()).startswith("waiting"):
            pass
        assert told(line) == f"waiting for counted[2] (2): 2 ahead, held by {by_us()} for N s and 1 other"
        running.signal(signal.SIGTERM)
        running.wait()


def test_who_waits_for_a_resource_to_be_made(programs: Programs, address: str, resource: str) -> None:
    running = programs.start("-V", "-s", address, "-r", resource, "-e", "no", "--", "true")
    while not (line := running.line()).startswith("waiting"):
        pass
    assert line == f"waiting for {resource}: no client has created it yet"
    with SocketClient(address) as maker:
        maker.ask(resource)
    assert running.finish().returncode == 0


def test_a_grace_period_is_told_and_then_what_is_waited_for(programs: Programs, tmp_path: Path) -> None:
    where = ["-s", str(tmp_path / "s"), "-d", "0", "-r", "R1"]
    with Daemon("--socket-name", where[1]) as daemon:
        holder = programs.start(*where, "--", "sh", "-c", "echo held; read go")
        assert holder.line() == "held"
        holder.signal(signal.SIGSTOP)
        daemon.process.kill()
    with Daemon("--socket-name", where[1]):
        waiter = programs.start("-V", *where, "--", "true")
        while not (line := waiter.line()).startswith("waiting"):
            pass
        assert line == "waiting: the daemon is in a grace period, and serves only holders of the one before it"
        holder.signal(signal.SIGCONT)
        assert waiter.line().startswith("waiting for R1 (EX): next in line, held by pid ")
        holder.say("go")
        assert waiter.finish().returncode == 0


def test_without_verbose_nothing_is_told(programs: Programs, daemon: Daemon) -> None:
    with SocketClient(daemon.socket) as holder:
        holder.ask("R1")
        done = programs.run("-s", daemon.socket, "-r", "R1", "-o", "1000", "--", "true")
    assert (done.returncode, done.stdout) == (98, "")
    assert "waiting" not in done.stderr


@pytest.mark.parametrize("with_tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(("listens_on", "host"), [("127.0.0.1", "127.0.0.1"), ("::", "127.0.0.1"), ("::1", "::1")])
def test_over_tcp(programs: Programs, tmp_path: Path, listens_on: str, host: str, with_tls: bool) -> None:
    port = str(free_port())
    options = Authority(tmp_path / "ca", "ca").issue("host").options() if with_tls else []
    place = ["-a", host, "-p", port, "-r", "R1", *options]
    with Daemon("--unicast-address", listens_on, "--unicast-port", port, "--state", str(tmp_path / "state"), *options):
        holder = programs.start(*place, "--", "sh", "-c", "echo held; read go")
        assert holder.line() == "held"
        waiter = programs.start("-V", *place, "--", "true")
        while not (line := waiter.line()).startswith("waiting"):
            pass
        assert re.fullmatch(r"waiting for R1 \(EX\): next in line, held by \S+/\d+ \(\w+, sh\) for \d+ s", line)
        holder.say("go")
        assert waiter.finish().returncode == 0


# on a terminal


def test_it_is_brought_up_to_date_in_its_place(
    programs: Programs, address: str, resource: str, terminal: Terminal, holder: SocketClient
) -> None:
    running = terminal.start(programs, FLOM_RUN, "-V", "-s", address, "-r", resource, "--", "echo", "ran")
    terminal.see(f"waiting for {resource} (EX): next in line, held by {by_us()} for ")
    shown = terminal.lines
    terminal.watch(lambda lines: lines != shown and "waiting" in lines[-1], "another time")
    assert [line.startswith("waiting") for line in terminal.lines].count(True) == 1
    holder.close()
    done = terminal.finish(running)
    assert (done.returncode, complaints(done)) == (0, "")
    assert terminal.lines[-1] == "ran"
    assert not any("waiting" in line for line in terminal.lines)


@pytest.mark.parametrize("option", ["-Q", "--quiet"])
def test_quietly_a_terminal_shows_the_command_alone(
    programs: Programs, address: str, resource: str, terminal: Terminal, holder: SocketClient, option: str
) -> None:
    """A wait of 1.5 s, which would be told, and the end of the timeout."""
    running = terminal.start(
        programs, FLOM_RUN, option, "-V", "-s", address, "-r", resource, "-o", "1500", "--", "true"
    )
    assert terminal.finish(running).returncode == 98
    assert terminal.written == b""


def test_a_narrow_terminal_has_one_line_too(
    programs: Programs, address: str, resource: str, holder: SocketClient
) -> None:
    with Terminal(30, 50) as terminal:
        running = terminal.start(programs, FLOM_RUN, "-V", "-s", address, "-r", resource, "--", "echo", "ran")
        terminal.see("waiting for ")
        shown = terminal.written.count(b"waiting for")
        terminal.watch(lambda _: terminal.written.count(b"waiting for") > shown + 1, "more of it")
        assert len([line for line in terminal.lines if line.startswith("waiting")]) == 1
        running.signal(signal.SIGTERM)
        assert terminal.finish(running).returncode == -signal.SIGTERM
        assert not any("waiting" in line for line in terminal.lines)


def test_a_timeout_is_told_on_a_line_of_its_own(
    programs: Programs, address: str, resource: str, terminal: Terminal, holder: SocketClient
) -> None:
    running = terminal.start(programs, FLOM_RUN, "-V", "-s", address, "-r", resource, "-o", "1500", "--", "true")
    terminal.see("waiting for ")
    done = terminal.finish(running)
    assert (done.returncode, complaints(done).count("\n")) == (98, 1)
    assert not any("waiting" in line for line in terminal.lines)


# without -V: on a terminal, on stderr


@pytest.fixture
def command(programs: Programs, address: str, resource: str) -> Running:
    """A command that holds the resource, until it reads a line."""
    running = programs.start("-s", address, "-r", resource, "--", "sh", "-c", "echo held; read go")
    assert running.line() == "held"
    return running


def held_by(command: Running) -> str:
    return f"by pid {command.pid} ({pwd.getpwuid(os.geteuid()).pw_name}, sh) for "


def test_a_wait_of_a_second_is_shown_and_vanishes(
    programs: Programs, address: str, resource: str, terminal: Terminal, command: Running
) -> None:
    words = [FLOM_RUN, "-s", address, "-r", resource, "--", "echo", "ran"]
    running = terminal.start(programs, *words, is_stderr=True)
    [line] = terminal.see("waiting for ")
    assert line.startswith(f"waiting for {resource} (EX): next in line, held {held_by(command)}")
    terminal.watch(lambda lines: lines not in ([], [line]), "another time")
    command.say("go")
    assert terminal.finish(running).returncode == 0
    assert terminal.lines == ["ran"]


def test_a_timeout_takes_the_place_of_what_was_shown(
    programs: Programs, address: str, resource: str, terminal: Terminal, command: Running
) -> None:
    words = [FLOM_RUN, "-s", address, "-r", resource, "-o", "1500", "--", "echo", "ran"]
    running = terminal.start(programs, *words, is_stderr=True)
    terminal.see("waiting for ")
    assert terminal.finish(running).returncode == 98
    [line, *_] = terminal.lines
    assert line.startswith(f"flom-run: {resource}: still locked after 1.5 s {held_by(command)}")


@pytest.mark.usefixtures("command")
@pytest.mark.parametrize("program", ["flom", "flom-run"])
def test_flom_shows_nothing_and_neither_does_a_stderr_that_is_no_terminal(
    programs: Programs, address: str, resource: str, terminal: Terminal, program: str
) -> None:
    words = [str(BIN / program), "-s", address, "-r", resource, "-o", "1500", "--", "echo", "ran"]
    assert terminal.finish(terminal.start(programs, *words, is_stderr=program == "flom")).returncode == 98
    assert b"waiting" not in terminal.written


def test_a_lock_that_comes_at_once_leaves_the_terminal_alone(
    programs: Programs, address: str, resource: str, terminal: Terminal
) -> None:
    running = terminal.start(programs, FLOM_RUN, "-s", address, "-r", resource, "--", "echo", "ran", is_stderr=True)
    assert terminal.finish(running).returncode == 0
    assert terminal.written == b"ran\r\n"


def test_a_terminal_that_was_stopped_does_not_delay_the_lock(
    programs: Programs, address: str, resource: str, tmp_path: Path, terminal: Terminal, command: Running
) -> None:
    words = [FLOM_RUN, "-s", address, "-r", resource, "--", "touch", str(tmp_path / "ran")]
    running = terminal.start(programs, *words, is_stderr=True)
    terminal.see("waiting for ")
    terminal.press("\x13")
    command.say("go")
    assert running.wait() == 0
    assert (tmp_path / "ran").exists()


# what must not do any harm


def test_a_daemon_of_flom_s_is_asked_for_nothing_that_it_does_not_know(
    programs: Programs, fake: FakeDaemon, tmp_path: Path
) -> None:
    running = programs.start("-V", "-s", str(tmp_path / "fake.sock"), "-r", "R1", "--", "echo", "ran")
    lock, _ = fake.accept()
    lock.answer(1)
    other, asked = fake.accept()
    assert (asked.wait, asked.create) == (False, False)
    other.answer(0)  # as one would that grants whatever is asked for
    while (message := other.read()) is not None:
        assert not isinstance(message, StatusRequest)
    lock.answer(0, step=24)
    lock.read()
    lock.close()
    done = running.finish()
    assert (done.returncode, complaints(done)) == (0, "")
    assert "waiting" not in done.stdout


def test_a_daemon_that_does_not_tell(programs: Programs, fake: FakeDaemon, tmp_path: Path) -> None:
    running = programs.start("-V", "-s", str(tmp_path / "fake.sock"), "-r", "R1", "--", "echo", "ran")
    lock, _ = fake.accept()
    lock.answer(1)
    other, _ = fake.accept()
    other.say(Answer(16, Outcome.CANNOT_WAIT, None, "0" * 32, extended=True))
    assert isinstance(other.read(), StatusRequest)
    other.say(ManagementRefused())
    assert other.read() is None
    lock.answer(0, step=24)
    lock.read()
    lock.close()
    done = running.finish()
    assert (done.returncode, complaints(done)) == (0, "")
    assert "waiting" not in done.stdout


@pytest.mark.parametrize("ending", ["grant", "signal", "timeout"])
def test_a_daemon_that_says_nothing_delays_no_end(
    programs: Programs, fake: FakeDaemon, tmp_path: Path, ending: str
) -> None:
    limit = ["-o", "1000"] if ending == "timeout" else []
    running = programs.start("-V", "-s", str(tmp_path / "fake.sock"), "-r", "R1", *limit, "--", "echo", "ran")
    lock, _ = fake.accept()
    lock.answer(1)
    other, _ = fake.accept()  # which gets no answer
    if ending == "grant":
        lock.answer(0, step=24)
        lock.read()
        lock.close()
    elif ending == "signal":
        running.signal(signal.SIGINT)
    done = running.finish(patience=5)  # the thread would wait for ten seconds
    assert done.returncode == {"grant": 0, "signal": -signal.SIGINT, "timeout": 98}[ending]
    assert "Traceback" not in done.stderr
    other.close()


def test_a_connection_that_was_reset_is_no_bug() -> None:
    """The daemon may end before it is known where the connection leads."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as ours:
        served, _ = listening.accept()
        served.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        served.close()
        with pytest.raises(OSError, match="not connected"):
            ours.getpeername()
        WaitReport(Config(), ours).stop()


def test_without_a_thread_the_lock_is_waited_for_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flom.lean.start_new_thread", Mock(side_effect=RuntimeError("can't start new thread")))
    config = Config(verbose=True)
    Runner(config, ["true"], Wording("flom-run", config)).asks(Mock())  # raises nothing


# a quorum

QUORUM = QuorumStatus("h1, pid 7", None, 3, True, 2.0, (), {}, "")


def test_a_leader_that_is_new_says_so() -> None:
    status = make_status("R", quorum=lambda: QUORUM)
    new = status.replace(daemon=status.daemon.replace(grace_left=3.0))
    assert why_not_served(status) == ""
    assert why_not_served(new).startswith("waiting: the daemon leads since a moment ago, ")


def test_why_a_leader_grants_nothing_is_told() -> None:
    problem = "etcd: no answer of http://h2:2379 within 1 s"
    status = make_status("R", quorum=lambda: QUORUM.replace(granting=False, problem=problem))
    assert why_not_served(status) == f"waiting: the daemon grants nothing: {problem}"
    text = describe_wait(status, lambda waiters: waiters[-1] if waiters else None)
    assert text is None or text.endswith(f", and the daemon grants nothing: {problem}")

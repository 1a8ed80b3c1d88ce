"""flom-run at a real terminal, in a shell's loop and under a shell's job control."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from flom.core.protocol.messages import Unlock
from tests.fakes.daemon import BIN, FLOM_RUN
from tests.fakes.peers import FakeDaemon, is_locked
from tests.fakes.programs import Programs, eventually
from tests.fakes.signals import ControllingTerminal


@pytest.fixture
def terminal() -> Iterator[ControllingTerminal]:
    terminal = ControllingTerminal()
    yield terminal
    terminal.close()


def test_control_c_ends_a_shell_s_loop(
    programs: Programs, address: str, resource: str, terminal: ControllingTerminal
) -> None:
    """The shell sees that flom-run has died of the signal, as the command has."""
    loop = (
        f"for i in 1 2 3; do {FLOM_RUN} -s {address} -r {resource} -- sh -c 'echo $0; exec sleep 60' $i; done; echo on"
    )
    running = programs.start_program("bash", "-c", loop, stdin=terminal.slave, own_session=True, first=terminal.seize)
    assert running.line() == "1"
    terminal.press(b"\x03")
    done = running.finish()
    assert (done.returncode, done.stdout) == (-signal.SIGINT, "")
    assert not is_locked(address, resource)


def test_xargs_stops_when_a_command_is_ended_by_a_signal(programs: Programs, address: str, resource: str) -> None:
    command = f"seq 2 | xargs -n 1 {FLOM_RUN} -s {address} -r {resource} -- sh -c 'echo $0; kill -TERM $$'"
    done = programs.start_program("sh", "-c", command).finish()
    assert (done.returncode, done.stdout) == (125, "1\n")  # "if the command is killed by a signal"
    assert "terminated by signal 15" in done.stderr


class Shell:
    """An interactive shell with job control; what is typed is not in its stdout."""

    def __init__(self, programs: Programs, terminal: ControllingTerminal) -> None:
        self._terminal = terminal
        self._running = programs.start_program(
            *("bash", "--norc", "--noediting", "-i"),
            stdin=terminal.slave,
            environment={"PS1": ""},
            own_session=True,
            first=terminal.seize,
        )
        self.line = self._running.line

    def type(self, line: str) -> None:
        self._terminal.press(line.encode() + b"\n")

    def stop(self) -> None:
        """Press Ctrl-Z, and wait until the shell says that its job is stopped."""
        self._terminal.press(b"\x1a")
        while "Stopped" not in (line := self._running.error_line()):
            assert line, "the shell has ended"


@pytest.fixture
def shell(programs: Programs, terminal: ControllingTerminal) -> Shell:
    return Shell(programs, terminal)


@pytest.mark.parametrize("wrapper", ["", "timeout 60"], ids=["in our group", "in a group of its own"])
def test_a_command_is_stopped_and_continued_by_the_shell(
    shell: Shell, address: str, resource: str, tmp_path: Path, wrapper: str
) -> None:
    """Meanwhile, it keeps the lock; so does a command that the shell has put into the background."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    script = f"echo $$; while read line; do echo got $line; done <{pipe}"
    shell.type(f"{FLOM_RUN} -s {address} -r {resource} -- {wrapper} sh -c '{script}'")
    command = int(shell.line())
    with pipe.open("w", buffering=1) as to_command:
        for again in ["fg", "bg; fg"]:
            shell.stop()
            eventually(lambda: is_stopped(command), "the command is stopped")
            assert is_locked(address, resource)
            shell.type(again)
            print("a line", file=to_command)
            while (line := shell.line()) != "got a line":
                assert FLOM_RUN in line  # what the shell goes on with
    eventually(lambda: not is_locked(address, resource), "the lock is released")


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_a_stopped_waiter_leaves_the_queue_and_asks_anew(shell: Shell, fake: FakeDaemon, tmp_path: Path) -> None:
    """A lock that is granted to a stopped process would keep all others waiting."""
    shell.type(f"{FLOM_RUN} -s {tmp_path}/fake.sock -- sh -c 'echo ran'")
    for again in ["fg", "bg; fg"]:
        conversation, _ = fake.accept()
        conversation.answer(1)
        shell.stop()
        assert conversation.read() is None
        shell.type(again)
    conversation, _ = fake.accept()
    conversation.answer(0)
    while (line := shell.line()) != "ran":
        assert FLOM_RUN in line


@pytest.mark.parametrize("program", [f"{FLOM_RUN} --keep-place", str(BIN / "flom")], ids=["--keep-place", "flom"])
def test_a_stopped_waiter_may_keep_its_place(shell: Shell, fake: FakeDaemon, tmp_path: Path, program: str) -> None:
    shell.type(f"{program} -s {tmp_path}/fake.sock -- sh -c 'echo ran'")
    conversation, _ = fake.accept()
    conversation.answer(1)
    shell.stop()
    conversation.answer(0, step=24)
    shell.type("fg")
    assert BIN.name in shell.line()
    assert shell.line() == "ran"
    assert conversation.read() == Unlock("_RESOURCE")

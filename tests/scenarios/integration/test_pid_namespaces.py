"""A daemon and its clients in PID namespaces of their own, as in containers that share a socket."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.fakes.daemon import BIN, FLOM_RUN, Daemon
from tests.fakes.programs import Programs, Running

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for PID namespaces")

HOLD = ["--", "sh", "-c", "echo held; read line"]


def hold_beside(programs: Programs, path: Path) -> Running:
    """Hold C{R1} at a daemon that is started in a namespace where other processes have no number."""
    holder = programs.start_program("unshare", "--pid", "--fork", FLOM_RUN, "-s", str(path), "-r", "R1", *HOLD)
    assert holder.line() == "held"
    return holder


def waiting_line(running: Running) -> str:
    while not (line := running.line()).startswith("waiting"):
        pass
    return line


def test_a_waiter_that_has_no_number_at_the_daemon_is_told_its_wait(programs: Programs, tmp_path: Path) -> None:
    holder = hold_beside(programs, tmp_path / "s")
    waiter = programs.start("-V", "-s", str(tmp_path / "s"), "-r", "R1", "--", "true")
    assert waiting_line(waiter).startswith("waiting for R1 (EX): next in line, held by pid 1 (root, sh) for ")
    waiter.process.kill()
    holder.finish()


def test_a_waiter_with_another_number_at_the_daemon_is_told_its_wait(programs: Programs, tmp_path: Path) -> None:
    holder = programs.start("-s", str(tmp_path / "s"), "-r", "R1", *HOLD)
    assert holder.line() == "held"
    words = [FLOM_RUN, "-V", "-s", str(tmp_path / "s"), "-r", "R1", "--", "true"]
    waiter = programs.start_program("unshare", "--pid", "--fork", *words)
    assert waiting_line(waiter).startswith(f"waiting for R1 (EX): next in line, held by pid {holder.pid} (root, sh)")
    holder.finish()
    assert waiter.finish().returncode == 0


def test_a_holder_that_has_no_number_at_the_daemon_is_shown_without(programs: Programs, tmp_path: Path) -> None:
    path = tmp_path / "s"
    beside = hold_beside(programs, path)
    holder = programs.start("-s", str(path), "-r", "R2", *HOLD)
    assert holder.line() == "held"
    flomctl = [str(BIN / "flomctl"), "status", "-s", str(path), "R2"]
    shown = json.loads(programs.start_program(*flomctl, "--json").finish().stdout)
    [lock] = shown["resources"][0]["holders"]
    assert (lock["pid"], lock["uid"]) == (None, 0)
    line = programs.start_program(*flomctl).finish().stdout.splitlines()[-1]
    assert line.split("\t")[4:6] == ["-", "0"]
    waiter = programs.start("-V", "-s", str(path), "-r", "R2", "--", "true")
    assert waiting_line(waiter).startswith("waiting for R2 (EX): next in line, held by a process (root, sh) for ")
    holder.finish()
    assert waiter.finish().returncode == 0
    beside.finish()


# docs/howto/containers.md

AS_FIRST_PROCESS = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", FLOM_RUN]


def pid_of_first_process(running: Running) -> int:
    return int(Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text())


@pytest.mark.parametrize(
    ("script", "status"),
    [("trap 'exit 7' TERM; echo in; while :; do sleep 0.1; done", 7), ("echo in; exec sleep 60", 143)],
)
def test_as_a_container_s_first_process_it_passes_sigterm_on(
    programs: Programs, tmp_path: Path, script: str, status: int
) -> None:
    """A command that has no handler ends by the signal, as it would not as the first process itself."""
    running = programs.start_program(*AS_FIRST_PROCESS, "-s", str(tmp_path / "s"), "--", "sh", "-c", script)
    assert running.line() == "in"
    os.kill(pid_of_first_process(running), signal.SIGTERM)
    assert running.wait() == status


def test_as_a_container_s_first_process_it_leaves_no_zombies(programs: Programs, tmp_path: Path) -> None:
    orphan = "(sh -c 'echo $$ >&3; exec sleep 0.1' 3>orphan &); sleep 0.4; test -s orphan && ps -eo stat= | grep -c Z"
    words = [*AS_FIRST_PROCESS, "-s", str(tmp_path / "s"), "--", "sh", "-c", orphan]
    assert programs.start_program(*words, cwd=tmp_path).finish().stdout == "0\n"


def test_a_command_in_a_container_comes_back_by_the_folder_of_the_socket(programs: Programs, tmp_path: Path) -> None:
    """The folder is at another place there, where it cannot be written to, and the network is another one."""
    folder, there = tmp_path / "run", tmp_path / "there"
    folder.mkdir()
    there.mkdir()
    enter = f"mount --bind '{folder}' '{there}' && mount -o remount,bind,ro '{there}' && exec \"$@\""
    command = [FLOM_RUN, "-s", str(there / "s"), "-d", "0", "-r", "R1", *HOLD]
    with Daemon("--socket-name", str(folder / "s")) as first:
        words = ["unshare", "--mount", "--net", "--pid", "--fork", "sh", "-c", enter, "sh", *command]
        holder = programs.start_program(*words)
        assert holder.line() == "held"
        first.process.kill()
        first.process.wait()
    with Daemon("--socket-name", str(folder / "s")):
        other = programs.run("-s", str(folder / "s"), "-r", "R1", "-o", "0", "--", "true")
        assert other.returncode == 98
        holder.say("")
        assert holder.finish().returncode == 0

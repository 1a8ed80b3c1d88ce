"""Whose command a process is part of."""

from __future__ import annotations

import os

import pytest

from flom.net.processes import OuterProcesses, parent, runs_a_command
from tests.fakes.daemon import Daemon
from tests.fakes.programs import Programs

NEVER_THERE = 2**22 + 1  # above the highest process id of Linux


def test_the_command_of_a_command(programs: Programs, daemon: Daemon) -> None:
    words = ["-s", daemon.socket, "-r", "R1", "--", "sh", "-c", "echo $$; read end"]
    running = programs.start(*words)
    shell = int(running.line() or 0)
    assert runs_a_command(running.pid)
    assert OuterProcesses()(shell)[0] == running.pid
    assert not runs_a_command(shell)
    running.say("end")


def test_a_process_that_is_not_there() -> None:
    assert (parent(NEVER_THERE), runs_a_command(NEVER_THERE), OuterProcesses()(NEVER_THERE)) == (0, False, ())
    assert parent(os.getpid()) == os.getppid()


def test_what_was_known_in_the_last_round_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[int] = []

    def find_parent(pid: int) -> int:
        looked_up.append(pid)
        return pid - 1

    monkeypatch.setattr("flom.net.processes.parent", find_parent)
    monkeypatch.setattr("flom.net.processes.runs_a_command", lambda pid: pid == 2)
    outer_pids = OuterProcesses()
    for _ in range(2):
        outer_pids.begin()
        assert (outer_pids(4), outer_pids(5)) == ((2,), (2,))
    assert looked_up == [4, 3, 2, 5]
    outer_pids.begin()
    outer_pids.begin()
    assert outer_pids(4) == (2,)
    assert looked_up[4:] == [4, 3, 2]

"""Whose command a process is part of."""

from __future__ import annotations

import os

from flom.net.processes import outer_pids, parent, runs_a_command
from tests.fakes.daemon import Daemon
from tests.fakes.programs import Programs

NEVER_THERE = 2**22 + 1  # above the highest process id of Linux


def test_the_command_of_a_command(programs: Programs, daemon: Daemon) -> None:
    words = ["-s", daemon.socket, "-r", "R1", "--", "sh", "-c", "echo $$; read end"]
    running = programs.start(*words)
    shell = int(running.line() or 0)
    assert runs_a_command(running.pid)
    assert next(iter(outer_pids(shell))) == running.pid
    assert not runs_a_command(shell)
    running.say("end")


def test_a_process_that_is_not_there() -> None:
    assert (parent(NEVER_THERE), runs_a_command(NEVER_THERE), list(outer_pids(NEVER_THERE))) == (0, False, [])
    assert parent(os.getpid()) == os.getppid()

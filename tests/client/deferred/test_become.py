"""The process that becomes a command: what it changes before, and how it says that it cannot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from flom.client.deferred import become


def become_command(
    *command: str, ignored: str = "", directory: str = "", environment: Mapping[str, str] | None = None
) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run a command by it; return how that has ended, and what came by its pipe."""
    reading, writing = os.pipe()
    words = [sys.executable, "-I", "-S", become.__file__, str(writing), ignored, directory, *command]
    done = subprocess.run(words, capture_output=True, text=True, pass_fds=[writing], env=environment, timeout=60)
    os.close(writing)
    with open(reading) as pipe:
        return done, pipe.read()


def test_the_command_has_the_directory_and_the_signals_that_it_is_to_have(tmp_path: Path) -> None:
    show = ["sh", "-c", "pwd; sed -n s/^SigIgn://p /proc/self/status; ls /proc/self/fd | wc -l; exit 7"]
    done, said = become_command(*show, ignored="1,15", directory=str(tmp_path))
    directory, mask, descriptors = done.stdout.split()
    assert (done.returncode, directory, said) == (7, str(tmp_path), "")
    assert int(mask, 16) & 0x7FFFFFFF == 1 << signal.SIGHUP - 1 | 1 << signal.SIGTERM - 1
    assert int(descriptors) == 4  # the standard three, and the one of ls


def test_the_environment_is_passed_on_as_it_is() -> None:
    done, _ = become_command("/usr/bin/env", environment={"LC_ALL": "C", "WITH.DOT": "1"})
    assert done.stdout == "LC_ALL=C\nWITH.DOT=1\n"


def test_the_command_is_looked_for_in_its_own_path(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("echo ran\n")
    program.chmod(0o755)
    done, _ = become_command("program", environment={"PATH": str(tmp_path)})
    assert done.stdout == "ran\n"


@pytest.mark.parametrize(
    ("command", "directory", "why"),
    [
        ("/no/such/command", "", "no such file or directory"),
        ("/", "", "permission denied"),
        ("true", "/no/such", "/no/such: no such file or directory"),
    ],
)
def test_why_it_cannot_comes_by_the_pipe_alone(command: str, directory: str, why: str) -> None:
    done, said = become_command(command, directory=directory)
    assert (done.returncode, done.stdout, done.stderr, said) == (97, "", "", why)

"""Places where something is missing that is there on most hosts: programs work, or say in one line what is wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.daemon import BIN, FLOM_RUN
from tests.fakes.programs import Programs, assert_refused

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to hide what is there")

EMPTY_DEV = (
    "mount -t tmpfs none /mnt; mknod -m 666 /mnt/null c 1 3; mknod -m 444 /mnt/urandom c 1 9; mount -M /mnt /dev"
)

BARE = {
    "no /proc": "mount -t tmpfs none /proc",
    "no /dev/log": EMPTY_DEV,
    "no HOME": "unset HOME USER LOGNAME",
    "no passwd": "mount --bind /dev/null /etc/passwd; unset HOME USER LOGNAME",
    "no machine id": "mount -t tmpfs none /proc; mount --bind /dev/null /etc/machine-id 2>/dev/null || true",
}

LOCK = """
import sys
from flom import lock
with lock("R1", socket=sys.argv[1]):
    print("ran")
"""

CLIENTS: dict[str, Callable[[Path], list[str]]] = {
    "flom-run": lambda path: [FLOM_RUN, "-s", str(path), "-d", "100", "--", "echo", "ran"],
    "TCP": lambda path: [FLOM_RUN, "-a", "127.0.0.1", "-p", "28914", "-d", "100", "--", "echo", "ran"],
    "lock": lambda path: [sys.executable, "-c", LOCK, str(path)],
}


@needs_root
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("missing", BARE)
def test_a_command_runs_where_something_is_missing(
    programs: Programs, tmp_path: Path, missing: str, client: str
) -> None:
    script = f'set -e; {BARE[missing]}; exec "$@"'
    words = CLIENTS[client](tmp_path / "socket")
    done = programs.start_program("unshare", "--mount", "sh", "-c", script, "sh", *words).finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


@needs_root
def test_without_proc_a_spawned_command_inherits_what_it_should(programs: Programs, address: str) -> None:
    words = [sys.executable, "-m", "flom.client.deferred", "-s", address, "-r", "R1", "--", "sh", "-c", "echo x >&9"]
    script = 'mount -t tmpfs none /proc; exec 9>&1; exec "$@"'
    done = programs.start_program("unshare", "--mount", "sh", "-c", script, "sh", *words).finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, "x\n", "")


@needs_root
def test_without_proc_the_environment_is_passed_on(programs: Programs, address: str) -> None:
    script = 'mount -t tmpfs none /proc; exec "$@"'
    words = ["unshare", "--mount", "sh", "-c", script, "sh", FLOM_RUN, "-s", address, "-r", "R1", "--", "env"]
    done = programs.start_program(*words, environment={"KEPT": "a b=c"}).finish()
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert (found["KEPT"], found["FLOM_RESOURCE"]) == ("a b=c", "R1")
    assert not [name for name in found if name.startswith("FLOM_RUN_")]


GONE = 'cd "$0" && rmdir "$0" && exec "$@"'
"""Runs a command in a directory that has gone."""


def in_a_directory_that_has_gone(directory: Path, *words: str) -> list[str]:
    directory.mkdir()
    return ["sh", "-c", GONE, str(directory), *words]


def without_the_shell_s(stderr: str) -> str:
    """Return C{stderr} without what sh itself says about such a directory."""
    return "".join(line for line in stderr.splitlines(keepends=True) if not line.startswith("sh: 0: getcwd"))


def test_a_command_runs_in_a_directory_that_has_gone(programs: Programs, tmp_path: Path) -> None:
    words = in_a_directory_that_has_gone(
        tmp_path / "gone", FLOM_RUN, "-s", str(tmp_path / "s"), "-d", "100", "--", "echo", "ran"
    )
    done = programs.start_program(*words).finish()
    assert (done.returncode, done.stdout, without_the_shell_s(done.stderr)) == (0, "ran\n", "")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (99, [FLOM_RUN, "-s", "flom.sock", "--", "echo", "ran"]),
        (99, [FLOM_RUN, "-s", "/no/such/place", "--daemon-trace-file", "flom.sock", "--", "echo", "ran"]),
        (1, [str(BIN / "twistd"), "-n", "--pidfile=", "flom", "-s", "flom.sock"]),
        (1, [str(BIN / "twistd"), "-n", "--pidfile=", "flom", "-m", "."]),
        (2, [str(BIN / "flomctl"), "status", "-s", "flom.sock"]),
    ],
    ids=["flom-run", "trace file", "twistd", "mount point", "flomctl"],
)
def test_a_relative_path_leads_nowhere_in_a_directory_that_has_gone(
    programs: Programs, tmp_path: Path, status: int, words: list[str]
) -> None:
    if "/no/such/place" in words:
        words = [word.replace("/no/such/place", str(tmp_path / "s")) for word in words]
    done = programs.start_program(*in_a_directory_that_has_gone(tmp_path / "gone", *words)).finish()
    done.stderr = without_the_shell_s(done.stderr)
    assert_refused(done, status, "the working directory has gone")

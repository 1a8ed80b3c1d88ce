"""
C{python -m flom.client.deferred}: its own answers; what it does with a command is in tests/contract/test_jobs.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.fakes.daemon import Daemon


def run(*words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "flom.client.deferred", *words]
    return subprocess.run(program, capture_output=True, text=True, timeout=60)


def test_the_help_names_it_and_the_options_of_flom_run() -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "python -m flom.client.deferred [OPTION...]" in done.stdout
    assert "--resource-name" in done.stdout


def test_files_are_read_and_traces_written_as_by_flom_run(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "flom.conf").write_text(f"[Daemon]\nSocketName={daemon.socket}\n[Resource]\nName=offile\n")
    trace = tmp_path / "trace"
    done = run("-c", str(tmp_path / "flom.conf"), "-T", str(trace), "--", "sh", "-c", "echo $FLOM_RESOURCE")
    assert (done.returncode, done.stdout, done.stderr) == (0, "offile\n", "")
    assert "connected to " in trace.read_text()


def test_a_socket_and_an_address_at_once_are_refused_with_99() -> None:
    done = run("-s", "/tmp/socket", "-a", "localhost", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (99, "")
    assert "exclude each other" in done.stderr


def test_several_locks_are_refused_and_not_taken_for_the_last_one() -> None:
    done = run("-r", "a", "-r", "b", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (99, "")
    assert done.stderr == "resource-name: several locks at once (-r) are an option of flom-run alone\n"


def test_what_its_command_waits_for_is_not_its_own_lock(daemon: Daemon) -> None:
    inner = f"{sys.executable} -m flom.client.deferred -s {daemon.socket} -r R1 -- echo ran"
    done = run("-s", daemon.socket, "-r", "R1", "--", "sh", "-c", inner)
    assert (done.returncode, done.stdout) == (93, "")
    assert "under whose command this one runs" in done.stderr


def test_a_command_shares_the_lock_of_the_outer_one_if_it_may(daemon: Daemon) -> None:
    inner = f"{sys.executable} -m flom.client.deferred -s {daemon.socket} -r R1 --nested=share -- echo ran"
    done = run("-s", daemon.socket, "-r", "R1", "--", "sh", "-c", inner)
    assert (done.returncode, done.stdout) == (0, "ran\n")

"""Every program of ours with standard streams that are closed, as by C{<&-}, C{>&-} and C{2>&-} of a shell."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.daemon import BIN, FLOM_RUN, Daemon
from tests.fakes.peers import is_locked
from tests.fakes.programs import Programs, complaints, eventually

FLOMCTL: Final = str(BIN / "flomctl")
SCRIPT: Final = "import sys; from flom import lock\nwith lock('R1', socket=sys.argv[1]): print('ran')"

PROGRAMS: Final = {
    "flom-run": [FLOM_RUN, "-V", "-s", "SOCKET", "--", "true"],
    "flom-run --help": [FLOM_RUN, "--help"],
    "flomctl status": [FLOMCTL, "status", "-s", "SOCKET"],
    "flomctl status --json": [FLOMCTL, "status", "--json", "-s", "SOCKET"],
    "flomctl --help": [FLOMCTL, "--help"],
    "spawn": [sys.executable, "-m", "flom.client.deferred", "-s", "SOCKET", "--", "true"],
    "flom.lock": [sys.executable, "-c", SCRIPT, "SOCKET"],
    "twistd flom --help": [str(BIN / "twistd"), "flom", "--help"],
}

closings = pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])


def run(words: list[str], closed: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program with streams that are closed, and see what comes to the others."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *words], capture_output=True, text=True, timeout=60, cwd=cwd
    )


@closings
@pytest.mark.parametrize("words", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_does_its_work_whatever_is_closed(
    daemon: Daemon, tmp_path: Path, words: list[str], closed: str
) -> None:
    done = run([daemon.socket if word == "SOCKET" else word for word in words], closed, tmp_path)
    assert (done.returncode, complaints(done)) == (0, "")


def test_an_error_does_not_go_where_results_are_expected(tmp_path: Path) -> None:
    done = run([FLOMCTL, "status", "-s", str(tmp_path / "none")], "2>&-", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where a daemon in the background listens, which does not outlive the test."""
    yield tmp_path / "s"
    if (tmp_path / "pid").exists():
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
        eventually(lambda: not (tmp_path / "pid").exists(), "the end of the daemon")


@closings
def test_a_daemon_goes_into_the_background_whatever_is_closed(
    programs: Programs, path: Path, tmp_path: Path, closed: str
) -> None:
    """It gets other streams then, and loses no descriptor of its own by that."""
    words = [str(BIN / "twistd"), "--pidfile", str(tmp_path / "pid"), "--logfile", str(tmp_path / "log")]
    assert run([*words, "flom", "--socket-name", str(path)], closed, tmp_path).returncode == 0
    assert programs.run("-s", str(path), "-d", "0", "--", "echo", "ran").stdout == "ran\n"
    assert not is_locked(str(path), "R1")

"""What C{flomctl} needs, and how it ends."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ctl.peers import FLOMCTL, Locks, flomctl
from tests.fakes.daemon import Daemon
from tests.fakes.programs import PATIENCE, Programs
from tests.fakes.terminal import Terminal


@pytest.fixture
def without_rich(tmp_path: Path) -> dict[str, str]:
    """The environment in which rich is not installed."""
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text("raise ModuleNotFoundError(name='rich')\n")
    return {"TERM": "xterm", "PYTHONPATH": str(tmp_path)}


def test_top_without_rich_says_in_one_line_what_to_install(
    programs: Programs, daemon: Daemon, terminal: Terminal, without_rich: dict[str, str]
) -> None:
    words = (FLOMCTL, "top", "-s", daemon.socket)
    done = terminal.finish(terminal.start(programs, *words, environment=without_rich))
    assert (done.returncode, terminal.written) == (1, b"")
    assert done.stderr == "flomctl needs rich: pip install 'txflom[ctl]'\n"


@pytest.mark.parametrize(
    ("command", "first", "second"),
    [("status", "RESOURCE +TYPE +STATE +PID +UID .*", r"R1 +simple +holds .*"), ("wait-for R1", "R1", "  no waiters")],
)
def test_a_terminal_without_rich_has_plain_columns(
    programs: Programs,
    daemon: Daemon,
    locks: Locks,
    terminal: Terminal,
    without_rich: dict[str, str],
    command: str,
    first: str,
    second: str,
) -> None:
    locks.ask("R1")
    words = (FLOMCTL, *command.split(), "-s", daemon.socket)
    done = terminal.finish(terminal.start(programs, *words, environment=without_rich))
    assert (done.returncode, done.stderr) == (0, "")
    *_, heading, row = terminal.written.decode().splitlines()
    assert re.fullmatch(first, heading)
    assert re.fullmatch(second, row)


@pytest.mark.parametrize("command", ["status", "status --json", "wait-for R1"])
def test_programs_that_read_its_output_need_no_rich(
    programs: Programs, daemon: Daemon, locks: Locks, without_rich: dict[str, str], command: str
) -> None:
    locks.ask("R1")
    done = flomctl(programs, *command.split(), "-s", daemon.socket, environment=without_rich)
    assert (done.returncode, done.stderr) == (0, "")
    assert "R1" in done.stdout


@pytest.mark.parametrize("words", [["status", "-s", "{socket}"], ["--help"]], ids=" ".join)
def test_what_cannot_be_written_is_one_line(programs: Programs, daemon: Daemon, words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        arguments = [word.format(socket=daemon.socket) for word in words]
        buffered = {"PYTHONUNBUFFERED": ""}
        process = programs.start_program(FLOMCTL, *arguments, stdout=full, environment=buffered).process
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (1, b"flomctl: [Errno 28] No space left on device\n")


def test_discovery_needs_neither_rich_nor_twisted() -> None:
    program = (
        "import flom.ctl.discover, flom.ctl.doctor, flom.ctl.certs, sys; print({'rich', 'twisted'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"

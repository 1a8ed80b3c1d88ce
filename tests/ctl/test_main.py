"""The command line of C{flomctl}, and what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ctl.peers import flomctl
from tests.fakes.programs import Programs, assert_refused


@pytest.mark.parametrize("command", ["status", "top", "wait-for R1"])
def test_without_rich_one_line_says_what_to_install(programs: Programs, tmp_path: Path, command: str) -> None:
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'rich'\")\n")
    done = flomctl(programs, *command.split(), environment={"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "flomctl: No module named 'rich'; pip install 'txflom[ctl]' installs it\n"


def test_discovery_needs_neither_rich_nor_twisted() -> None:
    program = (
        "import flom.ctl.discover, flom.ctl.doctor, flom.ctl.certs, sys; print({'rich', 'twisted'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "COMMAND"),
        ("status --nonsense", "--nonsense"),
        ("status -s a -a b", "not allowed"),
        ("wait-for", "RESOURCE"),
    ],
)
def test_a_command_line_without_sense_is_one_line(programs: Programs, words: str, why: str) -> None:
    assert_refused(flomctl(programs, *words.split()), 2, why)

"""The example programs, as they stand in docs/examples: they would run with FLoM's own library, too."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.peers import SocketClient

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, address: str) -> Run:
    """Runs an example; gives its status and what it has said."""
    (tmp_path / ".flom").write_text(f"[Daemon]\nSocketName={address}\n")

    def run(name: str, *words: str) -> tuple[int, str]:
        command = [sys.executable, str(EXAMPLES / name), *words]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        return done.returncode, done.stdout

    return run


def test_the_basic_one(run: Run) -> None:
    assert run("libflom_basic.py") == (0, "_RESOURCE is locked\n_RESOURCE is free again\n")
    assert run("libflom_basic.py", "R1") == (0, "R1 is locked\nR1 is free again\n")


def test_the_basic_one_says_what_is_wrong(run: Run, tmp_path: Path) -> None:
    status, said = run("libflom_basic.py", "a b")
    assert status == 1
    assert said == "flom_handle_set_resource_name: -14 (ERROR: invalid name for a resource)\n"
    (tmp_path / ".flom").write_text(f"[Daemon]\nSocketName={tmp_path}/nowhere\n")
    status, said = run("libflom_basic.py", "R1")
    assert status == 1
    assert said == "flom_handle_lock: -105 (ERROR: 'connect' function returned an error condition)\n"


def test_the_one_that_does_not_wait(run: Run, address: str, resource: str) -> None:
    assert run("libflom_try.py", resource) == (0, "shared\n")
    with SocketClient(address) as holder:
        holder.ask(resource)
        status, said = run("libflom_try.py", resource)
        assert status == 98
        assert said.startswith("INFO: the lock can not be obtained because the resource is already locked")
        assert run("libflom_try.py", resource, "0.05") == (98, "WARNING: network operation timeout\n")


def test_the_one_that_numbers(run: Run) -> None:
    assert run("libflom_sequence.py", "printed", "fail", "posted") == (
        0,
        "1 is printed\n2 is put back\n2 is posted\n",
    )

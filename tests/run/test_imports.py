"""
What C{flom-run}, and the daemon that it starts, import: every command waits for it.

The numbers are what there was in Python 3.10 to 3.13, at most, and a few more. Whoever needs one module more may raise
them; whoever needs ten should ask whether a command has to wait for all of them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.fakes.programs import BY_REACTOR, Programs, eventually

# what a Python starts with that notes at its end what it has imported since, in a file called like its program
NOTE = """
import atexit, os, sys
before = set(sys.modules)
def note():
    path = os.path.join(os.path.dirname(__file__), "of-" + os.path.basename(sys.argv[0]))
    with open(path + ".part", "w") as file:
        file.write("\\n".join(set(sys.modules) - before))
    os.rename(path + ".part", path)
atexit.register(note)
"""

SLOW = {
    "OpenSSL",
    "asyncio",
    "cryptography",
    "datetime",
    "email",
    "hashlib",
    "http",
    "json",
    "pathlib",
    "random",
    "ssl",
    "subprocess",
    "tempfile",
    "twisted",
    "urllib",
    "uuid",
    "xml.sax",
    "zope",
}
"""Packages and modules that take milliseconds, and that nearly every C{flom-run} can do without."""


@pytest.fixture
def noting(tmp_path: Path) -> dict[str, str]:
    """The environment in which a program leaves a note in the test's directory."""
    (tmp_path / "sitecustomize.py").write_text(NOTE)
    return {"PYTHONPATH": str(tmp_path)}


def noted(directory: Path, program: str) -> set[str]:
    """Wait for the end of C{program}; give the modules that it has imported."""
    note = directory / f"of-{program}"
    eventually(note.exists, f"a note of {program}")
    return set(note.read_text().split())


def within(packages: Iterable[str], modules: set[str]) -> list[str]:
    """Give those of C{packages} of which there is something in C{modules}."""
    return sorted(package for package in packages if any(f"{name}.".startswith(f"{package}.") for name in modules))


def test_the_short_way_to_a_lock_imports_little(
    programs: Programs, noting: dict[str, str], address: str, resource: str, tmp_path: Path
) -> None:
    done = programs.run("-s", address, "-r", resource, "--", "true", environment=noting)
    assert (done.returncode, done.stderr) == (0, "")
    modules = noted(tmp_path, "flom-run")
    assert "flom.run.direct" in modules
    assert within(SLOW, modules) == []
    assert len(modules) <= 115, sorted(modules)


def test_so_does_it_over_tcp(programs: Programs, noting: dict[str, str], tmp_path: Path) -> None:
    done = programs.run("-a", "127.0.0.1", "-p", "1", "-d", "0", "--", "true", environment=noting)
    assert done.returncode == 99
    assert within(SLOW - {"subprocess"}, noted(tmp_path, "flom-run")) == []


def test_the_start_of_a_daemon_takes_no_more_than_it_must(
    programs: Programs, noting: dict[str, str], tmp_path: Path
) -> None:
    done = programs.run("-s", str(tmp_path / "s"), "-d", "1", "--", "true", environment=noting)
    assert (done.returncode, done.stderr) == (0, "")
    starter = noted(tmp_path, "flom-run")
    assert within(SLOW - {"subprocess"}, starter) == []
    assert len(starter) <= 123, sorted(starter)
    daemon = noted(tmp_path, "__main__.py")
    assert "twisted.internet.reactor" in daemon
    unwanted = ["OpenSSL", "asyncio", "cryptography", "http.cookiejar", "twisted.web", "twisted.scripts", "ssl"]
    assert within(unwanted, daemon) == []
    assert len(daemon) <= 320, sorted(daemon)


def test_a_python_that_cannot_wait_for_a_process_takes_the_long_way(
    programs: Programs, noting: dict[str, str], address: str, resource: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NOTE + Path(BY_REACTOR["PYTHONPATH"], "sitecustomize.py").read_text())
    done = programs.run("-s", address, "-r", resource, "--", "true", environment=noting)
    assert (done.returncode, done.stderr) == (0, "")
    assert "twisted.internet.reactor" in noted(tmp_path, "flom-run")


def test_a_program_that_wants_locks_without_a_reactor_imports_none() -> None:
    script = "import sys, flom.client.blocking.lock; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert within(["twisted", "zope", "OpenSSL", "cryptography", "asyncio"], set(done.stdout.split())) == []

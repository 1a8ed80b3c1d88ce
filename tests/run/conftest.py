"""What the tests of C{flom-run} share."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

import flom.run.program
from tests.daemon import Daemon
from tests.run.peers import FakeDaemon
from tests.run.programs import Programs, RunHere


@pytest.fixture
def programs(request: pytest.FixtureRequest) -> Iterator[Programs]:
    """Processes that do not outlive the test; those of C{flom-run} take the way that L{both_ways} says."""
    with Programs(getattr(request, "param", {})) as programs:
        yield programs


class NoWatch:
    """Watches no signals, because the program does not come to that."""

    def unblocked(self) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.fixture
def run_here(capsys: pytest.CaptureFixture[str]) -> RunHere:
    """Runs the program in our process, which is quicker; good for what ends before it looks for a daemon."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        status = flom.run.program.run("flom", words, NoWatch())  # type: ignore[arg-type]
        captured = capsys.readouterr()
        return subprocess.CompletedProcess(words, status, captured.out, captured.err)

    return run


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeDaemon]:
    """A daemon that leaves its answers to the test, on the UNIX socket C{fake.sock} in the test's directory."""
    with FakeDaemon(str(tmp_path / "fake.sock")) as fake:
        yield fake


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The UNIX socket of a daemon for all tests; each has a resource of its own."""
    with Daemon("--socket-name", str(tmp_path_factory.mktemp("daemon") / "flom.sock")) as daemon:
        yield daemon.socket


@pytest.fixture
def resource(request: pytest.FixtureRequest) -> str:
    """The name of a simple resource that no other test uses."""
    return "".join(letter for letter in request.node.name if letter.isascii() and letter.isalnum())[:100]

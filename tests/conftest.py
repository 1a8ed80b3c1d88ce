"""What all tests share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from tests.fakes.daemon import Daemon
from tests.fakes.exclusion import Marks
from tests.fakes.failures import failures_logged
from tests.fakes.peers import FakeDaemon
from tests.fakes.programs import Programs, RunHere


@pytest.fixture(autouse=True)
def no_logged_failures() -> Iterator[None]:
    """Fail a test during which a failure was logged: it would not have been seen otherwise."""
    with failures_logged() as failures:
        yield
    assert not failures, failures[0].getTraceback()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon for ever, on a UNIX socket of its own."""
    with Daemon("--socket-name", str(tmp_path / "flom.sock")) as daemon:
        yield daemon


@pytest.fixture(autouse=True)
def no_configuration_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's own C{~/.flom}, state directory and variables out of the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / ".state"))
    for name in ("ELEMENT", "TRACE_MASK", "CONFIG", "SOCKET", "ADDRESS", "GROUP", "LINEAGE"):
        monkeypatch.delenv(f"FLOM_{name}", raising=False)
    assert not os.path.exists("/etc/flom.conf")


@pytest.fixture
def programs(request: pytest.FixtureRequest) -> Iterator[Programs]:
    """Processes that do not outlive the test."""
    with Programs(getattr(request, "param", {})) as programs:
        yield programs


@pytest.fixture
def marks(tmp_path: Path) -> Iterator[Marks]:
    """For commands under locks to tell what they hold; fails the test if two held what excludes each other."""
    marks = Marks(tmp_path / "marks")
    yield marks
    assert marks.violations() == []


class NoWatch:
    """Watches no signals, because the program does not come to that."""

    def unblocked(self) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.fixture
def run_here(capsys: pytest.CaptureFixture[str]) -> RunHere:
    """Runs C{flom} in our process, which is quicker; good for what ends before it looks for a daemon."""
    return _runner_here("flom", capsys)


@pytest.fixture
def flom_run_here(capsys: pytest.CaptureFixture[str]) -> RunHere:
    """The same for C{flom-run}."""
    return _runner_here("flom-run", capsys)


def _runner_here(name: str, capsys: pytest.CaptureFixture[str]) -> RunHere:
    from flom.run import program, terminal  # other tests need not wait for their import

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        try:
            status = program.run(name, words, NoWatch())  # type: ignore[arg-type]
        finally:
            terminal.name_program("flom")  # as it is at first
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


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail in CI if a test was skipped: everything that tests need is there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    if os.environ.get("CI") == "true" and skipped:
        print(f"\nskipped in CI: {', '.join(report.nodeid for report in skipped)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

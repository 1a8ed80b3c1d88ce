"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Daemon
from tests.failures import failures_logged


@pytest.fixture(autouse=True)
def no_logged_failures() -> Iterator[None]:
    """Fail a test during which a failure was logged: nobody would have seen it otherwise."""
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
    """Keep C{~/.flom} of whoever runs the tests out of them."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("FLOM_ELEMENT", raising=False)
    monkeypatch.delenv("FLOM_TRACE_MASK", raising=False)
    assert not os.path.exists("/etc/flom.conf")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail in CI if a test was skipped: everything that tests need is there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    if os.environ.get("CI") == "true" and skipped:
        print(f"\nskipped in CI: {', '.join(report.nodeid for report in skipped)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

"""What the tests of C{flomctl} share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ctl.peers import Locks
from tests.ctl.terminal import Terminal
from tests.daemon import Daemon
from tests.run.peers import FakeDaemon
from tests.run.programs import Programs


@pytest.fixture
def programs() -> Iterator[Programs]:
    """Processes that do not outlive the test."""
    with Programs() as programs:
        yield programs


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeDaemon]:
    """A daemon that leaves its answers to the test, on the UNIX socket C{fake.sock} in the test's directory."""
    with FakeDaemon(str(tmp_path / "fake.sock")) as fake:
        yield fake


@pytest.fixture
def locks(daemon: Daemon) -> Iterator[Locks]:
    """Locks of this process at the daemon."""
    with Locks(daemon.socket) as locks:
        yield locks


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal for one program."""
    with Terminal() as terminal:
        yield terminal

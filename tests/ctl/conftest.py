"""What the tests of C{flomctl} share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ctl.peers import Locks
from tests.fakes.daemon import Daemon
from tests.fakes.terminal import Terminal


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

"""What the tests on hosts of their own share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lan.network import Lan
from tests.run.programs import Programs


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Programs]:
    """Processes that do not outlive the test."""
    # hundreds of them start; each would compile all of flom for itself
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    with Programs() as programs:
        yield programs


@pytest.fixture
def lan(programs: Programs, tmp_path: Path) -> Iterator[Lan]:
    """A network without hosts yet; the logs of the daemons there are shown if the test fails."""
    with Lan("flomlan", "10.77.1", programs, tmp_path) as lan:
        yield lan
        lan.kill_all()
        print(lan.logs())


@pytest.fixture
def other_lan(programs: Programs, tmp_path: Path) -> Iterator[Lan]:
    """Another network, not connected to the first."""
    with Lan("flomother", "10.77.2", programs, tmp_path) as lan:
        yield lan
        lan.kill_all()
        print(lan.logs())

"""What the tests of daemons under a quorum share: three hosts, with etcd and daemons as far as a test starts them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.lan.conftest import lan, programs
from tests.scenarios.lan.network import Lan
from tests.scenarios.quorum.members import Quorum

__all__ = ["disk", "lan", "programs", "quorum"]

SHM = "/dev/shm"
"""etcd waits for its disk at every write; this is none."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that are C{slow} unless C{FLOM_QUORUM_MINUTES} asks for them, as C{make test-quorum} does."""
    here = Path(__file__).parent
    if not os.environ.get("FLOM_QUORUM_MINUTES"):
        slow = [item for item in items if here in item.path.parents and item.get_closest_marker("slow") is not None]
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder for what etcd stores."""
    with tempfile.TemporaryDirectory(dir=SHM if os.access(SHM, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


@pytest.fixture
def quorum(request: pytest.FixtureRequest, lan: Lan, disk: Path) -> Iterator[Quorum]:
    """Three hosts, on which nothing runs yet; C{indirect} parameters are those of L{Quorum}."""
    quorum = Quorum(lan, disk, **getattr(request, "param", {}))
    yield quorum
    lan.kill_all()  # before their folder is removed
    print(quorum.logs())

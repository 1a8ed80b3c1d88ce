"""What tests of Acquirers share."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fakes.taking import Taking


@pytest.fixture
def taking(tmp_path: Path) -> Iterator[Taking]:
    """Where C{fake} is, if the test has it."""
    with ThreadPoolExecutor(1) as pool:
        yield Taking(str(tmp_path / "fake.sock"), pool)

"""A few seconds of what commands have to outlive; C{make soak} takes longer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.tools.soak.survivors import BETWEEN_KILLS, Survivors


@pytest.fixture
def survivors(tmp_path: Path) -> Iterator[Survivors]:
    survivors = Survivors(tmp_path, Random(1), size=4)
    yield survivors
    survivors.close()


def test_commands_outlive_their_daemon(survivors: Survivors) -> None:
    survivors.outlive_daemons(BETWEEN_KILLS[1])
    assert survivors.did["kills of the daemon"]


def test_commands_outlive_their_connections(survivors: Survivors) -> None:
    survivors.outlive_connections(2.0)
    assert survivors.did["connections that were reset"]

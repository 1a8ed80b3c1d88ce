"""Among checked clients and vandals, a real daemon lives, tells the truth, forgets everything and does not grow."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.tools.fuzz.checker import Wrong
from tests.tools.fuzz.live import LiveRun, check_memory

SECONDS: Final = 2.0
"""How long each load goes on; make fuzz takes longer."""


@pytest.mark.parametrize("seed", [1])
def test_a_daemon_survives_a_crowd(tmp_path: Path, seed: int) -> None:
    with LiveRun(tmp_path, seed) as live:
        for _ in range(3):
            live.load(SECONDS)
        live.finish()
    assert live.grants > 100
    assert live.did["vandals"] > 100


def test_thousands_of_malformed_messages_harm_nobody(tmp_path: Path) -> None:
    with LiveRun(tmp_path, 2) as live:
        live.storm(2000)
        live.finish()


def test_memory_may_grow_at_first_and_not_for_ever() -> None:
    check_memory([])
    check_memory([50_000])
    check_memory([50_000, 55_000, 58_000, 59_000, 59_000, 59_000])
    with pytest.raises(Wrong, match="memory grows"):
        check_memory([50_000 + 1000 * load for load in range(9)])


def test_what_was_held_when_a_daemon_is_killed_is_reclaimed_or_not(tmp_path: Path) -> None:
    with LiveRun(tmp_path, seed=3) as live:
        live.outlive(0.7)
    assert live.did["reclaims"] > 0

"""A few seconds of the soak; C{make soak} takes longer."""

from __future__ import annotations

from pathlib import Path

from tests.tools.soak.soak import Soak


def test_a_daemon_stands_everything_once(tmp_path: Path) -> None:
    with Soak(tmp_path, seed=1) as soak:
        soak.round(3.0, waiters=200, late=50, malformed=100)
        soak.finish()
    assert soak.checked > 100

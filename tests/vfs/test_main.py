"""The process that shows what a daemon holds; tests/scenarios/vfs mounts it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.fakes.daemon import BIN


def test_only_a_daemon_can_start_it(tmp_path: Path) -> None:
    words = [str(BIN / "python"), "-m", "flom.vfs", str(tmp_path)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "flom.vfs is started by a daemon: see the option -m of flom, flom-run and twistd flom\n"

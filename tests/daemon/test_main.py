"""The daemon that is started for a command tells its starter why it cannot start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FAILING = """
import sys
from flom import tap

def fail(self):
    raise RuntimeError("can't start new thread")

tap._Daemon.startService = fail

from flom.daemon.__main__ import main

main(sys.argv[1:])
"""


def test_what_is_unforeseen_is_the_last_line_for_the_starter(tmp_path: Path) -> None:
    words = [sys.executable, "-c", FAILING, "-s", str(tmp_path / "s")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == """twistd flom: RuntimeError("can't start new thread")"""

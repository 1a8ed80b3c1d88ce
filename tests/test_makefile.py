"""C{make help} says of each target what it does."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is missing")
def test_help_has_a_line_for_each_target() -> None:
    [phony] = re.findall(r"^\.PHONY: ((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    words = ["make", "--no-print-directory", "-C", str(ROOT), "help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert sorted(target for target, _ in lines) == sorted(phony.replace("\\", " ").split())

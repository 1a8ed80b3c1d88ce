"""The target of atheris works, and finds nothing in a small number of inputs; make fuzz tries more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.fuzz.corpus import plant

INPUTS = 400


def test_guided_inputs_find_nothing(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris has no build for this Python or machine")
    corpus = tmp_path / "corpus"
    plant(corpus, every=20)
    options = [f"-runs={INPUTS}", "-seed=1", "-max_len=4096", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.tools.fuzz.guided", *options, str(corpus)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]

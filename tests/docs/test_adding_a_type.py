"""What docs/adding-a-type.md shows is applied to a copy of the code, and run: a new resource type works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.docs.hosts import ROOT

PAGE: Final = (ROOT / "docs" / "adding-a-type.md").read_text("utf-8")

DIFFS: Final = re.findall(r"^```diff\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

FILES: Final = dict(re.findall(r"^`(\S+\.py)`:\n\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))

MYPY: Final = re.findall(r"^(\S+\.py):\d+: (error: .*?); \.\.\.$", PAGE, re.MULTILINE)

LIMIT: Final = 240.0  # seconds, also on a busy machine


def apply(diff: str, tree: Path) -> None:
    """Apply one of the blocks to the files that it names."""
    for one in re.split(r"^(?=--- )", diff, flags=re.MULTILINE)[1:]:
        subprocess.run(["git", "apply", "--unidiff-zero", "-p0", "-"], input=one, text=True, check=True, cwd=tree)


def test_each_step_of_the_page_works(tmp_path: Path) -> None:
    for folder in ("flom", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    name, dispatch, model = DIFFS
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}

    apply(name, tmp_path)
    dispatching = [path for path, _ in MYPY]
    mypy = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "--follow-imports=silent"]
    types = subprocess.run(
        [*mypy, *dispatching], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=LIMIT, check=False
    )
    assert sorted(re.findall(r"^(\S+\.py):\d+: (error: .*?); ", types.stdout, re.MULTILINE)) == sorted(MYPY)

    apply(dispatch, tmp_path)
    apply(model, tmp_path)
    for path, text in FILES.items():
        (tmp_path / path).write_text(text, "utf-8")
    new = [path for path in FILES if path.startswith("tests/")]
    tests = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *new]
    tests += ["tests/core/locks/test_table_against_model.py", "-k", "script or pool"]
    subprocess.run(tests, cwd=tmp_path, env=environment, timeout=LIMIT, check=True)

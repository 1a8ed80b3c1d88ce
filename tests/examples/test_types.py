"""Type checkers find nothing wrong in users' programs, without the plugin of zope's interfaces."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PROGRAMS: Final = (ROOT / "docs" / "examples", ROOT / "tests" / "examples" / "typed_program.py")


def output(*words: str) -> str:
    """Run the module and options C{words}; return what it has written."""
    ended = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=120)
    return ended.stdout + ended.stderr


def test_mypy_strict_finds_nothing(tmp_path: Path) -> None:
    """Django, Celery and APScheduler have no types, and Twisted few, which the examples for them cannot help."""
    settings = tmp_path / "mypy.ini"
    settings.write_text(
        "[mypy]\nstrict = True\nfollow_imports = silent\n"
        "disallow_untyped_calls = False\ndisallow_subclassing_any = False\n"
        "[mypy-django.*,celery.*,apscheduler.*]\nignore_missing_imports = True\n"
        "[mypy-celery_tasks]\ndisallow_untyped_decorators = False\n"
    )
    files = [str(path) for place in PROGRAMS for path in ([place] if place.is_file() else sorted(place.glob("*.py")))]
    assert len(files) > 8
    said = output("mypy", "--config-file", str(settings), "--cache-dir", str(ROOT / ".mypy_cache" / "users"), *files)
    assert said == f"Success: no issues found in {len(files)} source files\n"


def test_pyright_finds_nothing(tmp_path: Path) -> None:
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text(
        json.dumps(
            {
                "typeCheckingMode": "standard",
                "include": [str(place) for place in PROGRAMS],
                "extraPaths": [str(ROOT)],
                "reportUnnecessaryTypeIgnoreComment": "error",
                "enableTypeIgnoreComments": False,
            }
        )
    )
    said = output("basedpyright", "--project", str(settings), "--pythonpath", sys.executable)
    assert said == "0 errors, 0 warnings, 0 notes\n"

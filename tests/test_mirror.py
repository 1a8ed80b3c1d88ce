"""Tests stand where a reader looks for them: tests/ mirrors flom/, and doubles have one home (docs/contributing.md)."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "flom"
TESTS: Final = ROOT / "tests"

ELSEWHERE: Final = {
    "_version.py": "one constant",
    "interfaces.py": "declarations; the tests of every implementation verify them",
    "core/effects.py": "values; core/locks/test_table.py has every one of them",
    "core/locks/records.py": "what core/locks/test_table.py and core/locks/test_table_against_model.py look at",
    "core/locks/resources/base.py": "a contract, and what all types share",
    "core/protocol/events.py": "values; core/protocol/test_connection.py has every one of them",
    "ctl/certs.py": "scenarios/tls/test_certs.py uses what it makes",
    "ctl/screen.py": "ctl/test_top.py draws on it",
    "job/process_name.py": "run/test_program.py and scenarios/lan/test_scene.py look for processes by their names",
    "lean.py": "names for what is tested elsewhere",
    "run/main.py": "run/test_imports.py and run/test_program.py run it",
    "tls/authority.py": "scenarios/tls/test_certs.py",
}
"""Modules without a test file of their own, and why; what tests them instead."""

MODULES: Final = sorted(
    str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if path.name not in ("__init__.py", "__main__.py")
)


def files_for(module: str) -> list[Path]:
    """Return the files that test C{module}: C{test_<module>.py}, and C{test_<module>_<aspect>.py} beside it."""
    path = TESTS / module
    return [file for file in path.parent.glob("test_*.py") if f"{file.stem}_".startswith(f"test_{path.stem}_")]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_its_test_at_the_mirrored_place(module: str) -> None:
    assert files_for(module) or module in ELSEWHERE


def test_the_list_is_not_out_of_date() -> None:
    assert [module for module in ELSEWHERE if module not in MODULES or files_for(module)] == []
    for tests in re.findall(r"[\w/]+\.py", " ".join(ELSEWHERE.values())):
        assert list(TESTS.rglob(tests)), tests


def test_no_two_doubles_have_one_name() -> None:
    names = Counter(
        node.name
        for path in (TESTS / "fakes").rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []

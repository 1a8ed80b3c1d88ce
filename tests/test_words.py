"""
The words of docstrings, comments, messages and test names (docs/contributing.md, "Style").

A docstring begins with a verb that a reader looks for, a sentence has a subject, and the name of a test can be read.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]

EMPTY_VERBS: Final = ("Give", "Tell", "Have", "Let", "Take")
"""What no docstring begins with; Return, Raise, Send, Start, Check and the like say more."""

FACELESS: Final = re.compile(r"\b(somebody|nobody|whoever|anybody|everybody)\b", re.IGNORECASE)
"""Words for a holder, a waiter, a client or a user, each of which has a name."""

MOST_FACELESS: Final = 20
"""In all of flom/: UNIX has a user who is called nobody."""

LONGEST_TEST_NAME: Final = 70
"""Characters."""

SOURCES: Final = sorted((ROOT / "flom").rglob("*.py"))
TESTS: Final = sorted((ROOT / "tests").rglob("*.py"))


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


@pytest.mark.parametrize("folder", ["flom", "tests"])
def test_no_docstring_begins_with_an_empty_verb(folder: str) -> None:
    found = []
    for path in {"flom": SOURCES, "tests": TESTS}[folder]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = ast.get_docstring(node) or ""
                if docstring.split(" ")[0] in EMPTY_VERBS:
                    found.append(f"{place(path, getattr(node, 'lineno', 1))}: {docstring.splitlines()[0]}")
    assert not found, "\n".join(["", *found])


def test_sentences_have_a_subject() -> None:
    """Holders, waiters, clients and users go by their names, not by "somebody" and "nobody"."""
    found = [
        f"{place(path, number)}: {line.strip()}"
        for path in sorted((ROOT / "flom").rglob("*"))
        if path.suffix in (".py", ".pyi", ".js", ".html", ".css")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for _ in FACELESS.findall(line)
    ]
    assert len(found) <= MOST_FACELESS, "\n".join(["", *found])


def test_names_of_tests_can_be_read() -> None:
    found = []
    for path in TESTS:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if node.name.startswith("test_") and len(node.name) > LONGEST_TEST_NAME:
                found.append(f"{place(path, node.lineno)}: {node.name}")
    assert not found, "\n".join(["", *found])

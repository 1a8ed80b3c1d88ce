"""The names that programs may use: each is there, and what scripts use imports no Twisted."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import flom
import flom.client
import flom.errors

DOCS = Path(__file__).parents[2] / "docs"
PUBLIC = ("flom", "flom.aio", "flom.client", "flom.fencing", "flom.server")


def test_every_name_is_there() -> None:
    for name in flom.client.__all__:
        assert getattr(flom.client, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        flom.client.nothing  # noqa: B018


def test_every_error_that_a_user_may_meet_is_among_them() -> None:
    errors = {name for name, value in vars(flom.errors).items() if isinstance(value, type) and name[0] != "_"}
    errors = {name for name in errors if issubclass(getattr(flom.errors, name), flom.errors.FlomError)}
    assert errors - set(flom.client.__all__) == {"HistoryWentBack", "InvalidTimestampFormat", "ShutdownNotAllowed"}


def test_the_errors_are_names_of_the_package_too() -> None:
    errors = [name for name in flom.client.__all__ if hasattr(flom.errors, name)]
    assert all(getattr(flom, name) is getattr(flom.errors, name) for name in errors)
    stub = Path(flom.__file__).with_suffix(".pyi").read_text()
    assert set(errors) == set(re.findall(r"(\w+) as \1,", stub))


def test_a_prompt_completes_what_there_is() -> None:
    assert {"lock", "LockTimeout", "flom_handle_init", "FLOM_RC_OK", "TRUE"} <= set(dir(flom))
    assert all(hasattr(flom, name) for name in dir(flom))


def test_the_package_imports_nothing_before_it_is_asked_to() -> None:
    program = """
import sys
import flom
print(sorted(name for name in sys.modules if name.startswith("flom")))
from flom import LockTimeout
print([name for name in sys.modules if name.startswith(("twisted", "flom.client", "asyncio"))])
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout
    assert said == "['flom', 'flom._version']\n[]\n"


def test_the_errors_import_no_twisted() -> None:
    program = """
import sys
from flom.client import Config, FlomError, LockMode, LockTimeout
print([name for name in sys.modules if name.startswith(("twisted", "zope"))])
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


def imports(program: str) -> list[str]:
    """Return the modules of ours that C{program} imports from."""
    modules: list[str] = []
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.ImportFrom):
            modules.append(node.module or "")
        elif isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
    return [module for module in modules if module.partition(".")[0] == "flom"]


def test_what_is_documented_imports_from_public_modules_alone() -> None:
    text = "\n".join((DOCS / "howto" / page).read_text() for page in ("programming.md", "python.md"))
    programs = [dedent(program) for program in re.findall(r"```python\n(.*?)```", text, re.DOTALL)]
    programs += [path.read_text() for path in (DOCS / "examples").glob("*.py")]
    assert len(programs) > 8
    for program in programs:
        assert set(imports(program)) <= set(PUBLIC), program
    assert set(re.findall(r"`(flom(?:\.\w+)*)\.\w+`", text)) <= set(PUBLIC)

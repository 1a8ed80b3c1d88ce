"""The core decides and does no I/O: it imports nothing that could (docs/architecture.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Final

import pytest

import flom

ROOT: Final = Path(flom.__file__).parent
IMPURE: Final = {
    "twisted",
    "zope",
    "time",
    "datetime",
    "socket",
    "os",
    "random",
    "select",
    "asyncio",
    "threading",
    "subprocess",
}
LOWEST: Final = ("flom.codes", "flom.errors", "flom.text")
MODULES: Final = [
    *LOWEST,
    *sorted(".".join(path.relative_to(ROOT.parent).with_suffix("").parts) for path in ROOT.glob("core/**/*.py")),
]


def imported_by(module: str) -> Iterator[str]:
    """Return the modules that C{module} imports anywhere, in full."""
    path = ROOT.parent / (module.replace(".", "/") + ".py")
    package = module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=source, level=level, names=names):
                origin = resolve_name("." * level + (source or ""), package) if level else source or ""
                yield origin
                yield from (f"{origin}.{alias.name}" for alias in names if origin.partition(".")[0] == "flom")


def test_there_are_modules_to_look_at() -> None:
    assert {
        "flom.core.locks.table",
        "flom.core.protocol.decode",
        "flom.core.locks.resources.simple",
        "flom.errors",
    } <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_of_the_core_imports_neither_io_nor_clocks(module: str) -> None:
    assert {name for name in imported_by(module) if name.partition(".")[0] in IMPURE} == set()


@pytest.mark.parametrize("module", MODULES)
def test_of_this_package_it_imports_only_the_core_and_the_errors(module: str) -> None:
    ours = {name for name in imported_by(module) if name.partition(".")[0] == "flom" and is_module(name)}
    assert {name for name in ours if name not in LOWEST and not name.startswith("flom.core")} == set()


def is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the name of something in a module
        return False

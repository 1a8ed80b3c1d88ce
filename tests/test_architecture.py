"""The walls of the house stand (docs/architecture.md): imports run down only, and only doors know the reactor."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

import flom

PACKAGE: Final = Path(flom.__file__).parent

# who may import whom: each group those below it, and nobody beside it; within a group all may know each other
LAYERS: Final = [
    ["flom._version", "flom.codes", "flom.errors", "flom.text"],
    ["flom.core"],
    [
        "flom.acquisition",
        "flom.config",
        "flom.interfaces",
        "flom.net",
        "flom.reactor",
        "flom.status",
        "flom.tls",
        "flom.trace",
    ],
    ["flom.job"],
    ["flom.server"],
    ["flom.client"],
    ["flom.tap", "flom.run", "flom.ctl", "flom.daemon", "flom.libflom", "flom.vfs"],
    ["flom"],
]
STRANGERS: Final = ("flom.server", "flom.client")
DOORS: Final = ("flom.tap", "flom.run", "flom.ctl", "flom.daemon", "flom.vfs")

MODULES: Final = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


def imports(path: Path) -> list[tuple[str, str]]:
    """Return the modules, and the names in them, that C{path} imports anywhere."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
    return found


def layer(module: str) -> int:
    """Return the number of the layer that C{module} is in: the one with the longest name that it begins with."""
    names = [(len(name), number) for number, names in enumerate(LAYERS) for name in names if is_in(module, name)]
    return max(names)[1]


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_down_only(module: str) -> None:
    for imported, name in imports(MODULES[module]):
        if is_in(imported, "flom"):
            full = f"{imported}.{name}" if f"{imported}.{name}" in MODULES else imported
            assert layer(full) <= layer(module), f"{module} imports {full}"


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith(STRANGERS)])
def test_server_and_client_do_not_know_each_other(module: str) -> None:
    [other] = [stranger for stranger in STRANGERS if not is_in(module, stranger)]
    assert not any(is_in(imported, other) for imported, _ in imports(MODULES[module]))


@pytest.mark.parametrize("module", MODULES)
def test_only_doors_know_the_global_reactor(module: str) -> None:
    if not module.startswith(DOORS):
        assert ("twisted.internet", "reactor") not in imports(MODULES[module])


def test_the_plugin_is_strings_only() -> None:
    plugin = PACKAGE.parent / "twisted" / "plugins" / "flom_plugin.py"
    assert imports(plugin) == [("twisted.application.service", "ServiceMaker")]
    assert not list(plugin.parent.glob("__init__.py"))

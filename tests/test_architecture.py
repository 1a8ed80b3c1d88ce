"""
The layers hold (docs/architecture.md): imports run down only, only entry points know the reactor, and flom-run never
reaches Twisted.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import flom

PACKAGE: Final = Path(flom.__file__).parent

# who may import whom: each group those below it, and none beside it; within a group all may know each other
LAYERS: Final = [
    ["flom._version", "flom.codes", "flom.errors", "flom.lean", "flom.statuses", "flom.text"],
    ["flom.core"],
    [
        "flom.acquisition",
        "flom.config",
        "flom.fencing",
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
ENTRY_POINTS: Final = ("flom.tap", "flom.run", "flom.ctl", "flom.daemon", "flom.vfs", "flom.client.deferred.__main__")
WITHOUT_REACTOR: Final = ("flom.aio", "flom.client.blocking", "flom.client.tasks", "flom.job", "flom.run")

MODULES: Final = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


def imports(path: Path, *, only_at_once: bool = False) -> list[tuple[str, str]]:
    """
    Return the modules, and the names in them, that C{path} imports.

    @param only_at_once: leave out what only calls import, and what only mypy does.
    """
    found = []
    for node in at_once(ast.parse(path.read_text())) if only_at_once else ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
    return found


def at_once(node: ast.AST) -> Iterator[ast.AST]:
    """Return the statements that run when a module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from at_once(other)
                yield other
            continue
        yield child
        yield from at_once(child)


def full_name(module: str, name: str) -> str:
    """Return the module that C{from module import name} imports."""
    return f"{module}.{name}" if f"{module}.{name}" in MODULES else module


def layer(module: str) -> int:
    """Return the number of the layer that C{module} is in: the one with the longest name that it begins with."""
    names = [(len(name), number) for number, names in enumerate(LAYERS) for name in names if is_in(module, name)]
    return max(names)[1]


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def reached_from(module: str) -> dict[str, str]:
    """Return all modules whose import C{module}'s causes, each with the one that imports it."""
    reached = {module: ""}
    waiting = [module]
    while waiting:
        importer = waiting.pop()
        for imported, name in imports(MODULES[importer], only_at_once=True):
            full = full_name(imported, name)
            packages = [full.rsplit(".", count)[0] for count in range(full.count(".") + 1)]
            for each in packages:
                if each not in reached:
                    reached[each] = importer
                    if each in MODULES:
                        waiting.append(each)
    return reached


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_down_only(module: str) -> None:
    for imported, name in imports(MODULES[module]):
        if is_in(imported, "flom"):
            full = full_name(imported, name)
            assert layer(full) <= layer(module), f"{module} imports {full}"


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith(STRANGERS)])
def test_server_and_client_do_not_know_each_other(module: str) -> None:
    [other] = [stranger for stranger in STRANGERS if not is_in(module, stranger)]
    assert not any(is_in(imported, other) for imported, _ in imports(MODULES[module]))


@pytest.mark.parametrize("module", MODULES)
def test_only_entry_points_know_the_global_reactor(module: str) -> None:
    if not module.startswith(ENTRY_POINTS):
        assert ("twisted.internet", "reactor") not in imports(MODULES[module])


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith(WITHOUT_REACTOR)])
def test_flom_run_never_reaches_twisted(module: str) -> None:
    """Nor does what it runs on: neither when it is imported nor by a call of its own."""
    reached = reached_from(module)
    for package in ("twisted", "zope", "OpenSSL", "cryptography"):
        assert package not in reached, f"{reached[package]} imports {package}"
    assert not any(
        is_in(imported, package) for imported, _ in imports(MODULES[module]) for package in ("twisted", "zope")
    )


@pytest.mark.parametrize("module", [module for module in MODULES if not is_in(module, "flom.reactor")])
def test_private_names_of_twisted_stay_in_one_folder(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text())
    of_twisted = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and is_in(node.module or "", "twisted"):
            assert not [alias.name for alias in node.names if alias.name.startswith("_")]
            of_twisted |= {alias.asname or alias.name for alias in node.names}
    touched = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in of_twisted
        if node.attr.startswith("_") and not node.attr.startswith("__")
    ]
    assert touched == []


def test_the_plugin_is_strings_only() -> None:
    plugin = PACKAGE.parent / "twisted" / "plugins" / "flom_plugin.py"
    assert imports(plugin) == [("twisted.application.service", "ServiceMaker")]
    assert not list(plugin.parent.glob("__init__.py"))

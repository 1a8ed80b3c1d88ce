"""The reference of the API: every public name is in it, and docstrings in Epytext become reStructuredText."""

from __future__ import annotations

import importlib.util
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import flom
from flom import fencing

DOCS = Path(__file__).parents[2] / "docs"

ERRORS: tuple[str, ...] = vars(flom)["_ERRORS"]

DOCUMENTED = re.findall(r"^\.\. auto\w+:: ([\w.]+)", (DOCS / "reference" / "api.md").read_text(), re.MULTILINE)


def epytext() -> Any:
    """Import what docs/conf.py imports."""
    spec = importlib.util.spec_from_file_location("epytext", DOCS / "epytext.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def public_names() -> list[str]:
    modules = [name for name in ("flom.client", "flom.server", "flom.aio") if importlib.util.find_spec(name)]
    names = [f"{module}.{name}" for module in modules for name in import_module(module).__all__]
    names += [f"flom.{name}" for name in ("lock", *ERRORS)]
    own = (name for name, value in vars(fencing).items() if getattr(value, "__module__", "") == "flom.fencing")
    return names + [f"flom.fencing.{name}" for name in own if not name.startswith("_")]


@pytest.mark.parametrize("name", public_names())
def test_every_public_name_is_in_the_reference(name: str) -> None:
    module, _, last = name.rpartition(".")
    is_error = module in ("flom.client", "flom.aio") and last in ERRORS  # which stand there once
    assert name in DOCUMENTED or (is_error and f"flom.{last}" in DOCUMENTED)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_what_is_in_the_reference_is_there(name: str) -> None:
    module, _, last = name.rpartition(".")
    assert hasattr(import_module(module), last)


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        (["Return C{x}, see", "L{flom.lock}."], ["Return ``x``, see", "``flom.lock``."]),
        (["Text C{two", "words} I{and} B{more}."], ["Text ``two words`` *and* **more**."]),
        (
            ["Do it.", "@param x: what", "    it is", "@return: y"],
            ["Do it.", "", ":param x: what", "    it is", ":return: y"],
        ),
        (["@ivar a: b", "@raise E: if", ""], [":ivar a: b", ":raise E: if", ""]),
        (["C{{1: 2}}"], ["``{1: 2}``"]),
        (["an @ in a text: no field"], ["an @ in a text: no field"]),
    ],
)
def test_epytext_becomes_restructuredtext(written: list[str], becomes: list[str]) -> None:
    assert epytext().convert(written) == becomes

"""Fragments of scripts and of configuration on pages of the documentation can be read by what they are for."""

from __future__ import annotations

import ast
import configparser
import json
import re
import subprocess
from collections.abc import Callable
from textwrap import dedent
from typing import Final

import pytest
import yaml  # type: ignore[import-untyped]  # myst-parser, of the extra docs, has it installed

from tests.docs.hosts import ROOT


def _read_shell(text: str) -> None:
    done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr


def _read_ini(text: str) -> None:
    """Read units of systemd too, which have the same key more than once."""
    configparser.RawConfigParser(strict=False).read_string(text)


READERS: Final[dict[str, Callable[[str], object]]] = {
    "bash": _read_shell,
    "ini": _read_ini,
    "json": json.loads,
    "python": ast.parse,
    "sh": _read_shell,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
}

_FENCE: Final = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)

FRAGMENTS: Final = [
    pytest.param(found["language"], dedent(found["text"]), id=f"{path.relative_to(ROOT)}-{number}")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for number, found in enumerate(_FENCE.finditer(path.read_text()), 1)
    if found["language"] in READERS
]


@pytest.mark.parametrize(("language", "text"), FRAGMENTS)
def test_a_fragment_can_be_read(language: str, text: str) -> None:
    READERS[language](text)


@pytest.mark.parametrize(
    ("language", "text", "mistake"),
    [
        ("sh", "if true; then\n", AssertionError),
        ("ini", "Key=Value\n", configparser.MissingSectionHeaderError),
        ("json", "{", json.JSONDecodeError),
        ("python", "with lock(:\n", SyntaxError),
        ("yaml", "- a\nb: c\n", yaml.YAMLError),
    ],
)
def test_a_mistake_in_a_fragment_is_found(language: str, text: str, mistake: type[Exception]) -> None:
    with pytest.raises(mistake):
        READERS[language](text)

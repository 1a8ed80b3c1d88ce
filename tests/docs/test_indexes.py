"""A reader finds each page from the index of its folder, which says for whom it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.docs.hosts import ROOT

INDEXES: Final = [path for path in sorted((ROOT / "docs").rglob("index.md")) if path.parent.name != "man"]

_TREE: Final = re.compile(r"^```\{toctree\}\n(?::.*\n)*\n(?P<pages>(?:.+\n)*)```$", re.MULTILINE)
_LINE: Final = re.compile(r"^- \[[^\]]+\]\((?P<page>[\w/.-]+)\.md\)[:,] ?\S", re.MULTILINE)


@pytest.mark.parametrize("index", INDEXES, ids=lambda index: str(index.relative_to(ROOT)))
def test_each_page_has_one_line_in_its_index(index: Path) -> None:
    text = index.read_text()
    in_trees = [page for tree in _TREE.finditer(text) for page in tree["pages"].split()]
    described = [found["page"] for found in _LINE.finditer(text)]
    assert in_trees
    assert sorted(described) == sorted(in_trees)

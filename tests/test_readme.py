"""
README.md, which an index of packages shows too: its links are absolute, and lead to what is there.

The documentation is not at its address until that is registered, so a link is compared with the file that will be
there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]

PAGES: Final = "https://txflom.readthedocs.io/en/latest/"
FILES: Final = (
    "https://github.com/txflom/txflom/blob/main/",
    "https://raw.githubusercontent.com/txflom/txflom/main/",
)

LINKS: Final = re.findall(r"\]\(([^)\s]+)\)", (ROOT / "README.md").read_text())


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as Sphinx makes them."""
    headings = re.findall(r"^#+ (.+?) *$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_links() -> None:
    assert sum(link.startswith(PAGES) for link in LINKS) >= 5


@pytest.mark.parametrize("link", LINKS)
def test_a_link_is_absolute_and_leads_to_a_file(link: str) -> None:
    path, _, anchor = link.partition("#")
    assert link.startswith("https://")
    if link.startswith(PAGES):
        page = ROOT / "docs" / path.removeprefix(PAGES).replace(".html", ".md")
        assert page.is_file()
        assert not anchor or anchor in anchors_of(page)
    for place in FILES:
        if link.startswith(place):
            assert (ROOT / path.removeprefix(place)).is_file()

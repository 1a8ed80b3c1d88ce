"""
Pages of docs/ of which parts are generated.

Such a part stands between the comments C{<!-- begin WHAT -->} and C{<!-- end -->}.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.tools.manual.parts import generate

ROOT: Final = Path(__file__).parents[3]
DOCS: Final = ROOT / "docs"
PART: Final = re.compile(r"(<!-- begin (?P<what>[^\n]+?) -->\n\n?)(?P<part>.*?)(\n?<!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """Return the pages that have generated parts."""
    return [path for path in sorted(DOCS.rglob("*.md")) if "<!-- begin " in path.read_text()]


def renewed(text: str) -> str:
    """Return the text of a page with its generated parts written anew."""

    def part(match: re.Match[str]) -> str:
        return f"<!-- begin {match['what']} -->\n\n{generate(match['what'])}\n<!-- end -->"

    return PART.sub(part, text)

"""Check that references in code, tests and documents lead to headings of docs/ that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[1]
FOLDERS: Final = ("flom", "tests", "docs", "twisted", ".ci")
LEAST: Final = 150  # references; fewer than that, and the search is broken

# the end of a line, and what begins the next one in a comment
BREAK: Final = re.compile(r"\s*\n[ \t]*(?:(?:#:?|//|\*)[ \t]+)?")
REFERENCE: Final = re.compile(r'docs/([\w./-]+\.md)((?:, "[^"]+")+)')
OUTSIDE: Final = re.compile(r"\b[Ss]pec \d|\bD-\d\d\b|\bchapter \d+\.\d")


class Reference(NamedTuple):
    """A heading that a text refers to, and the page of docs/ that must have it."""

    page: str
    heading: str


def find_references(text: str) -> list[Reference]:
    """Return the headings that C{text} refers to: after the name of a page, one or more of them in quotes."""
    return [
        Reference(page, heading)
        for page, quoted in REFERENCE.findall(BREAK.sub(" ", text))
        for heading in re.findall('"([^"]+)"', quoted)
    ]


def list_headings(page: Path) -> list[str]:
    """Return the headings of a Markdown file; none if there is no such file."""
    return re.findall(r"^#+ (.+?) *$", page.read_text("utf-8"), re.MULTILINE) if page.exists() else []


def read_files() -> Iterator[tuple[str, str]]:
    """Return name and text of the files that people read and write here."""
    paths = [path for path in ROOT.iterdir() if path.is_file()]
    for folder in FOLDERS:
        paths += [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    for path in sorted(paths):
        try:
            yield str(path.relative_to(ROOT)), path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # no text


@pytest.mark.parametrize(
    ("text", "headings"),
    [
        ('the six modes (PAGE, "Lock modes").', ["Lock modes"]),
        ('PAGE, "Sets", "Lock modes"', ["Sets", "Lock modes"]),
        ('(PAGE,\n    "Lock modes")', ["Lock modes"]),
        ('    # PAGE, "Lock\n    # modes"', ["Lock modes"]),
        ('// PAGE, "Lock\n// modes"', ["Lock modes"]),
        ("PAGE has it all", []),
    ],
)
def test_a_reference_is_found_however_it_is_wrapped(text: str, headings: list[str]) -> None:
    found = find_references(text.replace("PAGE", "docs/locks.md"))
    assert found == [Reference("locks.md", heading) for heading in headings]


def test_every_reference_leads_to_a_heading() -> None:
    references = [(name, found) for name, text in read_files() for found in find_references(text)]
    assert len(references) >= LEAST
    headings = {page: list_headings(ROOT / "docs" / page) for page in {found.page for _, found in references}}
    assert [(name, found) for name, found in references if found.heading not in headings[found.page]] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_a_page_has_no_heading_twice(page: Path) -> None:
    headings = list_headings(page)
    assert len(set(headings)) == len(headings)


def test_nothing_refers_to_a_text_outside_the_repository() -> None:
    """Find no numbers of sections or of defects: they belong to a description that readers do not have."""
    found = [(name, match[0]) for name, text in read_files() for match in OUTSIDE.finditer(text)]
    assert found == []

"""The tables of a page of the documentation, so that its plots show the figures that stand there and no others."""

from __future__ import annotations

from pathlib import Path

DOCS = next(parent for parent in Path(__file__).resolve().parents if (parent / "conf.py").exists())


def read_table(page: str, *header: str) -> list[list[str]]:
    """
    Return the rows of the first table of a page whose first columns have these names, as texts without backticks.

    @raise LookupError: the page has no such table.
    """
    lines = [
        [cell.strip().replace("`", "") for cell in line.strip("|").split("|")] if line.startswith("|") else []
        for line in (DOCS / page).read_text("utf-8").splitlines()
    ]
    starts = [number for number, cells in enumerate(lines) if cells[: len(header)] == list(header)]
    if not starts:
        raise LookupError(f"{page} has no table that begins with {', '.join(header)}")
    rows = []
    for cells in lines[starts[0] + 2 :]:
        if not cells:
            break
        rows.append(cells)
    return rows


def number(text: str) -> float:
    """Return the first number of a cell: 25,058 or 28 ms."""
    return float(text.replace(",", "").split()[0])

"""All files that are generated, whole or in part."""

from __future__ import annotations

from pathlib import Path

from tests.tools.manual.completion import completions
from tests.tools.manual.man import man_page, man_pages
from tests.tools.manual.pages import pages, renewed


def generated() -> dict[Path, str]:
    """Return what each file should be, by its path."""
    files = {path: renewed(path.read_text()) for path in pages()}
    for path, source in man_pages().items():
        files[path] = man_page(path.name, files.get(source) or source.read_text())
    return {**files, **completions()}

"""Every command that a page of the documentation shows is run, and prints what the page says."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Final

import pytest

from tests.docs.blocks import Shown, find_commands
from tests.docs.hosts import ROOT, Hosts
from tests.fakes.netns import needs_network_namespaces, needs_nft, needs_pgrep

pytestmark = [needs_network_namespaces, needs_nft, needs_pgrep]

LIMIT: Final = 15.0  # seconds that a command may take, and what it prints may come later

PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

COMMANDS: Final = {str(page.relative_to(ROOT)): commands for page in PAGES if (commands := find_commands(page))}
"""All commands of the pages that have any, by the names of their files."""


@pytest.mark.parametrize("page", COMMANDS)
def test_the_commands_of_a_page_print_what_it_says(page: str, tmp_path: Path) -> None:
    commands = COMMANDS[page]
    with Hosts(list(dict.fromkeys(shown.host for shown in commands)), tmp_path) as hosts:
        for shown in commands:
            found = hosts.shells[shown.host].run(shown, LIMIT)
            if not shown.matches(found):
                pytest.fail(f"{page}:{_explain(shown, found)}", pytrace=False)


def _explain(shown: Shown, found: list[str]) -> str:
    """Return what a writer has to know to mend the page, or the program."""
    diff = difflib.unified_diff(shown.output, found, "the page", "printed", lineterm="", n=100)
    return "\n".join([f"{shown.line}: {shown.host}$ {shown.command}", *diff])

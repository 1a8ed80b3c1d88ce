"""Every command that a page of the documentation shows is run, and prints what the page says."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.docs.blocks import Shown, find_commands, read_commands
from tests.docs.hosts import ROOT, Hosts
from tests.fakes.mounts import needs_fuse
from tests.fakes.netns import needs_network_namespaces, needs_nft, needs_pgrep

pytestmark = [needs_network_namespaces, needs_fuse, needs_nft, needs_pgrep]

AT_ONCE: Final = 4  # pages
LIMIT: Final = 15.0  # seconds that a command may take, and what it prints may come later

Problems = dict[str, "Future[str | None]"]
"""What find_problem returns, for each page."""

PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

COMMANDS: Final = {str(page.relative_to(ROOT)): commands for page in PAGES if (commands := find_commands(page))}
"""All commands of the pages that have any, by the names of their files."""


@pytest.fixture(scope="module")
def problems(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Problems]:
    """The problem of each page whose test was selected: some run side by side, because they sleep most of the time."""
    functions = [item for item in request.session.items if isinstance(item, pytest.Function)]
    selected = [str(item.callspec.params["page"]) for item in functions if "problems" in item.fixturenames]
    with ThreadPoolExecutor(AT_ONCE) as executor:
        yield {
            page: executor.submit(find_problem, page, COMMANDS[page], tmp_path_factory.mktemp("page"))
            for page in selected
        }
        executor.shutdown(cancel_futures=True)


@pytest.mark.parametrize("page", COMMANDS)
def test_the_commands_of_a_page_print_what_it_says(page: str, problems: Problems) -> None:
    problem = problems[page].result()
    if problem is not None:
        pytest.fail(problem, pytrace=False)


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ("$ echo one\ntwo", "page.md:2: $ echo one\n--- the page\n+++ printed\n@@ -1 +1 @@\n-two\n+one"),
        ("$ echo one", "page.md:2: $ echo one\n--- the page\n+++ printed\n@@ -0,0 +1 @@\n+one"),
        ("$ true\n$ true\none", "page.md:3: $ true\n--- the page\n+++ printed\n@@ -1 +0,0 @@\n-one"),
        ("two$ sleep 60", "page.md:2: two$ sleep 60\n--- the page\n+++ printed\n@@ -0,0 +1 @@\n+(no end after 0.5 s)"),
        ("$ exit 3", "page.md:2: $ exit 3\n--- the page\n+++ printed\n@@ -0,0 +1 @@\n+(the shell has ended)"),
    ],
)
def test_a_page_that_is_wrong_is_found_out(page: str, problem: str, tmp_path: Path) -> None:
    commands = read_commands(f"```console\n{page}\n```\n")
    assert find_problem("page.md", commands, tmp_path, limit=0.5) == problem


def find_problem(page: str, commands: list[Shown], folder: Path, limit: float = LIMIT) -> str | None:
    """
    Run all commands of a page; return what a writer has to know of the first that prints something else.

    @param limit: seconds for each command.
    """
    with Hosts(list(dict.fromkeys(shown.host for shown in commands)), folder) as hosts:
        for shown in commands:
            found = hosts.shells[shown.host].run(shown, limit)
            if not shown.matches(found):
                diff = difflib.unified_diff(shown.output, found, "the page", "printed", lineterm="", n=100)
                return "\n".join([f"{page}:{shown.line}: {shown.host}$ {shown.command}", *diff])
    return None

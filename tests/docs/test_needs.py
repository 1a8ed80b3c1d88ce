"""What tests need beside Python is installed where CI runs, and named where a contributor looks for it."""

from __future__ import annotations

import re

from tests.docs.hosts import ROOT


def test_ci_installs_the_packages_that_contributing_md_names() -> None:
    page = (ROOT / "docs/contributing.md").read_text()
    table = page.partition("| Tests | Need |\n")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines()[1:] for name in re.findall(r"`([a-z0-9-]+)`", row.split("|")[2])}
    installed = set(re.findall(r'missing="\$missing ([a-z0-9-]+)"', (ROOT / ".ci/run").read_text()))
    assert named > {"iproute2", "etcd-server"}
    assert installed - {"make", "python3-venv"} == named

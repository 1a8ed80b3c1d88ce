"""Diagrams say what the code does."""

from __future__ import annotations

import re

from flom.core.modes import LockMode, compatible
from tests.docs.hosts import ROOT


def test_the_drawn_modes_are_those_of_the_code() -> None:
    drawn = (ROOT / "docs" / "diagrams" / "modes.dot").read_text("utf-8")
    rows = re.findall(r"<tr><td[^>]*><b>(\w\w)</b></td>(.*)</tr>", drawn)
    expected = {
        held.name: ["both" if compatible(held, requested) else "waits" for requested in LockMode] for held in LockMode
    }
    assert {mode: re.findall(r">(\w+)</td>", row) for mode, row in rows} == expected
    assert re.findall(r"<b>(\w\w)</b></td>", drawn)[: len(LockMode)] == [mode.name for mode in LockMode]

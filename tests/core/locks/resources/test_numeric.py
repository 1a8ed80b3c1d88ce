"""Numeric resources: so many units, and the first waiter that fits (docs/compatibility.md, "Numeric resources")."""

from __future__ import annotations

from typing import Final

import pytest

from tests.fakes.script import check

SCRIPTS: Final = {
    "first fit, not best fit and not the first alone": """
        1 lock N[5] x5  -> granted
        2 lock N[5] x3  -> queued
        3 lock N[5] x2  -> queued
        4 lock N[5] x1  -> queued
        5 lock N[5] x1  -> queued
        1 unlock N[5]   -> 2 granted, 3 granted
        3 unlock N[5]   -> 4 granted, 5 granted
        3 lock N[5] x4  -> queued
        2 unlock N[5]   -> nothing
        4 unlock N[5]   -> 3 granted
    """,
    "more than all is impossible, none is always possible": """
        1 lock N[3] x4          -> impossible
        1 lock N[3] x4 nowait   -> impossible
        1 lock N[3] x3          -> granted
        2 lock N[3] x4          -> impossible
        2 lock N[3] x1 nowait   -> busy
        2 lock N[3] x0          -> granted
        3 lock N[0] x1          -> impossible
        3 lock N[0] x0          -> granted
    """,
    "a total beyond 31 bits is negative, so that everything is impossible": """
        1 lock N[2147483647] x2147483647 -> granted
        1 lock N[2147483648] x1          -> impossible
    """,
    "the mode does not matter": """
        1 lock N[2] x1 EX   -> granted
        2 lock N[2] x1 EX   -> granted
        3 lock N[2] x1 NL   -> queued
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_script(script: str) -> None:
    check(script)

"""Simple resources: six modes, and one queue (docs/compatibility.md, "Lock modes")."""

from __future__ import annotations

from typing import Final

import pytest

from tests.fakes.script import check

SCRIPTS: Final = {
    "barging: a request that fits beside the holders does not queue": """
        1 lock db PR    -> granted
        2 lock db EX    -> queued
        3 lock db PR    -> granted
        1 unlock db     -> nothing
        4 lock db PR    -> granted
        3 unlock db     -> nothing
        4 unlock db     -> 2 granted
    """,
    "batch grant: a release serves all waiters that fit, and skips the others": """
        1 lock db EX    -> granted
        2 lock db PR    -> queued
        3 lock db EX    -> queued
        4 lock db PR    -> queued
        5 lock db CW    -> queued
        6 lock db CR    -> queued
        1 unlock db     -> 2 granted, 4 granted, 6 granted
        2 unlock db     -> nothing
        4 unlock db     -> 5 granted
        5 unlock db     -> nothing
        6 unlock db     -> 3 granted
    """,
    "a null lock blocks none and is blocked by none": """
        1 lock db EX    -> granted
        2 lock db EX    -> queued
        3 lock db NL    -> granted
        1 unlock db     -> 2 granted
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_script(script: str) -> None:
    check(script)

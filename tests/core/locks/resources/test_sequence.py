"""Sequences: each holder gets the next number (docs/compatibility.md, "Sequences")."""

from __future__ import annotations

from typing import Final

import pytest

from tests.fakes.script import check

SCRIPTS: Final = {
    "the next number, so many at a time": """
        1 lock _s_a[2]      -> granted 1
        2 lock _s_a[2]      -> granted 2
        3 lock _s_a[2]      -> queued
        4 lock _s_a[2] nowait -> busy
        2 unlock _s_a[2]    -> 3 granted 3
        3 unlock _s_a[2]    -> nothing
        4 lock _s_a[2]      -> granted 4
    """,
    "a plain one never repeats a number": """
        1 lock _s_a[1]              -> granted 1
        1 unlock _s_a[1] rollback   -> nothing
        1 lock _s_a[1]              -> granted 2
        1 drop                      -> nothing
        1 lock _s_a[1]              -> granted 3
    """,
    "rolled back numbers come again in the order of their rollback, before any new one": """
        1 lock _S_a[4]              -> granted 1
        2 lock _S_a[4]              -> granted 2
        3 lock _S_a[4]              -> granted 3
        4 lock _S_a[4]              -> granted 4
        5 lock _S_a[4]              -> queued
        3 unlock _S_a[4] rollback   -> 5 granted 3
        2 drop                      -> nothing
        4 unlock _S_a[4]            -> nothing
        1 unlock _S_a[4] rollback   -> nothing
        6 lock _S_a[4]              -> granted 2
        7 lock _S_a[4]              -> granted 1
        8 lock _S_a[4]              -> granted 5
    """,
    "an unlock without a holding breaks the protocol": """
        1 lock _s_a[1]      -> granted 1
        2 lock _s_a[1]      -> queued
        2 unlock _s_a[1]    -> protocol error
        1 unlock _s_a[1]    -> 2 granted 2
        1 unlock _s_a[1]    -> protocol error
    """,
    "without slots none is ever granted": """
        1 lock _s_a[0]          -> queued
        2 lock _s_a[0] nowait   -> busy
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_script(script: str) -> None:
    check(script)

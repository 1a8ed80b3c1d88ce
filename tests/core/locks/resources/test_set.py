"""Sets: each holder has an element for itself, in turn (docs/compatibility.md, "Sets")."""

from __future__ import annotations

from typing import Final

import pytest

from tests.fakes.script import check

SCRIPTS: Final = {
    "each holder gets an element, in turn": """
        1 lock red.green.blue   -> granted red
        1 unlock red.green.blue -> nothing
        1 lock red.green.blue   -> granted green
        1 unlock red.green.blue -> nothing
        1 lock red.green.blue   -> granted blue
        1 unlock red.green.blue -> nothing
        1 lock red.green.blue   -> granted red
    """,
    "the index goes on by one with each grant, whichever element was taken": """
        1 lock a.b.c    -> granted a
        2 lock a.b.c    -> granted b
        1 unlock a.b.c  -> nothing
        3 lock a.b.c    -> granted c
        3 unlock a.b.c  -> nothing
        4 lock a.b.c    -> granted a
        5 lock a.b.c    -> granted c
        6 lock a.b.c    -> queued
        7 lock a.b.c nowait -> busy
        2 unlock a.b.c  -> 6 granted b
        4 unlock a.b.c  -> nothing
        5 unlock a.b.c  -> nothing
        4 lock a.b.c    -> granted a
    """,
    "elements may have the same name": """
        1 lock u.u  -> granted u
        2 lock u.u  -> granted u
        3 lock u.u  -> queued
        1 drop      -> 3 granted u
    """,
    "of several elements, an unlock gives back the lowest": """
        1 lock a.b.c    -> granted a
        2 lock a.b.c    -> granted b
        3 lock a.b.c    -> granted c
        1 unlock a.b.c  -> nothing
        2 unlock a.b.c  -> nothing
        3 lock a.b.c    -> granted a
        3 unlock a.b.c  -> nothing
        2 lock a.b.c    -> granted b
        1 lock a.b.c    -> granted a
    """,
    "the same element is reclaimed, and given to no other": """
        1 lock a.b.c had=b  -> granted b
        2 lock a.b.c had=b  -> busy
        2 lock a.b.c had=d  -> busy
        2 lock a.b.c had    -> busy
        2 lock a.b.c        -> granted a
        3 lock a.b.c        -> granted c
        4 lock a.b.c        -> queued
        1 unlock a.b.c      -> 4 granted b
    """,
    "of elements of one name, each is reclaimed once": """
        1 lock u.u had=u    -> granted u
        2 lock u.u had=u    -> granted u
        3 lock u.u had=u    -> busy
        3 lock u.u          -> queued
        2 drop              -> 3 granted u
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_script(script: str) -> None:
    check(script)

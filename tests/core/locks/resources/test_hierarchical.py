"""What a deep name costs: a message of 495 bytes can name a node with 111 others above it."""

from __future__ import annotations

import tracemalloc
from typing import Final

import pytest

from flom.core.effects import Granted, Instant, Queued
from flom.core.locks.table import LockTable
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.requests import LockRequest, SessionId
from tests.fakes.script import check

HOLDER, ATTACKER, WAITER = map(SessionId, range(3))
LEVELS: Final = 112
MOST_BYTES: Final = 250  # for a level above the node that is held
NOW: Final = Instant(0.0, 0.0)


@pytest.mark.parametrize("mode", [LockMode.NL, LockMode.CR, LockMode.EX])
@pytest.mark.parametrize("others", [False, True], ids=["alone", "beside waiters"])
def test_a_deep_lock_takes_little_memory_and_all_of_it_comes_back(mode: LockMode, others: bool) -> None:
    table = LockTable(lambda format, wall: "")
    assert isinstance(table.request(LockRequest(HOLDER, parse_name("/a/w")), NOW)[-1], Granted)
    for waited in (set(LockMode) - {LockMode.NL}) if others else ():
        assert isinstance(table.request(LockRequest(WAITER, parse_name("/a/w"), waited), NOW)[-1], Queued)
    names = [parse_name(f"/a/{n}" + "/a" * (LEVELS - 2)) for n in range(100)]
    requests = [LockRequest(ATTACKER, name, mode) for name in names]
    tracemalloc.start()
    try:
        for request in requests:
            table.request(request, NOW)
        taken = tracemalloc.get_traced_memory()[0]
        table.drop(ATTACKER, NOW)
        left = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert taken < len(names) * LEVELS * MOST_BYTES
    assert left < taken / 50


# rules, one script each

SCRIPTS: Final = {
    "a lock concerns the nodes above and below, and no others": """
        1 lock /h/x/y EX            -> granted
        2 lock /h CR nowait         -> busy
        2 lock /h/x CR nowait       -> busy
        2 lock /h/x/y CR nowait     -> busy
        2 lock /h/x/y/z CR nowait   -> busy
        2 lock /h/x/z EX nowait     -> granted
        2 lock /h/x/yy EX nowait    -> granted
        2 lock /h/y EX nowait       -> granted
        2 lock /i EX nowait         -> granted
        2 lock /h NL nowait         -> granted
        3 lock /h/x/y/z EX          -> queued
        4 lock /h/x CR              -> queued
        1 unlock /h/x/y             -> 3 granted
        2 drop                      -> nothing
        3 drop                      -> 4 granted
    """,
    "one queue for the tree": """
        1 lock /h EX            -> granted
        2 lock /h/x EX          -> queued
        3 lock /h/x/y EX        -> queued
        4 lock /h/z EX          -> queued
        5 lock /h CR            -> queued
        1 unlock /h             -> 2 granted, 4 granted
        2 unlock /h/x           -> 3 granted
        4 unlock /h/z           -> nothing
        3 unlock /h/x/y         -> 5 granted
    """,
    "an unlock of another node of the tree does nothing": """
        1 lock /h/x EX          -> granted
        2 lock /h/x EX          -> queued
        1 unlock /h             -> nothing
        1 unlock /h/x/y         -> nothing
        2 unlock /h/y           -> nothing
        1 unlock /h/x           -> 2 granted
    """,
    # docs/compatibility.md, "A vanished holder keeps its node of a tree"
    "a holder that vanishes frees its node, whatever was unlocked before": """
        1 lock /h/x EX  -> granted
        2 lock /h/y EX  -> granted
        3 lock /h/y EX  -> queued
        1 unlock /h     -> nothing
        2 drop          -> 3 granted
    """,
    "creation looks at the tree": """
        1 lock /h/x EX                  -> granted
        2 lock /h/y EX nocreate nowait  -> granted
        3 lock /i/y EX nocreate nowait  -> cannot wait
        4 lock /i/y EX nocreate         -> incubated
        5 lock /i/z EX                  -> granted, 4 granted
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_script(script: str) -> None:
    check(script)

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

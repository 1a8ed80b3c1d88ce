"""Several locks of code in the daemon's own process; tests/contract has what all arbiters do alike."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from flom.core.several import part
from flom.errors import Closed, LockBusy
from flom.server.arbiter import DeferredArbiter
from tests.fakes.results import error, now


@pytest.fixture
def arbiter() -> DeferredArbiter:
    return DeferredArbiter(Clock())


def test_all_are_granted_in_one_step(arbiter: DeferredArbiter) -> None:
    held = now(arbiter.acquire_all(["a", part("b[3]", quantity=2), "x.y"]))
    assert [(each.resource, each.element) for each in held.parts] == [("a", None), ("b[3]", None), ("x.y", "x")]
    assert [each.token for each in held.parts] == sorted(each.token or 0 for each in held.parts)
    assert repr(held) == "<locks 'a' EX, 'b[3]' 2 units, 'x.y' 'x', held>"
    assert isinstance(error(arbiter.acquire("a", wait=False)), LockBusy)
    now(held.release())
    assert not arbiter.held


def test_cancelling_withdraws_all_of_them(arbiter: DeferredArbiter) -> None:
    blocking = now(arbiter.acquire("b"))
    waiting = arbiter.acquire_all(["a", "b"])
    waiting.addErrback(lambda _: None)
    waiting.cancel()
    now(blocking.release())
    assert not arbiter.held


def test_an_arbiter_that_is_closed_grants_none(arbiter: DeferredArbiter) -> None:
    arbiter.close()
    assert isinstance(error(arbiter.acquire_all(["a", "b"])), Closed)

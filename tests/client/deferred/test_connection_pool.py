"""
Connections are used again for the locks of the same resource, and end when no lock needs them
(docs/compatibility.md, "Protocol: daemon").
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from flom.client.deferred.connection_pool import MAX_KEPT
from flom.errors import FlomError, LockBusy, LockImpossible
from flom.server.connection import LockProtocol
from tests.fakes.locks import KEEP, Locks, error


@pytest.fixture
def locks() -> Locks:
    return Locks()


def test_a_connection_is_used_again_for_its_resource(locks: Locks) -> None:
    for _ in range(5):
        locks.release(locks.hold())
    assert locks.connections == 1


def test_another_resource_wants_another_connection(locks: Locks) -> None:
    for name in ("R1", "R2", "R1", "R2"):
        locks.release(locks.hold(name))
    assert locks.connections == 2


def test_the_nodes_of_a_tree_share_one(locks: Locks) -> None:
    for name in ("/a/b", "/a", "/a/b/c"):
        locks.release(locks.hold(name))
    assert locks.connections == 1


def test_what_is_held_at_once_wants_as_many(locks: Locks) -> None:
    readers = [locks.hold(mode="PR") for _ in range(3)]
    for reader in readers:
        locks.release(reader)
    assert locks.connections == 3
    locks.hold(mode="EX")  # all of them are free by now, whichever connection this goes by
    assert locks.connections == 3


@pytest.mark.parametrize(
    ("wanted", "refusal"),
    [({"name": "R1", "wait": False}, LockBusy), ({"name": "N[3]", "quantity": 4}, LockImpossible)],
)
def test_who_was_refused_may_ask_again_by_the_same_connection(
    locks: Locks, wanted: dict[str, Any], refusal: type[FlomError]
) -> None:
    locks.daemon.arbiter.acquire("R1")
    for _ in range(3):
        assert isinstance(error(locks.acquire(**wanted)), refusal)
    assert locks.connections == 1


def test_a_connection_that_is_not_used_again_ends(locks: Locks) -> None:
    locks.release(locks.hold())
    locks.network.pass_time(KEEP - 0.1)
    assert not locks.is_deserted
    locks.network.pass_time(0.1)
    assert locks.is_deserted
    locks.hold()
    assert locks.connections == 2


def test_the_first_connection_is_for_the_first_lock_whatever_it_is(locks: Locks) -> None:
    Deferred.fromCoroutine(locks.client.probe())
    locks.hold("R1")
    assert locks.connections == 1


def test_not_all_that_were_wanted_at_once_are_kept(locks: Locks) -> None:
    for held in [locks.hold(f"R{number}") for number in range(MAX_KEPT + 10)]:
        locks.release(held)
    closed = locks.client.close()
    locks.network.settle()
    assert closed.called
    assert locks.is_deserted


def test_a_daemon_that_has_gone_meanwhile_is_looked_for_again(locks: Locks) -> None:
    locks.release(locks.hold())
    locks.daemon.end()
    locks.daemon.endpoint.is_open = True
    assert not locks.hold().is_released  # the end of the old connection was on its way when this was asked for


def test_a_connection_is_used_again_for_the_longest_name_too(locks: Locks) -> None:
    name = "R" * 240
    locks.release(locks.hold(name))
    locks.release(locks.hold(name))
    assert locks.connections == 1


def test_with_a_daemon_of_flom_each_lock_has_a_connection(locks: Locks, monkeypatch: pytest.MonkeyPatch) -> None:
    def hear_as_flom(self: LockProtocol, data: bytes) -> None:
        hear(self, data.replace(b' extended="2"', b""))

    hear = LockProtocol.dataReceived
    monkeypatch.setattr(LockProtocol, "dataReceived", hear_as_flom)
    for _ in range(3):
        locks.release(locks.hold())
    assert locks.connections == 3
    assert locks.is_deserted


def test_a_committed_value_stays_so_and_another_returns(locks: Locks) -> None:
    drawn = []
    for rollback in (False, True, False, False):
        held = locks.hold("_S_a[1]")
        drawn.append(held.element)
        locks.release(held, rollback)
    assert drawn == ["1", "2", "2", "3"]

"""
Many locks of one client: connections are used again, and those who want the very same take turns
(docs/compatibility.md, "Protocol: daemon").
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred

from flom.acquisition import Acquisition, Held
from flom.client.deferred.arbiter import MAX_ASKING, RemoteArbiter
from flom.client.deferred.connection_pool import MAX_KEPT
from flom.core.requests import ANSWER_TIMEOUT
from flom.errors import Closed, DaemonLost, FlomError, LockBusy, LockImpossible, LockTimeout, Misuse
from flom.server.connection import LockProtocol
from tests.fakes.tls_network import MemoryNetwork, NetworkDaemon

KEEP = 2.0


class Locks:
    """
    A client that keeps its connections for a while, and its daemon.

    @ivar daemon: to be connected to, and asked by code in its own process.
    """

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.daemon = NetworkDaemon(self.network, None)
        self.client = RemoteArbiter(self.daemon.endpoint, "the daemon", self.network.clock, keep=KEEP)

    def acquire(self, name: str = "R1", **asked: Any) -> Acquisition:
        acquisition = self.client.acquire(name, **asked)
        self.network.settle()
        return acquisition

    def hold(self, name: str = "R1", **asked: Any) -> Held:
        held: list[Held] = []
        self.acquire(name, **asked).addCallback(held.append)
        return held[0]

    def release(self, held: Held, rollback: bool = False) -> None:
        done = held.release(rollback)
        self.network.settle()
        assert done.called

    @property
    def connections(self) -> int:
        """How many there were."""
        return self.daemon.endpoint.connections

    @property
    def is_deserted(self) -> bool:
        """Whether the daemon has no client."""
        self.network.settle()
        return self.daemon.arbiter.is_deserted


@pytest.fixture
def locks() -> Locks:
    return Locks()


def error(deferred: Deferred[Any]) -> BaseException | None:
    """Give the error that C{deferred} has."""
    errors: list[BaseException | None] = []
    deferred.addErrback(lambda failure: errors.append(failure.value))
    return errors[0]


# connections


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


def test_a_connection_that_nobody_wants_ends(locks: Locks) -> None:
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


def test_a_long_name_leaves_no_room_for_more_than_flom_says(locks: Locks) -> None:
    name = "R" * 240
    locks.release(locks.hold(name))
    locks.release(locks.hold(name))
    assert locks.connections == 2


def test_with_a_daemon_of_flom_each_lock_has_a_connection(locks: Locks, monkeypatch: pytest.MonkeyPatch) -> None:
    def hear_as_flom(self: LockProtocol, data: bytes) -> None:
        hear(self, data.replace(b' extended="1"', b""))

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


# taking turns


def test_of_many_who_want_the_same_some_ask(locks: Locks) -> None:
    held = locks.daemon.arbiter.acquire("R1")
    waiting = [locks.acquire() for _ in range(100)]
    assert locks.connections == MAX_ASKING
    held.addCallback(lambda held: held.release())
    for acquisition in waiting:
        locks.network.settle()
        assert acquisition.called
        acquisition.addCallback(lambda held: held.release())
    assert locks.connections < 3 * MAX_ASKING


def test_who_wants_something_else_does_not_wait_for_them(locks: Locks) -> None:
    locks.daemon.arbiter.acquire("R1", "PR")
    for _ in range(20):
        locks.acquire(mode="EX")
    assert not locks.hold(mode="PR").is_released
    assert not locks.hold("R2").is_released
    assert isinstance(error(locks.acquire(wait=False)), LockBusy)


def test_they_have_it_about_in_the_order_in_which_they_came(locks: Locks) -> None:
    served: list[int] = []

    async def serve(number: int) -> None:
        async with locks.client.acquire("R1"):
            served.append(number)

    held = locks.hold()
    for number in range(50):
        Deferred.fromCoroutine(serve(number))
        locks.network.settle()
    locks.release(held)
    assert sorted(served) == list(range(50))
    assert all(abs(number - place) < MAX_ASKING for place, number in enumerate(served))


def test_who_waits_for_a_turn_may_give_up(locks: Locks) -> None:
    locks.daemon.arbiter.acquire("R1")
    waiting = [locks.acquire() for _ in range(MAX_ASKING + 1)]
    waiting[-1].cancel()
    assert isinstance(error(waiting[-1]), CancelledError)


def test_the_time_to_wait_begins_with_the_call(locks: Locks) -> None:
    locks.daemon.arbiter.acquire("R1")
    waiting = [locks.acquire(timeout=5) for _ in range(MAX_ASKING + 5)]
    locks.network.pass_time(5)
    for acquisition in waiting:
        late = error(acquisition)
        assert isinstance(late, LockTimeout)
        assert str(late) == "R1 at the daemon: not granted within 5 s"
    assert not locks.network.clock.getDelayedCalls()


# the end


def test_a_lock_that_is_lost_is_told_to_its_holder(locks: Locks) -> None:
    held = locks.hold()
    lost: list[FlomError] = []
    held.lost.addCallback(lost.append)
    locks.daemon.end()
    locks.network.settle()
    [why] = lost
    assert isinstance(why, DaemonLost)
    assert isinstance(error(held.release()), DaemonLost)
    assert isinstance(error(held.release()), Misuse)


def test_each_lock_of_a_connection_has_its_own_loss(locks: Locks) -> None:
    first = locks.hold()
    locks.release(first)
    second = locks.hold()
    locks.daemon.end()
    locks.network.settle()
    assert (first.lost.called, second.lost.called) == (False, True)


def test_a_block_whose_lock_is_lost_fails_in_the_end(locks: Locks) -> None:
    async def block() -> None:
        async with locks.client.acquire("R1") as held:
            locks.daemon.end()
            await held.lost

    done = Deferred.fromCoroutine(block())
    locks.network.settle()
    assert isinstance(error(done), DaemonLost)


def test_what_is_released_twice_is_told(locks: Locks) -> None:
    held = locks.hold()
    locks.release(held)
    assert str(error(held.release())) == "R1 at the daemon: not held any more"
    assert not locks.hold(wait=False).is_released


def test_not_to_wait_for_a_release_does_not_undo_it(locks: Locks) -> None:
    held = locks.hold("_S_a[1]")
    released = held.release()
    released.cancel()
    assert isinstance(error(released), CancelledError)
    locks.network.settle()
    assert locks.hold("_S_a[1]", wait=False).element == "2"


def test_a_closed_client_gives_up_what_it_waits_for_and_asks_no_more(locks: Locks) -> None:
    held = locks.hold("R2")
    locks.daemon.arbiter.acquire("R1")
    waiting = [locks.acquire() for _ in range(MAX_ASKING + 1)]
    locks.client.close()
    locks.network.settle()
    for acquisition in waiting:
        assert str(error(acquisition)) == "R1 at the daemon: this client was closed"
    assert isinstance(error(locks.acquire("R3")), Closed)
    assert not held.lost.called
    locks.release(held)
    assert locks.is_deserted is False  # there is the code in the daemon's process
    locks.daemon.arbiter.close()


def test_who_does_not_want_to_wait_does_not_wait_for_ever_for_an_answer(locks: Locks) -> None:
    locks.release(locks.hold())
    silent = locks.client.acquire("R1", wait=False)  # nothing arrives any more
    locks.network.clock.advance(ANSWER_TIMEOUT)
    assert isinstance(error(silent), LockTimeout)


def test_a_closed_client_waits_for_locks_that_are_being_given_back(locks: Locks) -> None:
    held = locks.hold()
    released, closed = held.release(), locks.client.close()
    assert not closed.called
    locks.network.settle()
    assert released.called
    assert closed.called
    assert locks.is_deserted


def test_an_acquisition_that_was_awaited_is_used(locks: Locks) -> None:
    async def block() -> None:
        acquisition = locks.client.acquire("R1")
        held = await acquisition
        try:
            async with acquisition:
                pass
        finally:
            await held.release()

    done = Deferred.fromCoroutine(block())
    locks.network.settle()
    assert isinstance(error(done), Misuse)


def test_a_client_is_closed_at_the_end_of_its_block(locks: Locks) -> None:
    async def block() -> None:
        async with locks.client as client:
            locks.release(locks.hold())
            assert client is locks.client

    done = Deferred.fromCoroutine(block())
    locks.network.settle()
    assert done.called
    assert locks.is_deserted

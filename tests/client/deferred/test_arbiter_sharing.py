"""
Many locks of one client: requests for the very same take turns, and all end with the client
(docs/compatibility.md, "Protocol: daemon").
"""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred

from flom.client.deferred.arbiter import MAX_ASKING
from flom.client.retry import ANSWER_TIMEOUT
from flom.errors import Closed, DaemonLost, FlomError, LockBusy, LockRevoked, LockTimeout, Misuse
from tests.fakes.locks import Locks, error


@pytest.fixture
def locks() -> Locks:
    return Locks()


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


def test_a_lock_that_an_administrator_ends_is_lost_and_not_reclaimed(locks: Locks) -> None:
    held = locks.hold()
    lost: list[FlomError] = []
    held.lost.addCallback(lost.append)
    arbiter = locks.daemon.arbiter
    [lock] = arbiter.view().resources[0].holders
    assert arbiter.revoke(lock.number, lock.request.name, "root") == ""
    locks.network.settle()
    [why] = lost
    assert isinstance(why, LockRevoked)
    assert str(why).endswith("an administrator has released it (root)")
    assert isinstance(error(held.release()), LockRevoked)
    assert not arbiter.view().resources[0].holders
    assert not locks.hold(wait=False).is_released


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
    why = "R1: the daemon: no answer within 5 s; its daemon may be stopped, or another program is there"
    assert str(error(silent)) == why


def test_a_closed_client_waits_for_locks_that_are_being_given_back(locks: Locks) -> None:
    held = locks.hold()
    released, closed = held.release(), locks.client.close()
    assert not closed.called
    locks.network.settle()
    assert released.called
    assert closed.called
    assert locks.is_deserted


def test_a_client_is_closed_at_the_end_of_its_block(locks: Locks) -> None:
    async def block() -> None:
        async with locks.client as client:
            locks.release(locks.hold())
            assert client is locks.client

    done = Deferred.fromCoroutine(block())
    locks.network.settle()
    assert done.called
    assert locks.is_deserted

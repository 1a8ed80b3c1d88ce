"""Who waits no longer, and why; which locks are lost: what is counted and logged."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import LogEvent

from flom.core.locks.statistics import Loss
from flom.core.modes import LockMode
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Goodbye, Lock, Unlock, WhyWithdrawn
from flom.server.arbiter import DeferredArbiter
from flom.server.limits import DEFAULT_LIMITS
from flom.server.log_throttle import MANY
from tests.fakes.connections import MemoryClient, MemoryDaemon, TcpTransport
from tests.fakes.logs import informed
from tests.fakes.sessions import Session

LOCK = Lock("R1", LockMode.EX, wait=True, create=True)
OURS = LOCK.replace(extended=2, user="alice", command="backup")
WHO = "192.0.2.7/40000 (alice, backup)"


def withdrawn(daemon: MemoryDaemon) -> dict[str, int]:
    counts = daemon.arbiter.statistics.withdrawn
    return {reason.value: times for reason, times in counts.items() if times}


def lost(daemon: MemoryDaemon) -> dict[str, int]:
    return {loss.value: times for loss, times in daemon.arbiter.statistics.lost.items() if times}


def connect(daemon: MemoryDaemon, lock: Lock, host: str = "192.0.2.7") -> MemoryClient:
    client = daemon.connect(host, TcpTransport).send(encode(lock))
    daemon.clock.advance(0.01)  # an answer may be postponed
    return client


@pytest.mark.parametrize(
    ("reason", "why"),
    [(WhyWithdrawn.TIMEOUT, "its time was over"), (WhyWithdrawn.SIGNAL, "interrupted by a signal")],
)
def test_a_client_says_why_it_waits_no_longer(reason: WhyWithdrawn, why: str, log: list[LogEvent]) -> None:
    daemon = MemoryDaemon()
    connect(daemon, LOCK)
    waiter = connect(daemon, OURS)
    waiter.received()
    daemon.clock.advance(2.99)
    waiter.send(encode(Goodbye("R1", reason)))
    assert waiter.received() == []
    waiter.leave()
    assert withdrawn(daemon) == {reason.value: 1}
    assert informed(log) == [f"R1 (EX) withdrawn by {WHO} after 3.000 s: {why}"]
    assert (log[-1]["reason"], log[-1]["waited"]) == (reason.value, pytest.approx(3.0))


@pytest.mark.parametrize("name", ["R1", "N[1]", "/a/b", "a.b", "_s_a[1]", "_t_%T[1]"])
def test_it_leaves_the_queue_of_any_resource(name: str) -> None:
    daemon = MemoryDaemon()
    holders = [connect(daemon, OURS.replace(name=name, quantity=1)) for _ in range(name.count(".") + 1)]
    waiter, next_one = (connect(daemon, OURS.replace(name=name, quantity=1)) for _ in range(2))
    waiter.send(encode(Goodbye(name, WhyWithdrawn.TIMEOUT)))
    assert withdrawn(daemon) == {"timeout": 1}
    next_one.received()
    holders[0].send(encode(Unlock(name)))
    daemon.clock.advance(1.0)
    assert len(next_one.received()) == 1


def test_a_goodbye_that_crosses_the_grant_rolls_that_back() -> None:
    daemon = MemoryDaemon()
    client = connect(daemon, OURS.replace(name="_S_a[1]"))
    client.send(encode(Goodbye("_S_a[1]", WhyWithdrawn.TIMEOUT)))
    client.leave()
    assert withdrawn(daemon) == {}
    assert 'element="1"' in connect(daemon, OURS.replace(name="_S_a[1]")).transport.value().decode()


@pytest.mark.parametrize("is_created", [True, False], ids=["queued", "incubated"])
def test_a_client_that_goes_without_a_word_is_gone(is_created: bool, log: list[LogEvent]) -> None:
    daemon = MemoryDaemon()
    if is_created:
        connect(daemon, LOCK)
    waiter = connect(daemon, LOCK.replace(create=is_created))
    daemon.clock.advance(0.49)
    waiter.leave()
    assert withdrawn(daemon) == {"gone": 1}
    assert informed(log) == ["R1 (EX) withdrawn by 192.0.2.7/40000 after 0.500 s: the client has gone"]


def test_an_unlock_by_a_waiter_says_no_reason() -> None:
    daemon = MemoryDaemon()
    connect(daemon, LOCK)
    connect(daemon, OURS).send(encode(Unlock("R1"))).leave()
    assert withdrawn(daemon) == {"gone": 1}


def test_nothing_is_withdrawn_by_a_daemon_that_ends_or_stands_by(log: list[LogEvent]) -> None:
    for end in (DeferredArbiter.close, DeferredArbiter.retire, DeferredArbiter.abandon):
        daemon = MemoryDaemon()
        clients = [connect(daemon, OURS), connect(daemon, OURS)]
        end(daemon.arbiter)
        for client in clients:
            client.leave()
        assert withdrawn(daemon) == {}
    assert informed(log) == []


def test_many_withdrawals_are_counted_in_one_line(log: list[LogEvent]) -> None:
    daemon = MemoryDaemon()
    connect(daemon, LOCK)
    for _ in range(MANY + 5):
        connect(daemon, LOCK).leave()
    assert len(log) == MANY
    assert withdrawn(daemon) == {"gone": MANY + 5}
    daemon.clock.advance(10)
    assert log[-1]["count"] == 5


def test_a_holder_that_leaves_in_good_order_loses_nothing() -> None:
    daemon = MemoryDaemon()
    connect(daemon, OURS).leave(ConnectionDone())
    connect(daemon, OURS).send(encode(Unlock("R1"))).leave(ConnectionLost())
    assert lost(daemon) == {}


def test_a_client_of_flom_s_whose_connection_breaks_has_lost_its_lock() -> None:
    daemon = MemoryDaemon()
    connect(daemon, LOCK).leave(ConnectionLost())
    assert lost(daemon) == {"connection_broken": 1}


def test_a_holder_that_does_not_come_back_in_time_has_lost_its_lock() -> None:
    daemon = MemoryDaemon()
    holder, waiter = connect(daemon, OURS), connect(daemon, OURS)
    for client in (waiter, holder):
        client.leave(ConnectionLost())
    assert lost(daemon) == {}
    daemon.clock.advance(DEFAULT_LIMITS.session_timeout)
    assert (lost(daemon), withdrawn(daemon)) == ({"session_timeout": 1}, {"gone": 1})
    connect(daemon, OURS.replace(regains=True, wait=False))
    assert lost(daemon) == {"session_timeout": 1, "reclaim_refused": 1}


def test_a_contested_lock_is_lost() -> None:
    daemon = MemoryDaemon()
    holder = connect(daemon, OURS)
    daemon.arbiter.contest([holder.protocol._id])
    assert lost(daemon) == {"contested": 1}


def test_locks_of_the_daemon_s_own_process_end_when_another_leads() -> None:
    daemon = MemoryDaemon()
    daemon.arbiter.acquire("R1").addCallback(lambda held: held.lost.addErrback(lambda failure: None))
    daemon.arbiter.abandon()
    assert lost(daemon) == {"superseded": 1}


def test_all_reasons_are_counted_from_the_start() -> None:
    statistics = MemoryDaemon().arbiter.statistics
    assert list(statistics.withdrawn) == list(WhyWithdrawn)
    assert list(statistics.lost) == list(Loss)


def test_a_local_wait_that_is_cancelled_is_gone() -> None:
    daemon = MemoryDaemon()
    Session(daemon.arbiter).ask("R1")
    daemon.arbiter.acquire("R1").addErrback(lambda _: None).cancel()
    assert withdrawn(daemon) == {"gone": 1}

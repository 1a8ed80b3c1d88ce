"""Holds without a process, as clients and the next daemon see them."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.logger import LogEvent

from flom.codes import Outcome
from flom.core.effects import Instant
from flom.core.handles import id_of, make_handle
from flom.core.locks.statistics import Loss
from flom.core.modes import LockMode
from flom.core.protocol.encode import encode, extend, split
from flom.core.protocol.messages import (
    Answer,
    HoldAnswer,
    HoldOrder,
    HoldTold,
    Lock,
    Message,
    Revoke,
    RevokeAnswer,
    Revoked,
    Unlock,
    Unlocked,
    Wishes,
)
from flom.server.arbiter import DeferredArbiter
from flom.server.connection import LockFactory
from flom.server.counters import Counters
from flom.server.holds import WRITE_LIMIT
from flom.server.limits import Limits
from flom.server.options import ServerOptions
from flom.server.snapshot import take_status
from flom.server.state import StateError
from flom.server.store import NO_DIRECTORY, NO_QUORUM, Store
from flom.status.model import LockStatus
from tests.fakes.connections import MemoryClient, TcpTransport, Transport
from tests.fakes.kept import MemoryStore
from tests.fakes.logs import warnings

TTL = 60.0
WALL = 1_790_000_000.0


class Daemon:
    """
    A daemon that has a store.

    @ivar ended: whether it has drained.
    """

    def __init__(self, store: Store | None = None, *, clock: Clock | None = None, set_by: float = 0.0) -> None:
        self.clock = clock or Clock()
        self.set_by = set_by
        self.ended = False
        limits = Limits(session_timeout=10.0)
        self.arbiter = DeferredArbiter(self.clock, self.now, limits=limits, store=store or MemoryStore())
        self.counters = Counters(started=0.0)
        options = ServerOptions(limits=limits, on_shutdown=lambda order: None, allow_remote_shutdown=True)
        self.factory = LockFactory(self.arbiter, self.clock, options, self.counters)
        self.arbiter.serve()

    @property
    def store(self) -> Any:
        return self.arbiter.store

    def now(self) -> Instant:
        return Instant(self.clock.seconds(), WALL + self.clock.seconds() + self.set_by)

    def restart(self, set_by: float = 0.0) -> Daemon:
        """Return the next daemon, after this one was killed; the wall clock may have been set meanwhile."""
        return Daemon(MemoryStore(self.store.texts), clock=self.clock, set_by=set_by)

    def connect(self, kind: type[Transport] = TcpTransport, host: str = "127.0.0.1") -> Client:
        return Client(self, kind, host)

    def locks(self) -> list[LockStatus]:
        status = take_status(self.arbiter, self.counters)
        return [lock for resource in status.resources for lock in resource.holders]

    def hold(self, name: str = "db", **wishes: Any) -> str:
        """Return the handle of a new hold, whose client has gone."""
        client = self.connect()
        handle = client.hold(name, **wishes)
        client.leave()
        return handle


class Client(MemoryClient):
    """A client that knows of holds."""

    def __init__(self, daemon: Daemon, kind: type[Transport], host: str) -> None:
        super().__init__(daemon.factory, host, kind)

    def ask(self, name: str = "db", wishes: Wishes | None = None, **asked: Any) -> Client:
        wanted: dict[str, Any] = {"mode": LockMode.EX, "wait": True, "create": True, **asked}
        data, following = split(extend(Lock(name, peer_id="0" * 32, user="root", wishes=wishes, **wanted)))
        self.send(data)
        if following:
            assert [type(message) for message in self.received()] == [Answer]
            self.send(b"".join(map(encode, following)))
        return self

    def answer(self) -> Answer:
        [answer] = self.received()
        assert isinstance(answer, Answer)
        return answer

    def hold(self, name: str = "db", ttl: float = TTL, hold_as: str = "deploy", **asked: Any) -> str:
        answer = self.ask(name, Wishes(ttl=ttl, hold_as=hold_as), **asked).answer()
        assert answer.code == Outcome.GRANTED
        assert answer.hold is not None
        assert answer.hold.handle
        return answer.hold.handle

    def adopt(self, handle: str, **asked: Any) -> Answer:
        return self.ask("hold", Wishes(adopts=handle), wait=False, create=False, **asked).answer()

    def order(self, order: Message) -> Any:
        """Return the answer to C{order}, after the question that clients of FLoM's daemons have to ask first."""
        self.send(encode(extend(Lock("statusprobe0", LockMode.NL))))
        self.received()
        self.send(encode(order))
        [answer] = self.received()
        return answer


def is_free(daemon: Daemon, name: str = "db", mode: LockMode = LockMode.EX) -> bool:
    client = daemon.connect()
    code = client.ask(name, wait=False, mode=mode).answer().code
    client.leave()
    return code == Outcome.GRANTED


def renewed(daemon: Daemon, handle: str, ttl: float = 0.0) -> HoldAnswer:
    answer = daemon.connect().order(HoldOrder(handle, ttl=ttl))
    assert isinstance(answer, HoldAnswer)
    return answer


def released(daemon: Daemon, handle: str) -> HoldAnswer:
    client = daemon.connect()
    answer = client.order(HoldOrder(handle, is_release=True))
    client.leave()
    assert isinstance(answer, HoldAnswer)
    return answer


# beginning, and the end


def test_a_hold_goes_on_without_its_client_until_its_time_is_over(log: list[LogEvent]) -> None:
    daemon = Daemon()
    handle = daemon.hold()
    waiter = daemon.connect().ask()
    assert waiter.answer().code == Outcome.QUEUED
    daemon.clock.advance(TTL - 0.1)
    assert waiter.received() == []
    daemon.clock.advance(0.2)
    assert waiter.answer().code == Outcome.GRANTED
    assert daemon.store.texts == {}
    assert daemon.arbiter.statistics.lost[Loss.HOLD_OVER] == 1
    assert warnings(log)[-1] == f"db: {id_of(handle)} 'deploy' (root, {_here()}) has ended: its time of 60 s is over"


def _here() -> str:
    from socket import gethostname

    return gethostname()


def test_nothing_is_told_before_it_is_kept() -> None:
    daemon = Daemon(MemoryStore(is_slow=True))
    client = daemon.connect().ask(wishes=Wishes(ttl=TTL))
    assert client.received() == []
    assert not is_free(daemon)
    daemon.store.finish()
    answer = client.answer()
    assert answer.hold is not None
    assert answer.hold == HoldTold(answer.hold.handle, "db", LockMode.EX, 0, TTL)
    assert answer.token > 0
    assert answer.hold.handle not in str(daemon.store.texts)


def test_what_cannot_be_kept_is_released_again() -> None:
    daemon = Daemon(MemoryStore(is_slow=True))
    client = daemon.connect().ask(wishes=Wishes(ttl=TTL))
    daemon.store.fail(StateError("/state: no space left on device"))
    answer = client.answer()
    assert (answer.code, answer.hold) == (Outcome.IMPOSSIBLE, None)
    assert answer.why == "not held: it cannot be kept: /state: no space left on device"
    assert [text for _, text in daemon.store.undone] == [None]
    assert is_free(daemon)


def test_what_is_not_kept_in_time_is_released_again() -> None:
    daemon = Daemon(MemoryStore(is_slow=True))
    client = daemon.connect().ask(wishes=Wishes(ttl=TTL))
    daemon.clock.advance(WRITE_LIMIT)
    assert client.answer().why == "not held: it was not kept within 10 s"
    daemon.store.finish()
    assert daemon.store.texts == {}
    assert is_free(daemon)


def test_a_client_that_goes_before_it_is_told_holds_nothing() -> None:
    daemon = Daemon(MemoryStore(is_slow=True))
    client = daemon.connect().ask(wishes=Wishes(ttl=TTL))
    client.leave()
    daemon.store.finish()
    daemon.store.finish()
    assert daemon.store.texts == {}
    assert is_free(daemon)


def test_a_client_that_waits_for_it_may_give_up() -> None:
    daemon = Daemon()
    holder = daemon.connect().ask()
    client = daemon.connect().ask(wishes=Wishes(ttl=TTL))
    assert client.answer().code == Outcome.QUEUED
    client.leave()
    holder.leave()
    assert daemon.store.texts == {}
    assert is_free(daemon)


def test_one_that_has_waited_is_told_its_handle_too() -> None:
    daemon = Daemon()
    holder = daemon.connect().ask()
    client = daemon.connect().ask(wishes=Wishes(ttl=TTL))
    client.received()
    holder.leave()
    answer = client.answer()
    assert answer.step == 24
    assert answer.hold is not None
    client.leave(ConnectionLost())
    daemon.clock.advance(20.0)  # longer than a session is kept
    assert not is_free(daemon)


@pytest.mark.parametrize("why", [NO_DIRECTORY, NO_QUORUM])
def test_a_daemon_that_keeps_nothing_says_so_and_locks_nothing(why: str) -> None:
    daemon = Daemon(Store(why))
    answer = daemon.connect().ask(wishes=Wishes(ttl=TTL)).answer()
    assert answer.code == Outcome.IMPOSSIBLE
    assert answer.why == f"a lock cannot be held without a process: the daemon keeps nothing beyond its end: {why}"
    assert is_free(daemon)


def test_a_connection_that_holds_something_begins_and_adopts_none() -> None:
    daemon = Daemon()
    client = daemon.connect().ask()
    client.received()
    answer = client.ask(wishes=Wishes(ttl=TTL)).answer()
    assert answer.why == "a connection on which something is held or waited for cannot begin a hold"
    handle = daemon.hold("other")
    other = daemon.connect().ask("hold")
    other.received()
    assert other.adopt(handle).why == "a connection on which something is held or waited for cannot adopt a hold"


# renew and release


def test_to_renew_one_begins_its_time_anew() -> None:
    daemon = Daemon()
    handle = daemon.hold()
    daemon.clock.advance(50.0)
    assert renewed(daemon, handle) == HoldAnswer(HoldTold("", "db", LockMode.EX, 0, TTL))
    daemon.clock.advance(50.0)
    assert not is_free(daemon)
    assert renewed(daemon, handle, 5.0).hold == HoldTold("", "db", LockMode.EX, 0, 5.0)
    daemon.clock.advance(5.1)
    assert is_free(daemon)
    assert renewed(daemon, handle).why == "there is no hold of this handle here: it was released, or its time is over"


def test_a_renewal_that_is_not_kept_changes_nothing() -> None:
    daemon = Daemon()
    handle = daemon.hold()
    daemon.store.is_slow = True
    client = daemon.connect()
    client.send(encode(extend(Lock("statusprobe0", LockMode.NL))))
    client.received()
    client.send(encode(HoldOrder(handle, ttl=600.0)))
    daemon.store.fail(StateError("/state: gone"))
    assert client.received() == [HoldAnswer(None, "it cannot be kept: /state: gone")]
    daemon.clock.advance(TTL + 0.1)
    assert is_free(daemon)


def test_one_that_is_released_is_free_once_that_is_kept() -> None:
    daemon = Daemon()
    handle = daemon.hold()
    daemon.store.is_slow = True
    client = daemon.connect()
    client.send(encode(extend(Lock("statusprobe0", LockMode.NL))))
    client.received()
    client.send(encode(HoldOrder(handle, is_release=True)))
    assert client.received() == []
    assert not is_free(daemon)
    daemon.store.finish()
    assert client.received() == [HoldAnswer(HoldTold("", "db", LockMode.EX, 0, TTL))]
    assert is_free(daemon)
    assert daemon.store.texts == {}
    assert released(daemon, handle).hold is None


@pytest.mark.parametrize("random", [bytes(20), bytes(range(20))])
def test_another_handle_does_nothing(random: bytes) -> None:
    daemon = Daemon()
    handle = daemon.hold()
    wrong = id_of(handle) + make_handle(random)[-33:]
    for each in (wrong, make_handle(random)):
        why = "there is no hold of this handle here: it was released, or its time is over"
        assert released(daemon, each) == renewed(daemon, each) == HoldAnswer(None, why)
        assert daemon.connect().adopt(each).why == why
    assert not is_free(daemon)


# adopting


def test_while_it_is_adopted_its_time_does_not_end_it() -> None:
    daemon = Daemon()
    handle = daemon.hold("n[5]", quantity=3)
    adopter = daemon.connect()
    answer = adopter.adopt(handle)
    assert (answer.code, answer.hold) == (Outcome.GRANTED, HoldTold("", "n[5]", LockMode.NL, 3, TTL, True))
    daemon.clock.advance(10 * TTL)
    assert not is_free(daemon, "n[5]") or daemon.locks()[0].quantity == 3
    adopter.send(encode(Unlock("hold")))
    assert adopter.received() == [Unlocked()]
    daemon.clock.advance(TTL - 0.1)
    assert len(daemon.locks()) == 1
    daemon.clock.advance(0.2)
    assert daemon.locks() == []


def test_what_an_adopter_gets_is_what_was_granted() -> None:
    daemon = Daemon()
    client = daemon.connect()
    client.ask("red.green", Wishes(ttl=TTL))
    granted = client.answer()
    assert granted.hold is not None
    answer = daemon.connect().adopt(granted.hold.handle)
    assert (answer.element, answer.token) == (granted.element, granted.token)


def test_commands_under_its_adopter_are_refused_or_share_it() -> None:
    outer, inner = "a" * 16, "b" * 16
    daemon = Daemon()
    handle = daemon.hold()
    adopter = daemon.connect()
    assert adopter.ask("hold", Wishes((outer,), adopts=handle), wait=False).answer().code == Outcome.GRANTED
    refused = daemon.connect().ask(wishes=Wishes((inner, outer))).answer()
    assert refused.code == Outcome.DEADLOCK
    assert "under whose command this one runs" in refused.why
    sharing = daemon.connect().ask(wishes=Wishes((inner, outer), nested="share"))
    assert sharing.answer().code == Outcome.GRANTED
    sharing.leave()
    assert [lock.lineage for lock in daemon.locks()] == [(outer,)]
    adopter.leave()
    assert [lock.lineage for lock in daemon.locks()] == [()]
    again = daemon.connect()
    again.ask("hold", Wishes(("c" * 16,), adopts=handle), wait=False)
    assert daemon.connect().ask(wishes=Wishes((inner, "c" * 16))).answer().code == Outcome.DEADLOCK


def test_who_shares_an_adopted_hold_comes_back_in_any_order() -> None:
    outer, inner = Wishes(("a" * 16,)), Wishes(("b" * 16, "a" * 16), nested="share")
    first = Daemon()
    handle = first.hold()
    adopts = outer.replace(adopts=handle)
    first.connect().ask("hold", adopts, wait=False)
    token = first.connect().ask(wishes=inner).answer().token
    daemon = first.restart()
    daemon.arbiter.begin_grace(10.0)
    assert daemon.connect().ask(wishes=inner, regains=True, token=token).answer().code == Outcome.GRANTED
    assert daemon.connect().ask("hold", adopts, wait=False, regains=True).answer().code == Outcome.GRANTED
    assert sorted(lock.lineage for lock in daemon.locks()) == [outer.lineage, inner.lineage]
    daemon.clock.advance(10.1)  # the end of the grace period
    assert daemon.connect().ask(wishes=inner.replace(nested="")).answer().code == Outcome.DEADLOCK
    assert len({lock.token for lock in daemon.locks()}) == 1


def test_it_is_adopted_by_one_command_at_a_time() -> None:
    daemon = Daemon()
    handle = daemon.hold()
    adopter = daemon.connect(host="192.0.2.7")
    adopter.adopt(handle)
    refused = daemon.connect().adopt(handle)
    assert (refused.code, refused.why) == (Outcome.IMPOSSIBLE, "it is adopted by 192.0.2.7/40000 (root) already")
    assert released(daemon, handle).why == "it is adopted by 192.0.2.7/40000 (root): end that first"
    adopter.leave(ConnectionLost())
    assert daemon.connect().adopt(handle).code == Outcome.GRANTED


def test_a_client_whose_connection_is_broken_adopts_it_again() -> None:
    """The daemon may not know yet that it is."""
    daemon = Daemon()
    handle = daemon.hold()
    adopter = daemon.connect()
    first = adopter.adopt(handle)
    assert first.session
    assert daemon.connect().adopt(handle, session="0" * 32).code == Outcome.IMPOSSIBLE
    again = daemon.connect().adopt(handle, session=first.session, regains=True, token=first.token)
    assert (again.code, again.token) == (Outcome.GRANTED, first.token)
    assert adopter.transport.aborted
    adopter.leave(ConnectionLost())
    daemon.clock.advance(10 * TTL)
    assert not is_free(daemon)


def test_an_adoption_that_is_not_kept_is_none() -> None:
    daemon = Daemon()
    handle = daemon.hold()
    daemon.store.is_slow = True
    adopter = daemon.connect().ask("hold", Wishes(adopts=handle))
    daemon.store.fail(StateError("/state: gone"))
    assert adopter.answer().why == "it cannot be kept: /state: gone"
    daemon.clock.advance(TTL + 0.1)
    assert is_free(daemon)


def test_one_that_adopts_and_goes_at_once_has_adopted_nothing() -> None:
    daemon = Daemon()
    handle = daemon.hold()
    daemon.store.is_slow = True
    adopter = daemon.connect().ask("hold", Wishes(adopts=handle))
    adopter.leave()
    daemon.store.finish()
    daemon.store.finish()
    daemon.clock.advance(TTL + 0.1)
    assert is_free(daemon)


# the next daemon


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("db", {"mode": LockMode.PR}),
        ("/a/b", {"mode": LockMode.PW}),
        ("n[5]", {"quantity": 3}),
        ("red.green.blue", {}),
        ("_S_q[2]", {}),
        ("_s_q[2]", {"lifespan": 60.0}),
        ("_t_%S[2]", {}),
    ],
)
def test_the_next_daemon_goes_on_with_it_before_its_first_grant(name: str, asked: dict[str, Any]) -> None:
    daemon = Daemon()
    handle = daemon.hold(name, **asked)
    [before] = daemon.locks()
    daemon.clock.advance(20.0)
    after = daemon.restart()
    [lock] = after.locks()
    assert lock.replace(number=0, seconds=0.0) == before.replace(number=0, seconds=0.0, hold=lock.hold)
    assert lock.hold is not None
    assert lock.hold.left == TTL - 20.0
    assert released(after, handle).hold is not None
    assert after.locks() == []


def test_by_the_wall_clock_its_time_goes_on_while_no_daemon_runs() -> None:
    daemon = Daemon()
    daemon.hold()
    assert not is_free(daemon.restart(set_by=TTL - 1))
    assert not is_free(daemon.restart(set_by=-3600.0))
    after = daemon.restart(set_by=TTL + 1)
    assert is_free(after)
    assert after.store.texts == {}


def test_one_that_was_adopted_has_its_whole_time_there() -> None:
    daemon = Daemon()
    handle = daemon.hold()
    daemon.connect().adopt(handle)
    daemon.clock.advance(10 * TTL)
    after = daemon.restart()
    assert not is_free(after)
    assert after.connect().adopt(handle, regains=True, token=7, proof="0" * 32).code == Outcome.GRANTED
    after.clock.advance(10 * TTL)
    assert not is_free(after)


def test_what_is_no_hold_is_left_alone(log: list[LogEvent]) -> None:
    daemon = Daemon(MemoryStore({"hold hold-1": "{}", "value x": "y"}))
    assert is_free(daemon)
    assert daemon.store.texts == {"hold hold-1": "{}", "value x": "y"}


# administrators, the status and the end of the daemon


def test_the_status_shows_it_as_a_hold() -> None:
    daemon = Daemon()
    client = daemon.connect(host="192.0.2.7")
    handle = client.hold(hold_as="deploy\n")
    client.leave()
    daemon.clock.advance(5.0)
    [lock] = daemon.locks()
    assert lock.hold is not None
    assert (lock.hold.id, lock.hold.title, lock.hold.host) == (id_of(handle), "deploy ", "192.0.2.7")
    assert (lock.hold.ttl, lock.hold.left, lock.user) == (TTL, TTL - 5.0, "root")
    assert daemon.arbiter.sessions == 0
    adopter = daemon.connect(host="192.0.2.8")
    adopter.adopt(handle)
    [lock] = daemon.locks()
    assert lock.hold is not None
    assert (lock.address, lock.hold.left) == ("192.0.2.8/40000", None)


@pytest.mark.parametrize("is_adopted", [False, True])
def test_an_administrator_can_release_it(is_adopted: bool) -> None:
    daemon = Daemon()
    handle = daemon.hold()
    adopter = daemon.connect()
    if is_adopted:
        adopter.adopt(handle)
    daemon.store.is_slow = True
    [lock] = daemon.locks()
    admin = daemon.connect().send(encode(Revoke("db", lock.number, user="ops")))
    assert admin.received() == []
    daemon.store.finish()
    assert admin.received() == [RevokeAnswer()]
    assert adopter.received() == ([Revoked("ops, 127.0.0.1/40000")] if is_adopted else [])
    assert is_free(daemon)
    assert daemon.store.texts == {}
    assert daemon.arbiter.statistics.lost[Loss.REVOKED] == 1


def test_a_drain_waits_for_the_commands_of_holds_alone() -> None:
    daemon = Daemon()
    handle = daemon.hold()
    adopter = daemon.connect()
    adopter.adopt(handle)
    ended: list[bool] = []
    daemon.arbiter.drain(lambda: ended.append(True))
    daemon.clock.advance(TTL)
    assert ended == []
    adopter.leave()
    daemon.clock.advance(0.1)
    assert ended == [True]
    assert not is_free(daemon.restart())


def test_an_idle_daemon_stays_while_there_are_holds() -> None:
    daemon = Daemon()
    handle = daemon.hold()
    assert not daemon.arbiter.is_idle
    released(daemon, handle)
    daemon.clock.advance(5.0)
    assert daemon.arbiter.is_deserted


def test_a_daemon_that_ends_leaves_its_holds_to_the_next_one() -> None:
    daemon = Daemon()
    daemon.hold()
    daemon.arbiter.close()
    daemon.clock.advance(5.0)
    after = daemon.restart()
    assert not is_free(after)
    after.arbiter.close()
    after.arbiter.reopen()
    assert not is_free(after)
    after.clock.advance(TTL)
    assert is_free(after)

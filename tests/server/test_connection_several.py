"""Several locks that a client has asked for at once, seen from the daemon: breaks, reclaims, goodbyes, a freeze."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.error import ConnectionLost

from flom.codes import Outcome
from flom.core.locks.handover import read_estate
from flom.core.modes import LockMode
from flom.core.proofs import ProofKey
from flom.core.protocol.encode import encode, extend, split
from flom.core.protocol.events import Granted
from flom.core.protocol.messages import Answer, Goodbye, Lock, Unlock, Unlocked, WhyWithdrawn, Wishes
from flom.core.protocol.parts import again, together
from flom.server.estate import estate_of
from flom.server.limits import DEFAULT_LIMITS
from flom.server.proofs import Proofs
from tests.fakes.connections import MemoryDaemon, TcpTransport
from tests.fakes.logs import informed

TIMEOUT = DEFAULT_LIMITS.session_timeout


class Client:
    """A client of ours over TCP, which asks for several locks."""

    def __init__(self, daemon: MemoryDaemon, *names: str) -> None:
        self._daemon = daemon
        self.message = together([Lock(name, LockMode.EX, 1, wait=True, create=True) for name in names or ("a", "b")])
        self.secret = ""
        self.granted: tuple[Granted, ...] = ()
        self.connection = daemon.connect(kind=TcpTransport)

    def ask(self, **wanted: Any) -> list[tuple[int, int]]:
        """Ask for the locks; return the codes and parts of the answers so far."""
        first, following = split(extend(self.message.replace(**wanted)))
        self.connection.send(first)
        self.connection.received()
        self.connection.send(b"".join(map(encode, following)))
        return self.answers()

    def answers(self) -> list[tuple[int, int]]:
        """Return the codes and parts of the answers that have come since."""
        self._daemon.clock.advance(0.01)
        answers = [answer for answer in self.connection.received() if isinstance(answer, Answer)]
        self.secret = next((answer.session for answer in answers if answer.session), self.secret)
        got = tuple(Granted(each.element, each.token, each.proof) for each in answers if each.code == Outcome.GRANTED)
        self.granted = got or self.granted
        return [(answer.code or 0, answer.part) for answer in answers]

    def unlock(self, *, rollback: bool = False) -> None:
        self.connection.send(encode(Unlock(self.message.name, rollback)))
        assert self.connection.received() == [Unlocked()]

    def come_back(self, **wanted: Any) -> list[tuple[int, int]]:
        """Lose the connection by a reset, and come back to what was held, unless C{wanted} says otherwise."""
        self.connection.leave(ConnectionLost())
        return self.reclaim(self._daemon, session=self.secret, **wanted)

    def reclaim(self, daemon: MemoryDaemon, granted: Sequence[Granted] = (), **wanted: Any) -> list[tuple[int, int]]:
        """Reclaim what was C{granted}, at C{daemon}."""
        self._daemon = daemon
        self.connection = daemon.connect(kind=TcpTransport)
        if "regains" in wanted:
            return self.ask(**wanted)
        parts = tuple(granted or self.granted)
        reclaims = again(self.message, parts[0].replace(parts=parts))
        return self.ask(wait=False, regains=True, wishes=reclaims.wishes, **wanted)


ALL = [(Outcome.GRANTED, 1), (Outcome.GRANTED, 2)]
QUEUED = [(Outcome.QUEUED, 0)]


def test_holders_come_back_to_all_of_them() -> None:
    daemon = MemoryDaemon()
    holder, waiter = Client(daemon), Client(daemon, "b", "c")
    assert holder.ask() == ALL
    before = holder.granted
    assert waiter.ask() == QUEUED
    assert holder.come_back() == ALL
    assert [each.token for each in holder.granted] == [each.token for each in before]
    assert waiter.answers() == []
    holder.unlock()
    assert waiter.answers() == ALL


def test_waiters_come_back_to_their_place() -> None:
    daemon = MemoryDaemon()
    holder, waiter = Client(daemon), Client(daemon, "c", "b")
    holder.ask()
    waiter.ask()
    assert waiter.come_back(regains=False, wait=True) == QUEUED
    holder.unlock()
    assert waiter.answers() == ALL
    assert Client(daemon, "c", "d").ask() == QUEUED


def test_one_that_was_granted_while_its_connection_was_broken_hears_so() -> None:
    daemon = MemoryDaemon()
    holder, waiter = Client(daemon), Client(daemon, "c", "b")
    holder.ask()
    waiter.ask()
    waiter.connection.leave(ConnectionLost())
    holder.unlock()
    assert waiter.reclaim(daemon, session=waiter.secret, regains=False, wait=True) == ALL


def test_a_session_of_other_locks_is_none_of_these() -> None:
    daemon = MemoryDaemon()
    holder = Client(daemon)
    holder.ask()
    holder.connection.leave(ConnectionLost())
    other = Client(daemon, "a", "c")
    assert other.ask(session=holder.secret, wait=False) == [(Outcome.BUSY, 1)]


def test_one_that_does_not_come_back_in_time_has_lost_all_of_them() -> None:
    daemon = MemoryDaemon()
    holder, waiter = Client(daemon), Client(daemon, "b", "c")
    holder.ask()
    waiter.ask()
    holder.connection.leave(ConnectionLost())
    daemon.clock.advance(TIMEOUT)
    assert waiter.answers() == ALL
    assert holder.come_back() == [(Outcome.BUSY, 0)]


@pytest.mark.parametrize("reason", [WhyWithdrawn.TIMEOUT, WhyWithdrawn.SIGNAL])
def test_a_goodbye_leaves_nothing(reason: WhyWithdrawn, log: Any) -> None:
    daemon = MemoryDaemon()
    holder, waiter = Client(daemon), Client(daemon, "c", "b")
    holder.ask()
    waiter.ask()
    waiter.connection.send(encode(Goodbye("c", reason)))
    holder.unlock()
    assert waiter.answers() == []
    assert Client(daemon, "b", "c").ask() == ALL
    assert [text for text in informed(log) if "withdrawn" in text]


def test_a_goodbye_that_crosses_the_grant_gives_all_back() -> None:
    daemon = MemoryDaemon()
    client = Client(daemon)
    assert client.ask() == ALL
    client.connection.send(encode(Goodbye("a", WhyWithdrawn.TIMEOUT)))
    assert Client(daemon).ask() == ALL


def test_an_unlock_during_a_freeze_is_taken_when_it_is_over() -> None:
    daemon = MemoryDaemon()
    client = Client(daemon)
    client.ask()
    daemon.arbiter.freeze()
    client.connection.send(encode(Unlock("a")))
    assert client.connection.received() == []
    daemon.arbiter.thaw()
    assert client.connection.received() == [Unlocked()]
    assert not daemon.arbiter.held


def test_what_was_asked_for_during_a_freeze_is_decided_when_it_is_over() -> None:
    daemon = MemoryDaemon()
    client = Client(daemon)
    daemon.arbiter.freeze()
    assert client.ask() == []
    daemon.arbiter.thaw()
    assert client.answers() == ALL


def test_a_wish_that_is_about_one_lock_is_refused_for_several() -> None:
    daemon = MemoryDaemon()
    client = Client(daemon)
    assert client.message.wishes is not None
    assert client.ask(wishes=client.message.wishes.replace(value=True)) == [(Outcome.IMPOSSIBLE, 0)]
    assert not daemon.arbiter.held


def test_hints_do_no_harm() -> None:
    daemon = MemoryDaemon()
    client = Client(daemon)
    hints = Wishes(("0123456789abcdef",), "share", parts=client.message.parts)
    assert client.ask(wishes=hints) == ALL


def test_the_next_leader_of_a_group_goes_on_with_all_of_them() -> None:
    former, daemon = MemoryDaemon(), MemoryDaemon()
    holder, waiter = Client(former), Client(former, "c", "b")
    assert (holder.ask(), waiter.ask()) == (ALL, QUEUED)
    tokens = [each.token for each in holder.granted]
    estate, _ = estate_of(former.arbiter, former.factory.sessions)
    estate = read_estate(estate.write())
    daemon.arbiter.retire()
    daemon.arbiter.resume()
    daemon.arbiter.take_over(estate, [daemon.factory.sessions.inherit(client) for client in estate.clients])
    assert waiter.reclaim(daemon, session=waiter.secret, regains=False, wait=True) == QUEUED
    assert holder.reclaim(daemon, session=holder.secret) == ALL
    assert [each.token for each in holder.granted] == tokens
    holder.unlock()
    assert waiter.answers() == ALL


@pytest.mark.parametrize("wrong", ["", "0" * 32], ids=["none", "wrong"])
def test_a_reclaim_with_one_proof_that_is_none_gets_none_of_them(wrong: str) -> None:
    key = ProofKey(b"secret", "here")
    former, daemon = MemoryDaemon(proofs=Proofs(key)), MemoryDaemon(proofs=Proofs(key))
    holder = Client(former)
    assert holder.ask() == ALL
    daemon.arbiter.retire()
    daemon.arbiter.resume(1.0)
    first, second = holder.granted
    assert holder.reclaim(daemon, [first, second.replace(proof=wrong)], session=holder.secret) == [(Outcome.BUSY, 0)]
    assert not daemon.arbiter.held
    assert holder.reclaim(daemon, [first, second], session=holder.secret) == ALL

"""What a leader leaves to the next one."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from flom.core.effects import Granted, Queued, Revoked, Wanted
from flom.core.locks.handover import read_estate
from flom.core.protocol.messages import Wishes
from flom.core.sessions import Owner
from flom.server.arbiter import DeferredArbiter
from flom.server.estate import HandoverFailed, estate_of
from flom.server.log_throttle import LogThrottle
from flom.server.sessions import Sessions
from tests.fakes.sessions import Session


class Daemon:
    """An arbiter with sessions."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.arbiter = DeferredArbiter(self.clock)
        self.sessions = Sessions(self.arbiter, self.clock, 5.0, LogThrottle(self.clock))

    def client(self) -> tuple[Session, str]:
        """Return a client with a session, and its secret."""
        client = Session(self.arbiter)
        return client, self.sessions.begin(client.id, Owner(b"", None), object()).secret


def test_it_has_holders_and_then_waiters_in_their_order() -> None:
    daemon = Daemon()
    (first, first_secret), (second, second_secret) = daemon.client(), daemon.client()
    first.ask("R")
    second.ask("S").ask("R")
    daemon.clock.advance(2.0)
    estate, secrets = estate_of(daemon.arbiter, daemon.sessions)
    assert [client.secret for client in estate.clients] == [first_secret, second_secret]
    assert [(claim.client, claim.name.text, bool(claim.token), claim.waited) for claim in estate.claims] == [
        (0, "R", True, 0.0),
        (1, "S", True, 0.0),
        (1, "R", False, 2.0),
    ]
    assert secrets == {first.id: first_secret, second.id: second_secret}


def test_of_clients_without_a_session_only_waiters_are_left_out() -> None:
    daemon = Daemon()
    holder, _ = daemon.client()
    holder.ask("R")
    other = Session(daemon.arbiter).ask("R")
    estate, _ = estate_of(daemon.arbiter, daemon.sessions)
    assert len(estate.claims) == 1
    holder.release("R")
    with pytest.raises(HandoverFailed, match="R is held by pid"):
        estate_of(daemon.arbiter, daemon.sessions)
    other.leave()


def test_what_is_waited_for_at_once_is_so_at_the_next_leader() -> None:
    daemon, other = Daemon(), Daemon()
    (first, _), (second, _), (third, _) = daemon.client(), daemon.client(), daemon.client()
    first.ask("R")
    second.ask_all("R", "S")
    third.ask("R")
    daemon.clock.advance(2.0)
    estate, _ = estate_of(daemon.arbiter, daemon.sessions)
    estate = read_estate(estate.write())
    other.arbiter.resume()
    heirs = [Session(other.arbiter) for _ in estate.clients]
    other.arbiter.check(estate)
    other.arbiter.take_over(estate, [heir.id for heir in heirs])
    assert [type(effect) for heir in heirs for effect in heir.effects] == [Granted, Queued, Queued]
    heirs[0].release("R")
    assert heirs[1].granted == ["R", "S"]
    heirs[1].leave()
    assert heirs[2].granted == ["R"]


def test_a_waiter_is_told_by_the_next_leader_what_it_has_wished_to_know() -> None:
    daemon = Daemon()
    (first, _), (second, _) = daemon.client(), daemon.client()
    first.ask("R")
    second.ask("R", wishes=Wishes(value=True, key=""))
    estate, _ = estate_of(daemon.arbiter, daemon.sessions)
    other = Daemon()
    other.arbiter.resume()
    heirs = [Session(other.arbiter) for _ in estate.clients]
    other.arbiter.take_over(read_estate(estate.write()), [heir.id for heir in heirs])
    heirs[0].release("R")
    [*_, granted] = heirs[1].effects
    assert isinstance(granted, Granted)
    assert granted.request.wishes == Wishes(value=True, key="")


def successor(daemon: Daemon) -> tuple[Daemon, list[Session]]:
    """Return another daemon that has taken over all of C{daemon}, and its clients there."""
    estate = read_estate(estate_of(daemon.arbiter, daemon.sessions)[0].write())
    other = Daemon()
    other.arbiter.resume()
    heirs = [other.client()[0] for _ in estate.clients]
    other.arbiter.check(estate)
    other.arbiter.take_over(estate, [heir.id for heir in heirs])
    return other, heirs


def test_a_limit_ends_a_lock_at_the_next_leader_when_it_would_have() -> None:
    daemon = Daemon()
    (first, _), (second, _) = daemon.client(), daemon.client()
    first.ask("R", wishes=Wishes(max_hold=10.0))
    second.ask("R", wishes=Wishes(max_hold=20.0))
    daemon.clock.advance(4.0)
    other, heirs = successor(daemon)
    other.clock.advance(3.0)
    last, heirs = successor(other)
    last.clock.advance(2.9)
    assert Revoked not in heirs[0].kinds()
    last.clock.advance(0.1)
    assert isinstance(heirs[0].effects[-1], Revoked)
    [*_, granted] = heirs[1].effects
    assert isinstance(granted, Granted)
    assert granted.left == 20.0


def test_a_holder_is_told_by_the_next_leader_that_it_is_wanted() -> None:
    daemon = Daemon()
    (first, _), (second, _) = daemon.client(), daemon.client()
    first.ask("R", wishes=Wishes(wanted=True))
    other, [heir] = successor(daemon)
    Session(other.arbiter).ask("R")
    assert Wanted in heir.kinds()
    assert second.effects == []


def test_what_a_lock_delay_keeps_is_kept_by_the_next_leader() -> None:
    daemon = Daemon()
    (first, _), (second, _) = daemon.client(), daemon.client()
    first.ask("R", wishes=Wishes(lock_delay=10.0))
    first.leave()
    second.ask("R", wishes=Wishes(lock_delay=5.0))
    daemon.clock.advance(4.0)
    other, [heir] = successor(daemon)
    other.clock.advance(5.9)
    assert heir.granted == []
    other.clock.advance(0.1)
    assert heir.granted == ["R"]
    heir.leave()
    later = Session(other.arbiter).ask("R")
    other.clock.advance(4.9)
    assert later.granted == []
    other.clock.advance(0.1)
    assert later.granted == ["R"]


def test_with_nothing_held_it_is_empty() -> None:
    daemon = Daemon()
    estate, secrets = estate_of(daemon.arbiter, daemon.sessions)
    assert (estate.resources, estate.clients, estate.claims, secrets) == ([], [], [], {})

"""A daemon leads, pauses, goes on, steps down and leaves word as the elector says."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.logger import LogEvent

from flom.core.locks.handover import read_estate
from flom.core.protocol.messages import Answer
from flom.core.quorum.times import DEFAULT
from flom.errors import FlomError
from flom.server.options import ServerOptions
from flom.server.quorum.service import HOLD_BACK, RESIGN_WITHIN
from tests.fakes.connections import MemoryClient, lock
from tests.fakes.logs import errors
from tests.fakes.quorum import IDENTITY, WAIT, QuorumDaemon
from tests.server.quorum.test_clients import answer_of, extended


def codes(client: MemoryClient) -> list[int | None]:
    return [message.code for message in client.received() if isinstance(message, Answer)]


def test_who_is_elected_waits_for_the_sessions_of_the_leader_before() -> None:
    daemon = QuorumDaemon()
    daemon.elector.win()
    new = daemon.connect().send(extended())
    former = daemon.connect().send(extended("S", wait=0, regains=1))
    assert (codes(new), codes(former)) == ([], [0])
    daemon.elector.keep_for(WAIT - 0.25)
    assert codes(new) == []
    daemon.elector.keep_for(0.5)
    assert codes(new) == [0]


def test_after_a_leader_that_has_left_word_it_grants_at_once() -> None:
    before, daemon = QuorumDaemon(), QuorumDaemon()
    before.lead()
    before.service.stopService()
    daemon.elector.win(*before.elector.words)
    assert codes(daemon.connect().send(extended())) == [0]


def test_what_was_held_and_waited_for_is_left_to_the_next_leader() -> None:
    before, daemon = QuorumDaemon(), QuorumDaemon()
    before.lead()
    holder, waiter = before.connect().send(extended()), before.connect().send(extended())
    held, waiting = answer_of(holder), answer_of(waiter)
    before.service.stopService()
    daemon.elector.win(*before.elector.words)
    back = daemon.connect().send(extended(wait=0, regains=1, session=held.session))
    again = answer_of(back)
    assert (again.code, again.token) == (0, held.token)
    assert codes(daemon.connect().send(extended(session=waiting.session))) == [1]
    back.leave(ConnectionLost())
    daemon.elector.keep_for(DEFAULT.session + 0.25)


def test_a_word_that_cannot_be_read_is_none(log: list[LogEvent]) -> None:
    daemon = QuorumDaemon()
    daemon.elector.win("what a later version writes")
    new = daemon.connect().send(extended())
    assert codes(new) == []
    daemon.elector.keep_for(WAIT + 0.25)
    assert codes(new) == [0]
    [why] = errors(log)
    assert why.startswith("what the leader before has left is of no use")


def test_in_the_wait_after_its_election_a_leader_leaves_no_word() -> None:
    """Former holders may not have come yet."""
    daemon = QuorumDaemon()
    daemon.elector.win()
    daemon.service.stopService()
    assert daemon.elector.words == [""]


def test_nor_if_a_holder_could_not_find_the_next_leader() -> None:
    daemon = QuorumDaemon(ServerOptions())
    daemon.lead()
    assert codes(daemon.connect().send(lock())) == [0]
    daemon.service.stopService()
    assert daemon.elector.words == [""]


def test_a_daemon_that_ends_does_not_wait_for_etcd_for_long() -> None:
    daemon = QuorumDaemon()
    daemon.lead()
    daemon.elector.resigned = Deferred()
    stopped = daemon.service.stopService()
    assert not stopped.called
    daemon.clock.advance(RESIGN_WITHIN)
    assert stopped.called
    assert not daemon.elector.running


def test_a_leader_whose_lease_is_not_kept_grants_nothing_and_says_why(log: list[LogEvent]) -> None:
    daemon = QuorumDaemon()
    daemon.lead()
    daemon.elector.view = daemon.elector.view._replace(problem="etcd has no majority")
    daemon.clock.advance(3.0)
    client = daemon.connect().send(extended())
    assert codes(client) == []
    status = daemon.service.status()
    assert (status.granting, status.problem) == (False, "etcd has no majority")
    assert errors(log) == ["nothing is granted: etcd has not kept the lease of this daemon: etcd has no majority"]
    daemon.elector.keep()
    assert codes(client) == [0]
    assert daemon.service.status().granting


def test_who_is_deposed_disconnects_its_clients_and_grants_nothing() -> None:
    daemon = QuorumDaemon()
    daemon.lead()
    holder, waiter = daemon.connect().send(extended()), daemon.connect().send(extended())
    daemon.elector.lose()
    assert holder.transport.disconnecting
    assert waiter.transport.disconnecting
    assert codes(waiter) == [1]
    assert daemon.counters.role == "standby"
    assert daemon.service.status().problem == "another daemon leads"


def test_who_was_deposed_in_a_pause_grants_nothing_of_what_was_asked_in_it() -> None:
    daemon = QuorumDaemon()
    daemon.lead()
    daemon.clock.advance(3.0)
    client = daemon.connect().send(extended())
    daemon.elector.lose()
    assert codes(client) == []
    assert client.transport.disconnecting


def test_a_leader_can_lead_again() -> None:
    daemon = QuorumDaemon()
    daemon.lead()
    epoch = daemon.arbiter.epoch
    daemon.elector.lose()
    daemon.lead()
    client = daemon.connect().send(extended())
    assert codes(client) == [0]
    assert daemon.arbiter.epoch > epoch


def test_the_status_says_who_leads() -> None:
    daemon = QuorumDaemon()
    status = daemon.service.status()
    assert (status.leader, status.granting, status.problem) == ("", False, "no daemon leads at this moment")
    daemon.elector.follow("host-b")
    daemon.elector.view = daemon.elector.view._replace(members=(IDENTITY, "host-b", "host-c"))
    status = daemon.service.status()
    assert (status.leader, status.members, status.problem) == ("host-b", ("host-b", IDENTITY, "host-c"), "")
    daemon.elector.win()
    status = daemon.service.status()
    assert (status.leader, status.epoch, status.granting) == (IDENTITY, daemon.arbiter.epoch, False)
    assert status.lease_left == pytest.approx(DEFAULT.lead_within(3.0))
    assert daemon.counters.role == "leader"


# handing over


def test_a_leader_hands_over_and_says_to_whom() -> None:
    daemon = QuorumDaemon()
    daemon.lead()
    holder = daemon.connect().send(extended())
    told: list[tuple[str, str]] = []
    daemon.service.hand_over(lambda leader, why: told.append((leader, why)))
    assert (told, holder.transport.disconnecting) == ([], False)
    [word] = daemon.elector.words
    assert [claim.name.text for claim in read_estate(word).claims] == ["R1"]
    assert daemon.elector.held_back == HOLD_BACK
    daemon.elector.follow("host-b")
    assert told == [("host-b", "")]
    assert holder.transport.disconnecting


def test_if_no_daemon_takes_over_it_leads_again_with_all_that_was_held() -> None:
    daemon = QuorumDaemon()
    daemon.lead()
    held = answer_of(daemon.connect().send(extended()))
    told: list[tuple[str, str]] = []
    daemon.service.hand_over(lambda leader, why: told.append((leader, why)))
    daemon.clock.advance(HOLD_BACK)
    [(leader, why)] = told
    assert (leader, why) == ("", "no daemon has taken over within 2 s")
    daemon.elector.win(*daemon.elector.words)
    back = daemon.connect().send(extended(wait=0, regains=1, session=held.session))
    assert answer_of(back).token == held.token


def test_a_daemon_that_wins_again_at_once_goes_on() -> None:
    daemon = QuorumDaemon()
    daemon.lead()
    daemon.service.hand_over(lambda leader, why: None)
    daemon.elector.win(*daemon.elector.words)
    daemon.clock.advance(HOLD_BACK)
    daemon.elector.keep()
    assert codes(daemon.connect().send(extended())) == [0]


def test_it_is_told_why_a_daemon_does_not_hand_over() -> None:
    daemon = QuorumDaemon()
    told: list[tuple[str, str]] = []
    daemon.service.hand_over(lambda leader, why: told.append((leader, why)))
    daemon.elector.win()
    daemon.service.hand_over(lambda leader, why: told.append((leader, why)))
    assert told == [("", "it does not lead"), ("", "not all that is held is known at this moment")]
    assert daemon.elector.words == []


def test_a_resignation_that_etcd_does_not_take_is_told() -> None:
    daemon = QuorumDaemon()
    daemon.lead()
    daemon.elector.resigned = Deferred()
    told: list[tuple[str, str]] = []
    daemon.service.hand_over(lambda leader, why: told.append((leader, why)))
    daemon.elector.resigned.errback(FlomError("etcd has no majority"))
    assert told == [("", "etcd has no majority")]
    assert daemon.arbiter.is_retired

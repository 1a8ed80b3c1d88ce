"""A daemon under a quorum in its group: clients find it there, and candidates yield."""

from __future__ import annotations

import pytest

from flom.core.group.listening import Listening
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Discover, Discovered, Role, Standing
from flom.server.group.appointed import AppointedMembership
from flom.server.group.service import Membership
from flom.server.lifespan import LifespanService
from tests.fakes.connections import TcpTransport
from tests.fakes.group import ASKER, GROUP, RIVAL, FakePort
from tests.fakes.quorum import QuorumDaemon
from tests.fakes.reactors import MemoryReactor
from tests.server.group.test_service import FakeSeat
from tests.server.quorum.test_clients import answer_of, extended

QUESTION = encode(Discover(GROUP.address, nonce="0" * 128))
CANDIDATE = encode(Discover(GROUP.address, standing=Standing("c" * 16, Role.CANDIDATE, 1)))


class Member(QuorumDaemon):
    """Such a daemon, without a network."""

    def __init__(self, ports: list[FakePort]) -> None:
        super().__init__(is_started=False)
        self.reactor = MemoryReactor()
        self.seat = FakeSeat()
        self._ports = ports
        self.names: list[Role] = []
        self.group = AppointedMembership(
            self.service,
            self.reactor,
            self.arbiter,
            LifespanService(self.arbiter, self.clock, None, self._end),
            Membership(GROUP, Listening(40001, (("", "::"),)), seat=self.seat, on_role=self.names.append),
            self._end,
            self.counters,
            self.factory.sessions,
        )
        self.group.privilegedStartService()
        self.group.startService()
        self.service.startService()

    @property
    def port(self) -> FakePort:
        return self._ports[-1]

    def _end(self) -> None:
        raise AssertionError("it goes on")


@pytest.fixture
def member(ports: list[FakePort]) -> Member:
    return Member(ports)


def test_the_leader_of_the_quorum_announces_itself_and_answers(member: Member) -> None:
    member.elector.win()
    assert member.names[-1] is Role.LEADER
    assert [(standing.role, standing.quorum) for standing in member.port.announced()] == [(Role.LEADER, True)]
    member.port.hear(QUESTION, ASKER)
    [(answer, asker)] = member.port.answers()
    assert isinstance(answer, Discovered)
    assert answer.standing is not None
    assert (answer.standing.role, answer.standing.quorum, answer.alone, asker) == (Role.LEADER, True, False, ASKER)


def test_one_that_stands_by_without_a_leader_says_so_to_clients(member: Member) -> None:
    member.port.hear(QUESTION, ASKER)
    [(answer, _)] = member.port.answers()
    assert isinstance(answer, Discovered)
    assert answer.standing is not None
    assert (answer.standing.role, answer.standing.quorum) == (Role.STANDBY, True)
    other = Standing("b" * 16, Role.LEADER, 1, quorum=True)
    member.port.hear(encode(Discover(GROUP.address, standing=other)), RIVAL)
    member.port.hear(QUESTION, ASKER)
    assert member.port.answers() == []


def test_who_has_asked_just_before_its_election_is_answered(member: Member) -> None:
    other = Standing("b" * 16, Role.LEADER, 1, quorum=True)
    member.port.hear(encode(Discover(GROUP.address, standing=other)), RIVAL)
    member.port.hear(QUESTION, ASKER)
    assert member.port.answers() == []
    member.elector.win()
    [(answer, asker)] = member.port.answers()
    assert isinstance(answer, Discovered)
    assert answer.standing is not None
    assert (answer.standing.role, asker) == (Role.LEADER, ASKER)
    member.elector.lose()
    member.elector.win()
    assert member.port.answers() == []


def test_a_candidate_is_told_that_a_quorum_decides(member: Member) -> None:
    member.port.announced()
    member.port.hear(CANDIDATE, RIVAL)
    assert [(standing.role, standing.quorum) for standing in member.port.announced()] == [(Role.STANDBY, True)]


def test_who_loses_the_leadership_stands_by(member: Member) -> None:
    member.elector.win()
    member.port.announced()
    member.elector.lose()
    assert member.names[-1] is Role.STANDBY
    assert [standing.role for standing in member.port.announced()] == [Role.STANDBY]


def test_it_stands_for_election_once_it_has_the_seat_of_its_host(member: Member) -> None:
    assert member.seat.is_taken
    assert member.elector.running


def test_what_the_group_says_does_not_change_the_grace_or_the_epoch(member: Member) -> None:
    member.elector.win()
    left = member.arbiter.grace_left
    epoch = member.arbiter.epoch
    member.port.hear(encode(Discover(GROUP.address, orphaned=True, holder=7)), ASKER)
    other = Standing("b" * 16, Role.LEADER, 1)
    member.port.hear(encode(Discover(GROUP.address, standing=other, epoch=epoch + 5)), RIVAL)
    assert (member.arbiter.grace_left, member.arbiter.epoch) == (left, epoch)
    assert member.service.known_epoch() >= epoch + 5


def test_a_client_is_told_no_time_of_a_succession(member: Member) -> None:
    member.lead()
    assert answer_of(member.connect(TcpTransport).send(extended())).terms.succession == 0

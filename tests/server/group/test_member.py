"""A daemon in its group: what it answers and what it ignores, whom it yields to, and what it does about interfaces."""

from __future__ import annotations

from ipaddress import ip_address
from socket import gethostname
from typing import Any

import pytest
from twisted.internet.error import ConnectionRefusedError
from twisted.logger import LogEvent
from twisted.python.failure import Failure

from flom._version import __version__
from flom.codes import Outcome
from flom.core.group.addresses import Group
from flom.core.group.election import successor_of
from flom.core.group.key import GroupKey, promise_of
from flom.core.group.listening import Listening
from flom.core.group.ranking import FLOM
from flom.core.group.timing import DEFAULT_TIMING, ROUNDS
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Answer, Discover, Discovered, Offer, Role, Standing
from flom.net.multicast import NoMulticast
from flom.server.group.member import (
    LEADER_MEMORY,
    MAX_AMPLIFICATION,
    PROMISE,
    REDIRECT,
    GroupMember,
    MemberObserver,
    Standby,
    seal_offer,
)
from flom.server.group.rival import MOST_CHECKED, PAUSE, Source
from tests.fakes.connections import lock, unlock, xml
from tests.fakes.group import ASKER, GROUP, OWN, RIVAL, FakePort, ReachedRival, instant, pass_time
from tests.fakes.logs import errors, warnings
from tests.fakes.reactors import MemoryReactor

QUESTION = Discover(GROUP.address)
PLAIN_QUESTION = b'<?xml version="1.0" encoding="UTF-8" ?><msg level="3" verb="4" step="8"></msg>'
PLAIN_ANSWER = (
    b'<?xml version="1.0" encoding="UTF-8" ?><msg level="3" verb="4" step="16"><network address="" port="40001"/></msg>'
)

OLDER_LEADER = Standing("0123456789abcdef", Role.LEADER, 1_700_000_000_000)
YOUNGER_LEADER = Standing("0123456789abcdef", Role.LEADER, 1_900_000_000_000)


class Member(MemberObserver):
    """
    A daemon that is a candidate in L{GROUP}, and its port.

    @ivar roles: what it has become, one after another.
    """

    def __init__(
        self,
        ports: list[FakePort],
        address: tuple[str, int] | None = ("", 40001),
        group: Group = GROUP,
        listening: Listening | None = None,
    ) -> None:
        self.reactor = MemoryReactor()
        self.roles: list[Role] = []
        if listening is None and address is not None:
            listening = Listening(address[1], ((address[0], "::"),))
        self.member = GroupMember(group, listening, self.reactor, lambda: instant(self.reactor), self)
        self._ports = ports
        self.whys_deaf: list[str] = []
        self.epochs: list[int] = []
        self.reached: list[ReachedRival] = []
        self.held_there: list[tuple[str, list[Any]]] = []

    def role_changed(self, role: Role, leader: Standing | None) -> None:
        self.roles.append(role)

    def epoch(self) -> int:
        return 41

    def heard_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    def prevailed(self) -> None:
        self.epochs.append(-1)

    def is_deaf(self, why: str) -> None:
        self.whys_deaf.append(why)

    def holds_elsewhere(self, rival: str, held: list[Any], digests: object) -> None:
        self.held_there.append((rival, held))

    @property
    def role(self) -> Role:
        return self.roles[-1]

    @property
    def standing(self) -> Standing:
        return self.member.election.standing

    def open(self) -> Member:
        self.member.open()
        self.port = self._ports[-1]
        return self

    def win(self) -> Member:
        """Win the election."""
        self.open()
        pass_time(self.reactor, 2 * DEFAULT_TIMING.campaign)
        assert self.role is Role.LEADER
        self.port.announced()
        return self

    def follow(self, leader: Standing = OLDER_LEADER) -> Member:
        """Stand by."""
        self.open()
        self.hear_of(leader)
        assert self.role is Role.STANDBY
        return self

    def hear_of(self, other: Standing) -> None:
        """Receive the standing of another daemon, L{RIVAL}."""
        self.port.hear(encode(Discover(GROUP.address, standing=other)), RIVAL)

    def hear_reply(self, standing: Standing | None = OLDER_LEADER, address: str = "") -> None:
        """Receive an answer of the other daemon."""
        self.port.hear(encode(Discovered(address, 40009, standing, "beta", "1")), RIVAL)

    def connecting(self) -> list[tuple[str, int]]:
        """Return the addresses to which it has begun to connect."""
        return [(host, port) for host, port, *_ in self.reactor.tcpClients]

    def connect(self) -> ReachedRival:
        """Complete the connection that it has begun."""
        self.reached.append(ReachedRival(self.reactor))
        return self.reached[-1]

    def refuse(self) -> None:
        """Refuse the connection that it has begun."""
        _, _, factory, *_ = self.reactor.tcpClients[0]
        factory.clientConnectionFailed(self.reactor.connectors[0], Failure(ConnectionRefusedError()))


@pytest.fixture
def member(ports: list[FakePort]) -> Member:
    return Member(ports)


# clients that look for a daemon


def test_an_asker_of_flom_is_answered_as_flom_does(member: Member) -> None:
    assert encode(Discover()) == PLAIN_QUESTION
    member.win().port.hear(PLAIN_QUESTION, ASKER)
    assert member.port.sent == [(PLAIN_ANSWER, ASKER)]


@pytest.mark.parametrize("question", [Discover(), QUESTION], ids=["plain", "ours"])
def test_who_does_not_lead_says_nothing(question: Discover, ports: list[FakePort]) -> None:
    for member in (Member(ports).open(), Member(ports).follow()):
        member.port.hear(encode(question), ASKER)
        assert member.port.answers() == []


def test_an_asker_of_ours_is_told_more(member: Member) -> None:
    member.win().port.hear(encode(QUESTION), ASKER)
    answer = Discovered("", 40001, member.standing, gethostname(), __version__, alone=True)
    assert member.port.answers() == [(answer, ASKER)]


@pytest.mark.parametrize("rival", [None, YOUNGER_LEADER, OLDER_LEADER], ids=["of FLoM", "younger", "older"])
def test_an_asker_is_told_that_no_other_was_heard(member: Member, rival: Standing | None) -> None:
    member.win()
    assert is_alone(member)
    member.hear_reply(rival)
    assert not is_alone(member)
    pass_time(member.reactor, DEFAULT_TIMING.patience + 0.1)
    assert is_alone(member)


def test_who_does_not_hear_the_group_cannot_tell(member: Member) -> None:
    member.win().port.is_deaf = True
    pass_time(member.reactor, 2 * DEFAULT_TIMING.heartbeat)
    assert not is_alone(member)


def test_nor_can_one_by_one_interface_of_two(member: Member) -> None:
    member.win().port.interfaces.append("eth1")
    member.port.deaf.add("eth1")
    pass_time(member.reactor, 60.0)
    assert not is_alone(member)


def is_alone(member: Member) -> bool:
    """Return whether the leader says to an asker that it is alone."""
    member.port.answers()
    member.port.hear(encode(QUESTION), ASKER)
    [(answer, _)] = member.port.answers()
    assert isinstance(answer, Discovered)
    return answer.alone


def test_a_configured_address_is_told_as_it_is(ports: list[FakePort]) -> None:
    member = Member(ports, address=("db.example.org", 28016)).win()
    for question in (Discover(), QUESTION):
        member.port.hear(encode(question), ASKER)
    for answer, _ in member.port.answers():
        assert isinstance(answer, Discovered)
        assert (answer.address, answer.port) == ("db.example.org", 28016)


def test_each_interface_is_told_its_own_address(ports: list[FakePort]) -> None:
    """By answers, announcements, and what a rival alone is told."""
    member = Member(ports, listening=Listening(28016, tuple((host, host) for host in ("172.17.0.1", "10.77.1.1"))))
    member.open()
    port = member.port
    port.interfaces = ["eth0", "docker0"]
    port.addresses = {"eth0": [ip_address("10.77.1.1")], "docker0": [ip_address("172.17.0.1")]}
    pass_time(member.reactor, 2 * DEFAULT_TIMING.campaign)
    assert member.role is Role.LEADER
    assert [told.address for told in port.told[-2:] if isinstance(told, Discover)] == ["10.77.1.1", "172.17.0.1"]
    for port.came_by, host in ("eth0", "10.77.1.1"), ("docker0", "172.17.0.1"), ("eth1", "172.17.0.1"):
        port.hear(encode(QUESTION), ASKER)
        [(answer, _)] = port.answers()
        assert isinstance(answer, Discovered)
        assert (answer.address, answer.port) == (host, 28016)
    port.came_by = "eth0"
    member.hear_reply()
    port.came_by = "docker0"
    member.connect()
    [(announcement, to), *_] = port.answers()
    assert isinstance(announcement, Discover)
    assert (announcement.address, to) == ("10.77.1.1", RIVAL)


def test_a_question_for_another_group_is_not_answered(member: Member) -> None:
    member.win().port.hear(encode(Discover("ff02::2")), ASKER)
    assert member.port.answers() == []


def test_who_stands_by_answers_if_everyone_is_asked(ports: list[FakePort]) -> None:
    for member in (Member(ports).open(), Member(ports).follow()):
        member.port.hear(encode(Discover(GROUP.address, everyone=True)), ASKER)
        [(answer, _)] = member.port.answers()
        assert isinstance(answer, Discovered)
        assert answer.standing == member.standing
        assert answer.standing.role is not Role.LEADER


def test_but_never_so_that_a_client_of_flom_would_take_it_for_the_daemon(member: Member) -> None:
    member.follow().port.hear(encode(Discover(everyone=True)), ASKER)
    assert member.port.answers() == []


def test_who_stands_for_a_daemon_that_is_being_started_answers_nobody(ports: list[FakePort]) -> None:
    member = Member(ports, address=None).win()
    for question in (Discover(), QUESTION, Discover(GROUP.address, everyone=True)):
        member.port.hear(encode(question), ASKER)
    assert member.port.answers() == []


STANDBY = Standby(
    Standing("fedcba9876543210", Role.STANDBY, 1_700_000_000_000), Source(RIVAL, ("fe80::9%eth0", 40009)), "gamma"
)


def test_a_leader_knows_the_standbys_that_have_answered(member: Member) -> None:
    member.win().member.ask_standbys()
    member.port.hear(encode(Discovered("", 40009, STANDBY.standing, STANDBY.host)), RIVAL)
    member.port.hear(encode(Discovered("", 40001, member.standing)), OWN)
    assert member.member.standbys == [STANDBY._replace(source=Source(RIVAL, (RIVAL[0], 40009)))]


def test_the_successor_of_a_leader_is_announced(member: Member) -> None:
    member.win().member.announce_successor("fedcba9876543210", "a promise", lambda: None)
    [announcement] = member.port.told
    assert isinstance(announcement, Discover)
    assert (announcement.successor, announcement.promise) == ("fedcba9876543210", "a promise")


def test_it_is_told_when_its_successor_leads(member: Member) -> None:
    """And does not take it for a rival."""
    heard: list[bool] = []
    member.win().member.announce_successor("0123456789abcdef", "a promise", lambda: heard.append(True))
    member.hear_of(OLDER_LEADER)
    assert heard == [True]
    assert member.reactor.tcpClients == []


def test_while_it_is_being_decided_who_leads_nobody_is_answered(member: Member) -> None:
    member.win().member.hold_questions()
    member.port.hear(encode(QUESTION), ASKER)
    assert member.port.answers() == []
    member.member.answer_held()
    [(answer, asker)] = member.port.answers()
    assert isinstance(answer, Discovered)
    assert (answer.standing, asker) == (member.standing, ASKER)


def test_a_leader_that_has_handed_over_sends_clients_to_the_next_one(member: Member) -> None:
    member.win().member.hold_questions()
    leader = successor_of(member.standing, STANDBY.standing.node)
    member.port.hear(encode(QUESTION), ASKER)
    member.member.hand_over(STANDBY)
    member.member.answer_held()
    member.port.hear(encode(QUESTION), ASKER)
    member.port.hear(PLAIN_QUESTION, ASKER)
    answers = [answer for answer, _ in member.port.answers()]
    found = Discovered("fe80::9", 40009, leader, "gamma", alone=True)
    assert answers == [found, found, Discovered("fe80::9", 40009)]
    pass_time(member.reactor, REDIRECT)
    member.port.hear(encode(QUESTION), ASKER)
    assert member.port.answers() == []


def offer_of(nonce: str, node: str) -> Offer:
    return seal_offer(GROUP, OLDER_LEADER.node, node, nonce)


def promise(member: Member, nonce: str, leader: Standing = OLDER_LEADER) -> None:
    """Announce, as the leader, that it hands over to C{member}."""
    announced = Discover(
        GROUP.address, standing=leader, port=40009, successor=member.standing.node, promise=promise_of(nonce)
    )
    member.port.hear(encode(announced), RIVAL)


def test_a_standby_takes_over_from_its_leader_alone(member: Member) -> None:
    """And only if that has announced it, and proves that it was itself."""
    member.open()
    pass_time(member.reactor, 0.1)  # it hears itself
    member.hear_of(OLDER_LEADER)
    own = member.standing.node
    assert "has not heard" in member.member.why_not_succeed(offer_of("00", own))
    promise(member, "00")
    assert member.member.is_promised
    assert "has not heard" in member.member.why_not_succeed(offer_of("01", own))
    assert "key" in member.member.why_not_succeed(offer_of("00", "another node"))
    assert member.member.why_not_succeed(offer_of("00", own)) == ""
    promise(member, "00", YOUNGER_LEADER.replace(node="aa" * 8))
    assert "has not heard" in member.member.why_not_succeed(offer_of("00", own))
    promise(member, "00")
    member.member.succeed()
    assert member.role is Role.LEADER
    assert member.standing == successor_of(OLDER_LEADER, own)


def test_a_promise_holds_for_a_while(member: Member) -> None:
    promise(member.follow(), "00")
    pass_time(member.reactor, 1.0)
    assert member.member.is_promised
    pass_time(member.reactor, PROMISE)
    assert not member.member.is_promised


@pytest.mark.parametrize("host", ["a", "h" * 64])
@pytest.mark.parametrize("address", ["", "a" * 63 + ".example.org", "a." * 110 + "example.org"])
@pytest.mark.parametrize("everyone", [False, True])
def test_an_answer_is_little_longer_than_the_question(
    ports: list[FakePort], monkeypatch: pytest.MonkeyPatch, host: str, address: str, everyone: bool
) -> None:
    monkeypatch.setattr("flom.server.group.member.gethostname", lambda: host)
    whole = encode(Discover(GROUP.address, everyone))
    brief = xml(4, 8).replace(b'step="8"', b'step="8" group="ff02::1"' + b' everyone="1"' * everyone)
    for member in (Member(ports, (address, 40001)).win(), Member(ports, (address, 40001)).follow()):
        for question in (whole, brief):
            member.port.hear(question, ASKER)
            [size] = [len(answer) for answer, _ in member.port.sent] or [0]
            of_flom = len(encode(Discovered(address, 40001))) if member.role is Role.LEADER else 0
            assert size <= max(len(question) + MAX_AMPLIFICATION, of_flom)
            member.port.answers()


def test_for_an_asker_of_ours_there_is_room_enough(ports: list[FakePort], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flom.server.group.member.gethostname", lambda: "h" * 64)
    member = Member(ports, address=("a" * 63 + ".example.org", 40001)).win()
    member.port.hear(encode(QUESTION), ASKER)
    [(answer, _)] = member.port.answers()
    assert isinstance(answer, Discovered)
    assert answer.standing == member.standing


# what is not for it (docs/compatibility.md, "A datagram can end the daemon")


NOISE = {
    "nothing": b"",
    "text that is no XML": b"hello",
    "a question cut off": encode(Discover())[:-1],
    "a question too long": encode(Discover()) + b" " * 500,
    "an answer": encode(Discovered("", 1)),
    "an answer without an address": xml(4, 16),
    "an answer without a port": xml(4, 16, '<network address=""/>'),
    "an answer with a port that is none": xml(4, 16, '<network address="" port="70000"/>'),
    "a daemon of an unknown role": encode(Discover(GROUP.address, standing=OLDER_LEADER)).replace(
        b'"leader"', b'"king"'
    ),
    "a daemon cut off": encode(Discover(GROUP.address, standing=OLDER_LEADER))[:-1],
    "a ping": xml(3, 8),
    "another level": xml(4, 8, level=2),
    "an unknown tag": xml(4, 8, '<foo a="1"/>'),
    "a shutdown": xml(5, 8, '<shutdown immediate="1"/>'),
    "a lock": lock(),
    "an unlock": unlock(),
    "as many bytes as a datagram can have": b"\xff" * 60000,
}


@pytest.mark.parametrize("datagram", NOISE.values(), ids=NOISE.keys())
def test_anything_else_is_ignored(datagram: bytes, member: Member) -> None:
    member.win().port.hear(datagram, ASKER)
    assert member.port.answers() == []
    member.port.hear(encode(Discover()), ASKER)  # a part of a question, for one, does not poison the next
    assert member.port.sent == [(PLAIN_ANSWER, ASKER)]
    assert member.role is Role.LEADER


# the others of the group


def test_a_candidate_is_told_at_once_who_leads(member: Member) -> None:
    member.win().hear_of(Standing("0123456789abcdef", Role.CANDIDATE, 1))
    assert member.port.announced() == [member.standing]
    assert member.port.answers() == []  # the port there may be shared with a daemon of another group


def test_a_candidate_that_does_not_hear_the_leader_is_told_by_those_who_do(member: Member) -> None:
    member.follow().hear_of(Standing("0123456789abcdef", Role.CANDIDATE, 1))
    relayed = Discover(GROUP.address, standing=OLDER_LEADER, relayed=True)
    assert member.port.answers() == [(relayed, RIVAL)]


def test_what_is_told_of_a_leader_keeps_a_candidate_back(member: Member) -> None:
    member.open()
    member.port.hear(encode(Discover(GROUP.address, standing=OLDER_LEADER, relayed=True)), RIVAL)
    assert member.role is Role.STANDBY


def test_an_announcement_says_where_the_leader_listens(member: Member) -> None:
    member.win()
    pass_time(member.reactor, DEFAULT_TIMING.heartbeat)
    assert {(told.address, told.port) for told in member.port.told if isinstance(told, Discover)} == {("", 40001)}


def test_who_leads_says_goodbye_more_than_once(member: Member) -> None:
    standing = member.win().standing
    member.member.leave()
    assert member.port.announced() == [Standing(standing.node, Role.LEAVING, standing.since)] * 3
    member.port.stopListening()
    assert member.reactor.getDelayedCalls() == []


@pytest.mark.parametrize("leader", [None, OLDER_LEADER], ids=["a candidate", "standing by"])
def test_who_does_not_lead_goes_without_a_word(member: Member, leader: Standing | None) -> None:
    if leader is None:
        member.open()
    else:
        member.follow(leader)
    member.port.announced()
    member.member.leave()
    member.port.stopListening()
    assert member.port.announced() == []
    assert member.reactor.getDelayedCalls() == []


def test_who_stands_by_leads_when_the_leader_says_goodbye(member: Member) -> None:
    member.follow().hear_of(Standing(OLDER_LEADER.node, Role.LEAVING, OLDER_LEADER.since))
    pass_time(member.reactor, 2 * DEFAULT_TIMING.campaign)
    assert member.role is Role.LEADER


# two leaders


def test_a_rival_that_does_not_say_where_it_is_was_forged(member: Member) -> None:
    member.win()
    for _ in range(10):
        member.hear_of(OLDER_LEADER)
        pass_time(member.reactor, 1.0)
    assert member.role is Role.LEADER
    assert member.standing in member.port.announced()


def test_a_rival_that_cannot_be_reached_is_not_yielded_to(member: Member, log: list[LogEvent]) -> None:
    member.win().hear_reply()
    assert member.connecting() == [("fe80::9%eth0", 40009)]
    member.refuse()
    assert member.role is Role.LEADER
    [warning] = warnings(log)
    assert OLDER_LEADER.node in warning
    assert "refused" in warning


def test_nor_is_one_that_just_does_not_answer(member: Member, log: list[LogEvent]) -> None:
    member.win().hear_reply()
    pass_time(member.reactor, 5.0)
    assert member.role is Role.LEADER
    assert len(warnings(log)) == 1


def test_a_rival_that_proves_that_it_leads_is_yielded_to(member: Member, log: list[LogEvent]) -> None:
    own = member.win().standing
    member.hear_of(OLDER_LEADER)
    member.hear_reply()
    assert member.roles == [Role.CANDIDATE, Role.LEADER]
    member.connect().prove(OLDER_LEADER)
    assert member.roles == [Role.CANDIDATE, Role.LEADER, Role.STANDBY]
    [error] = errors(log)
    assert own.node in error
    assert OLDER_LEADER.node in error
    assert "fe80::9%eth0" in error


def test_one_that_only_accepts_connections_is_not(member: Member, log: list[LogEvent]) -> None:
    member.win().hear_reply()
    member.connect().close()
    member.connect().close()  # is it of version 0.1.0, which knows no challenge?
    assert member.role is Role.LEADER
    [warning] = warnings(log)
    assert OLDER_LEADER.node in warning
    assert "no daemon answers there" in warning


@pytest.mark.parametrize(
    "standing",
    [None, OLDER_LEADER.replace(node="f" * 16), OLDER_LEADER.replace(role=Role.STANDBY), YOUNGER_LEADER],
    ids=["of another group", "another node", "one that stands by", "one that has led for less time"],
)
def test_nor_is_a_daemon_that_does_not_lead_as_was_said(member: Member, standing: Standing | None) -> None:
    member.win().hear_reply()
    member.connect().prove(standing)
    assert member.role is Role.LEADER


def test_a_rival_is_told_that_this_daemon_leads_too(member: Member) -> None:
    own = member.win().standing
    member.hear_reply()
    told = Discover(GROUP.address, standing=own, port=40001, epoch=41)
    assert [message.replace(number=0) for message, _ in member.port.answers() if isinstance(message, Discover)] == [
        told
    ]


def test_a_rival_that_has_just_announced_itself_is_known(member: Member) -> None:
    member.win().hear_of(YOUNGER_LEADER)
    assert member.member.has_heard(YOUNGER_LEADER.node)
    assert not member.member.has_heard("f" * 16)
    pass_time(member.reactor, LEADER_MEMORY + 0.1)
    assert not member.member.has_heard(YOUNGER_LEADER.node)


def test_it_is_reached_where_it_says_that_it_is(member: Member) -> None:
    member.win().hear_reply(address="fe80::5")
    assert member.connecting() == [("fe80::5%eth0", 40009)]


def test_a_rival_that_came_later_has_to_yield_to_us(member: Member, log: list[LogEvent]) -> None:
    member.win().hear_of(YOUNGER_LEADER)
    member.hear_reply(YOUNGER_LEADER)
    assert member.standing in member.port.announced()
    assert member.role is Role.LEADER
    [error] = errors(log)
    assert member.standing.node in error
    assert YOUNGER_LEADER.node in error


def test_a_leader_announces_its_epoch(member: Member) -> None:
    pass_time(member.open().reactor, 2 * DEFAULT_TIMING.campaign)
    member.member.leave()
    told = [message for message in member.port.told if isinstance(message, Discover)]
    assert {message.standing and (message.standing.role, message.epoch) for message in told} == {
        (Role.CANDIDATE, 0),
        (Role.LEADER, 41),
        (Role.LEAVING, 41),
    }


def test_the_epochs_of_others_are_noted(member: Member) -> None:
    member.follow()
    for epoch, role in (7, Role.LEADER), (8, Role.LEAVING):
        other = Discover(GROUP.address, standing=OLDER_LEADER.replace(role=role), epoch=epoch)
        member.port.hear(encode(other), RIVAL)
    assert member.epochs == [7, 8]


def test_a_rival_that_proves_that_it_leads_and_has_to_yield_is_outranked(member: Member) -> None:
    member.win().hear_reply(YOUNGER_LEADER)
    assert member.epochs == []
    member.connect().prove(YOUNGER_LEADER)
    assert member.epochs == [-1]


def test_what_it_holds_is_asked_for(member: Member) -> None:
    member.win().hear_reply(YOUNGER_LEADER)
    member.connect().prove(YOUNGER_LEADER, held=None)  # it has not heard yet that we lead
    assert member.held_there == []
    pass_time(member.reactor, PAUSE)
    member.connect().prove(YOUNGER_LEADER.replace(role=Role.STANDBY))
    assert member.held_there == [(YOUNGER_LEADER.node, [])]
    assert member.role is Role.LEADER


def test_a_daemon_of_flom_is_yielded_to(member: Member, log: list[LogEvent]) -> None:
    own = member.win().standing
    member.hear_reply(standing=None)
    member.connect().say(encode(Answer(16, Outcome.CANNOT_WAIT)))
    assert member.roles == [Role.CANDIDATE, Role.LEADER]
    member.reached[-1].close()
    assert member.roles == [Role.CANDIDATE, Role.LEADER, Role.STANDBY]
    assert member.member.election.leader == FLOM
    [error] = errors(log)
    assert own.node in error
    assert "FLoM at [fe80::9%eth0]:28015" in error


def test_however_many_rivals_are_forged_a_few_at_a_time_are_connected_to(member: Member) -> None:
    member.win()
    for number in range(100):
        member.hear_reply(Standing(f"{number:016x}", Role.LEADER, number))
    assert len(member.connecting()) == MOST_CHECKED
    member.refuse()
    member.hear_reply()
    assert len(member.connecting()) == MOST_CHECKED + 1


def test_a_daemon_that_ends_reaches_for_nobody_any_more(member: Member) -> None:
    member.win().hear_reply()
    member.member.leave()
    member.port.stopListening()
    assert member.reactor.connectors[0].stoppedConnecting
    assert member.reactor.getDelayedCalls() == []


# a key


KEY = GroupKey(b"k" * 32, lambda: "00" * 16)
OTHER_KEY = GroupKey(b"o" * 32, lambda: "00" * 16)
REQUIRED = GroupKey(b"k" * 32, lambda: "00" * 16, is_required=True)


def announcement(other: Standing, number: int = 1) -> bytes:
    return encode(Discover(GROUP.address, standing=other, port=40009, number=number))


def keyed(ports: list[FakePort], key: GroupKey = KEY) -> Member:
    return Member(ports, group=GROUP.replace(key=key))


@pytest.mark.parametrize("key", [None, OTHER_KEY])
def test_an_announcement_without_the_key_is_ignored(ports: list[FakePort], key: GroupKey | None) -> None:
    member = keyed(ports).win()
    datagram = announcement(OLDER_LEADER)
    member.port.hear(datagram if key is None else key.seal(datagram), RIVAL)
    assert member.connecting() == []
    member.port.hear(KEY.seal(datagram), RIVAL)
    assert len(member.connecting()) == 1


def test_answers_are_sealed(ports: list[FakePort]) -> None:
    member = keyed(ports).win()  # it has heard itself, so its announcements are sealed too
    nonce = "12" * 16
    member.port.hear(KEY.seal(encode(Discover(GROUP.address, nonce=nonce))), ASKER)
    [(datagram, _)] = member.port.sent
    assert KEY.is_sealed(datagram, nonce)


def test_an_announcement_that_was_recorded_is_not_believed_again(ports: list[FakePort]) -> None:
    member = keyed(ports).open()
    member.port.hear(KEY.seal(announcement(OLDER_LEADER, 7)), RIVAL)
    assert member.role is Role.STANDBY
    for _ in range(10):
        member.port.hear(KEY.seal(announcement(OLDER_LEADER, 7)), RIVAL)
        member.port.hear(KEY.seal(announcement(OLDER_LEADER, 6)), RIVAL)
        pass_time(member.reactor, 0.4)
    assert member.roles == [Role.CANDIDATE, Role.STANDBY, Role.CANDIDATE, Role.LEADER]


@pytest.mark.parametrize(("key", "is_answered"), [(KEY, True), (REQUIRED, False)])
def test_those_without_a_key_are_answered_unless_it_is_required(
    ports: list[FakePort], key: GroupKey, is_answered: bool
) -> None:
    member = keyed(ports, key).win()
    for question in (PLAIN_QUESTION, encode(QUESTION)):
        member.port.hear(question, ASKER)
        assert bool(member.port.answers()) is is_answered
    member.port.hear(encode(Discovered("", 40009)), RIVAL)  # of FLoM
    assert bool(member.connecting()) is is_answered


# a campaign that was begun before


class Begun:
    """Stands in for a L{flom.net.campaign.Campaign} that was begun at once, and has heard itself."""

    def __init__(self, announced: int, *heard: bytes) -> None:
        self.standing = Standing("9" * 16, Role.CANDIDATE, 1_800_000_000_000)
        self.began = self.last_at = 0.0
        self.announced = self.in_a_row = announced
        self.joined = self.expected = ["eth0"]
        self.heard = [(encode(Discover(GROUP.address, standing=self.standing)), OWN, "eth0")]
        self.heard += [(datagram, RIVAL, "eth0") for datagram in heard]
        self.socket = self
        self.is_stopped = False

    def stop(self) -> None:
        self.is_stopped = True


def going_on(ports: list[FakePort], begun: Any) -> Member:
    """Return a daemon that goes on with a campaign, after C{heard}."""
    member = Member(ports)
    member.member = GroupMember(GROUP, None, member.reactor, lambda: instant(member.reactor), member, campaign=begun)
    return member.open()


def test_a_campaign_is_gone_on_with_once_the_reactor_runs(ports: list[FakePort]) -> None:
    begun = Begun(ROUNDS - 2)
    member = going_on(ports, begun)
    assert not begun.is_stopped
    pass_time(member.reactor, 0.01)
    assert begun.is_stopped
    assert member.role is Role.CANDIDATE
    pass_time(member.reactor, 4 * DEFAULT_TIMING.round)
    assert member.role is Role.LEADER
    assert member.standing.node == begun.standing.node
    numbers = [told.number for told in member.port.told if isinstance(told, Discover)]
    assert numbers == list(range(ROUNDS - 1, ROUNDS - 1 + len(numbers)))


@pytest.mark.parametrize(
    "objection",
    [
        encode(Discover(GROUP.address, standing=OLDER_LEADER)),
        encode(Discover(GROUP.address, standing=Standing("0" * 16, Role.CANDIDATE, 1))),
        encode(Discovered("", 40009)),
    ],
    ids=["a leader", "an older candidate", "a daemon of FLoM"],
)
def test_but_not_if_others_have_objected_meanwhile(ports: list[FakePort], objection: bytes) -> None:
    member = going_on(ports, Begun(ROUNDS, objection))
    pass_time(member.reactor, DEFAULT_TIMING.campaign)
    assert member.role is Role.STANDBY


# interfaces come and go


def test_it_is_a_member_on_every_interface(member: Member) -> None:
    member.open()
    assert member.port.joined == ["eth0"]
    assert member.port.is_member


def test_new_interfaces_are_joined_later(member: Member) -> None:
    member.win().port.interfaces.append("eth1")
    pass_time(member.reactor, 2.0)
    assert member.port.joined == ["eth0", "eth1"]


def test_without_an_interface_it_does_not_start(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakePort, "has_interfaces", False)
    with pytest.raises(NoMulticast, match="no network interface"):
        member.open()


def test_who_loses_all_interfaces_says_so_once_and_does_not_win_unheard(member: Member, log: list[LogEvent]) -> None:
    member.open()
    member.port.interfaces.clear()
    pass_time(member.reactor, 30.0)
    assert member.roles == [Role.CANDIDATE]
    assert errors(log) == ["ff02::1: no network interface"]
    member.port.interfaces.append("eth0")
    pass_time(member.reactor, 2 * DEFAULT_TIMING.campaign)
    assert member.role is Role.LEADER


def test_who_loses_them_a_second_time_says_so_again(member: Member, log: list[LogEvent]) -> None:
    member.win()
    for _ in range(2):
        member.port.interfaces.clear()
        pass_time(member.reactor, 5.0)
        member.port.interfaces.append("eth0")
        pass_time(member.reactor, 5.0)
    assert len(errors(log)) == 2
    assert member.role is Role.LEADER


def test_a_member_that_does_not_hear_itself_says_so_and_does_not_win(member: Member) -> None:
    member.open()
    member.port.is_deaf = True
    pass_time(member.reactor, 30.0)
    assert member.roles == [Role.CANDIDATE, Role.STANDBY]
    [why] = member.whys_deaf
    assert "does not come back" in why
    member.port.is_deaf = False
    pass_time(member.reactor, 2 * (DEFAULT_TIMING.heartbeat + DEFAULT_TIMING.campaign))
    assert member.role is Role.LEADER


def test_what_cannot_be_sent_to_an_asker_is_as_good_as_lost(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(datagram: bytes, addressee: object) -> None:
        raise OSError("network is unreachable")

    monkeypatch.setattr(member.win().port, "write", fail)
    member.port.hear(PLAIN_QUESTION, ASKER)
    assert member.role is Role.LEADER


def test_a_member_does_not_win_if_one_of_two_interfaces_is_deaf(member: Member) -> None:
    member.open()
    member.port.interfaces.append("docker0")
    member.port.deaf.add("eth0")
    pass_time(member.reactor, 30.0)
    assert member.roles == [Role.CANDIDATE, Role.STANDBY]
    [why] = member.whys_deaf
    assert " by eth0 does not come back" in why


def test_a_leader_leaves_out_a_deaf_interface_until_it_hears(member: Member, log: list[LogEvent]) -> None:
    member.win()
    member.port.deaf.add("eth1")
    member.port.interfaces.append("eth1")
    pass_time(member.reactor, 10.0)
    assert "eth1 is left out" in errors(log)[0]
    assert (member.role, member.port.expected) == (Role.LEADER, ["eth0"])
    member.port.deaf.clear()
    pass_time(member.reactor, 3.0)
    assert set(member.port.joined) == {"eth0", "eth1"}
    assert (member.role, member.whys_deaf) == (Role.LEADER, [])


def test_a_leader_that_does_not_hear_itself_joins_again(member: Member) -> None:
    member.win()
    member.port.deaf.add("eth0")
    pass_time(member.reactor, 3.0)
    member.port.deaf.clear()
    pass_time(member.reactor, 10.0)
    assert (member.role, member.port.joined) == (Role.LEADER, ["eth0"])


def test_a_leader_that_stays_deaf_stops_leading(member: Member) -> None:
    member.win()
    member.port.deaf.add("eth0")
    pass_time(member.reactor, 10.0)
    assert member.role is Role.STANDBY
    assert Role.LEAVING in [standing.role for standing in member.port.announced()]
    [why] = member.whys_deaf
    assert " by eth0 does not come back" in why

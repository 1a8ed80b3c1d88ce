"""
Looking for the daemon of a group: whom a client chooses, and what it takes for no answer
(docs/compatibility.md, "Discovery by the client", "A bad reply to discovery crashes the client").
"""

from __future__ import annotations

from collections.abc import Awaitable
from itertools import permutations
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.address import IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from flom.client.deferred.discovery import (
    CONNECT_TIMEOUT,
    INTERREGNUM,
    SETTLE,
    Answer,
    Asker,
    choice_warning,
    connect_to_first,
)
from flom.core.group.addresses import Sender
from flom.core.group.discovery import ASK_AGAIN
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import MAX_ANSWER_SIZE
from flom.core.protocol.messages import Discover, Discovered, Role, Standing
from flom.errors import DaemonUnreachable
from tests.fakes.connections import lock, xml
from tests.fakes.group import GROUP, STEP, FakePort, fake_ports, pass_time

ALPHA: Sender = ("fe80::a%eth0", 28015)
BETA: Sender = ("fe80::b%eth0", 28015)
GAMMA: Sender = ("fe80::c%eth0", 28015)

OF_FLOM = Discovered("", 40001)
OLDER = Discovered("", 40002, Standing("b" * 16, Role.LEADER, 1_700_000_000_000), "beta", "1")
YOUNGER = Discovered("", 40003, Standing("a" * 16, Role.LEADER, 1_800_000_000_000), "gamma", "1")
STANDING_BY = Discovered("", 40004, Standing("0" * 16, Role.STANDBY, 1_600_000_000_000), "delta", "1")


class Search:
    """
    Somebody who asks L{GROUP} for its daemon.

    @ivar said: what the user was told.
    """

    def __init__(self, ports: list[FakePort], **options: Any) -> None:
        self.reactor = MemoryReactorClock()
        self.said: list[str] = []
        self.asker = Asker(GROUP, self.reactor, self.said.append, **options)
        self.asker.__enter__()
        self.port = ports[-1]

    def start(self, asking: Awaitable[list[Answer]]) -> Result:
        return Result(self, asking)

    def hear(self, reply: Discovered, sender: Sender = ALPHA) -> None:
        """Let an answer come."""
        self.port.hear(encode(reply), sender)


class Result:
    """What becomes of a question."""

    def __init__(self, search: Search, asking: Any) -> None:
        self._search = search
        self._results: list[list[Answer]] = []
        Deferred.fromCoroutine(asking).addCallback(self._results.append)

    @property
    def is_there(self) -> bool:
        return bool(self._results)

    def after(self, seconds: float) -> list[Answer]:
        """Give the answers that are there after some seconds, and not before."""
        assert not self.is_there
        pass_time(self._search.reactor, seconds)
        [answers] = self._results
        return answers


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> list[FakePort]:
    return fake_ports(monkeypatch, "flom.client.deferred.discovery")


@pytest.fixture
def search(ports: list[FakePort]) -> Search:
    return Search(ports)


# asking


def test_the_group_is_asked_and_the_port_of_this_host(search: Search) -> None:
    search.start(search.asker.ask(1.0))
    assert search.port.told == [Discover(GROUP.address)]
    assert search.port.answers() == [(Discover(GROUP.address), ("::1", GROUP.port))]
    assert not search.port.is_member
    assert any("ff02::1/28015" in line for line in search.said)


def test_everyone_is_asked_if_wanted(ports: list[FakePort]) -> None:
    search = Search(ports, everyone=True)
    search.start(search.asker.ask(1.0))
    assert search.port.told == [Discover(GROUP.address, everyone=True)]


def test_who_answers_is_there_after_a_moment_for_the_others(search: Search) -> None:
    asking = search.start(search.asker.ask(1.0))
    pass_time(search.reactor, 0.5)
    search.hear(OLDER, BETA)
    [answer] = asking.after(SETTLE)
    assert (answer.host, answer.port) == ("fe80::b%eth0", 40002)
    assert answer.peer == "[fe80::b%eth0]:40002"
    assert any("fe80::b%eth0/28015" in line and 'node="bbbb' in line for line in search.said)


def test_silence_is_no_answer(search: Search) -> None:
    assert search.start(search.asker.ask(1.0)).after(1.0) == []


def test_it_is_asked_as_often_as_wanted(search: Search) -> None:
    assert search.start(search.asker.ask_often(3, 0.5)).after(1.5) == []
    assert search.port.told == [Discover(GROUP.address)] + 2 * [Discover(GROUP.address, everyone=True)]


def test_while_some_stand_by_a_leader_is_waited_for(search: Search) -> None:
    asking = search.start(search.asker.ask_often(2, 0.5))
    pass_time(search.reactor, 0.9)
    search.hear(STANDING_BY)
    pass_time(search.reactor, 2.0)
    elected = Standing("0" * 16, Role.LEADER, 1_900_000_000_000)
    search.hear(STANDING_BY.replace(standing=elected))
    [answer] = asking.after(ASK_AGAIN)
    assert answer.standing == elected


def test_but_not_for_ever(search: Search) -> None:
    asking = search.start(search.asker.ask_often(2, 0.5))
    search.hear(STANDING_BY)
    assert asking.after(1.0 + INTERREGNUM + ASK_AGAIN) == []


def test_an_answer_ends_the_asking(search: Search) -> None:
    asking = search.start(search.asker.ask_often(3, 0.5))
    pass_time(search.reactor, 0.7)
    search.hear(OLDER)
    assert len(asking.after(SETTLE)) == 1
    assert len(search.port.told) == 2


def test_an_answer_that_comes_between_two_questions_counts(search: Search) -> None:
    search.start(search.asker.ask(0.5)).after(0.5)
    search.hear(OLDER)
    assert len(search.start(search.asker.ask(0.5)).after(SETTLE)) == 1


def test_where_nothing_can_be_sent_that_is_kept_in_mind_until_it_can(search: Search) -> None:
    search.port.interfaces.clear()
    search.start(search.asker.ask(0.5)).after(0.5)
    assert "no network interface" in str(search.asker.problem)
    search.port.interfaces.append("eth0")
    search.start(search.asker.ask(0.5)).after(0.5)
    assert search.asker.problem is None


def test_a_daemon_of_this_host_is_found_without_any_interface(search: Search) -> None:
    search.port.interfaces.clear()
    asking = search.start(search.asker.ask(0.5))
    search.hear(OLDER, ("::1", 28015))
    [answer] = asking.after(SETTLE)
    assert answer.host == "::1"


# choosing


def test_whatever_comes_first_the_choice_is_the_same(ports: list[FakePort]) -> None:
    replies = [(OF_FLOM, ALPHA), (OLDER, BETA), (YOUNGER, GAMMA), (STANDING_BY, ("fe80::d%eth0", 28015))]
    for order in permutations(replies):
        search = Search(ports)
        asking = search.start(search.asker.ask(1.0))
        for reply, sender in order:
            search.hear(reply, sender)
        assert [answer.reply for answer in asking.after(SETTLE)] == [OF_FLOM, OLDER, YOUNGER]
        assert [answer.reply for answer in search.asker.answers] == [OF_FLOM, OLDER, YOUNGER, STANDING_BY]


def test_of_two_daemons_of_flom_too(ports: list[FakePort]) -> None:
    for order in permutations([ALPHA, BETA]):
        search = Search(ports)
        asking = search.start(search.asker.ask(1.0))
        for sender in order:
            search.hear(OF_FLOM, sender)
        assert [answer.host for answer in asking.after(SETTLE)] == ["fe80::a%eth0", "fe80::b%eth0"]


def test_a_daemon_that_answers_by_several_interfaces_is_one(search: Search) -> None:
    asking = search.start(search.asker.ask(1.0))
    for host in ("fe80::b%eth0", "fe80::b%eth1", "::1", "fe80::b%eth0"):
        search.hear(OLDER, (host, 28015))
    [answer] = asking.after(SETTLE)
    assert answer.host == "fe80::b%eth0"
    search.hear(OF_FLOM, ALPHA)
    search.hear(OF_FLOM, ALPHA)
    assert len(search.asker.answers) == 2


@pytest.mark.parametrize(
    ("replies", "warned"),
    [
        ([OLDER], None),
        ([OLDER, STANDING_BY], None),
        ([OLDER, YOUNGER], ["2 daemons", "beta", "gamma", "b" * 16, "using the first"]),
        ([OF_FLOM, OLDER], ["2 daemons", "(FLoM)", "beta"]),
        ([OF_FLOM, OLDER, YOUNGER], ["3 daemons"]),
    ],
)
def test_of_more_than_one_leader_the_user_is_warned(
    search: Search, replies: list[Discovered], warned: list[str] | None
) -> None:
    for reply, sender in zip(replies, (ALPHA, BETA, GAMMA), strict=False):
        search.hear(reply, sender)
    warning = choice_warning(search.asker.leaders, GROUP)
    if warned is None:
        assert warning is None
    else:
        assert warning is not None
        for word in (*warned, str(GROUP)):
            assert word in warning


# what is no answer (docs/compatibility.md, "A bad reply to discovery crashes the client")

NOISE = {
    "nothing": b"",
    "text that is no XML": b"hello",
    "an answer without an address": xml(4, 16, '<network port="40001"/>'),
    "an answer without a port": xml(4, 16, '<network address=""/>'),
    "an answer with a port that is none": xml(4, 16, '<network address="" port="70000"/>'),
    "an answer without anything": xml(4, 16),
    "an answer of another level": xml(4, 16, '<network address="" port="40001"/>', level=2),
    "an answer cut off": encode(OF_FLOM)[:-1],
    "an answer without an end": encode(OF_FLOM)[:-6] + b" " * 60000,
    "an answer longer than any": encode(OF_FLOM)[:-6] + b" " * MAX_ANSWER_SIZE + b"</msg>",
    "a daemon of an unknown role": encode(OLDER).replace(b'"leader"', b'"king"'),
    "a question": encode(Discover()),
    "what one daemon says to another": encode(Discover(GROUP.address, standing=OLDER.standing)),
    "a lock": lock(),
    "a grant": xml(1, 16, '<answer rc="0"/>'),
    "invalid UTF-8": b"<msg level='3' verb='4' step='16'><network address='\xff' port='1'/></msg>",
}


@pytest.mark.parametrize("datagram", NOISE.values(), ids=NOISE.keys())
def test_what_is_no_answer_is_passed_over(search: Search, datagram: bytes) -> None:
    asking = search.start(search.asker.ask(1.0))
    search.port.hear(datagram, ALPHA)
    pass_time(search.reactor, 0.5)
    assert not asking.is_there
    search.hear(OLDER, BETA)
    assert [answer.reply for answer in asking.after(SETTLE)] == [OLDER]


def test_noise_alone_is_silence(search: Search) -> None:
    asking = search.start(search.asker.ask(1.0))
    for datagram in NOISE.values():
        search.port.hear(datagram, ALPHA)
    assert asking.after(1.0) == []


@pytest.mark.parametrize("host", ["::1", "127.0.0.1"])
def test_a_daemon_of_flom_on_this_host_may_be_one_of_another_group(search: Search, host: str) -> None:
    asking = search.start(search.asker.ask(1.0))
    search.hear(OF_FLOM, (host, 28015))
    assert asking.after(1.0) == []


# connecting


class Connecting:
    """
    Somebody who connects to the first of some answers.

    @ivar outcome: what has become of it.
    """

    def __init__(self, *replies: Discovered) -> None:
        self.reactor = MemoryReactorClock()
        self.said: list[str] = []
        self.outcome: list[object] = []
        answers = [
            Answer(sender[0], reply.port, reply, sender)
            for reply, sender in zip(replies, (ALPHA, BETA, GAMMA), strict=False)
        ]
        factory = Factory.forProtocol(Protocol)
        connecting = Deferred.fromCoroutine(connect_to_first(self.reactor, answers, factory, self.said.append))
        connecting.addBoth(self.outcome.append)

    def tried(self) -> list[str]:
        return [host for host, *_ in self.reactor.tcpClients]

    def refuse(self) -> None:
        factory = self.reactor.tcpClients[-1][2]
        factory.clientConnectionFailed(self.reactor.connectors[-1], Failure(ConnectionRefusedError()))

    def succeed(self) -> None:
        host, port, factory, *_ = self.reactor.tcpClients[-1]
        connection = factory.buildProtocol(IPv6Address("TCP", host, port))
        assert connection is not None
        connection.makeConnection(StringTransport())

    def error(self) -> BaseException | None:
        [failure] = self.outcome
        assert isinstance(failure, Failure)
        return failure.value


def test_the_first_is_connected_to() -> None:
    connecting = Connecting(OLDER, YOUNGER)
    connecting.succeed()
    assert connecting.tried() == ["fe80::a%eth0"]
    assert isinstance(connecting.outcome[0], Protocol)
    assert connecting.said == []


def test_if_it_refuses_the_next_one_is() -> None:
    connecting = Connecting(OLDER, YOUNGER)
    connecting.refuse()
    connecting.succeed()
    assert connecting.tried() == ["fe80::a%eth0", "fe80::b%eth0"]
    assert isinstance(connecting.outcome[0], Protocol)
    [line] = connecting.said
    assert "[fe80::a%eth0]:40002 answers, but cannot be connected to" in line


def test_if_it_does_not_let_us_in_the_next_one_is() -> None:
    connecting = Connecting(OLDER, YOUNGER)
    pass_time(connecting.reactor, CONNECT_TIMEOUT + STEP)
    assert connecting.tried() == ["fe80::a%eth0", "fe80::b%eth0"]
    connecting.succeed()
    assert isinstance(connecting.outcome[0], Protocol)


@pytest.mark.parametrize("many", [1, 3])
def test_if_all_refuse_the_daemon_is_unreachable(many: int) -> None:
    connecting = Connecting(*[OLDER, YOUNGER, OF_FLOM][:many])
    for _ in range(many):
        connecting.refuse()
    error = connecting.error()
    assert isinstance(error, DaemonUnreachable)
    assert "[fe80::a%eth0]:40002" in str(error)
    assert "refused" in str(error)


def test_if_none_lets_us_in_the_daemon_is_unreachable() -> None:
    connecting = Connecting(OLDER)
    pass_time(connecting.reactor, CONNECT_TIMEOUT + STEP)
    assert isinstance(connecting.error(), DaemonUnreachable)


@pytest.mark.parametrize(
    "host", ["no..such", "no.such.invalid", "a b", "x" * 300, "", "%", "fe80::1", "fe80::1%nosuch0", "127.0.0.1"]
)
@pytest_twisted.ensureDeferred
async def test_an_answer_may_name_any_host(host: str) -> None:
    answer = Answer(host, 1, OF_FLOM, ALPHA)
    with pytest.raises(DaemonUnreachable, match="answers, but cannot be connected to"):
        await connect_to_first(reactor, [answer], Factory.forProtocol(Protocol), lambda text: None)

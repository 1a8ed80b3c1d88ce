"""What proves that another daemon leads, and what is learned of it."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import DNSLookupError
from twisted.logger import LogEvent
from twisted.python.failure import Failure

from flom.core.group.key import GroupKey
from flom.core.group.ranking import FLOM
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Answer, Challenge, Lock, Proof, Role, Standing, Unlocked
from flom.server.group.rival import ATTEMPTS, MAX_LIST_SIZE, PAUSE, RivalObserver, Rivals, Source, answer, split
from tests.fakes.group import GROUP, RIVAL, ReachedRival
from tests.fakes.reactors import MemoryReactor

LEADER = Standing("0123456789abcdef", Role.LEADER, 1_700_000_000_000)
SOURCE = Source(RIVAL, ("fe80::9%eth0", 40009))
OURS = "fedcba9876543210"
KEY = GroupKey(b"k" * 32, lambda: "00" * 16)
OTHER_KEY = GroupKey(b"o" * 32, lambda: "00" * 16)


class Checked(RivalObserver):
    """
    What is found out about a rival.

    @ivar announced: how often it was told that this daemon leads.
    """

    def __init__(self, key: GroupKey | None = None) -> None:
        self.reactor = MemoryReactor()
        self.rivals = Rivals(GROUP.replace(key=key), OURS, self.reactor, self)
        self.proven: list[Standing] = []
        self.whys: list[str] = []
        self.held: list[list[Any]] = []
        self.announced = 0

    def check(self, rival: Standing = LEADER, source: Source = SOURCE) -> Checked:
        self.rivals.check(rival, source, self._announce)
        return self

    def reach(self) -> ReachedRival:
        return ReachedRival(self.reactor)

    def rival_proven(self, rival: Standing, source: Source) -> None:
        self.proven.append(rival)

    def rival_unproven(self, rival: Standing, source: Source, why: str) -> None:
        self.whys.append(why)

    def rival_holds(self, rival: Standing, held: list[Any], digests: object) -> None:
        self.held.append(held)

    def _announce(self) -> None:
        self.announced += 1


def test_it_answers_for_its_node() -> None:
    checked = Checked().check()
    rival = checked.reach()
    assert isinstance(rival.question, Challenge)
    assert (rival.question.group, rival.question.node) == (GROUP.address, OURS)
    rival.prove(LEADER)
    assert (checked.proven, checked.held, checked.whys) == ([LEADER], [[]], [])
    assert checked.reactor.getDelayedCalls() == []


def test_it_is_asked_again_while_it_does_not_show_what_it_holds() -> None:
    checked = Checked().check()
    for _ in range(ATTEMPTS):
        checked.reach().prove(LEADER, held=None)
        checked.reactor.advance(PAUSE)
    assert checked.proven == [LEADER] * ATTEMPTS
    assert checked.announced == ATTEMPTS
    assert checked.reactor.tcpClients == []


def test_a_proof_for_another_challenge_is_none() -> None:
    checked = Checked().check()
    rival = checked.reach()
    rival.say(answer(Challenge(GROUP.address, OURS, "11" * 16), GROUP, LEADER, None))
    rival.close()
    assert checked.proven == []
    assert checked.whys == ["it does not answer the challenge"]


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0", encode(Unlocked())])
def test_another_service_proves_nothing(data: bytes) -> None:
    checked = Checked().check()
    rival = checked.reach()
    rival.say(data)
    rival.close()
    assert checked.whys == ["no daemon answers the challenge there"]


def test_one_that_says_nothing_proves_nothing() -> None:
    checked = Checked().check()
    rival = checked.reach()
    checked.reactor.advance(5.0)
    assert rival.transport.aborted
    rival.close()
    checked.reach().close()
    assert (checked.proven, checked.whys) == ([], ["no daemon answers there"])


def test_one_without_an_address_is_not_reached_for() -> None:
    assert Checked().check(source=Source(RIVAL, ("", 0))).reactor.tcpClients == []


def test_a_name_that_is_none_proves_nothing() -> None:
    checked = Checked().check()
    _, _, factory, *_ = checked.reactor.tcpClients[0]
    factory.clientConnectionFailed(checked.reactor.connectors[0], Failure(DNSLookupError("no such host")))
    [why] = checked.whys
    assert "no such host" in why


def test_a_daemon_of_version_0_1_0_answers_a_client_and_no_challenge() -> None:
    checked = Checked().check()
    checked.reach().close()
    rival = checked.reach()
    assert isinstance(rival.question, Lock)
    assert (rival.question.wait, rival.question.create, rival.question.extended) == (False, False, True)
    rival.say(encode(Answer(16, 5, extended=True)))
    assert rival.transport.aborted
    rival.close()
    assert (checked.proven, checked.whys) == ([LEADER], [])


def test_a_daemon_of_flom_is_not_one_of_version_0_1_0() -> None:
    checked = Checked().check()
    checked.reach().close()
    rival = checked.reach()
    rival.say(encode(Answer(16, 5)))
    rival.close()
    assert checked.whys == ["a daemon of FLoM answers there"]


def test_a_daemon_of_ours_is_none_of_flom() -> None:
    checked = Checked().check(FLOM)
    rival = checked.reach()
    rival.say(encode(Answer(16, 5, extended=True)))
    rival.close()
    assert checked.proven == []
    assert checked.whys == ["a daemon that is none of FLoM answers there"]


def test_with_a_key_a_proof_is_sealed() -> None:
    checked = Checked(KEY).check()
    checked.reach().prove(LEADER, group=GROUP.replace(key=KEY))
    assert checked.proven == [LEADER]


@pytest.mark.parametrize("key", [None, OTHER_KEY])
def test_without_the_key_there_is_no_proof(key: GroupKey | None) -> None:
    checked = Checked(KEY).check()
    checked.reach().prove(LEADER, group=GROUP.replace(key=key))
    assert (checked.proven, checked.whys) == ([], ["it does not have the key of the group"])


def test_with_a_key_a_daemon_of_version_0_1_0_proves_nothing() -> None:
    checked = Checked(KEY).check()
    checked.reach().close()
    assert (checked.proven, checked.whys) == ([], ["no daemon answers the challenge there"])


def test_it_is_believed_even_if_its_list_breaks_off() -> None:
    checked = Checked().check()
    rival = checked.reach()
    assert isinstance(rival.question, Challenge)
    rival.say(answer(rival.question, GROUP, LEADER, lambda digests: b"[" + b" " * 100 + b"]")[:-1])
    rival.close()
    assert (checked.proven, checked.held) == ([LEADER], [])
    assert checked.whys == ["its list of what it holds ends after 101 bytes of 102"]


def test_a_list_that_is_none_is_no_bug(log: list[LogEvent]) -> None:
    checked = Checked().check()
    checked.reach().prove(LEADER, held=lambda digests: b"hello")
    assert checked.proven == [LEADER]
    assert "no list of what is held" in checked.whys[0]


def test_a_list_that_is_too_long_is_not_sent() -> None:
    proof, written = split(
        answer(Challenge(GROUP.address, OURS, "n"), GROUP, LEADER, lambda digests: b" " * (MAX_LIST_SIZE + 1))
    )
    assert (proof.size, written) == (0, b"")


def test_a_rival_that_sends_without_end_is_not_listened_to() -> None:
    checked = Checked().check()
    rival = checked.reach()
    for _ in range(65):
        rival.say(b" " * 2**20)
    assert rival.transport.aborted


def test_the_answer_to_another_group_says_nothing() -> None:
    asked = answer(Challenge("ff02::2", OURS, "n"), GROUP, LEADER, None)
    assert split(asked) == (Proof(None), b"")


def test_a_check_ends_when_the_daemon_does() -> None:
    checked = Checked().check()
    checked.rivals.stop()
    assert checked.reactor.connectors[0].stoppedConnecting
    checked = Checked().check()
    rival = checked.reach()
    checked.rivals.stop()
    assert rival.transport.aborted
    rival.close()
    assert checked.reactor.getDelayedCalls() == []
    assert (checked.proven, checked.whys) == ([], [])

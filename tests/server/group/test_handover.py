"""Both parts of a handover, line by line; they meet in tests/scenarios/lan/test_handover.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from flom.core.effects import Dismissed, Granted
from flom.core.group.election import Election
from flom.core.group.key import GroupKey, promise_of
from flom.core.locks.handover import Estate, read_estate
from flom.core.protocol.messages import Offer, Role, Standing
from flom.core.sessions import Owner
from flom.errors import FlomError, RemoteProtocolError
from flom.server.arbiter import DeferredArbiter
from flom.server.estate import HandoverFailed
from flom.server.group.handover import (
    ATTEMPTS,
    FIND,
    LEAD_TIMEOUT,
    LEAD_WITHIN,
    PAUSE,
    Handover,
    Heir,
    Lines,
)
from flom.server.group.member import Standby
from flom.server.group.rival import Source
from flom.server.log_throttle import LogThrottle
from flom.server.sessions import Sessions
from tests.fakes.group import GROUP, RIVAL, ReachedRival
from tests.fakes.reactors import MemoryReactor
from tests.fakes.sessions import Session

KEYED = GROUP.replace(key=GroupKey(b"a secret of some bytes", lambda: "00"))
ESTATE = Estate(3, [], [], [])


class Successor:
    """
    A daemon that stands by, and its connection to the leader.

    @ivar led: what it has taken over.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.said: list[tuple[str, str]] = []
        self.led: list[tuple[Estate, list[str]]] = []
        self.has_hung_up = False
        self.problem: FlomError | ValueError | None = None
        self._leader = Lines(GROUP, "nonce")
        self.heir = Heir(Lines(GROUP, "nonce"), self.clock, self._hear, self._hang_up, self._check, self._lead)
        self.heir.begin("")

    def hear(self, word: str, text: str = "") -> tuple[str, str]:
        """Receive a line of the leader; return what is said last."""
        self.heir.receive(self._leader.write(word, text))
        return self.said[-1]

    def _hear(self, data: bytes) -> None:
        self.said += self._leader.receive(data)

    def _hang_up(self) -> None:
        self.has_hung_up = True

    def _check(self, estate: Estate) -> None:
        if self.problem is not None:
            raise self.problem

    def _lead(self, estate: Estate, gone: list[str]) -> None:
        self.led.append((estate, gone))


def test_it_leads_when_the_leader_says_so() -> None:
    standby = Successor()
    assert standby.said == [("ready", "")]
    assert standby.hear("estate", ESTATE.write()) == ("prepared", "")
    assert standby.led == []
    assert standby.hear("lead", "aa bb") == ("leads", "")
    assert standby.led == [(ESTATE, ["aa", "bb"])]
    assert standby.has_hung_up


def test_lines_may_come_in_pieces() -> None:
    standby = Successor()
    for byte in Lines(GROUP, "nonce").write("estate", ESTATE.write()):
        standby.heir.receive(bytes([byte]))
    assert standby.said[-1] == ("prepared", "")


def test_one_that_cannot_says_why() -> None:
    standby = Successor()
    standby.heir.begin("it is busy")
    assert standby.said[-1] == ("no", "it is busy")
    assert standby.has_hung_up


def test_an_order_that_comes_too_late_is_refused() -> None:
    """The leader may have given up, and grants again."""
    standby = Successor()
    standby.hear("estate", ESTATE.write())
    standby.clock.advance(LEAD_WITHIN + 0.1)
    assert standby.hear("lead")[0] == "no"
    assert standby.led == []


@pytest.mark.parametrize("words", [["lead"], ["estate", "estate"], ["hello"]])
def test_lines_in_another_order_are_refused(words: list[str]) -> None:
    standby = Successor()
    for word in words:
        standby.hear(word, ESTATE.write())
    assert standby.said[-1][0] == "no"
    assert standby.led == []


def test_what_cannot_be_taken_over_is_refused() -> None:
    standby = Successor()
    standby.problem = ValueError("a sequence cannot be at that")
    assert standby.hear("estate", ESTATE.write()) == ("no", "a sequence cannot be at that")
    assert standby.hear("lead")[0] == "no"
    assert standby.led == []


@pytest.mark.parametrize(
    "line",
    [
        Lines(KEYED, "nonce").write("estate", ESTATE.write()),
        Lines(GROUP, "other").write("estate", ESTATE.write()),
        Lines(GROUP, "nonce").write("estate", ESTATE.write()).replace(b"3", b"4", 1),
        b"estate\n",
        b"\xff\n",
    ],
)
def test_a_line_without_the_seal_is_refused(line: bytes) -> None:
    standby = Successor()
    standby.heir.receive(line)
    assert standby.said[-1][0] == "no"


def test_a_line_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flom.server.group.handover.MAX_ESTATE", 100)
    with pytest.raises(RemoteProtocolError, match="a line of more than 100 bytes"):
        Lines(GROUP, "nonce").receive(b"x" * 101)


class Member:
    """
    What a leader is to its group.

    @ivar announced: the successors that were announced.
    @ivar leads_now: the node to which it has handed over.
    @ivar is_holding: true while no question is answered.
    """

    def __init__(self, *standbys: Standby) -> None:
        self.election = Election("0" * 16, 0.0, 1_700_000_000_000)
        self.election.lead_alone(0.0, 1_700_000_000_000)
        self.standbys = list(standbys)
        self.announced: list[tuple[str, str]] = []
        self.on_lead: Callable[[], None] = lambda: None
        self.leads_now = ""
        self.is_holding = False

    def ask_standbys(self) -> None:
        pass

    def announce_successor(self, node: str, promise: str, on_lead: Callable[[], None]) -> None:
        self.announced.append((node, promise))
        self.on_lead = on_lead

    def forget_successor(self) -> None:
        pass

    def hold_questions(self) -> None:
        self.is_holding = True

    def answer_held(self) -> None:
        self.is_holding = False

    def hand_over(self, standby: Standby) -> None:
        self.leads_now = standby.standing.node


class Leader:
    """
    A leader that hands over.

    @ivar holder: a client that holds R.
    @ivar told: the new leader, as clients are told.
    @ivar why: why it still leads; empty before that is known, and if it does not.
    """

    def __init__(self, standbys: int = 1) -> None:
        self.reactor = MemoryReactor()
        self.arbiter = DeferredArbiter(self.reactor)
        sessions = Sessions(self.arbiter, self.reactor, 10.0, LogThrottle(self.reactor))
        self.holder = Session(self.arbiter).ask("R")
        self.secret = sessions.begin(self.holder.id, Owner(b"", None), object()).secret
        source = Source(RIVAL, ("fe80::9%eth0", 40009))
        nodes = [Standing(f"{number}" * 16, Role.STANDBY, number) for number in range(1, standbys + 1)]
        self.member = Member(*(Standby(standing, source, f"host-{standing.node[0]}") for standing in nodes))
        handover = Handover(GROUP, self.reactor, self.member, self.arbiter, sessions, None)  # type: ignore[arg-type]
        self.told: list[str] = []
        self.why = ""
        Deferred.fromCoroutine(handover.run(self.told.append)).addErrback(self._note)
        self.reactor.advance(FIND)

    @property
    def grants(self) -> bool:
        """Whether a lock that is free is granted."""
        asking = Session(self.arbiter).ask("free")
        asking.leave()
        return asking.kinds() == [Granted]

    def reach(self) -> Reached:
        return Reached(self.reactor)

    def _note(self, failure: Failure) -> None:
        failure.trap(HandoverFailed)
        self.why = failure.getErrorMessage()


class Reached(ReachedRival):
    """A standby to which the leader has connected."""

    def __init__(self, reactor: MemoryReactor) -> None:
        super().__init__(reactor)
        assert isinstance(self.question, Offer)
        self._lines = Lines(GROUP, self.question.nonce)
        self.transport.clear()

    def tell(self, word: str, text: str = "") -> list[tuple[str, str]]:
        """Send a line; return those of the leader that follow."""
        self.say(self._lines.write(word, text))
        said, _ = self.transport.value(), self.transport.clear()
        return self._lines.receive(said)


def test_a_leader_hands_over_what_it_has() -> None:
    leader = Leader()
    standby = leader.reach()
    [(node, promise)] = leader.member.announced
    assert isinstance(standby.question, Offer)
    assert (node, promise) == ("1" * 16, promise_of(standby.question.nonce))
    assert leader.grants
    [(word, text)] = standby.tell("ready")
    estate = read_estate(text)
    assert (word, [client.secret for client in estate.clients]) == ("estate", [leader.secret])
    assert [claim.name.text for claim in estate.claims] == ["R"]
    assert not leader.grants
    assert leader.member.is_holding
    assert standby.tell("prepared") == [("lead", "")]
    standby.tell("leads")
    assert leader.told == ["host-1, [fe80::9%eth0]:40009"]
    assert leader.member.leads_now == "1" * 16
    assert leader.holder.kinds() == [Granted, Dismissed]


def test_a_client_that_goes_meanwhile_is_told_of() -> None:
    leader = Leader()
    standby = leader.reach()
    standby.tell("ready")
    leader.holder.leave()
    assert standby.tell("prepared") == [("lead", leader.secret)]


def test_it_is_over_when_the_standby_is_heard_to_lead() -> None:
    """Though its last line is lost."""
    leader = Leader()
    standby = leader.reach()
    standby.tell("ready")
    standby.tell("prepared")
    standby.close()
    assert leader.told == []
    leader.member.on_lead()
    assert leader.told == ["host-1, [fe80::9%eth0]:40009"]


def test_a_leader_leads_on_if_the_standby_is_not_heard_to() -> None:
    leader = Leader()
    standby = leader.reach()
    standby.tell("ready")
    standby.tell("prepared")
    standby.close()
    asked = Session(leader.arbiter).ask("free")
    leader.reactor.advance(LEAD_TIMEOUT - 0.1)
    assert asked.kinds() == []
    leader.reactor.advance(0.2)
    assert asked.kinds() == [Granted]
    assert "does not say that it leads" in leader.why
    assert leader.holder.kinds() == [Granted]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["no"], "the reason"),
        (["ready", "no"], "the reason"),
        (["ready", "prepared", "no"], "the reason"),
        (["prepared"], "it says prepared"),
        (["ready", None], "it has closed the connection"),
        ([], "it does not answer within 1 s"),
        (["ready"], "it does not answer within 5 s"),
    ],
)
def test_whatever_goes_wrong_before_leaves_the_leader_leading(words: list[str | None], why: str) -> None:
    leader = Leader()
    standby = leader.reach()
    for word in words:
        if word is None:
            standby.close()
        else:
            standby.tell(word, "the reason")
    leader.reactor.advance(5.1)
    assert leader.why == f"host-1, [fe80::9%eth0]:40009: {why}"
    assert leader.grants
    assert leader.told == []
    assert not leader.member.is_holding
    assert leader.holder.kinds() == [Granted]


def test_one_that_closes_every_connection_is_given_up() -> None:
    """As daemons that stand by do if they have not heard the announcement, or are of an older version."""
    leader = Leader(standbys=2)
    for _ in range(ATTEMPTS):
        leader.reach().close()
        leader.reactor.advance(PAUSE)
    standby = leader.reach()
    assert [node[0] for node, _ in leader.member.announced] == ["1", "1", "1", "2"]
    for word in ("ready", "prepared", "leads"):
        standby.tell(word)
    assert leader.told == ["host-2, [fe80::9%eth0]:40009"]


def test_a_lock_whose_holder_could_not_follow_stays() -> None:
    leader = Leader()
    standby = leader.reach()
    Session(leader.arbiter).ask("local")
    standby.tell("ready")
    assert ", which could not follow: " in leader.why
    assert leader.grants


def test_without_a_standby_nothing_happens() -> None:
    leader = Leader(standbys=0)
    assert leader.why == "no daemon stands by"
    assert leader.grants

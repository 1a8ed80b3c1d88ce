"""
How a client finds the daemon of a group: when it asks, which daemon it chooses, and what it takes for no answer
(docs/compatibility.md, "Discovery by the client", "A bad reply to discovery crashes the client").
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest

from flom.core.group.addresses import Group, Sender
from flom.core.group.discovery import (
    ASK_AGAIN,
    INTERREGNUM,
    MOST_TRIED,
    SETTLE,
    FoundDaemon,
    Search,
    choice_warning,
    describe_question,
    takeover_time,
)
from flom.core.group.key import GroupKey
from flom.core.group.timing import Timing
from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import MAX_ANSWER_SIZE
from flom.core.protocol.messages import Discover, Discovered, Role, Standing
from tests.fakes.connections import lock, xml

GROUP = Group("ff02::1", 28015)
ALPHA: Sender = ("fe80::a%eth0", 28015)
BETA: Sender = ("fe80::b%eth0", 28015)
GAMMA: Sender = ("fe80::c%eth0", 28015)

OF_FLOM = Discovered("", 40001)
OLDER = Discovered("", 40002, Standing("b" * 16, Role.LEADER, 1_700_000_000_000), "beta", "1")
HANDED_OVER = OLDER.replace(standing=Standing("d" * 16, Role.LEADER, 1_700_000_000_001))  # to OLDER
YOUNGER = Discovered("", 40003, Standing("a" * 16, Role.LEADER, 1_800_000_000_000), "gamma", "1")
ALONE = OLDER.replace(alone=True)
STANDING_BY = Discovered("", 40004, Standing("0" * 16, Role.STANDBY, 1_600_000_000_000), "delta", "1")


class Driver:
    """
    Drives a search by a clock of its own.

    @ivar asked: the questions that were sent, each with its time.
    @ivar lines: what L{Search.receive} had for the trace.
    @ivar now: in seconds.
    """

    def __init__(self, **options: bool) -> None:
        self.search = Search(GROUP, **options)
        self.asked: list[tuple[float, Any]] = []
        self.lines: list[str] = []
        self.now = 1000.0

    def start(self, begin: Callable[[Search], None]) -> None:
        begin(self.search)
        self._advance()

    def hear(self, reply: Discovered | bytes, sender: Sender = ALPHA) -> None:
        datagram = reply if isinstance(reply, bytes) else encode(reply)
        line = self.search.receive(datagram, sender, self.now)
        if line is not None:
            self.lines.append(line)

    def wait(self, seconds: float) -> None:
        """Advance the clock, as long as the search is not over."""
        until = self.now + seconds
        while self.search.wake is not None and self.search.wake <= until:
            self.now = max(self.now, self.search.wake)
            self._advance()
        self.now = until

    def finish(self) -> float:
        """Run the search to its end without more answers; return the seconds that this took."""
        began = self.now
        while self.search.wake is not None:
            self.wait(self.search.wake - self.now)
        return round(self.now - began, 6)

    def questions(self) -> list[Any]:
        return [question for _, question in self.asked]

    def _advance(self) -> None:
        question = self.search.advance(self.now)
        if question is not None:
            self.asked.append((self.now, decode(question)))


@pytest.fixture
def driver() -> Driver:
    return Driver()


# when to ask


def test_one_question_waits_for_a_first_answer(driver: Driver) -> None:
    driver.start(lambda search: search.ask(0.5))
    assert driver.questions() == [Discover(GROUP.address)]
    assert driver.finish() == 0.5
    assert driver.search.leaders == []
    assert driver.questions() == [Discover(GROUP.address)]


def test_nothing_is_asked_before_it_is_time(driver: Driver) -> None:
    driver.start(lambda search: search.ask_often(2, 0.5))
    assert driver.search.advance(driver.now + 0.4) is None
    assert driver.search.wake == driver.now + 0.5


def test_standbys_are_asked_at_once_if_wanted() -> None:
    driver = Driver(everyone=True)
    driver.start(lambda search: search.ask(0.5))
    assert driver.questions() == [Discover(GROUP.address, everyone=True)]


def test_the_successor_of_a_daemon_is_told_that_we_have_lost_it() -> None:
    driver = Driver(orphaned=True)
    driver.start(lambda search: search.ask(0.5))
    assert driver.questions() == [Discover(GROUP.address, orphaned=True)]


def test_after_an_answer_others_have_a_moment(driver: Driver) -> None:
    driver.start(lambda search: search.ask(1.0))
    driver.wait(0.4)
    driver.hear(OLDER, BETA)
    assert driver.finish() == SETTLE
    [daemon] = driver.search.leaders
    assert (daemon.host, daemon.port, daemon.peer) == ("fe80::b%eth0", 40002, "[fe80::b%eth0]:40002")
    assert any("fe80::b%eth0/28015" in line and 'node="bbbb' in line for line in driver.lines)


def test_a_leader_that_is_alone_is_not_waited_for(driver: Driver) -> None:
    driver.start(lambda search: search.ask(1.0))
    driver.wait(0.4)
    driver.hear(ALONE)
    assert driver.search.wake is None
    assert [daemon.reply for daemon in driver.search.leaders] == [ALONE]


@pytest.mark.parametrize("first", [OF_FLOM, YOUNGER])
def test_but_if_another_has_answered_the_rest_have_their_moment(driver: Driver, first: Discovered) -> None:
    driver.start(lambda search: search.ask(1.0))
    driver.hear(first, GAMMA)
    driver.hear(ALONE, BETA)
    assert driver.finish() == SETTLE
    assert len(driver.search.leaders) == 2


def test_of_two_networks_each_may_have_a_leader_that_is_alone(driver: Driver) -> None:
    driver.start(lambda search: search.ask(1.0))
    driver.search.networks = 2
    driver.hear(ALONE)
    assert driver.finish() == SETTLE


def test_a_standby_that_has_answered_makes_no_difference(driver: Driver) -> None:
    driver.start(lambda search: search.ask_often(3, 0.5))
    driver.hear(STANDING_BY, BETA)
    driver.hear(ALONE)
    assert driver.search.wake is None


def test_that_it_was_alone_when_it_was_last_asked_does_not_count(driver: Driver) -> None:
    driver.start(lambda search: search.ask(0.5))
    driver.finish()
    driver.hear(ALONE)
    driver.start(lambda search: search.ask(0.5))
    assert driver.finish() == SETTLE


def test_whoever_is_alone_all_answers_are_collected_if_wanted(driver: Driver) -> None:
    driver.start(lambda search: search.collect(0.5))
    driver.hear(ALONE)
    assert driver.finish() == 0.5


def test_an_answer_that_is_read_late_counts(driver: Driver) -> None:
    driver.start(lambda search: search.ask(1.0))
    driver.now += 1.1
    driver.hear(OLDER)
    assert driver.finish() == SETTLE
    assert len(driver.search.leaders) == 1


def test_it_is_asked_as_often_as_wanted(driver: Driver) -> None:
    driver.start(lambda search: search.ask_often(3, 0.5))
    assert driver.finish() == 1.5
    assert driver.questions() == [Discover(GROUP.address)] + 2 * [Discover(GROUP.address, everyone=True)]
    assert [time for time, _ in driver.asked] == [1000.0, 1000.5, 1001.0]


def test_an_answer_ends_the_asking(driver: Driver) -> None:
    driver.start(lambda search: search.ask_often(3, 0.5))
    driver.wait(0.7)
    driver.hear(OLDER)
    assert driver.finish() == SETTLE
    assert len(driver.asked) == 2


def test_an_answer_between_two_searches_counts(driver: Driver) -> None:
    driver.start(lambda search: search.ask(0.5))
    driver.finish()
    driver.hear(OLDER)
    driver.start(lambda search: search.ask(0.5))
    assert driver.finish() == SETTLE


def test_while_some_stand_by_a_leader_is_waited_for(driver: Driver) -> None:
    driver.start(lambda search: search.ask_often(2, 0.5))
    driver.wait(0.9)
    driver.hear(STANDING_BY)
    driver.wait(2.0)
    elected = Standing("0" * 16, Role.LEADER, 1_900_000_000_000)
    driver.hear(STANDING_BY.replace(standing=elected))
    assert driver.finish() == SETTLE
    [daemon] = driver.search.leaders
    assert daemon.standing == elected


def test_a_leader_is_not_waited_for_for_ever(driver: Driver) -> None:
    driver.start(lambda search: search.ask_often(2, 0.5))
    driver.hear(STANDING_BY)
    assert 1.0 + INTERREGNUM <= driver.finish() <= 1.0 + INTERREGNUM + ASK_AGAIN
    assert driver.search.leaders == []


def test_one_question_does_not_wait_for_standbys(driver: Driver) -> None:
    driver.start(lambda search: search.ask(0.5))
    driver.hear(STANDING_BY)
    assert driver.finish() == 0.5


def test_a_successor_has_the_time_of_a_takeover(driver: Driver) -> None:
    timing = Timing()
    driver.start(lambda search: search.ask_successor(timing))
    assert takeover_time(timing) - ASK_AGAIN < driver.finish() < takeover_time(timing) + ASK_AGAIN


def test_all_answers_are_collected_if_wanted(driver: Driver) -> None:
    driver.start(lambda search: search.collect(0.5))
    driver.hear(OLDER, BETA)
    driver.wait(0.4)
    driver.hear(YOUNGER, GAMMA)
    assert driver.finish() == pytest.approx(0.1)
    assert [daemon.reply for daemon in driver.search.found] == [OLDER, YOUNGER]


# which daemon to choose


def test_whatever_comes_first_the_choice_is_the_same() -> None:
    replies = [(OF_FLOM, ALPHA), (OLDER, BETA), (YOUNGER, GAMMA), (STANDING_BY, ("fe80::d%eth0", 28015))]
    for order in permutations(replies):
        driver = Driver()
        driver.start(lambda search: search.ask(1.0))
        for reply, sender in order:
            driver.hear(reply, sender)
        assert [daemon.reply for daemon in driver.search.leaders] == [OF_FLOM, OLDER, YOUNGER]
        assert [daemon.reply for daemon in driver.search.found] == [OF_FLOM, OLDER, YOUNGER, STANDING_BY]


def test_of_two_daemons_of_flom_too() -> None:
    for order in permutations([ALPHA, BETA]):
        driver = Driver()
        for sender in order:
            driver.hear(OF_FLOM, sender)
        assert [daemon.host for daemon in driver.search.leaders] == ["fe80::a%eth0", "fe80::b%eth0"]


def test_a_daemon_that_answers_by_several_interfaces_is_one(driver: Driver) -> None:
    for host in ("fe80::b%eth0", "fe80::b%eth1", "::1", "fe80::b%eth0"):
        driver.hear(OLDER, (host, 28015))
    [daemon] = driver.search.leaders
    assert daemon.host == "fe80::b%eth0"
    driver.hear(OF_FLOM, ALPHA)
    driver.hear(OF_FLOM, ALPHA)
    assert len(driver.search.found) == 2


@pytest.mark.parametrize("host", ["::1", "127.0.0.1"])
def test_a_daemon_of_flom_on_this_host_may_be_one_of_another_group(driver: Driver, host: str) -> None:
    driver.hear(OF_FLOM, (host, 28015))
    assert driver.search.found == []


@pytest.mark.parametrize(
    ("replies", "warned"),
    [
        ([OLDER], None),
        ([OLDER, STANDING_BY], None),
        ([OLDER, YOUNGER], ["2 daemons", "beta", "gamma", "b" * 16, "using the first"]),
        ([OF_FLOM, OLDER], ["2 daemons", "(FLoM)", "beta"]),
        ([OLDER, HANDED_OVER], None),
        ([OF_FLOM, OLDER, YOUNGER], ["3 daemons"]),
    ],
)
def test_of_more_than_one_leader_the_user_is_warned(
    driver: Driver, replies: list[Discovered], warned: list[str] | None
) -> None:
    for reply, sender in zip(replies, (ALPHA, BETA, GAMMA), strict=False):
        driver.hear(reply, sender)
    warning = choice_warning(driver.search.leaders, GROUP)
    if warned is None:
        assert warning is None
    else:
        assert warning is not None
        for word in (*warned, str(GROUP)):
            assert word in warning


def test_of_many_leaders_the_warning_names_a_few() -> None:
    leaders = [FoundDaemon(f"192.0.2.{number}", 40001, OF_FLOM, ALPHA) for number in range(1, MOST_TRIED + 2)]
    assert "192.0.2.3:40001 (FLoM), ...; using the first" in (choice_warning(leaders, GROUP) or "")


def test_the_first_question_can_be_shown() -> None:
    line = describe_question(GROUP, encode(Discover(GROUP.address)))
    assert line.startswith("sending UDP multicast datagram to ff02::1/28015 ('<?xml ")
    assert "\n" not in line


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
def test_what_is_no_answer_is_passed_over(driver: Driver, datagram: bytes) -> None:
    driver.start(lambda search: search.ask(1.0))
    driver.hear(datagram, ALPHA)
    driver.wait(0.5)
    assert driver.search.wake is not None
    assert driver.search.found == []
    driver.hear(OLDER, BETA)
    assert driver.finish() == SETTLE
    assert [daemon.reply for daemon in driver.search.leaders] == [OLDER]


def test_noise_alone_is_silence(driver: Driver) -> None:
    driver.start(lambda search: search.ask(1.0))
    for datagram in NOISE.values():
        driver.hear(datagram, ALPHA)
    assert driver.finish() == 1.0
    assert all(line.startswith("ignoring what came from fe80::a%eth0/28015: ") for line in driver.lines)


# a key


KEY = GroupKey(b"k" * 32, lambda: "12" * 16)


@pytest.mark.parametrize(
    ("nonce", "is_required", "standing", "is_believed"),
    [
        ("12" * 16, True, True, True),
        ("34" * 16, False, True, False),  # of another question
        (None, False, True, False),
        (None, False, False, True),  # of FLoM
        (None, True, False, False),
    ],
)
def test_with_a_key_an_answer_is_sealed(
    nonce: str | None, is_required: bool, standing: bool, is_believed: bool
) -> None:
    key = GroupKey(KEY.secret, KEY.new_nonce, is_required=is_required)
    search = Search(Group("ff02::1", 28015, key=key))
    search.ask(1.0)
    question = search.advance(0.0)
    assert question is not None
    assert key.is_sealed(question)
    asked = decode(question)
    assert isinstance(asked, Discover)
    assert asked.nonce == "12" * 16
    leader = Standing("0123456789abcdef", Role.LEADER, 1_700_000_000_000)
    answer = encode(Discovered("", 40001, leader if standing else None, "h", "1"))
    line = search.receive(answer if nonce is None else key.seal(answer, nonce), ("fe80::9%eth0", 28015), 0.1)
    assert line is not None
    assert bool(search.leaders) is is_believed
    assert ("it does not have the key of the group" in line) is not is_believed

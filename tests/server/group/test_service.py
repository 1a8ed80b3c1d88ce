"""A daemon grants locks for as long as it leads its group, and only then."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, ConnectionRefusedError
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent
from twisted.python.failure import Failure

from flom.acquisition import Held
from flom.codes import Outcome
from flom.core.grace import GRACE, LOOKING, MAX_GRACE
from flom.core.group.listening import Listening
from flom.core.group.timing import DEFAULT_TIMING
from flom.core.locks.overlap import Digests, read_held
from flom.core.proofs import ProofKey
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Discover, Discovered, Role, Standing
from flom.core.tokens import epoch_of
from flom.errors import StandingBy
from flom.net.host_seat import Seat, SeatTaken
from flom.net.multicast import NoMulticast
from flom.server.arbiter import DeferredArbiter
from flom.server.connection import LockFactory
from flom.server.counters import Counters
from flom.server.group.service import Membership, MembershipService
from flom.server.group.starter import StarterConnection
from flom.server.lifespan import FIRST_CLIENT_TIMEOUT, LifespanService
from flom.server.proofs import Proofs
from tests.fakes.connections import MemoryClient, first, later, lock, unlock
from tests.fakes.group import ASKER, GROUP, RIVAL, FakePort, ReachedRival, instant, pass_time
from tests.fakes.logs import errors, informed, warnings
from tests.fakes.reactors import MemoryReactor
from tests.fakes.results import now

OTHER = Standing("0123456789abcdef", Role.LEADER, 1_700_000_000_000)
GONE = Standing(OTHER.node, Role.LEAVING, OTHER.since)
CAMPAIGN = 2 * DEFAULT_TIMING.campaign  # enough for an election


class FakeSeat(Seat):
    """
    The seat of a host, as the test wants it.

    @ivar problem: why it cannot be taken.
    """

    def __init__(self) -> None:
        super().__init__(GROUP)
        self.problem: Exception | None = None
        self.is_taken = False

    def extend(self) -> None:
        if self.problem is not None:
            raise self.problem
        self.is_taken = True

    def close(self) -> None:
        self.is_taken = False


class Daemon:
    """
    A daemon in L{GROUP}, without a network.

    @ivar ends: how often it was told to end.
    @ivar names: what it was to be called.
    """

    def __init__(
        self, ports: list[FakePort], lifespan: float | None = None, key: ProofKey | None = None, **membership: Any
    ) -> None:
        self.reactor = MemoryReactor()
        self.arbiter = DeferredArbiter(self.reactor)
        proofs = Proofs(key)
        self.factory = LockFactory(self.arbiter, self.reactor, proofs=proofs)
        self.seat = FakeSeat()
        self.ends = 0
        self.names: list[Role] = []
        self._ports = ports
        self.service = MembershipService(
            self.reactor,
            self.arbiter,
            LifespanService(self.arbiter, self.reactor, lifespan, self._end),
            Membership(GROUP, Listening(40001, (("", "::"),)), seat=self.seat, on_role=self.names.append, **membership),
            self._end,
            Counters(),
            self.factory.sessions,
            proofs=proofs,
        )

    @property
    def port(self) -> FakePort:
        return self._ports[-1]

    def start(self) -> Daemon:
        self.service.privilegedStartService()
        self.service.startService()
        return self

    def pass_time(self, seconds: float) -> None:
        pass_time(self.reactor, seconds)

    def win(self) -> Daemon:
        """Win the election."""
        self.start().pass_time(CAMPAIGN)
        assert self.names[-1] is Role.LEADER
        return self

    def hear(self, other: Standing) -> None:
        """Receive the standing of another daemon."""
        self.port.hear(encode(Discover(GROUP.address, standing=other)), RIVAL)

    def yield_to_other(self) -> None:
        """Receive the standing of another leader, which can be reached and has led for longer."""
        self.port.hear(encode(Discovered("", 40009, OTHER)), RIVAL)
        ReachedRival(self.reactor).prove(OTHER)

    def connect(self) -> MemoryClient:
        return MemoryClient(self.factory, "192.0.2.7")

    @property
    def lets_in(self) -> bool:
        """Whether a new connection is served."""
        if self.factory.buildProtocol(None) is None:
            return False
        return not self.connect().send(lock("R99")).transport.disconnecting

    @property
    def answers(self) -> bool:
        """Whether clients that look for a daemon are sent to it."""
        self.port.hear(encode(Discover()), ASKER)
        return bool(self.port.answers())

    def _end(self) -> None:
        self.ends += 1


@pytest.fixture(autouse=True)
def one_clock(monkeypatch: pytest.MonkeyPatch, daemon: Daemon) -> None:
    """Make the members of groups use the clock of the test."""
    monkeypatch.setattr("flom.server.group.service.system_instant", lambda: instant(daemon.reactor))


@pytest.fixture
def membership() -> dict[str, Any]:
    """What is special about the daemon."""
    return {}


@pytest.fixture
def daemon(ports: list[FakePort], membership: dict[str, Any]) -> Daemon:
    return Daemon(ports, **membership)


has_a_key = pytest.mark.parametrize("membership", [{"key": ProofKey(b"a secret of some bytes", "")}], ids=[""])
stands_by_for_nobody = pytest.mark.parametrize("membership", [{"stands_by": False}], ids=[""])


def errors_of(deferred: Deferred[Held]) -> list[type[BaseException] | None]:
    """Return what C{deferred} has failed with."""
    errors: list[type[BaseException] | None] = []

    def take(failure: Failure) -> None:
        errors.append(failure.type)

    deferred.addErrback(take)
    return errors


# it comes to lead


def test_before_it_leads_it_grants_nothing(daemon: Daemon) -> None:
    daemon.start()
    assert daemon.names == [Role.CANDIDATE]
    assert not daemon.lets_in
    assert not daemon.answers
    assert errors_of(daemon.arbiter.acquire("R1")) == [StandingBy]


def test_when_it_leads_it_grants_locks(daemon: Daemon) -> None:
    daemon.win()
    assert daemon.names == [Role.CANDIDATE, Role.LEADER]
    assert daemon.answers
    assert daemon.connect().send(lock()).received() == [first(0)]
    assert errors_of(daemon.arbiter.acquire("R2")) == []


def test_tokens_of_its_are_higher_than_those_of_the_last_leader(daemon: Daemon) -> None:
    daemon.start().port.hear(encode(Discover(GROUP.address, standing=OTHER, epoch=500_000_000)), RIVAL)
    daemon.hear(GONE)
    daemon.pass_time(CAMPAIGN)
    told = [message for message in daemon.port.told if isinstance(message, Discover)]
    assert told[-1].epoch == 500_000_001
    daemon.pass_time(GRACE)
    assert epoch_of(now(daemon.arbiter.acquire("R1")).token or 0) == 500_000_001


def test_when_two_have_led_the_one_that_goes_on_outranks_the_other(daemon: Daemon) -> None:
    daemon.win()
    before = now(daemon.arbiter.acquire("R1")).token
    younger = OTHER.replace(since=1_900_000_000_000)
    daemon.port.hear(encode(Discover(GROUP.address, standing=younger, port=40009, epoch=500_000_000)), RIVAL)
    ReachedRival(daemon.reactor).prove(younger)
    assert daemon.names[-1] is Role.LEADER
    after = now(daemon.arbiter.acquire("R2")).token
    assert before
    assert before < (500_000_001 << 32) + 1 == after


def test_while_another_one_leads_it_stands_by(daemon: Daemon) -> None:
    daemon.start().hear(OTHER)
    daemon.pass_time(1.0)
    assert daemon.names == [Role.CANDIDATE, Role.STANDBY]
    assert not daemon.lets_in
    assert not daemon.answers
    assert errors_of(daemon.arbiter.acquire("R1")) == [StandingBy]
    assert daemon.ends == 0


def test_it_takes_over_when_that_one_goes(daemon: Daemon) -> None:
    daemon.start().hear(OTHER)
    daemon.hear(GONE)
    daemon.pass_time(CAMPAIGN)
    assert daemon.names[-1] is Role.LEADER
    assert daemon.lets_in


@stands_by_for_nobody
def test_a_daemon_that_does_not_stand_by_ends_when_another_one_leads(daemon: Daemon) -> None:
    daemon.start().hear(OTHER)
    daemon.hear(Standing("fedcba9876543210", Role.LEADER, OTHER.since - 1))  # who leads there is not settled yet
    assert daemon.ends == 1


def test_without_a_way_to_the_group_it_does_not_start(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakePort, "has_interfaces", False)
    with pytest.raises(NoMulticast):
        daemon.start()


def test_stopped_it_says_goodbye_and_leaves_its_seat(daemon: Daemon) -> None:
    daemon.win()
    daemon.port.announced()
    daemon.service.stopService()
    assert {standing.role for standing in daemon.port.announced()} == {Role.LEAVING}
    assert not daemon.seat.is_taken
    assert daemon.reactor.getDelayedCalls() == []


# some hold locks of the daemon that has led before


def test_whoever_still_uses_a_lock_of_its_predecessor_is_served_first(daemon: Daemon) -> None:
    daemon.start().hear(OTHER)
    daemon.hear(GONE)
    orphaned = encode(Discover(GROUP.address, orphaned=True))
    for _ in range(100):
        if not daemon.lets_in:
            daemon.port.hear(orphaned, ASKER)
            daemon.pass_time(0.01)
    hasty, holder = daemon.connect().send(lock()), daemon.connect().send(lock(regains=1))
    assert (hasty.received(), holder.received()) == ([], [first(0)])
    daemon.pass_time(GRACE)
    assert hasty.received() == [first(1)]


def test_if_there_is_nobody_of_that_kind_all_are_served_a_moment_later(daemon: Daemon) -> None:
    daemon.start().hear(OTHER)
    daemon.hear(GONE)
    daemon.pass_time(CAMPAIGN)
    client = daemon.connect().send(lock())
    daemon.pass_time(GRACE)
    assert client.received() == [first(0)]


def test_as_long_as_somebody_looks_for_it_others_have_to_wait(daemon: Daemon) -> None:
    daemon.start().hear(OTHER)
    daemon.hear(GONE)
    daemon.pass_time(CAMPAIGN)
    hasty = daemon.connect().send(lock())
    for _ in range(4):
        daemon.port.hear(encode(Discover(GROUP.address, orphaned=True)), ASKER)
        daemon.pass_time(GRACE / 2)
    assert daemon.connect().send(lock(regains=1)).received() == [first(0)]
    daemon.pass_time(MAX_GRACE)
    assert hasty.received() == [first(1)]


@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
def test_a_holder_that_was_heard_is_waited_for_until_it_comes(daemon: Daemon, is_before: bool) -> None:
    """A holder whose machine is slow has asked once, before the takeover or after, and comes a second later."""
    daemon.start().hear(OTHER)
    daemon.hear(GONE)
    if not is_before:
        daemon.pass_time(CAMPAIGN)
    daemon.port.hear(encode(Discover(GROUP.address, orphaned=True, holder=7)), ASKER)
    if is_before:
        daemon.pass_time(CAMPAIGN)
    hasty = daemon.connect().send(lock())
    daemon.pass_time(LOOKING - CAMPAIGN - 0.5)
    assert hasty.received() == []
    assert daemon.connect().send(lock(regains=1, holder=7)).received() == [first(0)]
    daemon.pass_time(0.01)
    assert hasty.received() == [first(1)]


def test_holders_that_a_short_leader_has_served_are_not_waited_for(daemon: Daemon) -> None:
    """Two takeovers in a row: who found the first leader, and has ended since, does not hold up new grants here."""
    daemon.start()
    daemon.port.hear(encode(Discover(GROUP.address, orphaned=True, holder=7)), ASKER)
    daemon.pass_time(0.1)
    daemon.hear(OTHER)  # which dies before it announces itself again
    daemon.pass_time(DEFAULT_TIMING.patience + CAMPAIGN)
    client = daemon.connect().send(lock())
    daemon.pass_time(GRACE)
    assert client.received() == [first(0)]


def test_what_others_have_had_since_is_not_reclaimed(daemon: Daemon) -> None:
    daemon.start().hear(OTHER)
    daemon.hear(GONE)
    daemon.pass_time(CAMPAIGN + GRACE)
    daemon.connect().send(lock()).send(unlock()).leave()
    assert daemon.connect().send(lock(regains=1)).received() == [first(4)]


@has_a_key
def test_after_a_leader_of_ours_reclaims_have_to_be_proven(daemon: Daemon, log: list[LogEvent]) -> None:
    daemon.start().hear(OTHER)
    daemon.hear(GONE)
    daemon.pass_time(CAMPAIGN)
    assert daemon.connect().send(lock(regains=1)).received() == [first(4)]
    assert warnings(log) == ["R1 (EX) is not reclaimed by 192.0.2.7:40000, which has no proof of its grant"]


def test_in_a_group_without_a_key_a_late_reclaim_is_refused(daemon: Daemon, log: list[LogEvent]) -> None:
    """It can only be believed, and that ends with the grace period."""
    daemon.start().hear(OTHER)
    daemon.hear(GONE)
    daemon.pass_time(CAMPAIGN)
    assert daemon.connect().send(lock("R1", regains=1)).received() == [first(0)]
    daemon.pass_time(GRACE)
    assert daemon.connect().send(lock("R2", regains=1)).received() == [first(4)]
    assert informed(log)[-1] == "R1 (EX) is reclaimed by 192.0.2.7:40000, unproven"
    assert warnings(log) == ["R2 (EX) is not reclaimed by 192.0.2.7:40000, which has no proof of its grant"]


@pytest.mark.parametrize("is_told", [False, True])
def test_clients_of_a_silent_host_have_the_time_to_notice(is_told: bool, daemon: Daemon) -> None:
    """So others are not served before; but if it says that the leader has ended, its clients know."""
    daemon.start().port.hear(encode(Discover(GROUP.address, standing=OTHER, port=40009)), RIVAL)
    daemon.pass_time(DEFAULT_TIMING.patience + 0.01)
    [(*_, factory, _, _)] = daemon.reactor.tcpClients
    if is_told:
        nobody: Any = None
        factory.clientConnectionFailed(nobody, Failure(ConnectionRefusedError()))
    daemon.pass_time(CAMPAIGN - 0.2)
    assert daemon.names[-1] is Role.LEADER
    other = daemon.connect().send(lock("R1"))
    daemon.pass_time(GRACE)
    assert other.received() == ([first(0)] if is_told else [])
    assert daemon.connect().send(lock("R2", regains=1)).received() == [first(4 if is_told else 0)]
    daemon.pass_time(1.0)
    assert other.received() == ([] if is_told else [first(0)])


@has_a_key
def test_after_a_leader_of_flom_reclaims_are_believed(daemon: Daemon) -> None:
    daemon.start().port.hear(encode(Discovered("", 40009)), RIVAL)
    while daemon.names[-1] is not Role.LEADER:
        daemon.pass_time(0.1)
    assert daemon.connect().send(lock(regains=1)).received() == [first(0)]


# another one leads too


def test_a_contested_lock_is_told_to_the_other_leader_though_released(daemon: Daemon) -> None:
    """Or else the holder there would not hear of it, if the other leader asks a moment later."""
    holder = daemon.win().connect().send(lock("R1"))
    daemon.connect().send(lock("R2"))
    digests = Digests(b"agreed")
    there = [digests.held(resource.holders[0]) for resource in daemon.arbiter.view().resources]
    daemon.service.holds_elsewhere(OTHER.node, there[:1], digests)
    assert read_held(daemon.service._list_held(OTHER.node, digests)) == there
    holder.leave()
    assert read_held(daemon.service._list_held(OTHER.node, digests)) == there
    assert read_held(daemon.service._list_held("fedcba9876543210", digests)) == there[1:]  # a third one
    daemon.pass_time(10.1)
    assert read_held(daemon.service._list_held(OTHER.node, digests)) == there[1:]


# it yields


def test_its_waiters_are_dismissed_and_its_holder_may_finish(daemon: Daemon) -> None:
    holder, waiter = daemon.win().connect().send(lock()), daemon.connect().send(lock())
    newcomer = daemon.connect()
    daemon.yield_to_other()
    assert daemon.names[-1] is Role.STANDBY
    assert [client.transport.disconnecting for client in (holder, waiter, newcomer)] == [False, True, False]
    assert newcomer.send(lock("R2")).transport.disconnecting  # it was no challenge
    assert waiter.received() == [first(1)]
    for client in (waiter, newcomer):
        client.leave()
    daemon.pass_time(60.0)
    assert not holder.transport.disconnecting
    holder.send(unlock())
    assert holder.transport.disconnecting
    assert daemon.ends == 0


def test_what_its_holder_gives_back_goes_to_nobody(daemon: Daemon) -> None:
    holder, waiter = daemon.win().connect().send(lock()), daemon.connect().send(lock())
    daemon.yield_to_other()
    holder.send(unlock())  # before the waiter's connection is gone
    assert waiter.received() == [first(1)]
    assert not daemon.lets_in


def test_a_holder_that_asks_for_more_is_refused(daemon: Daemon) -> None:
    holder = daemon.win().connect().send(lock("N[3]", quantity=1))
    daemon.yield_to_other()
    holder.send(lock("N[3]", quantity=1))
    assert holder.received() == [first(0), first(Outcome.BUSY)]
    assert not holder.transport.disconnecting


def test_a_holder_that_waits_for_more_does_not_get_it(daemon: Daemon) -> None:
    greedy, other = daemon.win().connect(), daemon.connect()
    greedy.send(lock("N[3]", quantity=1))
    other.send(lock("N[3]", quantity=2))
    greedy.send(lock("N[3]", quantity=2))
    daemon.yield_to_other()
    other.send(unlock("N[3]"))
    assert later(0) not in greedy.received()


def test_code_in_the_same_process_is_sent_away_too(daemon: Daemon) -> None:
    held = daemon.win().arbiter.acquire("R1")
    waiting = errors_of(daemon.arbiter.acquire("R1"))
    daemon.yield_to_other()
    assert waiting == [StandingBy]
    assert errors_of(held) == []
    assert errors_of(daemon.arbiter.acquire("R2")) == [StandingBy]


def test_only_when_the_last_holder_is_gone_it_stands_for_election_again(daemon: Daemon) -> None:
    holder = daemon.win().connect().send(lock())
    daemon.yield_to_other()
    daemon.hear(GONE)
    daemon.pass_time(60.0)
    assert daemon.names == [Role.CANDIDATE, Role.LEADER, Role.STANDBY]
    holder.leave()
    daemon.pass_time(DEFAULT_TIMING.patience + CAMPAIGN)
    assert daemon.names[-1] is Role.LEADER
    assert daemon.connect().send(lock()).received() == [first(0)]


def test_without_holders_it_can_take_over_at_once(daemon: Daemon) -> None:
    daemon.win().yield_to_other()
    daemon.hear(GONE)
    daemon.pass_time(CAMPAIGN)
    assert daemon.names[-1] is Role.LEADER


@stands_by_for_nobody
def test_a_daemon_that_does_not_stand_by_ends_after_its_last_holder(daemon: Daemon) -> None:
    holder = daemon.win().connect().send(lock())
    daemon.yield_to_other()
    daemon.pass_time(60.0)
    assert daemon.ends == 0
    holder.send(unlock())
    holder.leave()
    assert daemon.ends == 1


@stands_by_for_nobody
def test_without_a_holder_it_ends_at_once_and_once(daemon: Daemon) -> None:
    waiter = daemon.win().connect()
    daemon.yield_to_other()
    waiter.leave()
    assert daemon.ends == 1


# the seat of its host


def test_while_another_daemon_has_the_seat_it_waits(daemon: Daemon, ports: list[FakePort], log: list[LogEvent]) -> None:
    daemon.seat.problem = SeatTaken("another daemon has it")
    daemon.start().pass_time(60.0)
    assert ports == []  # it does not even join the group
    assert daemon.names == [Role.STANDBY]
    assert not daemon.lets_in
    assert len([event for event in log if "another daemon has it" in str(event.get("why"))]) == 1


def test_it_takes_the_seat_when_that_is_free(daemon: Daemon) -> None:
    daemon.seat.problem = SeatTaken("another daemon has it")
    daemon.start().pass_time(10.0)
    daemon.seat.problem = None
    daemon.pass_time(DEFAULT_TIMING.heartbeat + CAMPAIGN)
    assert daemon.seat.is_taken
    assert daemon.names[-1] is Role.LEADER


def test_stopped_it_does_not_wait_any_more(daemon: Daemon) -> None:
    daemon.seat.problem = SeatTaken("another daemon has it")
    daemon.start().service.stopService()
    assert daemon.reactor.getDelayedCalls() == []


def test_who_waits_does_not_mind_that_there_is_no_interface_for_a_moment(daemon: Daemon) -> None:
    daemon.seat.problem = SeatTaken("another daemon has it")
    daemon.start().pass_time(10.0)
    daemon.seat.problem = NoMulticast("no network interface")
    daemon.pass_time(10.0)
    daemon.seat.problem = None
    daemon.pass_time(DEFAULT_TIMING.heartbeat + CAMPAIGN)
    assert daemon.names[-1] is Role.LEADER


def test_who_has_waited_and_finds_the_port_taken_ends(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, log: list[LogEvent]
) -> None:
    def fail(port: FakePort) -> None:
        raise CannotListenError("::", 28015, OSError("address already in use"))

    daemon.seat.problem = SeatTaken("another daemon has it")
    daemon.start()
    monkeypatch.setattr(FakePort, "startListening", fail)
    daemon.seat.problem = None
    daemon.pass_time(DEFAULT_TIMING.heartbeat)
    assert daemon.ends == 1
    assert any("already in use" in str(event.get("why")) for event in log)


# its lifespan


@pytest.mark.parametrize("membership", [{"lifespan": 10.0}], ids=[""])
def test_its_lifespan_counts_only_while_it_leads(daemon: Daemon) -> None:
    daemon.start().hear(OTHER)
    for _ in range(100):
        daemon.hear(OTHER)
        daemon.pass_time(1.0)
    assert daemon.ends == 0
    daemon.hear(GONE)
    daemon.pass_time(CAMPAIGN + 9.0)
    assert daemon.ends == 0
    daemon.pass_time(2.0)
    assert daemon.ends == 1


@pytest.mark.parametrize("membership", [{"lifespan": 1.0}], ids=[""])
def test_a_leader_that_nobody_needs_ends(daemon: Daemon) -> None:
    daemon.win().pass_time(FIRST_CLIENT_TIMEOUT)
    assert daemon.ends == 1


@pytest.mark.parametrize("membership", [{"lifespan": 10.0}], ids=[""])
def test_one_that_has_yielded_does_not_end_by_it(daemon: Daemon) -> None:
    daemon.win().yield_to_other()
    for _ in range(100):
        daemon.hear(OTHER)
        daemon.pass_time(1.0)
    assert daemon.ends == 0


# started by a program that wants to know how the election ends


class TestStarted:
    """Such a daemon has its seat, tells its starter what has become of it, and does not stand by."""

    @pytest.fixture
    def starter(self) -> Any:
        """The daemon's end of the connection."""
        ours, theirs = socket.socketpair()
        with closing(ours), closing(theirs):
            yield theirs

    @pytest.fixture
    def membership(self, starter: socket.socket) -> dict[str, Any]:
        return {"starter": starter, "stands_by": False}

    def connect(self, daemon: Daemon) -> tuple[StarterConnection, StringTransport]:
        [(_, _, factory)] = daemon.start().reactor.adoptedStreamConnections
        connection = factory.buildProtocol(None)
        assert isinstance(connection, StarterConnection)
        transport = StringTransport()
        connection.makeConnection(transport)
        return connection, transport

    def test_it_tells_that_it_was_elected(self, daemon: Daemon) -> None:
        _, told = self.connect(daemon)
        assert not daemon.lets_in
        daemon.pass_time(CAMPAIGN)
        assert daemon.lets_in
        assert told.value() == b"elected\n"

    def test_if_another_one_leads_it_tells_so_and_ends(self, daemon: Daemon) -> None:
        _, told = self.connect(daemon)
        daemon.hear(OTHER)
        assert told.value() == b"beaten\n"
        assert daemon.ends == 1

    def test_if_it_hears_nothing_of_the_group_it_tells_so_and_ends(self, daemon: Daemon) -> None:
        _, told = self.connect(daemon)
        daemon.port.is_deaf = True
        daemon.pass_time(CAMPAIGN)
        assert told.value().startswith(b"deaf ")
        assert b"does a firewall drop it?" in told.value()
        assert daemon.ends == 1

    def test_without_its_starter_it_ends(self, daemon: Daemon) -> None:
        connection, _ = self.connect(daemon)
        connection.connectionLost()
        assert daemon.ends == 1

    def test_once_it_leads_its_starter_may_go(self, daemon: Daemon) -> None:
        connection, _ = self.connect(daemon)
        daemon.pass_time(CAMPAIGN)
        connection.connectionLost()
        assert daemon.ends == 0

    def test_it_grants_to_those_who_held_locks_of_its_predecessor_first(self, daemon: Daemon) -> None:
        self.connect(daemon)
        daemon.port.hear(encode(Discover(GROUP.address, orphaned=True)), ASKER)
        daemon.pass_time(CAMPAIGN)
        hasty, holder = daemon.connect().send(lock()), daemon.connect().send(lock(regains=1))
        assert (hasty.received(), holder.received()) == ([], [first(0)])

    def test_if_it_cannot_join_the_group_it_does_not_start(
        self, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(FakePort, "has_interfaces", False)
        with pytest.raises(NoMulticast, match="no network interface"):
            daemon.start()


def test_the_log_says_why_no_daemon_is_elected(daemon: Daemon, log: list[LogEvent]) -> None:
    daemon.start()
    daemon.port.is_deaf = True
    daemon.pass_time(CAMPAIGN)
    assert "does not come back" in errors(log)[0]

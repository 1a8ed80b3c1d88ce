"""An arbiter grants while its tenure lasts, and asks the clock before each grant leaves."""

from __future__ import annotations

from twisted.internet.task import Clock

from flom.core.effects import Converted, Converting, Dismissed, Granted, Queued, Refused
from flom.core.grace import NO_WAIT
from flom.core.locks.positions import Position, Remembered
from flom.core.modes import EX, PR
from flom.core.names import parse_name
from flom.core.quorum.tenure import Tenure
from flom.core.quorum.times import DEFAULT
from flom.core.requests import LockRequest, SetRequest
from flom.core.tokens import COUNTER, epoch_of
from flom.errors import DaemonLost, FlomError
from flom.server.quorum.arbiter import SAVE_AGAIN, LeasedArbiter, LeasedEpochs
from flom.server.state import StateDirectory
from tests.fakes.elector import FakePositions
from tests.fakes.kept import MemoryStore
from tests.fakes.results import error, now
from tests.fakes.sessions import Session

TTL = 3.0
LEADS_FOR = DEFAULT.lead_within(TTL)


class Leader:
    """
    An arbiter whose daemon leads, after one that has left word.

    @ivar asleep: seconds for which the machine has slept.
    """

    def __init__(self, *, knows_holders: bool = True) -> None:
        self.clock = Clock()
        self.asleep = 0.0
        self.epochs = LeasedEpochs()
        self.epochs.given = 7
        self.arbiter = LeasedArbiter(self.clock, epochs=self.epochs, boottime=self.now)
        self.arbiter.retire()
        self.overdue = 0
        self.arbiter.on_overdue = self._note_overdue
        self.positions = FakePositions()
        self.tenure = Tenure(DEFAULT, won_at=0.0, sent_at=0.0, ttl=TTL, has_no_holders=knows_holders)
        self.arbiter.lead(self.tenure, 0.0 if knows_holders else DEFAULT.wait, self.positions, MemoryStore())

    def now(self) -> float:
        return self.clock.seconds() + self.asleep

    def client(self) -> Session:
        return Session(self.arbiter)

    def _note_overdue(self) -> None:
        self.overdue += 1
        self.arbiter.pause()


def test_a_leader_grants_with_tokens_of_the_epoch_that_was_given() -> None:
    leader = Leader()
    client = leader.client().ask("R")
    [granted] = client.effects
    assert isinstance(granted, Granted)
    assert epoch_of(granted.token) == 7
    assert leader.arbiter.grants_now


def test_a_daemon_that_was_stopped_knows_it_before_its_next_grant_leaves() -> None:
    """No timer has had its turn: the request is what it reads first."""
    leader = Leader()
    leader.asleep = LEADS_FOR
    client = leader.client().ask("R")
    assert client.effects == []
    assert leader.overdue == 1
    assert not leader.arbiter.grants_now


def test_a_release_grants_nothing_either_when_the_tenure_is_over() -> None:
    leader = Leader()
    holder, waiter = leader.client().ask("R"), leader.client().ask("R")
    leader.asleep = LEADS_FOR
    holder.leave()
    assert waiter.kinds() == [Queued]


def test_a_conversion_is_not_told_either_when_the_tenure_is_over() -> None:
    """Neither is what it lets in; the clock is asked before either leaves."""
    leader = Leader()
    writer, reader = leader.client().ask("R"), leader.client().ask("R", mode=PR)
    leader.asleep = LEADS_FOR
    writer.convert("R", PR)
    assert (writer.kinds(), reader.kinds()) == ([Granted], [Queued])
    assert leader.arbiter.is_paused
    leader.tenure.kept(leader.now(), TTL)
    leader.arbiter.go_on()
    assert (writer.kinds(), reader.kinds()) == ([Granted, Converted], [Queued, Granted])


def test_one_that_has_waited_is_told_to_nobody_when_another_daemon_leads() -> None:
    leader = Leader()
    first, second = leader.client().ask("R", mode=PR), leader.client().ask("R", mode=PR)
    first.convert("R", EX)
    leader.asleep = LEADS_FOR
    second.leave()
    assert leader.arbiter.is_paused
    assert not first.convert("R", PR)
    leader.arbiter.step_down("another daemon leads")
    assert first.kinds() == [Granted, Converting, Dismissed]


def test_in_the_wait_of_a_new_leader_a_conversion_is_deferred() -> None:
    leader = Leader(knows_holders=False)
    former = leader.client().ask("R", mode=PR, regains=True)
    former.convert("R", EX)
    assert former.kinds() == [Granted, Converting]
    for _ in range(6):
        leader.clock.advance(1.0)
        leader.tenure.kept(leader.now(), TTL)
    assert former.kinds() == [Granted, Converting, Converted]


def test_when_the_tenure_is_prolonged_what_was_decided_is_told_in_order() -> None:
    leader = Leader()
    holder, waiter = leader.client().ask("R"), leader.client().ask("R")
    leader.asleep = LEADS_FOR
    holder.leave()
    late = leader.client().ask("S")
    assert leader.arbiter.is_paused
    leader.tenure.kept(leader.now(), TTL)
    leader.arbiter.go_on()
    assert waiter.kinds() == [Queued, Granted]
    assert late.kinds() == [Granted]


def test_who_is_not_to_wait_is_refused_in_a_pause() -> None:
    leader = Leader()
    leader.arbiter.pause()
    client, waiter = leader.client().ask("R", wait=False), leader.client().ask("R")
    leader.clock.advance(NO_WAIT)
    assert client.kinds() == [Refused]
    leader.tenure.kept(leader.now(), TTL)
    leader.arbiter.go_on()
    assert (client.kinds(), waiter.kinds()) == ([Refused], [Granted])


def test_what_was_withheld_dies_with_the_tenure() -> None:
    leader = Leader()
    leader.asleep = LEADS_FOR
    client = leader.client().ask("R")
    leader.arbiter.step_down("another daemon leads")
    assert client.kinds() == [Dismissed]


def test_in_the_wait_reclaims_alone_are_granted() -> None:
    leader = Leader(knows_holders=False)
    new, former = leader.client().ask("R"), leader.client().ask("S", regains=True)
    assert (new.kinds(), former.kinds()) == ([], [Granted])
    for _ in range(6):
        leader.clock.advance(1.0)
        leader.tenure.kept(leader.now(), TTL)
    assert new.kinds() == [Granted]


def test_nothing_is_reclaimed_after_that() -> None:
    leader = Leader(knows_holders=False)
    for _ in range(6):
        leader.clock.advance(1.0)
        leader.tenure.kept(leader.now(), TTL)
    late = leader.client().ask("R", regains=True)
    assert Granted not in late.kinds()


def test_a_wait_that_ends_in_a_pause_ends_when_that_is_over() -> None:
    leader = Leader(knows_holders=False)
    new = leader.client().ask("R")
    leader.arbiter.pause()
    leader.clock.advance(DEFAULT.wait)
    assert new.kinds() == []
    leader.tenure.kept(leader.now(), TTL)
    leader.arbiter.go_on()
    assert new.kinds() == [Granted]


def test_locks_of_this_process_are_lost_when_it_does_not_lead_any_more() -> None:
    leader = Leader()
    held = now(leader.arbiter.acquire("R"))
    leader.arbiter.step_down("another daemon leads")
    assert held.is_lost
    lost = error(held.release())
    assert isinstance(lost, DaemonLost)
    assert "another daemon leads" in str(lost)


# positions of sequences


def test_a_number_is_told_when_the_position_is_written() -> None:
    leader = Leader()
    client = leader.client()
    client.ask_lifespan("_s_a[1]", 60.0)
    assert client.effects == []
    [(changes, written)] = leader.positions.saved
    assert changes == {"_s_a[1]": Remembered("_s_a[1]", 61.0, Position(100))}
    other = leader.client().ask("R")
    assert other.kinds() == [Granted]
    written.callback(None)
    assert client.kinds() == [Granted]


def test_of_several_locks_a_number_is_told_when_its_position_is_written() -> None:
    leader = Leader()
    client = leader.client()
    parts = (LockRequest(client.id, parse_name("_s_a[1]"), lifespan=60.0), LockRequest(client.id, parse_name("R")))
    leader.arbiter.request_all(SetRequest(parts))
    assert client.granted == ["R"]
    leader.positions.saved[0][1].callback(None)
    assert client.granted == ["R", "_s_a[1]"]


def test_a_position_that_cannot_be_written_is_written_again() -> None:
    leader = Leader()
    client = leader.client()
    client.ask_lifespan("_s_a[1]", 60.0)
    [(_, written)] = leader.positions.saved
    written.errback(FlomError("etcd has no majority"))
    assert client.effects == []
    leader.clock.advance(SAVE_AGAIN)
    leader.positions.saved[1][1].callback(None)
    assert client.kinds() == [Granted]


def test_a_position_of_a_tenure_that_is_over_changes_nothing() -> None:
    leader = Leader()
    client = leader.client()
    client.ask_lifespan("_s_a[1]", 60.0)
    leader.arbiter.step_down("another daemon leads")
    leader.positions.saved[0][1].callback(None)
    assert client.kinds() == [Dismissed]


# epochs


def test_an_epoch_that_is_used_up_is_followed_by_the_next() -> None:
    epochs = LeasedEpochs()
    epochs.given = 7
    assert epoch_of(epochs.begin(0, 0.0)) == 7
    assert epoch_of(epochs.begin(7, 0.0)) == 8
    assert epochs.begin(7, 0.0) & COUNTER == 1


def test_the_state_directory_remembers_the_epoch(tmp_path: object) -> None:
    state = StateDirectory(f"{tmp_path}/state")
    epochs = LeasedEpochs(state)
    epochs.given = 7
    epochs.begin(0, 0.0)
    assert state.read_epoch() == 7
    assert LeasedEpochs(state).highest_known(0.0) == 7


def test_a_daemon_without_a_quorum_may_have_had_any_epoch_of_its_clock() -> None:
    epochs = LeasedEpochs()
    assert epochs.highest_known(1_577_836_800 + 1000.5) == 1000
    epochs.elsewhere = 2000
    assert epochs.highest_known(1_577_836_800 + 1000.5) == 2000

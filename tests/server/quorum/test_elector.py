"""Daemons that stand for election at etcd: one leads, and what etcd does to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from time import time
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, LogLevel, formatEvent

from flom.core.quorum.tenure import Tenure
from flom.core.quorum.times import QuorumTimes
from flom.core.tokens import begin_epoch, epoch_of
from flom.lean import boottime
from flom.server.quorum.elector import Elector
from flom.server.quorum.gateway import Gateway
from flom.server.quorum.offset import raise_epoch
from flom.server.quorum.wire import Denied, Doubtful
from flom.server.quorum.word import write_word
from flom.server.state import StateDirectory
from tests.fakes.etcd import FakeEtcd
from tests.server.quorum.conftest import MakeGateway

loop: Any = reactor

TIMES = QuorumTimes(lease=1.0, session=1.0, margin=0.2, patience=0.5, kill_after=0.3, interval=0.1)
"""The leader stops 0.8 s after the last keepalive, and is deposed 1 s later."""

KEY, WORD, EPOCH, HALT = "/flom/leader", "/flom/word", "/flom/epoch", "/flom/halt"


class Candidate:
    """
    A daemon that would lead.

    @ivar told: what the elector has told, in order.
    """

    def __init__(
        self, gateway: Gateway, name: str = "h1", known: int = -1, state: StateDirectory | None = None
    ) -> None:
        self.told: list[str] = []
        self.known = known
        self.tenure: Tenure | None = None
        self.epoch = 0
        self.word = ""
        self.kept_times = 0
        self.gateway = gateway
        self.elector = Elector(loop, gateway, TIMES, name, self, state=state)

    def elected(self, tenure: Tenure, epoch: int, word: str) -> None:
        assert self.elector.positions is not None
        self.tenure, self.epoch, self.word = tenure, epoch, word
        self.told.append("elected")

    def deposed(self, why: str) -> None:
        self.told.append(f"deposed: {why}")

    def kept(self) -> None:
        self.kept_times += 1

    def followed(self, leader: str) -> None:
        self.told.append(f"{leader} leads")

    def changed(self) -> None:
        self.told.append(self.elector.view.role)

    def known_epoch(self) -> int:
        return self.known

    @property
    def leads(self) -> bool:
        return self.elector.tenure is not None and self.elector.tenure.may_answer(boottime())

    @property
    def role(self) -> str:
        return self.elector.view.role


Stand = Callable[..., Candidate]


async def _list_nothing(_: object) -> None:
    """Stand in for L{Members.run}: its leases and faults are other tests' subject."""


@pytest.fixture
def stand(etcd: FakeEtcd, make_gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """Make candidates that stand for election until the test ends."""
    etcd.least_ttl = 1
    for module in ("elector", "reign"):
        monkeypatch.setattr(f"flom.server.quorum.{module}.LOOK", 0.3)
        monkeypatch.setattr(f"flom.server.quorum.{module}.PAUSE", 0.05)
    monkeypatch.setattr("flom.server.quorum.members.Members.run", _list_nothing)
    candidates: list[Candidate] = []

    def stand(*arguments: Any, kind: type[Candidate] = Candidate, **named: Any) -> Candidate:
        candidate = kind(make_gateway(limit=0.4), *arguments, **named)
        candidates.append(candidate)
        candidate.elector.startService()
        return candidate

    yield stand
    for member in etcd.members:
        member.faults.clear()
    for candidate in candidates:
        pytest_twisted.blockon(candidate.elector.stopService())


async def until(is_so: Callable[[], object], limit: float = 5.0) -> None:
    """Wait until C{is_so} returns something true."""
    deadline = boottime() + limit
    while not is_so():
        assert boottime() < deadline, "it does not come to that"
        await deferLater(loop, 0.005)


def lines(log: list[LogEvent], level: object) -> list[str]:
    return [formatEvent(event) for event in log if event.get("log_level") is level]


@pytest_twisted.ensureDeferred
async def test_one_leads_and_the_others_follow(etcd: FakeEtcd, stand: Stand) -> None:
    candidates = [stand(name) for name in ("h1", "h2", "h3")]
    await until(lambda: all(each.elector.view.leader for each in candidates))
    [leader] = [each for each in candidates if each.leads]
    others = [each for each in candidates if each is not leader]
    assert leader.role == "leader"
    assert [each.role for each in others] == ["standby", "standby"]
    name = leader.elector.view.leader
    assert [each.told[-1] for each in others] == [f"{name} leads"] * 2
    assert leader.told[-2:] == [f"{name} leads", "elected"]
    assert {each.elector.view.epoch for each in candidates} == {leader.epoch}
    assert abs(others[0].elector.view.since - time()) < 5
    about = json.loads(etcd.value(KEY) or b"")
    assert about["leader"] == name
    assert len(about["try"]) == 32
    await until(lambda: leader.kept_times > 7)  # for longer than its lease
    assert leader.leads
    assert leader.told[-1] == "elected"


@pytest_twisted.ensureDeferred
async def test_the_first_epoch_is_above_all_that_are_known(etcd: FakeEtcd, stand: Stand) -> None:
    known = epoch_of(begin_epoch(-1, time())) + 10_000
    leader = stand(known=known)
    await until(lambda: leader.leads)
    assert leader.epoch > known
    assert leader.tenure is not None
    assert leader.tenure.grants_from >= boottime() + 0.8  # the whole wait: nobody has left word


@pytest_twisted.ensureDeferred
async def test_without_any_memory_the_clock_decides(etcd: FakeEtcd, stand: Stand) -> None:
    leader = stand()
    await until(lambda: leader.leads)
    assert leader.epoch > epoch_of(begin_epoch(-1, time())) - 5


@pytest_twisted.ensureDeferred
async def test_a_word_reaches_the_next_leader_once(etcd: FakeEtcd, stand: Stand) -> None:
    first = stand("h1")
    await until(lambda: first.leads)
    second = stand("h2")
    await until(lambda: second.role == "standby")
    began = boottime()
    await first.elector.resign("all that is held", hold_back=60)
    assert first.told[-1] == "deposed: resigned"
    assert not first.leads
    await until(lambda: second.leads)
    assert boottime() - began < 0.3
    assert second.word == "all that is held"
    assert second.tenure is not None
    assert second.tenure.grants_from <= boottime()
    assert second.epoch > first.epoch
    assert etcd.value(WORD) is None
    await second.elector.resign(hold_back=0.2)
    await until(lambda: second.told.count("elected") == 2)
    assert second.word == ""
    assert second.tenure.grants_from > boottime()


@pytest_twisted.ensureDeferred
async def test_a_word_that_a_backup_has_brought_back_is_not_used(etcd: FakeEtcd, stand: Stand) -> None:
    etcd.put(WORD, write_word("nothing is held", time() - 3600))
    leader = stand()
    await until(lambda: leader.leads)
    assert leader.word == ""
    assert leader.tenure is not None
    assert leader.tenure.grants_from > boottime()
    assert etcd.value(WORD) is None


@pytest_twisted.ensureDeferred
async def test_a_word_that_is_too_long_is_refused(etcd: FakeEtcd, stand: Stand) -> None:
    leader = stand()
    with pytest.raises(Denied, match="does not lead"):
        await leader.elector.resign()
    await until(lambda: leader.leads)
    with pytest.raises(Denied, match="1000001 bytes"):
        await leader.elector.resign("x" * 1_000_001)
    assert leader.leads


@pytest_twisted.ensureDeferred
async def test_a_resignation_that_is_not_answered_is_doubtful_and_final(etcd: FakeEtcd, stand: Stand) -> None:
    leader = stand()
    await until(lambda: leader.leads)
    for member in etcd.members:
        member.fail("put word", "late", 3)
    with pytest.raises(Doubtful):
        await leader.elector.resign("word", hold_back=60)
    assert leader.told[-1] == "deposed: resigned"
    await leader.elector.stopService()  # at once, as a daemon that ends
    assert etcd.value(KEY) is None  # by the lease, which was revoked
    assert etcd.value(WORD) is None
    etcd.carry_out()
    assert etcd.value(WORD) is None  # it holds only for the key that this daemon had put


@pytest_twisted.ensureDeferred
async def test_who_stops_leaves_the_key_to_others_at_once(etcd: FakeEtcd, stand: Stand) -> None:
    first = stand("h1")
    await until(lambda: first.leads)
    second = stand("h2")
    await until(lambda: second.role == "standby")
    await first.elector.stopService()
    assert first.told[-1] == "deposed: this daemon stops"
    assert first.role == "stopped"
    await until(lambda: second.leads, 0.3)
    await second.elector.stopService()
    assert etcd.value(KEY) is None
    assert etcd.store.leases == {}


@pytest_twisted.ensureDeferred
async def test_who_stops_while_nothing_answers_stops_in_time(etcd: FakeEtcd, stand: Stand) -> None:
    leader = stand()
    await until(lambda: leader.leads)
    for member in etcd.members:
        member.is_hung = True
    began = boottime()
    await leader.elector.stopService()
    assert boottime() - began < 1.5


# doubt


@pytest_twisted.ensureDeferred
async def test_a_transaction_that_would_win_later_never_does(etcd: FakeEtcd, stand: Stand) -> None:
    """Answered 503, it may be carried out minutes later: the lease that it names is revoked before the next try."""
    etcd.members[0].fail("put leader", "late")
    leader = stand()
    await until(lambda: leader.leads)
    assert len(etcd.store.leases) == 1
    etcd.delete(KEY)
    assert [answer.get("refused") for answer in etcd.carry_out()] == ["etcdserver: requested lease not found"]
    assert etcd.value(KEY) is None


@pytest_twisted.ensureDeferred
async def test_one_that_wins_before_its_lease_is_revoked_leaves_nothing(etcd: FakeEtcd, stand: Stand) -> None:
    """Carried out after the key was found free, and before the revoke has come."""
    etcd.members[0].fail("put leader", "late")
    etcd.members[1].fail("lease/revoke", "late")
    leader = stand()
    await until(lambda: len(etcd.late) == 2)
    etcd.carry_out()
    await until(lambda: leader.leads)
    about = json.loads(etcd.value(KEY) or b"")
    assert leader.told.count("elected") == 1
    assert about["leader"] == "h1"
    assert len(etcd.store.leases) == 1


@pytest_twisted.ensureDeferred
async def test_one_that_has_won_is_found_by_reading(etcd: FakeEtcd, stand: Stand) -> None:
    """The word went with the answer: the new leader waits for all."""
    etcd.put(WORD, write_word("lost", time()))
    etcd.members[0].fail("put leader", "lose")
    leader = stand()
    await until(lambda: leader.leads)
    assert leader.word == ""
    assert leader.tenure is not None
    assert leader.tenure.grants_from > boottime()
    assert etcd.value(WORD) is None
    assert etcd.asked["lease/grant"] == 1


@pytest.mark.parametrize("fault", ["refuse", "hang", "hang up", "nonsense"])
@pytest.mark.parametrize("path", ["kv/txn", "lease/grant", "put leader", "put epoch"])
@pytest_twisted.ensureDeferred
async def test_a_member_that_fails_is_in_nobodys_way(etcd: FakeEtcd, stand: Stand, path: str, fault: str) -> None:
    etcd.members[0].fail(path, fault)
    leader = stand()
    await until(lambda: leader.leads)


# the lease


@pytest_twisted.ensureDeferred
async def test_a_lease_that_has_ended_is_noticed(etcd: FakeEtcd, stand: Stand) -> None:
    leader = stand()
    await until(lambda: leader.leads)
    etcd.end_leases()
    await until(lambda: leader.told.count("elected") == 2)
    assert next(each for each in leader.told if each.startswith("deposed")) in (
        "deposed: /flom/leader has gone from etcd",
        "deposed: etcd has ended the lease",
    )


@pytest_twisted.ensureDeferred
async def test_a_key_that_was_deleted_is_noticed_at_once(etcd: FakeEtcd, stand: Stand) -> None:
    leader = stand()
    await until(lambda: leader.leads and etcd.watchers)
    began = boottime()
    etcd.delete(KEY)
    await until(lambda: "deposed: /flom/leader has gone from etcd" in leader.told)
    assert boottime() - began < 0.25


@pytest_twisted.ensureDeferred
async def test_a_silent_watch_proves_nothing(etcd: FakeEtcd, stand: Stand) -> None:
    """The key is read every few seconds besides."""
    for member in etcd.members:
        member.fail("watch", "hang", 100)
    first = stand("h1")
    await until(lambda: first.leads)
    second = stand("h2")
    await until(lambda: second.role == "standby")
    etcd.delete(KEY)
    await until(lambda: any("has gone" in each for each in first.told))
    await until(lambda: first.leads or second.leads)


@pytest_twisted.ensureDeferred
async def test_a_leader_that_hears_nothing_pauses_and_goes_on(etcd: FakeEtcd, stand: Stand) -> None:
    """Its lease was renewed when etcd's own leader changed: nobody else has led."""
    leader = stand()
    await until(lambda: leader.leads)
    with etcd.changed:
        for lease in etcd.store.leases.values():
            lease.ends_at += 60
    for member in etcd.members:
        member.is_hung = True
    await until(lambda: leader.role == "paused")
    assert not leader.leads
    kept = leader.kept_times
    for member in etcd.members:
        member.is_hung = False
    await until(lambda: leader.role == "leader")
    assert leader.leads
    assert leader.kept_times > kept
    assert leader.told.count("elected") == 1
    assert not any(each.startswith("deposed") for each in leader.told)


@pytest_twisted.ensureDeferred
async def test_it_is_counted_from_when_the_keepalive_was_sent(etcd: FakeEtcd, stand: Stand) -> None:
    leader = stand()
    await until(lambda: leader.kept_times > 1)
    for member in etcd.members:
        member.is_hung = True
    now = boottime()
    await until(lambda: not leader.leads)
    assert leader.tenure is not None
    assert leader.tenure.ends_at - now <= TIMES.lead_within(1) + 0.01


@pytest_twisted.ensureDeferred
async def test_a_leader_that_hears_nothing_for_long_is_deposed(etcd: FakeEtcd, stand: Stand) -> None:
    leader = stand()
    await until(lambda: leader.leads)
    for member in etcd.members:
        member.is_hung = True
    await until(lambda: any("has not confirmed the lease" in each for each in leader.told))
    assert "no answer within" in leader.elector.view.problem
    for member in etcd.members:
        member.is_hung = False
    await until(lambda: leader.told.count("elected") == 2)
    await until(lambda: leader.elector.view.problem == "")


@pytest_twisted.ensureDeferred
async def test_a_cut_member_is_left_for_another(etcd: FakeEtcd, stand: Stand) -> None:
    leader = stand()
    await until(lambda: leader.kept_times > 1)
    etcd.members[0].is_hung = True
    kept = leader.kept_times
    await until(lambda: leader.kept_times > kept + 4)
    assert leader.role == "leader"
    assert leader.told[-1] == "elected"


@pytest_twisted.ensureDeferred
async def test_who_may_not_read_the_key_says_so(etcd: FakeEtcd, stand: Stand, log: list[LogEvent]) -> None:
    etcd.forbidden = "/flom"
    candidate = stand()
    await until(lambda: candidate.elector.view.problem)
    assert candidate.elector.view.problem.endswith("permission denied")
    assert len(lines(log, LogLevel.warn)) == 1
    etcd.forbidden = ""
    await until(lambda: candidate.leads)
    assert candidate.elector.view.problem == ""
    assert dict(candidate.elector.view.endpoints).keys() == set(etcd.address.endpoints)
    etcd.forbidden = "/flom"  # while it leads: it goes on, because keepalives need no permission, and says so
    await until(lambda: candidate.elector.view.problem)
    kept = candidate.kept_times
    await until(lambda: candidate.kept_times > kept + 4)
    assert candidate.leads


# the history


@pytest_twisted.ensureDeferred
async def test_a_restore_is_noticed_and_nobody_leads_until_told(
    etcd: FakeEtcd, stand: Stand, log: list[LogEvent]
) -> None:
    leader = stand("h1")
    await until(lambda: leader.leads)
    backup = etcd.snapshot()
    for number in range(9):
        etcd.put("/other", b"%d" % number)
    await until(lambda: leader.gateway.history.revision == etcd.store.revision)
    etcd.restore(backup)
    await until(lambda: leader.role == "halted" and etcd.value(HALT))
    [deposed] = [each for each in leader.told if each.startswith("deposed")]
    assert "gone back from revision" in deposed
    assert [line for line in lines(log, LogLevel.critical) if "flomctl epoch --raise" in line]
    assert "flomctl epoch --raise" in leader.elector.view.problem
    other = stand("h2")
    await until(lambda: other.role == "halted")
    assert len(lines(log, LogLevel.critical)) == 2  # one line each
    assert etcd.value(KEY) is None or json.loads(etcd.value(KEY) or b"")["leader"]
    await raise_epoch(other.gateway)
    await until(lambda: leader.leads or other.leads)
    new = leader if leader.leads else other
    assert new.epoch > json.loads(etcd.value(EPOCH) or b"")["offset"]
    assert new.epoch > leader.gateway.history.epoch - 1
    assert etcd.value(HALT) is None


@pytest_twisted.ensureDeferred
async def test_a_restore_is_noticed_after_a_restart_too(etcd: FakeEtcd, stand: Stand, tmp_path: Path) -> None:
    state = StateDirectory(str(tmp_path / "state"))
    backup = etcd.snapshot()
    first = stand(state=state)
    await until(lambda: first.leads)
    await first.elector.stopService()
    etcd.restore(backup)
    again = stand(state=state)
    await until(lambda: again.role == "halted" and etcd.value(HALT))
    assert "elected" not in again.told
    least = await raise_epoch(again.gateway)
    await until(lambda: again.leads)
    assert again.epoch >= least > first.epoch


@pytest_twisted.ensureDeferred
async def test_a_leader_that_has_not_noticed_a_restore_halts_too(etcd: FakeEtcd, stand: Stand) -> None:
    """It has no memory; another daemon has seen higher epochs."""
    leader = stand()
    await until(lambda: leader.leads)
    etcd.put(HALT, b'{"epoch": 2000000000, "why": "etcd has gone back"}')
    await until(lambda: leader.role == "halted")
    assert "deposed: etcd has gone back" in leader.told
    assert etcd.value(KEY) is None


@pytest_twisted.ensureDeferred
async def test_who_comes_when_the_epoch_was_raised_halts_nobody(
    etcd: FakeEtcd, stand: Stand, gateway: Gateway, tmp_path: Path
) -> None:
    """It has seen more than there is now, and so has the administrator who has raised the epoch meanwhile."""
    state = StateDirectory(str(tmp_path / "state"))
    backup = etcd.snapshot()
    first = stand("h1", state=state)
    await until(lambda: first.leads)
    await first.elector.stopService()
    etcd.restore(backup)
    await raise_epoch(gateway, above=first.epoch)
    again = stand("h1", state=state)
    await until(lambda: again.leads)
    assert again.epoch > first.epoch
    assert etcd.value(HALT) is None
    assert not any("halted" in each for each in again.told)


@pytest_twisted.ensureDeferred
async def test_an_offset_that_has_gone_is_another_history(etcd: FakeEtcd, stand: Stand) -> None:
    leader = stand()
    await until(lambda: leader.leads)
    etcd.delete(EPOCH)
    await leader.elector.resign(hold_back=0.05)
    await until(lambda: leader.role == "halted" and etcd.value(HALT))
    await raise_epoch(leader.gateway, above=leader.epoch + 100)
    before = leader.epoch
    await until(lambda: leader.leads)
    assert leader.epoch > before + 100

"""
Three candidates, three members, and faults by chance: no two lead at once, and epochs grow.

FLOM_ELECTOR_SECONDS=N does it for longer, FLOM_ELECTOR_SEED=N again in the same order.
"""

from __future__ import annotations

import os
from random import Random
from typing import Any, Final

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater

from flom.core.quorum.tenure import Tenure
from flom.errors import FlomError
from flom.lean import boottime
from tests.fakes.etcd import FakeEtcd, FakeMember
from tests.server.quorum.test_elector import Candidate, Stand, until
from tests.server.quorum.test_elector import stand as stand

loop: Any = reactor

SECONDS: Final = float(os.environ.get("FLOM_ELECTOR_SECONDS", "2"))
SEED: Final = int(os.environ.get("FLOM_ELECTOR_SEED", "0")) or Random().randrange(1, 10**6)

PATHS: Final = (
    "put leader",
    "put leader",
    "put word",
    "put epoch",
    "kv/txn",
    "lease/grant",
    "lease/keepalive",
    "lease/revoke",
)
FAULTS: Final = ("late", "late", "lose", "refuse", "hang", "hang up", "nonsense")


class Ledger:
    """
    What was seen of all candidates together.

    @ivar tenures: each with its epoch, in the order of the elections.
    @ivar most: how many have led at once.
    """

    def __init__(self) -> None:
        self.candidates: list[Candidate] = []
        self.tenures: list[tuple[int, str]] = []
        self.most = 0

    def note(self, candidate: Candidate, tenure: Tenure, epoch: int, word: str) -> None:
        assert all(epoch > before for before, _ in self.tenures), f"epoch {epoch} after {self.tenures}"
        if word:
            assert word == f"of {self.tenures[-1][0]}", "a word of another one than the leader before"
        assert all(each is candidate or not each.leads for each in self.candidates), "two lead"
        self.tenures.append((epoch, word))

    def look(self) -> None:
        self.most = max(self.most, sum(each.leads for each in self.candidates))


class Watched(Candidate):
    """A candidate that notes its elections in the ledger."""

    ledger: Ledger

    def elected(self, tenure: Tenure, epoch: int, word: str) -> None:
        self.ledger.note(self, tenure, epoch, word)
        super().elected(tenure, epoch, word)


async def torment(etcd: FakeEtcd, candidates: list[Candidate], random: Random) -> None:
    """Do something bad."""
    member: FakeMember = random.choice(etcd.members)
    match random.randrange(8):
        case 0:
            member.is_hung = True
            loop.callLater(random.uniform(0.1, 1.5), setattr, member, "is_hung", False)
        case 1:
            member.is_cut_off = True
            loop.callLater(random.uniform(0.1, 1.5), setattr, member, "is_cut_off", False)
        case 2:
            etcd.carry_out()
        case 3:
            leader = next((each for each in candidates if each.leads), None)
            if leader is not None:
                resigned: Deferred[Any] = leader.elector.resign(f"of {leader.epoch}", hold_back=0.3)
                resigned.addErrback(lambda failure: failure.trap(FlomError))
        case _:
            member.fail(random.choice(PATHS), random.choice(FAULTS))
    await deferLater(loop, random.uniform(0.0, 0.15))


@pytest_twisted.ensureDeferred
async def test_no_two_lead_whatever_fails(etcd: FakeEtcd, stand: Stand) -> None:
    print(f"FLOM_ELECTOR_SEED={SEED}")
    random = Random(SEED)
    ledger = Watched.ledger = Ledger()
    for name in ("h1", "h2", "h3"):
        candidate = stand(name, kind=Watched)
        ledger.candidates.append(candidate)
    looking = LoopingCall(ledger.look)
    looking.start(0.005)
    ends_at = boottime() + SECONDS
    while boottime() < ends_at:
        await torment(etcd, ledger.candidates, random)
    for member in etcd.members:
        member.faults.clear()
    await deferLater(loop, 1.5)
    etcd.carry_out()
    await until(lambda: any(each.role == "leader" and each.leads for each in ledger.candidates), 8)
    looking.stop()
    assert ledger.most == 1
    print(f"{len(ledger.tenures)} tenures, {sum(bool(word) for _, word in ledger.tenures)} with a word")

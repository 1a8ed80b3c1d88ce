"""The positions of sequences in etcd: written by the leader alone, and never on top of something newer."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent

from flom.core.locks.positions import Position, Remembered
from flom.server.quorum.gateway import Gateway
from flom.server.quorum.positions import Deposed, QuorumPositions
from flom.server.quorum.wire import Denied, created_at, put
from tests.fakes.etcd import FakeEtcd
from tests.fakes.logs import warnings
from tests.server.quorum.conftest import MakeGateway

loop: Any = reactor
KEY = "/flom/leader"


def at(last: int, *rolled_back: int, name: str = "_S_a[1]") -> Remembered:
    return Remembered(name, 10.0, Position(last, rolled_back))


class Leader:
    """
    A daemon that has put the key.

    @ivar deposed: the reasons that it was told.
    """

    def __init__(self, gateway: Gateway, created: int) -> None:
        self.deposed: list[str] = []
        self.positions = QuorumPositions(loop, gateway, KEY, created, self.deposed.append)

    async def save(self, *sequences: Remembered) -> None:
        await self.positions.save({one.name: one for one in sequences}).addTimeout(5, loop)


async def elect(gateway: Gateway) -> Leader:
    won = await gateway.transact([created_at(KEY, 0)], [put(KEY, b"1")])
    assert won.has_succeeded
    leader = Leader(gateway, won.revision)
    await leader.positions.fetch()
    return leader


def last_of(etcd: FakeEtcd, name: str = "_S_a[1]") -> int | None:
    value = etcd.value(f"/flom/sequences/{name}")
    return None if value is None else json.loads(value)["last"]


@pytest_twisted.ensureDeferred
async def test_the_next_leader_goes_on(etcd: FakeEtcd, gateway: Gateway) -> None:
    leader = await elect(gateway)
    assert leader.positions.load() == []
    await leader.save(at(7, 3, 2), at(9, name="_s_b[2]"))
    await leader.positions.save({"_s_b[2]": None})
    etcd.delete(KEY)
    assert (await elect(gateway)).positions.load() == leader.positions.load() == [at(7, 3, 2)]


@pytest_twisted.ensureDeferred
async def test_a_deposed_leader_writes_nothing(etcd: FakeEtcd, gateway: Gateway) -> None:
    old = await elect(gateway)
    await old.save(at(7))
    etcd.delete(KEY)
    new = await elect(gateway)
    late = old.positions.save({"_S_a[1]": at(8)})
    await new.save(at(100))
    while not old.deposed:
        await Deferred(lambda _: None).addTimeout(0.01, loop, onTimeoutCancel=lambda *_: None)
    assert old.deposed == ["another daemon leads"]
    old.positions.close("another daemon leads")
    with pytest.raises(Deposed, match="another daemon leads"):
        await late
    with pytest.raises(Deposed):
        await old.positions.save({"_S_a[1]": at(9)})
    assert last_of(etcd) == 100


@pytest.mark.parametrize("fault", ["lose", "late", "refuse", "hang", "hang up", "deny"])
@pytest_twisted.ensureDeferred
async def test_a_write_is_tried_until_it_is_there(
    etcd: FakeEtcd, make_gateway: MakeGateway, fault: str, log: list[LogEvent]
) -> None:
    leader = await elect(make_gateway(limit=0.3))
    etcd.members[0].fail("kv/txn", fault)
    await leader.save(at(7))
    assert last_of(etcd) == 7
    assert len(warnings(log)) == 1
    assert leader.positions.problem == ""


@pytest_twisted.ensureDeferred
async def test_a_doubtful_write_never_comes_after_the_next_one(etcd: FakeEtcd, gateway: Gateway) -> None:
    leader = await elect(gateway)
    await leader.save(at(7))
    etcd.members[0].fail("kv/txn", "late")
    await leader.save(at(8))
    await leader.save(at(9))
    etcd.carry_out()
    assert last_of(etcd) == 9


@pytest_twisted.ensureDeferred
async def test_what_comes_during_a_write_goes_out_together(etcd: FakeEtcd, gateway: Gateway) -> None:
    leader = await elect(gateway)
    before = etcd.asked["kv/txn"]
    saved = [leader.positions.save({"_S_a[1]": at(number)}) for number in range(1, 100)]
    for each in saved:
        await each
    assert etcd.asked["kv/txn"] - before == 2
    assert last_of(etcd) == 99


@pytest_twisted.ensureDeferred
async def test_many_sequences_are_written_in_parts(etcd: FakeEtcd, gateway: Gateway) -> None:
    leader = await elect(gateway)
    sequences = [at(number, name=f"_S_a{number}[1]") for number in range(1, 121)]
    await leader.save(*sequences)
    etcd.delete(KEY)
    found = (await elect(gateway)).positions.load()
    assert sorted(found, key=lambda one: one.position.last) == sequences


@pytest_twisted.ensureDeferred
async def test_who_waits_when_it_ends_is_told(etcd: FakeEtcd, gateway: Gateway) -> None:
    leader = await elect(gateway)
    for member in etcd.members:
        member.is_hung = True
    saved = [leader.positions.save({"_S_a[1]": at(number)}) for number in (7, 8)]
    leader.positions.close("it stops")
    for each in saved:
        with pytest.raises(Deposed, match="it stops"):
            await each


@pytest_twisted.ensureDeferred
async def test_what_no_daemon_has_written_is_named(etcd: FakeEtcd, gateway: Gateway) -> None:
    etcd.put("/flom/sequences/_S_a[1]", b'{"last": -7}')
    with pytest.raises(Denied, match=r'^/flom/sequences/_S_a\[1\]: \{"last": -7\} is no position of a sequence$'):
        await elect(gateway)

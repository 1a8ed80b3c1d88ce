"""The positions of sequences in etcd: written by the leader alone, and never on top of something newer."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from flom.core.locks.positions import Position, Remembered
from flom.server.quorum.gateway import Gateway
from flom.server.quorum.positions import QuorumPositions
from flom.server.quorum.wire import Denied, created_at, put
from tests.fakes.etcd import FakeEtcd

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
async def test_what_no_daemon_has_written_is_named(etcd: FakeEtcd, gateway: Gateway) -> None:
    etcd.put("/flom/sequences/_S_a[1]", b'{"last": -7}')
    with pytest.raises(Denied, match=r'^/flom/sequences/_S_a\[1\]: \{"last": -7\} is no position of a sequence$'):
        await elect(gateway)

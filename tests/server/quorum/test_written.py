"""Keys at etcd that the leader alone writes, and never on top of something newer."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent

from flom.server.quorum.gateway import Gateway
from flom.server.quorum.wire import KeyValue, created_at, put
from flom.server.quorum.written import Deposed, LeadersKeys
from tests.fakes.etcd import FakeEtcd
from tests.fakes.logs import warnings
from tests.server.quorum.conftest import MakeGateway

loop: Any = reactor
KEY = "/flom/leader"


class Leader:
    """
    A daemon that has put the key.

    @ivar deposed: the reasons that it was told.
    @ivar found: what the leaders before have written.
    """

    def __init__(self, gateway: Gateway, created: int) -> None:
        self.deposed: list[str] = []
        self.found: list[tuple[str, KeyValue]] = []
        self.keys = LeadersKeys(loop, gateway, KEY, created, self.deposed.append, "things/", "things")

    async def save(self, **values: bytes) -> None:
        await self.keys.save(values).addTimeout(5, loop)


async def elect(gateway: Gateway) -> Leader:
    won = await gateway.transact([created_at(KEY, 0)], [put(KEY, b"1")])
    assert won.has_succeeded
    leader = Leader(gateway, won.revision)
    leader.found = await leader.keys.fetch()
    return leader


@pytest_twisted.ensureDeferred
async def test_a_deposed_leader_writes_nothing(etcd: FakeEtcd, gateway: Gateway) -> None:
    old = await elect(gateway)
    await old.save(a=b"7")
    etcd.delete(KEY)
    new = await elect(gateway)
    late = old.keys.save({"a": b"8"})
    await new.save(a=b"100")
    while not old.deposed:
        await Deferred(lambda _: None).addTimeout(0.01, loop, onTimeoutCancel=lambda *_: None)
    assert old.deposed == ["another daemon leads"]
    old.keys.close("another daemon leads")
    with pytest.raises(Deposed, match="another daemon leads"):
        await late
    with pytest.raises(Deposed):
        await old.keys.save({"a": b"9"})
    assert etcd.value("/flom/things/a") == b"100"


@pytest.mark.parametrize("fault", ["lose", "late", "refuse", "hang", "hang up", "deny"])
@pytest_twisted.ensureDeferred
async def test_a_write_is_tried_until_it_is_there(
    etcd: FakeEtcd, make_gateway: MakeGateway, fault: str, log: list[LogEvent]
) -> None:
    leader = await elect(make_gateway(limit=0.3))
    etcd.members[0].fail("kv/txn", fault)
    await leader.save(a=b"7")
    assert etcd.value("/flom/things/a") == b"7"
    assert len(warnings(log)) == 1
    assert leader.keys.problem == ""


@pytest_twisted.ensureDeferred
async def test_a_doubtful_write_never_comes_after_the_next_one(etcd: FakeEtcd, gateway: Gateway) -> None:
    leader = await elect(gateway)
    await leader.save(a=b"7")
    etcd.members[0].fail("kv/txn", "late")
    await leader.save(a=b"8")
    await leader.save(a=b"9")
    etcd.carry_out()
    assert etcd.value("/flom/things/a") == b"9"


@pytest_twisted.ensureDeferred
async def test_what_comes_during_a_write_goes_out_together(etcd: FakeEtcd, gateway: Gateway) -> None:
    leader = await elect(gateway)
    before = etcd.asked["kv/txn"]
    saved = [leader.keys.save({"a": b"%d" % number}) for number in range(1, 100)]
    for each in saved:
        await each
    assert etcd.asked["kv/txn"] - before == 2
    assert etcd.value("/flom/things/a") == b"99"


@pytest_twisted.ensureDeferred
async def test_many_keys_are_written_in_parts(etcd: FakeEtcd, gateway: Gateway) -> None:
    leader = await elect(gateway)
    keys = {f"a{number}": b"%d" % number for number in range(1, 121)}
    await leader.save(**keys)
    etcd.delete(KEY)
    assert {name: one.value for name, one in (await elect(gateway)).found} == keys


@pytest_twisted.ensureDeferred
async def test_who_waits_when_it_ends_is_told(etcd: FakeEtcd, gateway: Gateway) -> None:
    leader = await elect(gateway)
    for member in etcd.members:
        member.is_hung = True
    saved = [leader.keys.save({"a": b"%d" % number}) for number in (7, 8)]
    leader.keys.close("it stops")
    for each in saved:
        with pytest.raises(Deposed, match="it stops"):
            await each

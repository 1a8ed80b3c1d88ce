"""What a leader keeps at etcd beside its locks: the next one reads it, and one that was deposed writes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from flom.server.quorum.gateway import Gateway
from flom.server.quorum.store import QuorumStore
from flom.server.quorum.wire import created_at, put
from flom.server.quorum.written import Deposed
from tests.fakes.etcd import FakeEtcd

loop: Any = reactor
KEY = "/flom/leader"


async def elect(gateway: Gateway) -> QuorumStore:
    won = await gateway.transact([created_at(KEY, 0)], [put(KEY, b"1")])
    store = QuorumStore(loop, gateway, KEY, won.revision, lambda why: store.close(why))
    await store.fetch()
    return store


@pytest_twisted.ensureDeferred
async def test_the_next_leader_reads_what_is_kept(etcd: FakeEtcd, gateway: Gateway) -> None:
    store = await elect(gateway)
    assert (store.why_not, store.load()) == ("", {})
    await store.write("hold 1", "\udcff")
    await store.write("value a/b", "one")
    await store.write("value a/b", None)
    assert etcd.value("/flom/kept/hold 1") == b"\xff"
    etcd.delete(KEY)
    assert (await elect(gateway)).load() == store.load() == {"hold 1": "\udcff"}


@pytest_twisted.ensureDeferred
async def test_a_deposed_leader_keeps_nothing(etcd: FakeEtcd, gateway: Gateway) -> None:
    old = await elect(gateway)
    etcd.delete(KEY)
    new = await elect(gateway)
    with pytest.raises(Deposed, match="another daemon leads"):
        await old.write("hold 1", "old").addTimeout(5, loop)
    await new.write("hold 1", "new")
    assert etcd.value("/flom/kept/hold 1") == b"new"

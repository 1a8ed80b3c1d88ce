"""A watch: what it tells, and that it ends by itself when it could be silent for ever."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredQueue

from flom.server.quorum.gateway import Gateway
from flom.server.quorum.watch import Watch
from tests.fakes.etcd import FakeEtcd
from tests.server.quorum.conftest import MakeGateway

loop: Any = reactor
KEY = "/flom/leader"


class Watching:
    """
    A watch of the key.

    @ivar told: what it has told: values, C{None} when the key was deleted, and the reason of its end as a list.
    """

    def __init__(self, gateway: Gateway, revision: int = 2) -> None:
        self.told: DeferredQueue[Any] = DeferredQueue()
        self.watch = Watch(
            loop,
            gateway,
            KEY,
            revision,
            lambda found: self.told.put(found.value if found.created else None),
            lambda why: self.told.put([why]),
        )
        self.watch.begin()

    def next(self) -> Deferred[Any]:
        return self.told.get().addTimeout(5, loop)


@pytest_twisted.ensureDeferred
async def test_it_tells_what_becomes_of_the_key(etcd: FakeEtcd, gateway: Gateway) -> None:
    etcd.put(KEY, b"1")
    etcd.put("/flom/other", b"1")
    watching = Watching(gateway)
    assert await watching.next() == b"1"
    etcd.delete(KEY)
    assert await watching.next() is None
    assert watching.watch.is_open
    watching.watch.close()
    while etcd.watchers:
        await Deferred(lambda _: None).addTimeout(0.02, loop, onTimeoutCancel=lambda *_: None)


@pytest.mark.parametrize("path", ["watch", "watch/events"])
@pytest_twisted.ensureDeferred
async def test_one_that_was_cancelled_ends(etcd: FakeEtcd, gateway: Gateway, path: str) -> None:
    """etcd leaves it open, and silent."""
    etcd.members[0].fail(path, "cancel")
    [why] = await Watching(gateway).next()
    assert why == f"{etcd.members[0].url}: the watch was cancelled: no reason"
    assert gateway.endpoint == etcd.members[1].url


@pytest_twisted.ensureDeferred
async def test_one_that_begins_too_early_ends(etcd: FakeEtcd, gateway: Gateway) -> None:
    etcd.put(KEY, b"1")
    etcd.compact()
    [why] = await Watching(gateway, 1).next()
    assert "compacted up to revision 2" in why


@pytest_twisted.ensureDeferred
async def test_a_member_that_loses_its_leader_ends_it(etcd: FakeEtcd, gateway: Gateway) -> None:
    watching = Watching(gateway)
    while not watching.watch.is_open:
        await Deferred(lambda _: None).addTimeout(0.02, loop, onTimeoutCancel=lambda *_: None)
    etcd.members[0].is_cut_off = True
    [why] = await watching.next()
    assert "no leader" in why


@pytest.mark.parametrize(
    ("fault", "why"),
    [("hang", "no answer within 0.3 s"), ("hang up", ""), ("nonsense", "makes no sense"), ("refuse", "503")],
)
@pytest_twisted.ensureDeferred
async def test_a_watch_that_does_not_begin_ends(
    etcd: FakeEtcd, make_gateway: MakeGateway, fault: str, why: str
) -> None:
    etcd.members[0].fail("watch", fault)
    [told] = await Watching(make_gateway(limit=0.3)).next()
    assert why in told


@pytest_twisted.ensureDeferred
async def test_after_a_refusal_there_is_a_new_token(etcd: FakeEtcd, make_gateway: MakeGateway) -> None:
    """Whatever the reason says: an old version calls a bad token a missing permission."""
    etcd.users["flom"] = "secret"
    gateway = make_gateway(user="flom", password="secret")
    await gateway.read(KEY)
    etcd.forget_tokens()
    [why] = await Watching(gateway).next()
    assert "PermissionDenied" in why
    gateway.go_on(etcd.members[1].url)
    gateway.go_on(etcd.members[2].url)
    watching = Watching(gateway)
    etcd.put(KEY, b"1")
    assert await watching.next() == b"1"

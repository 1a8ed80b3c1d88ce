"""The daemons that would lead, for the status."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred

from flom.server.quorum.gateway import Gateway
from flom.server.quorum.members import Members
from tests.fakes.etcd import FakeEtcd
from tests.server.quorum.conftest import MakeGateway
from tests.server.quorum.test_elector import until

loop: Any = reactor


class Listed:
    """A daemon that lists itself, every 0.05 s."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self.changes = 0
        self.members = Members(loop, gateway, name, self.note)
        self.going_round = Deferred.fromCoroutine(self.members.run())
        self.going_round.addErrback(lambda failure: failure.trap(CancelledError))

    def note(self) -> None:
        self.changes += 1

    async def end(self) -> None:
        self.going_round.cancel()
        await self.members.leave()


@pytest_twisted.ensureDeferred
async def test_who_comes_and_goes_is_listed(
    etcd: FakeEtcd, make_gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flom.server.quorum.members.ROUND", 0.05)
    first, second = (Listed(make_gateway(), name) for name in ("h1", "h\n2"))
    await until(lambda: first.members.names == second.members.names == ("h1", "h\\n2"))
    changes = first.changes
    await second.end()
    await until(lambda: first.members.names == ("h1",))
    assert first.changes == changes + 1
    etcd.end_leases()
    etcd.members[0].fail("lease/grant", "refuse")
    await until(lambda: etcd.store.leases)  # it comes back by itself
    await until(lambda: first.members.names == ("h1",) and len(etcd.keys()) == 1)
    await first.end()
    assert etcd.keys() == []
    assert etcd.store.leases == {}

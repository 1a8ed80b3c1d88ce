"""A cluster of three members, and what speaks with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet import reactor

from flom.lean import boottime
from flom.server.quorum.gateway import Credentials, Gateway
from tests.fakes.etcd import FakeEtcd

loop: Any = reactor

MakeGateway = Callable[..., Gateway]


@pytest.fixture
def etcd() -> Iterator[FakeEtcd]:
    """Three members."""
    with FakeEtcd(3) as etcd:
        yield etcd


@pytest.fixture
def make_gateway(etcd: FakeEtcd) -> MakeGateway:
    """Make gateways to the three members."""

    def make(limit: float = 2.0, user: str = "", password: str = "") -> Gateway:
        credentials = Credentials(user, password) if user else None
        return Gateway(loop, etcd.address, now=boottime, credentials=credentials, limit=limit)

    return make


@pytest.fixture
def gateway(make_gateway: MakeGateway) -> Gateway:
    """One of them."""
    return make_gateway()

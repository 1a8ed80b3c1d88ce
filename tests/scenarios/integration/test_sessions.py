"""What a client over TCP gives up is free at once, although a connection that breaks is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater

from flom import lock
from flom.client.deferred.connect import connect
from flom.config import Config
from flom.errors import LockTimeout
from tests.fakes.daemon import Daemon
from tests.fakes.programs import free_port

loop: Any = reactor

AT_ONCE = 3.0
"""Seconds, far fewer than a broken connection is waited for."""


@pytest.fixture
def config() -> Iterator[Config]:
    """Where a daemon listens on TCP."""
    port = free_port()
    with Daemon("-a", "127.0.0.1", "--unicast-port", str(port)):
        yield Config(unicast_address="127.0.0.1", unicast_port=port, lifespan_ms=0)


@pytest_twisted.ensureDeferred
async def test_a_twisted_client_that_gives_up_leaves_nothing_behind(config: Config) -> None:
    holder, waiter, other = [await connect(loop, config) for _ in range(3)]
    held = await holder.acquire("R")
    waiting = waiter.acquire("R")
    await deferLater(loop, 0.1)  # it may be asking yet, or waiting
    waiting.cancel()
    with pytest.raises(CancelledError):
        await waiting
    await held.release()
    await other.acquire("R", timeout=AT_ONCE)
    for client in (holder, waiter, other):
        await client.close()


def test_a_blocking_client_whose_time_is_over_leaves_nothing_behind(config: Config) -> None:
    with lock("R", config=config), pytest.raises(LockTimeout):
        lock("R", timeout=0.2, config=config).acquire()
    began = monotonic()
    with lock("R", config=config):
        assert monotonic() - began < AT_ONCE

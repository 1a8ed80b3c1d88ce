"""
Over TLS, what outlives a connection that breaks belongs to one certificate (docs/reference/protocol.md, "Sessions").
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from socket import SO_LINGER, SOL_SOCKET
from time import monotonic, sleep
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater

from flom import lock
from flom.client.blocking.connection import Conversation, connect
from flom.client.deferred.connect import connect as connect_deferred
from flom.codes import Outcome
from flom.config import Config
from flom.core.modes import LockMode
from flom.core.protocol.events import Granted, Refused
from flom.core.protocol.messages import Lock
from flom.errors import LockTimeout
from tests.fakes.authority import Files
from tests.fakes.daemon import Daemon
from tests.fakes.programs import free_port
from tests.scenarios.tls.test_blocking import config

loop: Any = reactor

ASKED = Lock("R", LockMode.EX, wait=False, create=True)
RESET = struct.pack("ii", 1, 0)


class Place:
    """A daemon that speaks TLS."""

    def __init__(self, port: int) -> None:
        self._port = port

    def config(self, files: Files) -> Config:
        return config(files, unicast_address="127.0.0.1", unicast_port=self._port)

    def ask(self, files: Files, session: str = "") -> tuple[Conversation, Granted | Refused]:
        """Ask for R on a new connection, or reclaim it as C{session}."""
        conversation = connect(self.config(files))
        asked = ASKED.replace(session=session, regains=bool(session))
        return conversation, conversation.lock(asked, monotonic() + 5.0)


@pytest.fixture
def place(good: Files) -> Iterator[Place]:
    port = free_port()
    with Daemon("-a", "127.0.0.1", "--unicast-port", str(port), *good.options()):
        yield Place(port)


@pytest.fixture
def strict(good: Files) -> Iterator[Place]:
    """One that takes an end without a goodbye for none."""
    port = free_port()
    with Daemon("-a", "127.0.0.1", "--unicast-port", str(port), "--sessions", "required", *good.options()):
        yield Place(port)


def reset(conversation: Conversation) -> None:
    conversation.stream.socket.setsockopt(SOL_SOCKET, SO_LINGER, RESET)
    conversation.close()


def test_only_the_same_certificate_comes_back(place: Place, files: Mapping[str, Files], version: int) -> None:
    holder, _ = place.ask(files["good"])
    secret = holder.connection.session
    assert secret
    reset(holder)
    thief, refused = place.ask(files["somebody's"], secret)
    assert isinstance(refused, Refused)
    assert refused.outcome == Outcome.BUSY
    thief.close()
    back, granted = place.ask(files["good"], secret)
    assert isinstance(granted, Granted)
    back.unlock("R")


def test_an_end_of_the_stream_below_tls_is_one_in_good_order(place: Place, good: Files, version: int) -> None:
    holder, _ = place.ask(good)
    holder.close()  # without a close_notify
    began = monotonic()
    other, granted = place.ask(good)
    while not isinstance(granted, Granted):  # until the daemon has noticed
        other.close()
        other, granted = place.ask(good)
    assert monotonic() - began < 5.0
    other.unlock("R")


def test_where_sessions_are_required_it_is_none_and_the_client_comes_back(
    strict: Place, good: Files, version: int
) -> None:
    holder, _ = strict.ask(good)
    secret = holder.connection.session
    holder.close()
    sleep(0.1)  # it would be noticed by now
    assert isinstance(strict.ask(good)[1], Refused)
    back, granted = strict.ask(good, secret)
    assert isinstance(granted, Granted)
    back.unlock("R")
    other, granted = strict.ask(good)
    assert isinstance(granted, Granted)
    other.unlock("R")


def test_a_blocking_client_says_goodbye(strict: Place, good: Files, version: int) -> None:
    config = strict.config(good)
    with lock("R", config=config), pytest.raises(LockTimeout):
        lock("R", timeout=0.2, config=config).acquire()
    lock("R", timeout=3.0, config=config).acquire().drop()
    lock("R", timeout=3.0, config=config).acquire().release()


@pytest_twisted.ensureDeferred
async def test_a_twisted_client_says_goodbye(strict: Place, good: Files, version: int) -> None:
    holder, waiter, other = [await connect_deferred(loop, strict.config(good)) for _ in range(3)]
    held = await holder.acquire("R")
    waiting = waiter.acquire("R")
    await deferLater(loop, 0.2)
    waiting.cancel()
    with pytest.raises(CancelledError):
        await waiting
    await waiter.close()
    await held.release()
    await other.acquire("R", timeout=3.0)
    for client in (holder, other):
        await client.close()

"""Keeping UNIX sockets at their paths: made anew if they are free, and no grant while another daemon is there."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from flom.core.modes import EX
from flom.core.names import parse_name
from flom.core.requests import LockRequest
from flom.net.claim import CannotClaim, claim_unix
from flom.reactor.ports import ClaimedEndpoint
from flom.server.arbiter import DeferredArbiter
from flom.server.paths import LOOK, PathsService
from tests.fakes.reactors import MemoryReactor
from tests.fakes.results import now


class Watched:
    """A daemon's arbiter and one socket of it, which is watched by a clock of the test."""

    def __init__(self, path: str, end: Callable[[], None] | None = None) -> None:
        self.clock = Clock()
        self.arbiter = DeferredArbiter(self.clock)
        self.delivered: list[object] = []
        self.port = now(ClaimedEndpoint(MemoryReactor(), claim_unix(path, 0o600)).listen(Factory()))
        self.paths = PathsService(self.arbiter, self.clock, end)
        self.paths.watch(self.port)
        self.paths.startService()

    def look(self) -> None:
        self.clock.advance(LOOK)

    def hold(self) -> None:
        session = self.arbiter.open(self.delivered.append)
        self.arbiter.request(LockRequest(session, parse_name("R"), EX))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "s")


@pytest.fixture
def watched(path: str) -> Iterator[Watched]:
    watched = Watched(path)
    yield watched
    watched.paths.stopService()
    assert watched.clock.getDelayedCalls() == []


def connects(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


@pytest.mark.parametrize("removed", [[""], [".lock"], ["", ".lock"]], ids=["socket", "lock", "both"])
def test_what_is_removed_is_made_anew(watched: Watched, path: str, removed: list[str]) -> None:
    watched.hold()
    for suffix in removed:
        os.unlink(path + suffix)
    watched.look()
    assert connects(path)
    with pytest.raises(CannotClaim):
        claim_unix(path, 0o600)
    assert not watched.arbiter.is_retired
    assert len(watched.delivered) == 1


def test_nothing_is_touched_while_all_is_there(watched: Watched, path: str) -> None:
    before = os.lstat(path)
    watched.look()
    assert os.lstat(path) == before


def test_a_directory_that_is_away_is_waited_for(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    watched = Watched(str(directory / "s"))
    os.rename(directory, tmp_path / "e")
    watched.look()
    assert not watched.arbiter.is_retired
    directory.mkdir()
    watched.look()
    assert connects(str(directory / "s"))
    watched.paths.stopService()


def test_while_another_daemon_is_there_nothing_is_granted(watched: Watched, path: str) -> None:
    watched.hold()
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        watched.look()
        assert watched.arbiter.is_retired
        assert watched.arbiter.is_deserted
        watched.look()
        assert watched.arbiter.is_retired
    watched.look()
    assert not watched.arbiter.is_retired
    assert connects(path)
    watched.hold()
    assert len(watched.delivered) == 3


def test_in_a_group_the_daemon_ends_instead(path: str) -> None:
    ends: list[None] = []
    watched = Watched(path, lambda: ends.append(None))
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        watched.look()
        watched.look()
    assert len(ends) == 1
    watched.paths.stopService()


def test_a_port_that_is_closed_is_not_looked_at(watched: Watched, path: str) -> None:
    watched.paths.forget(watched.port)
    os.unlink(path)
    watched.look()
    assert not os.path.exists(path)

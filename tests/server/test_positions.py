"""Where sequences are: written before a client is told, read by the next daemon at the same address."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent

from flom.core.effects import Delivered, Granted
from flom.core.locks.positions import Position, Remembered
from flom.core.names import parse_name
from flom.core.requests import LockRequest
from flom.server.arbiter import DeferredArbiter
from flom.server.positions import Positions
from flom.server.state import StateDirectory, StateError
from tests.fakes.logs import warnings

PLAIN, TRANSACTIONAL = Remembered("_s_a[1]", 10.0, Position(7)), Remembered("_S_a[1]", 10.0, Position(7, (3, 2)))


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory(str(tmp_path / "state"))


def at(directory: StateDirectory, address: str = "/run/flom") -> Positions:
    return Positions(directory, address)


def path_in(directory: StateDirectory) -> Path:
    [name] = [name for name in os.listdir(directory.path) if name.startswith("sequences-")]
    return Path(directory.path, name)


def test_what_is_saved_is_loaded_at_the_same_address(directory: StateDirectory) -> None:
    positions = at(directory)
    positions.save({PLAIN.name: PLAIN, TRANSACTIONAL.name: TRANSACTIONAL})
    assert at(directory).load() == positions.load() == [PLAIN, TRANSACTIONAL]
    assert at(directory, "/run/other").load() == []
    positions.save({PLAIN.name: None})
    assert at(directory).load() == [TRANSACTIONAL]
    for _ in range(2):
        positions.save({TRANSACTIONAL.name: None})
        assert at(directory).load() == []
        assert os.listdir(directory.path) == []


ONE = {"retention": 10.0, "last": 7, "rolled_back": []}


@pytest.mark.parametrize(
    "found",
    [b"", b"{", b"7", b"[]", b"\xff", b"[" * 100_000, b"{}", b'{"address": "/run/flom"}']
    + [7, [], {"_s_a[1]": 7}, {"_s_a[1]": []}, {"_s_a[1]": {}}, {"_s_a[1]": {**ONE, "more": 1}}]
    + [{name: ONE} for name in ("R", "a.b", "no name", "")]
    + [{"_S_a[1]": {**ONE, "last": last}} for last in (-1, 2**32, 7.0, "7", None, True)]
    + [{"_S_a[1]": {**ONE, "rolled_back": values}} for values in ([0], [-1], [2, 2], ["2"], 2, [[2]], None)]
    + [{"_s_a[1]": {**ONE, "retention": seconds}} for seconds in (0, -1, 1e10, "7", None)]
    + [{"_s_a[1]": {**ONE, "rolled_back": [2]}}],
)
def test_a_file_that_no_daemon_has_left_is_named_and_left_alone(directory: StateDirectory, found: Any) -> None:
    at(directory).save({PLAIN.name: PLAIN})
    path = path_in(directory)
    data = found if isinstance(found, bytes) else json.dumps({"address": "/run/flom", "sequences": found}).encode()
    path.write_bytes(data)
    with pytest.raises(StateError, match=f"^{path}: it has no positions of sequences at /run/flom$"):
        at(directory)
    assert path.read_bytes() == data


def test_what_another_daemon_has_written_meanwhile_is_loaded(directory: StateDirectory) -> None:
    """Of two in one group, the one that leads later."""
    one, other = at(directory), at(directory)
    one.save({PLAIN.name: PLAIN})
    assert other.load() == [PLAIN]


def test_a_file_that_is_broken_later_is_told_and_what_was_known_goes_on(
    directory: StateDirectory, log: list[LogEvent]
) -> None:
    positions = at(directory)
    positions.save({PLAIN.name: PLAIN})
    path_in(directory).write_bytes(b"")
    assert positions.load() == [PLAIN]
    assert warnings(log) == [f"{positions.problem}: sequences may begin again after a restart"]


def test_the_file_of_another_address_is_foreign(directory: StateDirectory) -> None:
    at(directory).save({PLAIN.name: PLAIN})
    path = path_in(directory)
    path.write_text(path.read_text().replace("/run/flom", "/run/other"))
    with pytest.raises(StateError):
        at(directory)


def test_a_full_disk_is_told_once_and_made_up_for(
    directory: StateDirectory, monkeypatch: pytest.MonkeyPatch, log: list[LogEvent]
) -> None:
    positions = at(directory)

    def fill(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fill)
        positions.save({PLAIN.name: PLAIN})
        positions.save({TRANSACTIONAL.name: TRANSACTIONAL})
    assert "no space left on device" in positions.problem
    assert warnings(log) == [f"{positions.problem}: sequences may begin again after a restart"]
    positions.save({})
    assert positions.problem == ""
    assert at(directory).load() == [PLAIN, TRANSACTIONAL]


# in an arbiter


class Client:
    """
    A session of an arbiter that asks for numbers, and notes what was on the disk when it was told.

    @ivar told: the elements, each with the position on the disk.
    """

    def __init__(self, arbiter: DeferredArbiter, directory: StateDirectory) -> None:
        self.told: list[tuple[str | None, Position]] = []
        self._arbiter = arbiter
        self._directory = directory
        self.id = arbiter.open(self._take)

    def ask(self, name: str) -> Client:
        self._arbiter.request(LockRequest(self.id, parse_name(name), lifespan=9.0))
        return self

    def _take(self, effect: Delivered) -> None:
        if isinstance(effect, Granted):
            [remembered] = at(self._directory).load()
            self.told.append((effect.element, remembered.position))


def arbiter_with(directory: StateDirectory, clock: Clock | None = None) -> DeferredArbiter:
    return DeferredArbiter(clock or Clock(), positions=at(directory))


def test_a_number_is_on_the_disk_before_a_client_is_told(directory: StateDirectory) -> None:
    arbiter = arbiter_with(directory)
    holder, waiter = (Client(arbiter, directory).ask("_S_a[1]") for _ in range(2))
    arbiter.drop(holder.id)
    assert holder.told == [("1", Position(1))]
    assert waiter.told == [("1", Position(1))]
    arbiter.release(waiter.id, parse_name("_S_a[1]"), rollback=True)
    assert at(directory).load()[0].position == Position(1, (1,))


@pytest.mark.parametrize("name", ["_s_a[2]", "_S_a[2]"])
def test_the_next_number_makes_up_for_a_full_disk(
    directory: StateDirectory, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fill(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    arbiter = DeferredArbiter(Clock(), positions=at(directory))
    first, second = (arbiter.open(lambda effect: None) for _ in range(2))
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fill)
        arbiter.request(LockRequest(first, parse_name(name), lifespan=9.0))
    assert at(directory).load() == []
    arbiter.request(LockRequest(second, parse_name(name), lifespan=9.0))
    [remembered] = at(directory).load()
    assert remembered.position.last >= 2


@pytest.mark.parametrize("end", [DeferredArbiter.close, DeferredArbiter.retire, DeferredArbiter.abandon])
def test_at_the_end_it_is_on_the_disk_exactly(directory: StateDirectory, end: Any) -> None:
    arbiter = arbiter_with(directory)
    client = Client(arbiter, directory).ask("_s_a[1]")
    assert client.told == [("1", Position(100))]
    end(arbiter)
    assert at(directory).load()[0].position == Position(1)


@pytest.mark.parametrize("end", [DeferredArbiter.close, DeferredArbiter.abandon])
def test_what_ends_with_the_daemon_is_not_rolled_back(directory: StateDirectory, end: Any) -> None:
    """The command may go on with its number; it may reclaim it."""
    arbiter = arbiter_with(directory)
    client = Client(arbiter, directory).ask("_S_a[1]")
    end(arbiter)
    arbiter.drop(client.id)
    assert at(directory).load()[0].position == Position(1)


def test_a_daemon_that_leads_again_goes_on(directory: StateDirectory) -> None:
    arbiter = arbiter_with(directory)
    Client(arbiter, directory).ask("_s_a[1]")
    arbiter.retire()
    arbiter.resume()
    assert Client(arbiter, directory).ask("_s_a[1]").told == [("2", Position(101))]


def test_what_is_remembered_is_forgotten_in_time(directory: StateDirectory) -> None:
    at(directory).save({PLAIN.name: PLAIN})
    arbiter = arbiter_with(directory, clock := Clock())
    assert not arbiter.is_idle
    clock.advance(PLAIN.retention)
    assert arbiter.is_idle
    assert at(directory).load() == []


def test_a_daemon_that_stands_by_forgets_nothing(directory: StateDirectory) -> None:
    at(directory).save({PLAIN.name: PLAIN})
    arbiter = arbiter_with(directory, clock := Clock())
    arbiter.retire()
    clock.advance(PLAIN.retention)
    assert at(directory).load() == [PLAIN]

"""What was seen of etcd, in the state directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from twisted.logger import LogEvent

from flom.server.quorum.record import Record, Seen
from flom.server.state import StateDirectory
from tests.fakes.logs import warnings

ADDRESS = "etcd:http://h1:2379/flom"


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    return StateDirectory(str(tmp_path / "state"))


def test_the_highest_epoch_is_kept_and_the_revision_may_be_lower(state: StateDirectory) -> None:
    """After the epoch was raised, etcd has another history."""
    Record(state, ADDRESS).write(Seen(7, 900))
    Record(state, ADDRESS).write(Seen(5, 30, 1))
    assert Record(state, ADDRESS).read() == Seen(7, 30, 1)
    assert Record(state, "etcd:http://h2:2379/flom").read() is None


def test_without_a_directory_nothing_is_remembered() -> None:
    record = Record(None, ADDRESS)
    record.write(Seen(7, 9))
    assert record.read() is None
    assert record.problem == ""


@pytest.mark.parametrize("data", [b"", b"7", b"{}", b'{"address": "x", "epoch": 1, "revision": 2}', b"[" * 99_999])
def test_what_makes_no_sense_is_named(state: StateDirectory, data: bytes, log: list[LogEvent]) -> None:
    Record(state, ADDRESS).write(Seen(7, 9))
    [name] = [name for name in os.listdir(state.path) if name.startswith("quorum-")]
    Path(state.path, name).write_bytes(data)
    record = Record(state, ADDRESS)
    assert record.read() is None
    assert record.problem == f"{state.path}/{name}: it does not say what was seen of {ADDRESS}"
    assert len(warnings(log)) == 1


def test_a_full_disk_is_told_once(state: StateDirectory, monkeypatch: pytest.MonkeyPatch, log: list[LogEvent]) -> None:
    def fill(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fill)
    record = Record(state, ADDRESS)
    record.write(Seen(7, 9))
    record.write(Seen(8, 10))
    assert "no space left on device" in record.problem
    assert len(warnings(log)) == 1

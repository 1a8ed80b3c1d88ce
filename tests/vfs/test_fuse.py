"""The file system as libfuse calls it, without libfuse."""

from __future__ import annotations

from typing import Any

import pytest

from flom.errors import DaemonLost
from flom.status.model import Status
from flom.vfs import fuse
from flom.vfs.fuse import FRESH, REST, TIMEOUT, FileSystem, Snapshots
from flom.vfs.tree import Tree
from tests.fakes.status import make_status


class Reader:
    """
    A daemon that is asked for its status.

    @ivar now: seconds; each answer takes C{slow} of them.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.slow = 0.0
        self.asked = 0
        self.error: Exception | None = None
        monkeypatch.setattr(fuse, "monotonic", lambda: self.now)

    def read(self, timeout: float) -> Status:
        assert timeout == TIMEOUT
        self.asked += 1
        self.now += self.slow
        if self.error is not None:
            raise self.error
        return make_status("R1")


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Any:
    return Reader(monkeypatch)


def test_a_fresh_tree_is_shown_again(reader: Any) -> None:
    snapshots = Snapshots(reader)
    tree = snapshots.latest()
    reader.now += FRESH / 2
    assert snapshots.latest() is tree
    reader.now += FRESH
    assert snapshots.latest() is not tree
    assert reader.asked == 2


def test_a_busy_daemon_is_asked_less_often(reader: Any) -> None:
    snapshots = Snapshots(reader)
    reader.slow = FRESH
    snapshots.latest()
    reader.now += FRESH * REST - 0.01
    snapshots.latest()
    assert reader.asked == 1


def test_a_silent_daemon_is_an_error_and_left_alone_for_a_moment(reader: Any) -> None:
    snapshots = Snapshots(reader)
    reader.error = DaemonLost("the daemon has gone")
    for _ in range(3):
        with pytest.raises(OSError, match="Input/output error"):
            snapshots.latest()
    assert reader.asked == 1


def test_a_file_that_is_open_keeps_the_content_of_one_snapshot() -> None:
    trees = [Tree(make_status("R1")), Tree(make_status("R2"))]
    system = FileSystem(lambda: trees[0], lambda: None)
    handle = system.open("/status.json", 0)
    size = system.getattr("/status.json", handle)["st_size"]
    del trees[0]
    assert b'"R1"' in system.read("/status.json", size, 0, handle)
    assert system.read("/status.json", 5, size - 3, handle) == b"]}\n"
    system.release("/status.json", handle)
    assert b'"R2"' in system.read("/status.json", 9999, 0, system.open("/status.json", 0))


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda system: system.open("/status", 0), "Is a directory"),
        (lambda system: system.readdir("/status.json", 0), "Not a directory"),
        (lambda system: system.getattr("/nothing"), "No such file"),
    ],
)
def test_what_cannot_be_done_is_an_error(call: Any, why: str) -> None:
    with pytest.raises(OSError, match=why):
        call(FileSystem(lambda: Tree(make_status()), lambda: None))

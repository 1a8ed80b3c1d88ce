"""What daemons remember: files that are whole or are left alone, and epochs that only grow."""

from __future__ import annotations

import fcntl
import os
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest
from twisted.logger import LogEvent

from flom.core.tokens import MAX_EPOCH, begin_epoch, epoch_of
from flom.server import state
from flom.server.state import Epochs, StateDirectory, StateError
from tests.fakes.logs import warnings

Y2026 = 1_790_000_000.0


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    return StateDirectory(str(tmp_path / "a" / "state"))


def path_of(directory: StateDirectory, name: str = "epoch") -> Path:
    return Path(directory.path) / name


def test_the_directory_is_made_for_its_user_alone(directory: StateDirectory) -> None:
    assert os.stat(directory.path).st_mode & 0o777 == 0o700


def test_a_file_is_replaced_as_a_whole(directory: StateDirectory) -> None:
    assert directory.read("positions") is None
    for data in (b"one", b"two"):
        directory.replace("positions", data)
        assert directory.read("positions") == data
    assert os.listdir(directory.path) == ["positions"]


def test_whether_anything_can_be_written_is_tried(directory: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.check_room()
    assert directory.names() == []

    def fill(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "open", fill)
        with pytest.raises(StateError, match=f"^{directory.path}: no space left on device$"):
            directory.check_room()


def test_what_a_crash_has_left_half_written_is_replaced(directory: StateDirectory) -> None:
    path_of(directory, "epoch.new").write_bytes(b"12")
    directory.begin_epoch(-1, Y2026)
    assert os.listdir(directory.path) == ["epoch"]


def test_an_epoch_is_a_line_of_the_file(directory: StateDirectory) -> None:
    token = directory.begin_epoch(-1, Y2026)
    assert path_of(directory).read_text() == f"{epoch_of(token)}\n"
    assert directory.read_epoch() == epoch_of(token)


def test_an_epoch_that_a_quorum_gives_is_remembered_if_it_is_higher(directory: StateDirectory) -> None:
    directory.note_epoch(7)
    directory.note_epoch(5)
    assert directory.read_epoch() == 7
    assert epoch_of(directory.begin_epoch(-1, 0.0)) == 8


def test_daemons_that_share_the_directory_have_epochs_of_their_own(
    directory: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if all start in the same second, and the clock was set back since the last one."""
    monkeypatch.setattr(state, "LOCK_TIMEOUT", 60.0)  # the disk may be slow
    with ThreadPool(8) as pool:
        begun = pool.map(lambda _: epoch_of(StateDirectory(directory.path).begin_epoch(-1, Y2026)), range(40))
    assert len(set(begun)) == 40
    assert epoch_of(directory.begin_epoch(-1, 0.0)) == max(begun) + 1


@pytest.mark.parametrize(
    "data", [b"", b"12a\n", b"-1\n", b"12\n13\n", b"%d\n" % (MAX_EPOCH + 1), b"9" * 5000, b"\0" * 9]
)
def test_a_broken_file_is_named_and_left_alone(directory: StateDirectory, data: bytes) -> None:
    path_of(directory).write_bytes(data)
    with pytest.raises(StateError, match=f"^{path_of(directory)}: it is no number from 0 to 2147483647$"):
        StateDirectory(directory.path)
    with pytest.raises(StateError):
        directory.begin_epoch(-1, Y2026)
    assert path_of(directory).read_bytes() == data


@pytest.mark.skipif(os.geteuid() != 0, reason="files of other users need root")
def test_a_file_of_another_user_is_left_alone(directory: StateDirectory) -> None:
    path_of(directory).write_text("7\n")
    os.chown(path_of(directory), 12345, 12345)
    with pytest.raises(StateError, match=r"epoch: it belongs to uid 12345$"):
        StateDirectory(directory.path)


@pytest.mark.skipif(os.geteuid() != 0, reason="directories of other users need root")
def test_a_directory_of_another_user_is_refused(directory: StateDirectory) -> None:
    os.chown(directory.path, 12345, 12345)
    with pytest.raises(StateError, match=r"state: it belongs to uid 12345$"):
        StateDirectory(directory.path)


def test_a_directory_that_others_may_write_to_is_refused(directory: StateDirectory) -> None:
    os.chmod(directory.path, 0o770)
    with pytest.raises(StateError, match=r"state: others may write to it \(mode 770\)$"):
        StateDirectory(directory.path)


def test_what_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"file: file exists$"):
        StateDirectory(str(tmp_path / "file"))
    with pytest.raises(StateError, match=r"state: not a directory$"):
        StateDirectory(str(tmp_path / "file" / "state"))


def test_links_pipes_and_directories_are_no_files(directory: StateDirectory, tmp_path: Path) -> None:
    """Another user could have put a link there if the directory had been open to all."""
    (tmp_path / "elsewhere").write_text("7\n")
    path_of(directory).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match=r"epoch: too many levels of symbolic links$"):
        directory.read_epoch()
    path_of(directory).unlink()
    os.mkfifo(path_of(directory))
    with pytest.raises(StateError, match=r"epoch: it is no file$"):
        directory.read_epoch()


def test_a_daemon_that_hangs_in_the_directory_is_not_waited_for(
    directory: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "LOCK_TIMEOUT", 0.02)
    other = os.open(directory.path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(StateError, match="state: it cannot be locked: "):
        directory.begin_epoch(-1, Y2026)
    os.close(other)
    directory.begin_epoch(-1, Y2026)


# the epochs of one daemon


def test_without_a_directory_the_clock_and_what_was_heard_decide() -> None:
    epochs = Epochs()
    first = epochs.begin(-1, Y2026)
    assert first == begin_epoch(-1, Y2026)
    assert epochs.begin(-1, Y2026) == (epoch_of(first) + 1 << 32) + 1
    epochs.heard = MAX_EPOCH // 2
    assert epoch_of(epochs.begin(-1, Y2026)) == MAX_EPOCH // 2 + 1
    assert (epochs.state, epochs.problem) == (None, "")


def test_a_directory_that_cannot_be_used_any_more_is_told_once(
    directory: StateDirectory, monkeypatch: pytest.MonkeyPatch, log: list[LogEvent]
) -> None:
    """Locks are granted, with tokens by the clock; when it can be used again, it is."""
    epochs = Epochs(directory)

    def fill(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fill)
        begun = [epochs.begin(-1, Y2026) for _ in range(3)]
    assert epochs.problem == f"{directory.path}/epoch: no space left on device"
    assert warnings(log) == [f"{epochs.problem}: nothing is remembered there; locks are granted"]
    assert begun == sorted(set(begun))
    assert epochs.begin(-1, Y2026) > begun[-1]
    assert epochs.problem == ""
    assert directory.read_epoch() == epoch_of(begun[-1]) + 1

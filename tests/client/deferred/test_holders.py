from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from flom.client.deferred.holders import SharedHolding
from flom.net.holding import DaemonGone


def is_free(file: Path) -> bool:
    """Return whether nobody has C{file} locked, as the next daemon finds out."""
    with file.open() as looked_at:
        try:
            fcntl.flock(looked_at, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "s.holders-0123456789abcdef"
    made.touch()
    return made


def test_one_descriptor_is_for_all_until_the_last_has_released_it(file: Path) -> None:
    one, other = SharedHolding.take(str(file)), SharedHolding.take(str(file))
    assert one.fileno() == other.fileno() >= 0
    one.release()
    assert not is_free(file)
    other.release()
    assert other.fileno() == -1
    assert is_free(file)


def test_what_was_released_can_be_taken_again(file: Path) -> None:
    SharedHolding.take(str(file)).release()
    again = SharedHolding.take(str(file))
    assert not is_free(file)
    again.release()


def test_a_file_that_the_next_daemon_looks_at_is_of_a_daemon_that_has_gone(file: Path) -> None:
    with file.open() as looked_at:
        fcntl.flock(looked_at, fcntl.LOCK_EX)
        with pytest.raises(DaemonGone):
            SharedHolding.take(str(file))
    SharedHolding.take(str(file)).release()


def test_a_file_that_is_not_there_cannot_be_taken(file: Path) -> None:
    os.unlink(file)
    with pytest.raises(FileNotFoundError):
        SharedHolding.take(str(file))

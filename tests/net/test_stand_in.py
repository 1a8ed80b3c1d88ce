"""A process that stands in: it keeps descriptors until a command has ended, or until nobody else has locked a file."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flom.net.stand_in import StandIn
from tests.fakes.pipes import read_soon
from tests.fakes.programs import eventually


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """The two ends of a pipe; a process that keeps the second is found by the first."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


def is_kept(reading: int) -> bool:
    os.set_blocking(reading, False)
    try:
        return os.read(reading, 1) != b""
    except BlockingIOError:
        return True


def test_it_keeps_descriptors_until_a_command_has_ended(ends: tuple[int, int]) -> None:
    reading, writing = ends
    with subprocess.Popen(["sleep", "60"]) as command:
        awaited = os.pidfd_open(command.pid)
        stand_in = StandIn([writing], [awaited])
        os.close(writing)
        os.close(awaited)
        assert is_kept(reading)
        assert not stand_in.has_ended()
        command.kill()
    assert read_soon(reading) == b""
    eventually(stand_in.has_ended, "the end of the process")
    stand_in.end()


def test_it_ends_with_the_last_process_that_has_a_pipe(ends: tuple[int, int]) -> None:
    """Which is how it knows that a command has ended where there are no pidfds."""
    reading, writing = ends
    awaited, inherited = os.pipe()
    stand_in = StandIn([writing], [awaited])
    os.close(writing)
    assert is_kept(reading)
    os.close(inherited)
    assert read_soon(reading) == b""
    os.close(awaited)
    stand_in.end()
    assert stand_in.has_ended()


def test_it_keeps_descriptors_until_nobody_else_has_locked_files(ends: tuple[int, int], tmp_path: Path) -> None:
    reading, writing = ends
    paths = [tmp_path / "one", tmp_path / "other"]
    locked = [os.open(path, os.O_RDWR | os.O_CREAT) for path in paths]
    for each in locked:
        fcntl.flock(each, fcntl.LOCK_SH)
    awaited = [os.open(path, os.O_RDONLY) for path in paths]
    stand_in = StandIn([writing], awaited, are_files=True)
    for each in (*awaited, writing):
        os.close(each)
    for each in locked:
        assert is_kept(reading)
        os.close(each)
    assert read_soon(reading) == b""
    stand_in.end()


def test_it_has_nothing_else_of_ours_and_can_be_ended(ends: tuple[int, int]) -> None:
    reading, writing = ends
    os.set_inheritable(writing, True)
    awaited, inherited = os.pipe()
    stand_in = StandIn([], [awaited])
    os.close(writing)
    assert read_soon(reading) == b""  # as soon as it has closed what it is not to have
    assert not stand_in.has_ended()
    stand_in.end()
    assert stand_in.has_ended()
    os.close(awaited)
    os.close(inherited)

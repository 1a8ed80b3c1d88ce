"""The process that keeps a reclaimed lock lives as long as the command."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from flom.run.stand_in import StandIn
from tests.fakes.pipes import read_soon


class Pipe:
    """A pipe whose writing end may be open in another process too."""

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()

    def close_writing(self) -> None:
        """Close the writing end in this process."""
        os.close(self.writing)

    def is_open(self) -> bool:
        """Return whether another process has the writing end open."""
        os.set_blocking(self._reading, False)
        try:
            return os.read(self._reading, 1) != b""
        except BlockingIOError:
            return True

    def await_end(self) -> None:
        """Wait until no process has the writing end open."""
        assert read_soon(self._reading) == b""


@pytest.fixture
def command() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as command:
        yield command
        command.kill()


def test_it_keeps_descriptors_until_the_command_has_ended(command: subprocess.Popen[bytes]) -> None:
    stand_in = StandIn(lambda: os.pidfd_open(command.pid))
    lock, file = Pipe(), Pipe()
    stand_in.add(lock.writing)
    stand_in.keep([lock.writing, file.writing])
    lock.close_writing()
    file.close_writing()
    assert lock.is_open()
    assert file.is_open()
    command.kill()
    lock.await_end()
    file.await_end()
    stand_in.end()


def test_of_what_is_added_the_last_one_is_kept_beside_the_lock(command: subprocess.Popen[bytes]) -> None:
    stand_in = StandIn(lambda: os.pidfd_open(command.pid))
    lock, first, second = Pipe(), Pipe(), Pipe()
    stand_in.keep([lock.writing])
    for attempt in first, second:
        stand_in.add(attempt.writing)
        attempt.close_writing()
    lock.close_writing()
    first.await_end()
    assert lock.is_open()
    assert second.is_open()
    stand_in.keep([])
    lock.await_end()
    second.await_end()
    stand_in.end()


def test_it_goes_on_without_the_process_that_has_forked_it(command: subprocess.Popen[bytes]) -> None:
    lock = Pipe()
    if not os.fork():
        StandIn(lambda: os.pidfd_open(command.pid)).add(lock.writing)
        os._exit(0)
    lock.close_writing()
    os.wait()
    assert lock.is_open()
    command.kill()
    lock.await_end()


def test_it_ends_when_it_is_told_to(command: subprocess.Popen[bytes]) -> None:
    stand_in = StandIn(lambda: os.pidfd_open(command.pid))
    pid = stand_in._pid
    assert os.path.exists(f"/proc/{pid}")
    stand_in.end()
    assert not os.path.exists(f"/proc/{pid}")
    stand_in.keep([0])  # which does no harm


def test_a_command_that_has_ended_has_none() -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    stand_in = StandIn(lambda: os.pidfd_open(ended.pid))
    stand_in.add(0)
    stand_in.end()
    assert stand_in._pid == 0

"""The process that keeps a reclaimed lock lives as long as the command."""

from __future__ import annotations

import os
import subprocess

import pytest

from flom.run.stand_in import StandIn
from tests.fakes.pipes import read_soon


def test_it_keeps_descriptors_until_the_command_has_ended() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with subprocess.Popen(["sleep", "60"]) as command:
        stand_in = StandIn(lambda: os.pidfd_open(command.pid), [writing])
        os.close(writing)
        with pytest.raises(BlockingIOError):  # it has the other end open
            os.read(reading, 1)
        command.kill()
    assert read_soon(reading) == b""
    stand_in.end()
    os.close(reading)


def test_it_ends_when_it_is_told_to() -> None:
    with subprocess.Popen(["sleep", "60"]) as command:
        stand_in = StandIn(lambda: os.pidfd_open(command.pid), [])
        pid = stand_in._pid
        assert os.path.exists(f"/proc/{pid}")
        stand_in.end()
        assert not os.path.exists(f"/proc/{pid}")
        command.kill()

"""A call beside a command: its result is waited for, and when the command has ended, for some seconds only."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from flom.client.retry import CLOSE_TIMEOUT
from flom.errors import DaemonLost, LockTimeout, NoProcess
from flom.run import aside
from flom.run.aside import call_aside
from flom.run.child import Child


@pytest.fixture
def command() -> Iterator[Child]:
    """A command that runs until its test is over."""
    child = Child(["sleep", "60"], dict(os.environb), lambda status: None)
    yield child
    child.signal(9)


def test_its_result_is_returned(command: Child) -> None:
    assert call_aside(threading.get_ident, command) != threading.get_ident()


def test_what_it_raises_is_raised(command: Child) -> None:
    def fail() -> None:
        raise DaemonLost("gone")

    with pytest.raises(DaemonLost, match="gone"):
        call_aside(fail, command)


def test_it_is_given_up_some_time_after_the_end_of_the_command(command: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CLOSE_TIMEOUT == 5.0
    monkeypatch.setattr(aside, "CLOSE_TIMEOUT", 0.1)
    is_over = threading.Event()
    command.signal(9)
    with pytest.raises(LockTimeout, match=r"no daemon has come within 0\.1 s"):
        call_aside(is_over.wait, command)
    is_over.set()


def test_without_a_thread_it_is_called_here(command: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise NoProcess("no more")

    monkeypatch.setattr(aside, "start_thread", fail)
    before = os.listdir("/proc/self/fd")
    assert call_aside(threading.get_ident, command) == threading.get_ident()
    assert os.listdir("/proc/self/fd") == before

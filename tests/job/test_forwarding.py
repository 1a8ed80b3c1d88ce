"""Signals to a program that runs a command: whose they are, before, while and after the command runs."""

from __future__ import annotations

import os
import signal

import pytest

from flom.job.forwarding import Forwarding, ignore_signals


class Exit(BaseException):
    """What C{os._exit} is here."""


class Command:
    """A command that runs."""

    def __init__(self) -> None:
        self.signals: list[int] = []

    def signal(self, number: int) -> None:
        self.signals.append(number)


@pytest.fixture(autouse=True)
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    exits: list[int] = []

    def leave(status: int) -> None:
        exits.append(status)
        raise Exit

    monkeypatch.setattr(os, "_exit", leave)
    return exits


@pytest.mark.parametrize("from_terminal", [True, False])
def test_before_the_command_runs_a_signal_ends_us(exits: list[int], from_terminal: bool) -> None:
    left: list[str] = []
    with pytest.raises(Exit):
        Forwarding([], lambda: left.append("tidied up")).receive(signal.SIGTERM, from_terminal)
    assert (exits, left) == ([143], ["tidied up"])


def test_a_signal_that_ends_nothing_does_not_end_us(exits: list[int]) -> None:
    Forwarding([]).receive(signal.SIGWINCH, from_terminal=False)
    assert exits == []


def test_while_it_runs_the_command_gets_what_it_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("flom.job.forwarding.monotonic", lambda: now)
    command, forwarding = Command(), Forwarding([signal.SIGHUP])
    forwarding.note_start(command.signal)
    forwarding.receive(signal.SIGINT, from_terminal=True)  # so early that it may have missed it
    now += 1
    forwarding.receive(signal.SIGINT, from_terminal=True)
    forwarding.receive(signal.SIGTERM, from_terminal=False)
    forwarding.receive(signal.SIGHUP, from_terminal=False)
    assert command.signals == [signal.SIGINT, signal.SIGTERM]


def test_after_its_end_a_signal_ends_the_wait_for_the_daemon(exits: list[int]) -> None:
    command, forwarding = Command(), Forwarding([])
    forwarding.note_start(command.signal)
    forwarding.note_end(3)
    with pytest.raises(Exit):
        forwarding.receive(signal.SIGTERM, from_terminal=False)
    assert (exits, command.signals) == ([3], [])


def test_after_its_end_a_resized_window_does_not_end_the_wait(exits: list[int]) -> None:
    """The unlock is not cut short by a signal that ends nothing, and its failure not hidden."""
    forwarding = Forwarding(())
    forwarding.note_end(3)
    for number in (signal.SIGWINCH, signal.SIGCONT):
        forwarding.receive(number, True)
    assert exits == []


def test_what_cannot_be_ignored_is_returned() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGIO, signal.SIGCHLD)}
    assert ignore_signals([signal.SIGIO, signal.SIGKILL, signal.SIGCHLD]) == [signal.SIGKILL]
    assert signal.getsignal(signal.SIGIO) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGCHLD) == before[signal.SIGCHLD]
    signal.signal(signal.SIGIO, before[signal.SIGIO])

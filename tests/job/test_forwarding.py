"""Signals to a program that runs a command: whose they are, before, while and after the command runs."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from flom.job.forwarding import Forwarding, ignore_signals


class Exit(BaseException):
    """The end of the program."""


class Program:
    """
    A program that runs a command, which is process C{pid} in process group C{group}; ours is 1000.

    @ivar now: what the clock shows, in seconds.
    @ivar ends: what it was to exit with.
    @ivar sent: the signals to the command, and C{"group"} after each to all of its group.
    @ivar lines: what the user was told.
    @ivar did: what it did when SIGTSTP came.
    """

    pid = 4711

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.group = 1000
        self.ends: list[int] = []
        self.sent: list[int | str] = []
        self.lines: list[str] = []
        self.did: list[str] = []
        self.may_signal = True
        monkeypatch.setattr("flom.job.forwarding.monotonic", lambda: self.now)
        monkeypatch.setattr("flom.job.forwarding.stop_ourselves", lambda: self.did.append("stopped"))
        monkeypatch.setattr(os, "getpgrp", lambda: 1000)
        monkeypatch.setattr(os, "getpgid", lambda pid: self.group)

    def forwarding(self, *ignored: int) -> Forwarding:
        """Return its L{Forwarding}, before the command runs."""
        return Forwarding(
            ignored, warn=self.lines.append, end=self.end, step_out=lambda: self.did.append("stepped out")
        )

    def running(self, *ignored: int) -> Forwarding:
        """Return its L{Forwarding} while the command runs, and has done so for some time."""
        forwarding = self.forwarding(*ignored)
        forwarding.note_start(self.pid, self.send)
        self.now += 1
        return forwarding

    def end(self, status: int) -> None:
        self.ends.append(status)
        raise Exit

    def send(self, number: int, to_group: bool) -> None:
        if not self.may_signal:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        self.sent += [number, "group"] if to_group else [number]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(monkeypatch)


@pytest.mark.parametrize("from_terminal", [True, False])
def test_before_the_command_runs_a_signal_ends_us(program: Program, from_terminal: bool) -> None:
    with pytest.raises(Exit):
        program.forwarding().receive(signal.SIGTERM, from_terminal)
    assert program.ends == [-signal.SIGTERM]


def test_a_signal_that_ends_nothing_does_not_end_us(program: Program) -> None:
    program.forwarding().receive(signal.SIGWINCH, from_terminal=False)
    assert program.ends == []


def test_while_it_runs_the_command_gets_what_it_does_not_have(program: Program) -> None:
    forwarding = program.forwarding(signal.SIGHUP)
    forwarding.note_start(program.pid, program.send)
    forwarding.receive(signal.SIGINT, from_terminal=True)  # so early that it may have missed it
    program.now += 1
    forwarding.receive(signal.SIGINT, from_terminal=True)
    forwarding.receive(signal.SIGTERM, from_terminal=False)
    forwarding.receive(signal.SIGHUP, from_terminal=False)
    assert program.sent == [signal.SIGINT, signal.SIGTERM]


def test_a_command_that_leads_a_group_gets_the_terminal_s_signals(program: Program) -> None:
    """All of its group does, as from a terminal; what was sent to us alone goes to the command alone."""
    forwarding = program.running()
    program.group = program.pid
    forwarding.receive(signal.SIGINT, from_terminal=True)
    forwarding.receive(signal.SIGINT, from_terminal=False)
    forwarding.receive(signal.SIGCONT, from_terminal=False)  # of a shell, which sent it to our group
    assert program.sent == [signal.SIGINT, "group", signal.SIGINT, signal.SIGCONT, "group"]


def test_a_command_in_a_third_group_gets_the_terminal_s_signals(program: Program) -> None:
    forwarding = program.running()
    program.group = 1001
    forwarding.receive(signal.SIGINT, from_terminal=True)
    assert program.sent == [signal.SIGINT]


def test_a_command_that_may_not_be_signalled_costs_a_line(program: Program) -> None:
    forwarding = program.running()
    program.may_signal = False
    forwarding.receive(signal.SIGTERM, from_terminal=False)
    assert program.lines == ["signal 15 cannot be passed on to the command (pid 4711): operation not permitted"]


def test_a_stop_comes_before_we_stop(program: Program) -> None:
    """While we wait, we step out of the queue first; the command gets a SIGTSTP that it does not have."""
    program.forwarding().receive(signal.SIGTSTP, from_terminal=True)
    assert (program.did, program.sent) == (["stepped out", "stopped"], [])
    program.did.clear()
    forwarding = program.running()
    forwarding.receive(signal.SIGTSTP, from_terminal=True)
    forwarding.receive(signal.SIGTSTP, from_terminal=False)
    assert (program.did, program.sent) == (["stopped", "stopped"], [signal.SIGTSTP])
    program.running(signal.SIGTSTP).receive(signal.SIGTSTP, from_terminal=False)
    assert (program.did, program.sent) == (["stopped", "stopped"], [signal.SIGTSTP])


def test_after_its_end_a_signal_ends_the_wait_for_the_daemon(program: Program) -> None:
    forwarding = program.running()
    forwarding.note_end(3)
    with pytest.raises(Exit):
        forwarding.receive(signal.SIGTERM, from_terminal=False)
    assert (program.ends, program.sent) == ([3], [])


def test_after_its_end_a_resized_window_does_not_end_the_wait(program: Program) -> None:
    """The unlock is not cut short by a signal that ends nothing, and its failure not hidden."""
    forwarding = program.forwarding()
    forwarding.note_end(3)
    for number in (signal.SIGWINCH, signal.SIGCONT):
        forwarding.receive(number, True)
    assert program.ends == []


def test_what_cannot_be_ignored_is_returned() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGIO, signal.SIGCHLD)}
    assert ignore_signals([signal.SIGIO, signal.SIGKILL, signal.SIGCHLD]) == [signal.SIGKILL]
    assert signal.getsignal(signal.SIGIO) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGCHLD) == before[signal.SIGCHLD]
    signal.signal(signal.SIGIO, before[signal.SIGIO])

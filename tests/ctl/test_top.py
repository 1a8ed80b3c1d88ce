"""C{flomctl top}: the status live, on a terminal that is left as it was found."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from flom.codes import Outcome
from flom.core.modes import LockMode
from tests.ctl.peers import FLOMCTL, Locks, flomctl
from tests.fakes.daemon import Daemon
from tests.fakes.programs import Programs, Running, assert_refused
from tests.fakes.terminal import FIRST_SCREEN, HIDDEN, OTHER_SCREEN, SHOWN, Terminal

GRANTED, QUEUED = Outcome.GRANTED, Outcome.QUEUED


def top(terminal: Terminal, programs: Programs, daemon: Daemon, *words: str) -> Running:
    """Start it, and wait until it shows something."""
    running = terminal.start(programs, FLOMCTL, "top", "-s", daemon.socket, *words)
    terminal.see("q quit")
    return running


def assert_clean(terminal: Terminal) -> None:
    """Check that C{terminal} is on its first screen and shows its cursor."""
    assert terminal.written.rindex(FIRST_SCREEN) > terminal.written.rindex(OTHER_SCREEN)
    assert terminal.written.rindex(SHOWN) > terminal.written.rindex(HIDDEN)


def are_named(names: list[str], lines: list[str]) -> bool:
    """Return whether the resources are shown in the order of C{names}."""
    return [line.split()[0] for line in lines if line.startswith("R")][1:] == names


def test_locks_appear_and_vanish(programs: Programs, daemon: Daemon, locks: Locks, terminal: Terminal) -> None:
    top(terminal, programs, daemon)
    terminal.see("no locks")
    assert locks.ask("R1") == GRANTED
    terminal.see("R1", "holds", f"pid {os.getpid()}")
    assert locks.ask("R1") == QUEUED
    terminal.see("waits")
    locks.close()
    terminal.see_no("R1")
    terminal.see("no locks")


def test_keys_sort(programs: Programs, daemon: Daemon, locks: Locks, terminal: Terminal) -> None:
    assert locks.ask("R2", LockMode.PR) == locks.ask("R1") == locks.ask("R3") == GRANTED
    assert locks.ask("R3") == locks.ask("R1") == locks.ask("R1") == QUEUED
    top(terminal, programs, daemon, "--sort", "name")
    terminal.watch(partial(are_named, ["R1", "R2", "R3"]), "the order of names")
    for key, order in (("w", ["R1", "R3", "R2"]), ("h", ["R2", "R1", "R3"]), ("n", ["R1", "R2", "R3"])):
        terminal.press(key)
        terminal.watch(partial(are_named, order), f"the order of {key}")
    terminal.press("t")
    terminal.watch(partial(are_named, ["R3", "R1", "R2"]), "the order of waiting times")


def test_only_what_matches_is_shown(programs: Programs, daemon: Daemon, locks: Locks, terminal: Terminal) -> None:
    assert locks.ask("R1") == locks.ask("S1") == GRANTED
    top(terminal, programs, daemon, "S*")
    terminal.see("S1")
    terminal.see_no("R1")
    locks.close()
    terminal.see("no resource matches 'S*'")


def test_it_takes_another_size_at_once(programs: Programs, daemon: Daemon, locks: Locks, terminal: Terminal) -> None:
    for number in range(40):
        assert locks.ask(f"R{number:02}") == GRANTED
    top(terminal, programs, daemon)
    terminal.see("R00", "R24", "rows 1 to 25 of 40, 15 more")
    terminal.resize(40, 12)
    lines = terminal.see("rows 1 to 7 of 40, 33 more")
    assert all(len(line) <= 40 for line in lines)
    assert len(lines) <= 12


def test_arrows_scroll_and_typed_text_filters(
    programs: Programs, daemon: Daemon, locks: Locks, terminal: Terminal
) -> None:
    for number in range(40):
        assert locks.ask(f"R{number:02}") == GRANTED
    top(terminal, programs, daemon, "--interval", "0.2")
    terminal.see("R00")
    terminal.press("\x1b[6~")
    terminal.see_no("R00")
    terminal.press("\x1b[B")
    terminal.see("R39", "rows 16 to 40 of 40")
    terminal.press("/r3")
    terminal.see("filter: r3", "R30", "R39")
    terminal.see_no("R20")
    terminal.press("\x1b")
    terminal.see("R20")
    terminal.press("?")
    terminal.see("sort by name", "quit")
    terminal.press("x")
    terminal.see("R20")


@pytest.mark.parametrize("key", ["q", "Q", "\x03"], ids=["q", "Q", "Ctrl-C"])
def test_a_key_quits(programs: Programs, daemon: Daemon, terminal: Terminal, key: str) -> None:
    before = terminal.settings
    running = top(terminal, programs, daemon)
    assert terminal.settings != before
    terminal.press(key)
    done = terminal.finish(running)
    assert (done.returncode, done.stderr) == (0, "")
    assert terminal.settings == before
    assert_clean(terminal)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)]
)
def test_a_signal_leaves_the_terminal_clean(
    programs: Programs, daemon: Daemon, terminal: Terminal, number: signal.Signals, status: int
) -> None:
    before = terminal.settings
    running = top(terminal, programs, daemon)
    running.signal(number)
    done = terminal.finish(running)
    assert (done.returncode, done.stderr) == (status, "")
    assert terminal.settings == before
    assert_clean(terminal)


def test_a_daemon_that_stops_and_comes_back(programs: Programs, terminal: Terminal, tmp_path: Path) -> None:
    arguments = ("--socket-name", str(tmp_path / "s"))
    with Daemon(*arguments) as first:
        running = top(terminal, programs, first)
        terminal.see(f"pid {first.process.pid}")
        first.stop()
        terminal.see("daemon unreachable, trying again: ")
    with Daemon(*arguments) as second:
        terminal.see(f"pid {second.process.pid}")
        assert not any("unreachable" in line for line in terminal.lines)
        terminal.press("q")
        assert terminal.finish(running).returncode == 0
        assert_clean(terminal)


def test_a_daemon_that_hangs_does_not_keep_a_user_from_quitting(
    programs: Programs, daemon: Daemon, terminal: Terminal
) -> None:
    running = top(terminal, programs, daemon)
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        terminal.see("daemon unreachable, trying again: ")
        terminal.press("q")
        assert terminal.finish(running).returncode == 0
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    assert_clean(terminal)


def test_an_error_of_ours_leaves_the_terminal_clean(programs: Programs, daemon: Daemon, terminal: Terminal) -> None:
    before = terminal.settings
    code = """if True:
        import sys
        import flom.ctl.browser
        from flom.ctl import main

        def fail(daemon, width):
            raise LookupError("a bug")

        flom.ctl.browser.headline = fail
        sys.argv[0] = "flomctl"
        main()
    """
    running = terminal.start(programs, str(Path(FLOMCTL).with_name("python")), "-c", code, "top", "-s", daemon.socket)
    done = terminal.finish(running)
    assert (done.returncode, done.stderr) == (1, "flomctl: internal error: LookupError('a bug')\n")
    assert terminal.settings == before
    assert_clean(terminal)


def test_it_needs_a_terminal(programs: Programs, daemon: Daemon, terminal: Terminal) -> None:
    assert_refused(flomctl(programs, "top", "-s", daemon.socket), 2, "top needs a terminal")
    running = terminal.start(programs, FLOMCTL, "top", "-s", daemon.socket, environment={"TERM": "dumb"})
    assert_refused(terminal.finish(running), 2, "top needs a terminal")


def test_without_a_daemon_nothing_is_drawn(programs: Programs, terminal: Terminal, tmp_path: Path) -> None:
    done = terminal.finish(terminal.start(programs, FLOMCTL, "top", "-s", str(tmp_path / "nobody")))
    assert_refused(done, 1, "no daemon is listening")
    assert terminal.written == b""


def test_no_keys_come_from_elsewhere(programs: Programs, daemon: Daemon, terminal: Terminal) -> None:
    with open(os.devnull) as nothing:
        running = terminal.start(programs, FLOMCTL, "top", "-s", daemon.socket, stdin=nothing)
    terminal.see("no locks")
    terminal.press("\x03")
    assert terminal.finish(running).returncode == 0
    assert_clean(terminal)

"""C{flomctl drain}: nothing more is granted, and the daemon ends when nothing is held (docs/reference/daemon.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ctl.peers import FLOMCTL, Locks, flomctl
from tests.fakes.daemon import Daemon
from tests.fakes.exclusion import Marks
from tests.fakes.peers import FakeDaemon
from tests.fakes.programs import Programs, assert_refused, complaints, eventually


def test_a_daemon_whose_locks_are_free_ends_at_once(programs: Programs, daemon: Daemon) -> None:
    done = flomctl(programs, "drain", "-s", daemon.socket)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert daemon.process.wait(20) == 0
    assert not Path(daemon.socket).exists()


def test_holders_go_on_and_waiters_wait_for_the_next_daemon(programs: Programs, tmp_path: Path, marks: Marks) -> None:
    words = ["-s", str(tmp_path / "s"), "-r", "R", "-d", "60000"]
    holder = programs.start(*marks.job(*words))
    assert holder.line() == "held"
    [daemon] = programs.daemons()
    waiter = programs.start(*marks.job("-V", *words, seconds=0))
    eventually(lambda: "waiting for R" in waiter.line(), "the wait")
    draining = programs.start_program(FLOMCTL, "drain", "-s", str(tmp_path / "s"))
    eventually(lambda: "draining" in flomctl(programs, "status", "-s", str(tmp_path / "s")).stdout, "the drain")
    assert holder.finish().returncode == 0
    assert draining.finish().returncode == 0
    ended = waiter.finish()
    assert (ended.returncode, complaints(ended)) == (0, "")
    assert programs.daemons() != [daemon]


def test_what_is_still_held_is_told_and_nothing_more_is_granted(
    programs: Programs, daemon: Daemon, locks: Locks
) -> None:
    assert locks.ask("held") == 0
    done = flomctl(programs, "drain", "-s", daemon.socket, "--timeout", "10ms")
    assert_refused(done, 1, f"flomctl: {daemon.socket} drains, but has not ended yet: held is held by pid ")
    assert locks.ask("free") == 1
    assert locks.ask("other", wait=False) == 4
    assert "draining" in flomctl(programs, "status", "-s", daemon.socket).stdout.splitlines()[0]
    waits = programs.start("-V", "-s", daemon.socket, "-d", "0", "-r", "free", "--", "true")
    assert waits.line().endswith(", and the daemon is draining")
    locks.close()
    assert daemon.process.wait(20) == 0


def test_a_daemon_of_flom_s_is_not_ordered_to(programs: Programs, fake: FakeDaemon, tmp_path: Path) -> None:
    """It would take the order for another one, and serve new clients."""
    running = programs.start_program(FLOMCTL, "drain", "-s", str(tmp_path / "fake.sock"))
    fake.accept()[0].answer(5)
    assert_refused(running.finish(), 1, "is a daemon of FLoM's")


@pytest.mark.parametrize("timeout", ["-1", "soon"])
def test_a_bad_timeout_is_refused(programs: Programs, timeout: str) -> None:
    assert_refused(flomctl(programs, "drain", f"--timeout={timeout}"), 2, "--timeout")

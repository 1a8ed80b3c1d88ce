"""C{flomctl shutdown}: a daemon ends, but not under its holders unless that is wanted."""

from __future__ import annotations

from pathlib import Path

from tests.ctl.peers import FLOMCTL, Locks, flomctl
from tests.fakes.daemon import Daemon
from tests.fakes.peers import FakeDaemon
from tests.fakes.programs import Programs, assert_refused


def test_a_daemon_without_holders_ends(programs: Programs, daemon: Daemon) -> None:
    done = flomctl(programs, "shutdown", "-s", daemon.socket)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert daemon.process.wait(20) == 0
    assert not Path(daemon.socket).exists()


def test_a_daemon_with_holders_goes_on_unless_it_is_to_end_now(
    programs: Programs, daemon: Daemon, locks: Locks
) -> None:
    assert locks.ask("held") == 0
    done = flomctl(programs, "shutdown", "-s", daemon.socket)
    assert_refused(done, 1, f"flomctl: {daemon.socket} goes on: held is held by pid ")
    assert "flomctl drain" in done.stderr
    assert "--now" in done.stderr
    assert locks.ask("other") == 0  # it does not drain either
    done = flomctl(programs, "shutdown", "--now", "-s", daemon.socket)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert daemon.process.wait(20) == 0


def test_a_daemon_of_flom_s_ends_only_now(programs: Programs, fake: FakeDaemon, tmp_path: Path) -> None:
    running = programs.start_program(FLOMCTL, "shutdown", "-s", str(tmp_path / "fake.sock"))
    fake.accept()[0].answer(5)
    assert_refused(running.finish(), 1, "is a daemon of FLoM's, which cannot tell what it holds, so it may")


def test_no_daemon_is_started_to_be_ended(programs: Programs, tmp_path: Path) -> None:
    for words in ([], ["--now"]):
        assert_refused(flomctl(programs, "shutdown", *words, "-s", str(tmp_path / "s")), 1, "no daemon is listening")
    assert programs.daemons() == []

"""C{flomctl release}: an administrator ends a lock that another client holds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from flom import LockRevoked, lock
from tests.ctl.peers import FLOMCTL, Locks, flomctl
from tests.fakes.daemon import Daemon
from tests.fakes.peers import FakeDaemon, is_locked
from tests.fakes.programs import Programs, assert_refused, eventually, free_port

LAST = ("sh", "-c", "echo held; exec sleep 60")
HOLD = ("--", "sh", "-c", "echo held; read line; echo $line")


def test_the_holder_is_told_and_the_next_one_is_granted(programs: Programs, daemon: Daemon) -> None:
    holder = programs.start("-s", daemon.socket, "-r", "R", *HOLD)
    assert holder.line() == "held"
    waiter = programs.start("-s", daemon.socket, "-r", "R", "--", "echo", "granted")
    done = flomctl(programs, "release", "-s", daemon.socket, "R")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(rf"R \(EX\) is released; it was held by pid {holder.pid} \(.*sh\) for 0 s\n", done.stdout)
    assert waiter.finish().stdout == "granted\n"
    told = holder.error_line()
    assert told.startswith("flom-run: R: the lock was lost: an administrator has released it (")
    assert told.endswith("; the command goes on unlocked\n")
    holder.say("goes on")
    ended = holder.finish()
    assert (ended.returncode, ended.stdout) == (95, "goes on\n")
    daemon.wait_for_log(f"R held by pid {holder.pid} ")
    assert " is released, as " in daemon.log.splitlines()[-1]


def test_a_command_can_be_ended_with_its_lock(programs: Programs, daemon: Daemon) -> None:
    holder = programs.start("--on-lost", "terminate", "-s", daemon.socket, "-r", "R", "--", *LAST)
    assert holder.line() == "held"
    assert flomctl(programs, "release", "-s", daemon.socket, "R").returncode == 0
    ended = holder.finish()
    assert (ended.returncode, ended.stdout) == (95, "")
    assert "an administrator has released it" in ended.stderr


def test_a_script_is_told_and_does_not_reclaim(programs: Programs, daemon: Daemon) -> None:
    held = lock("R", socket=daemon.socket).acquire()
    assert flomctl(programs, "release", "-s", daemon.socket, "R").returncode == 0
    assert not is_locked(daemon.socket, "R")
    eventually(lambda: held.is_lost, "the loss")
    with pytest.raises(LockRevoked, match=r"^R: an administrator has released it \("):
        held.release()


def test_of_several_holders_one_is_chosen_by_its_number(programs: Programs, daemon: Daemon, locks: Locks) -> None:
    assert [locks.ask("N[5]", quantity=quantity) for quantity in (1, 2, 2)] == [0, 0, 0]
    words = ("release", "-s", daemon.socket, "N[5]")
    done = flomctl(programs, *words)
    assert_refused(done, 2, "'N[5]' has 3 holders: choose one by its number, or --all: ")
    [number] = re.findall(r"(\d+) is N\[5\] \(1\)", done.stderr)
    done = flomctl(programs, "release", "--json", *words[1:], number)
    released = json.loads(done.stdout)
    assert (released["format"], [lock["quantity"] for lock in released["released"]]) == (1, [1])
    assert_refused(flomctl(programs, *words, number), 1, f"'N[5]' has no holder with number {number}")
    assert flomctl(programs, *words, "--all").stdout.count("N[5] (2) is released; ") == 2
    assert_refused(flomctl(programs, *words), 1, "'N[5]' has no holder")


def test_a_node_is_that_of_all_below_it(programs: Programs, daemon: Daemon, locks: Locks) -> None:
    assert [locks.ask(name) for name in ("/t/a", "/t/b", "/t/bb")] == [0, 0, 0]
    assert "/t/b (EX) is released" in flomctl(programs, "release", "-s", daemon.socket, "/t/b").stdout
    assert_refused(flomctl(programs, "release", "-s", daemon.socket, "/t"), 2, "has 2 holders")
    assert not is_locked(daemon.socket, "/t/b")
    assert is_locked(daemon.socket, "/t/bb")


@pytest.mark.parametrize(("options", "status"), [([], 1), (["--allow-local-shutdown"], 0)])
def test_over_tcp_it_takes_the_right_to_end_the_daemon(programs: Programs, options: list[str], status: int) -> None:
    port = str(free_port())
    place = ["-a", "127.0.0.1", "-p", port]
    with Daemon("--unicast-address", "127.0.0.1", "--unicast-port", port, *options):
        holder = programs.start(*place, "-r", "R", *HOLD)
        assert holder.line() == "held"
        done = flomctl(programs, "release", *place, "R")
        assert done.returncode == status
        assert ("refuses to release" in done.stderr) is bool(status)
        if not status:
            assert "an administrator has released it" in holder.error_line()
        holder.say("end")
        assert holder.finish().returncode == (0 if status else 95)


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (["R"], 1, "no resource 'R'"),
        (["no name"], 2, "no name"),
        ([""], 2, "RESOURCE"),
        ([], 2, "RESOURCE"),
        (["R", "x"], 2, "NUMBER"),
        (["R", "0"], 2, "NUMBER"),
        (["R", "1", "--all"], 2, "not allowed with"),
    ],
)
def test_what_makes_no_sense_is_refused(
    programs: Programs, daemon: Daemon, words: list[str], status: int, why: str
) -> None:
    assert_refused(flomctl(programs, "release", "-s", daemon.socket, *words), status, why)


def test_a_daemon_of_flom_s_is_not_asked(programs: Programs, fake: FakeDaemon, tmp_path: Path) -> None:
    running = programs.start_program(FLOMCTL, "release", "-s", str(tmp_path / "fake.sock"), "R")
    fake.accept()[0].answer(5)
    assert_refused(running.finish(), 1, "is a daemon of FLoM's")

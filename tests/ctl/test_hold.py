"""C{flomctl hold}, C{renew}, C{release} of a handle, and C{flom-run --adopt}, with a real daemon."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from flom.codes import ExitStatus, Outcome
from tests.ctl.peers import FLOMCTL, flomctl
from tests.fakes.daemon import Daemon
from tests.fakes.peers import FakeDaemon, is_locked
from tests.fakes.programs import Programs, assert_refused, eventually

HANDLE = f"hold-{'0' * 8}-{'f' * 32}"


@pytest.fixture
def place(tmp_path: Path) -> tuple[str, ...]:
    """The options of a daemon with a state directory."""
    return "--socket-name", str(tmp_path / "s"), "--state", str(tmp_path / "state")


@pytest.fixture
def keeper(place: tuple[str, ...]) -> Iterator[Daemon]:
    """A daemon that keeps holds."""
    with Daemon(*place) as daemon:
        yield daemon


def begin(programs: Programs, daemon: Daemon, *words: str) -> str:
    done = flomctl(programs, "hold", "-s", daemon.socket, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"hold-[0-9a-f]{8}-[0-9a-f]{32}\n", done.stdout)
    return done.stdout.strip()


def test_it_holds_the_lock_until_it_is_released(programs: Programs, keeper: Daemon) -> None:
    handle = begin(programs, keeper, "db", "--as", "deploy")
    waiter = programs.start("-s", keeper.socket, "-r", "db", "--", "echo", "granted")
    refused = programs.run("-s", keeper.socket, "-r", "db", "-o", "0", "--", "true")
    assert re.search(r"db: locked by hold-[0-9a-f]{8} 'deploy' \(.*, ends in 9 min\) for 0 s", refused.stderr)
    shown = flomctl(programs, "status", "-s", keeper.socket).stdout
    assert handle[:13] in shown
    assert handle not in shown
    renewed = flomctl(programs, "renew", "-s", keeper.socket, handle, "--ttl", "2h")
    assert (renewed.returncode, renewed.stdout) == (0, "db (EX) is held for 2 h from now on\n")
    released = flomctl(programs, "release", "-s", keeper.socket, handle)
    assert (released.returncode, released.stdout) == (0, "db (EX) is released\n")
    assert waiter.finish().stdout == "granted\n"
    assert_refused(
        flomctl(programs, "release", "-s", keeper.socket, handle), 95, "there is no hold of this handle here"
    )


def test_its_time_ends_it(programs: Programs, keeper: Daemon) -> None:
    begin(programs, keeper, "db", "--ttl", "300ms")
    assert programs.run("-s", keeper.socket, "-r", "db", "--", "echo", "granted").stdout == "granted\n"
    keeper.wait_for_log(" has ended: its time of 0.3 s is over")


def test_a_killed_daemon_s_hold_is_that_of_the_next_one(programs: Programs, place: tuple[str, ...]) -> None:
    with Daemon(*place) as daemon:
        handle = begin(programs, daemon, "n[5]", "-q", "3")
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait(30)
    with Daemon(*place) as after:
        waiter = programs.start("-s", after.socket, "-r", "n[5]", "-q", "3", "--", "echo", "granted")
        done = programs.run("-s", after.socket, "-r", "n[5]", "-q", "3", "-o", "0", "--", "true")
        assert_refused(done, 98, "n[5]")
        assert flomctl(programs, "release", "-s", after.socket, handle).stdout == "n[5] (3) is released\n"
        assert waiter.finish().stdout == "granted\n"


def test_a_command_goes_on_under_it_over_the_end_of_a_daemon(programs: Programs, place: tuple[str, ...]) -> None:
    with Daemon(*place) as daemon:
        handle = begin(programs, daemon, "db", "--ttl", "1s", "-l", "PW")
        words = ("-d", "0", "-s", daemon.socket, "--adopt", handle, "--", "sh", "-c")
        command = programs.start(*words, "echo $FLOM_RESOURCE $FLOM_LOCK_MODE; read line; echo $line")
        assert command.line() == "db PW"
        again = programs.run(*words, "true")
        assert_refused(again, 99, f"it is adopted by pid {command.pid} ")
        assert_refused(flomctl(programs, "release", "-s", daemon.socket, handle), 1, "end that first")
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait(30)
    with Daemon(*place) as after:
        eventually(lambda: _is_adopted(programs, after), "its command")
        command.say("ends")
        ended = command.finish()
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ends\n", "")
        assert is_locked(after.socket, "db")
        after.wait_for_log(" has ended: its time of 1 s is over")
        assert not is_locked(after.socket, "db")


def _is_adopted(programs: Programs, daemon: Daemon) -> bool:
    status = json.loads(flomctl(programs, "status", "--json", "-s", daemon.socket).stdout)
    locks = [lock for resource in status["resources"] for lock in resource["holders"]]
    return any(lock["hold"] and lock["hold"]["left"] is None for lock in locks)


def test_a_lock_that_is_not_granted_has_the_status_of_flom_run(programs: Programs, keeper: Daemon) -> None:
    begin(programs, keeper, "db")
    for limit in (["--wait", "0"], ["-o", "50ms"], ["--timeout", "50ms"]):
        assert_refused(flomctl(programs, "hold", "-s", keeper.socket, "db", *limit), ExitStatus.BUSY, "db")
    explained = flomctl(programs, "explain", "98", "95").stdout
    for words in ("98 flomctl hold (busy)", "95 flomctl renew (lost)", "95 flomctl release (lost)"):
        assert words in explained


def test_json_has_all_of_it(programs: Programs, keeper: Daemon) -> None:
    done = flomctl(programs, "hold", "-s", keeper.socket, "red.green", "--json", "--ttl", "90s")
    told = json.loads(done.stdout)
    handle, token = told.pop("handle"), told.pop("token")
    assert told == {"format": 1, "element": "red", "name": "red.green", "mode": None, "quantity": None, "ttl": 90.0}
    assert int(token) > 0
    renewed = json.loads(flomctl(programs, "renew", "--json", "-s", keeper.socket, handle).stdout)
    assert renewed["renewed"]["ttl"] == 90.0
    status = json.loads(flomctl(programs, "status", "--json", "-s", keeper.socket).stdout)
    [lock] = status["resources"][0]["holders"]
    assert (lock["hold"]["id"], lock["hold"]["title"], lock["hold"]["ttl"]) == (handle[:13], "", 90.0)
    released = flomctl(programs, "release", "red.green", "--json", "-s", keeper.socket)
    assert json.loads(released.stdout)["released"][0]["hold"]["id"] == handle[:13]


def test_a_daemon_without_a_state_directory_refuses_it(programs: Programs, daemon: Daemon) -> None:
    done = flomctl(programs, "hold", "-s", daemon.socket, "db")
    why = "a lock cannot be held without a process: the daemon keeps nothing beyond its end: it has no state directory"
    assert_refused(done, 1, "db", why, "--state")
    assert not is_locked(daemon.socket, "db")


def test_a_daemon_of_flom_s_is_asked_for_nothing(programs: Programs, tmp_path: Path) -> None:
    with FakeDaemon(str(tmp_path / "s")) as fake:
        holding = programs.start_program(FLOMCTL, "hold", "-s", str(tmp_path / "s"), "db")
        conversation, asked = fake.accept()
        assert asked.name.startswith("statusprobe")
        conversation.answer(Outcome.CANNOT_WAIT)
        why = "this daemon is one of FLoM's, or an older one, which does not know flomctl hold\n"
        assert_refused(holding.finish(), 1, why)


SENSELESS = [
    (["hold", ""], 2, "RESOURCE"),
    (["hold", "no name"], 2, "no name"),
    (["hold", "db", "--ttl", "0"], 2, "--ttl"),
    (["hold", "db", "--ttl", "soon"], 2, "soon"),
    (["hold", "db", "--as", "x" * 41], 2, "--as"),
    (["hold", "n[5]", "-l", "PR"], 2, "lock-mode"),
    (["hold", "db", "-q", "3"], 2, "resource-quantity"),
    (["hold", "db", "-l", "XX"], 2, "XX"),
    (["renew", "db"], 2, "'db' is no handle"),
    (["renew", HANDLE], 95, "there is no hold of this handle here"),
    (["release", HANDLE], 95, "there is no hold of this handle here"),
    (["release", HANDLE[:-1]], 2, "is no handle"),
    (["release", HANDLE, "7"], 2, "leave out NUMBER"),
    (["release", HANDLE, "--all"], 2, "--all"),
]


def test_what_makes_no_sense_is_refused(programs: Programs, keeper: Daemon) -> None:
    for words, status, named in SENSELESS:
        assert_refused(flomctl(programs, *words, "-s", keeper.socket), status, named)


def test_what_cannot_be_adopted_is_refused(programs: Programs, keeper: Daemon) -> None:
    for words, named in [
        (["--adopt", "db"], "adopt: 'db' is no handle"),
        (["--adopt", HANDLE, "-r", "db"], "--resource-name"),
        (["--adopt", HANDLE, "--timeout", "3"], "--timeout"),
        (["--adopt", HANDLE, "--once-per", "1h"], "--once-per"),
        (["--adopt", HANDLE], "there is no hold of this handle here"),
    ]:
        assert_refused(programs.run("-s", keeper.socket, *words, "--", "true"), 99, named)

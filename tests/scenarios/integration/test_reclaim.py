"""A daemon at a fixed address is killed under commands: the next one gives no other command what they hold."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any

import pytest

from flom.codes import Outcome
from flom.core.grace import REJOIN_BATCH
from flom.core.protocol.messages import Answer, Unlock
from flom.net.machine_id import unique_id
from flom.tls.authority import issue, make_authority
from tests.fakes.daemon import BIN, Daemon
from tests.fakes.exclusion import Marks
from tests.fakes.peers import FakeDaemon
from tests.fakes.programs import Programs, Running, command_line_of, eventually, free_port
from tests.fakes.seccomp import forbid_pidfds
from tests.scenarios.lan.test_reclaim import ASYNCIO, RUN, TWISTED

SOON = ["--session-timeout", "700"]  # of a daemon: how long it waits for a holder that does not come


@pytest.fixture(params=["unix", "tcp"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Options of C{flom-run} for an address."""
    return ["-s", str(tmp_path / "s")] if request.param == "unix" else ["-a", "127.0.0.1", "-p", str(free_port())]


def daemon_at(where: list[str], *options: str) -> Daemon:
    """Return a daemon that is supervised, so to speak, at the address of C{where}."""
    names = {"-s": "--socket-name", "-a": "--unicast-address", "-p": "--unicast-port"}
    return Daemon(*[names.get(word, word) for word in where], *options)


def daemons(programs: Programs) -> list[int]:
    """Return the daemons that commands have started."""
    return [pid for pid in programs.daemons() if "flom/daemon" in command_line_of(pid)]


def kill(daemon: Daemon) -> None:
    daemon.process.kill()
    daemon.process.wait(30)


def hold(programs: Programs, marks: Marks, *options: str, **others: Any) -> Running:
    """Start a command that holds what C{options} say until it is told to end."""
    holder = programs.start(*marks.job(*options), **others)
    eventually(lambda: holder.line() == "held", "the lock")
    return holder


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_holder_starts_another_daemon_and_goes_on(
    programs: Programs, marks: Marks, where: list[str], number: signal.Signals
) -> None:
    words = [*where, "-r", "R", "-d", "60000"]
    holder = hold(programs, marks, *words)
    waiter = programs.start(*marks.job(*words, seconds=0))
    killed: list[int] = []

    def kill_another() -> bool:
        match daemons(programs):
            case [pid] if pid not in killed:
                os.kill(pid, number)
                killed.append(pid)
                return True
        return False

    for _ in range(3):
        eventually(kill_another, "another daemon")
        late = programs.run(*where, "-d", "60000", "-r", "R", "-o", "0", "--", "echo", "ran")
        assert (late.returncode, late.stdout) == (98, "")
    holder.say("end")
    for ended in holder.finish(), waiter.finish():
        assert (ended.returncode, ended.stderr) == (0, "")


def test_the_holder_waits_for_a_daemon_that_it_may_not_start(
    programs: Programs, marks: Marks, where: list[str]
) -> None:
    words = [*where, "-d", "0"]
    with daemon_at(where) as killed:
        holders = [hold(programs, marks, *words, "-r", name) for name in ("R", "N[3]", "/a/b")]
        kill(killed)
    time.sleep(0.3)  # several attempts
    with daemon_at(where) as daemon:
        for asked in (["-r", "R"], ["-r", "N[3]", "-q", "3"], ["-r", "/a"]):
            assert programs.run(*words, *asked, "-o", "0", "--", "true").returncode == 98
        for holder in holders:
            holder.say("end")
            ended = holder.finish()
            assert (ended.returncode, ended.stderr) == (0, "")
        assert programs.run(*words, "-r", "/a", "-o", "0", "--", "true").returncode == 0
        daemon.stop()


def test_waiters_keep_their_order(programs: Programs, marks: Marks, where: list[str], tmp_path: Path) -> None:
    def count_waiters(expected: int) -> bool:
        shown = programs.start_program(str(BIN / "flomctl"), "status", "--json", *where).finish()
        resources = json.loads(shown.stdout)["resources"] if shown.returncode == 0 else []
        return [len(resource["waiters"]) for resource in resources] == [expected]

    words, turns = [*where, "-d", "0", "-r", "R"], tmp_path / "turns"
    with daemon_at(where) as killed:
        holder = hold(programs, marks, *words)
        waiters: list[Running] = []
        for number in range(1, 5):
            waiters.append(programs.start(*words, "--", "sh", "-c", f"echo {number} >> {turns}"))
            eventually(partial(count_waiters, number), "a place in the queue")
        kill(killed)
    with daemon_at(where) as daemon:
        eventually(lambda: count_waiters(4), "all of them in the queue")
        time.sleep(2 * REJOIN_BATCH)
        holder.say("end")
        for waiter in waiters:
            assert waiter.finish().returncode == 0
        daemon.stop()
    assert turns.read_text().split() == ["1", "2", "3", "4"]


def test_an_element_is_given_to_one_alone(programs: Programs, marks: Marks, where: list[str]) -> None:
    long = [letter * 79 for letter in "abc"]  # with an element, such a name has no room in one message
    names = ["red.green.blue", ".".join(long), "_s_n[3]", "_S_n[3]", "_t_%T[3]"]
    words = [*where, "-d", "60000", "-r"]
    holders = [hold(programs, marks, *words, name) for name in names]
    for _ in range(2):
        for pid in daemons(programs):
            os.kill(pid, signal.SIGKILL)
        holders += [hold(programs, marks, *words, name) for name in names]
    assert [holder.finish().returncode for holder in holders] == [0] * len(holders)  # 95 if one was lost
    held = marks.holdings()
    *others, times = [[holding.element for holding in held if holding.name == name] for name in names]
    assert others == [["red", "green", "blue"], long, ["1", "2", "3"], ["1", "2", "3"]]
    assert len(set(times)) == 3


def test_a_rollback_that_the_daemon_has_not_taken_is_not_lost(programs: Programs, where: list[str]) -> None:
    """The daemon is killed between the end of the command and its answer."""
    words = [*where, "-d", "60000", "-i", "60000", "-r", "_S_n[1]", "--"]
    failing = programs.start(*words, "sh", "-c", "echo $FLOM_ELEMENT; read line; echo ended; exit 1")
    assert failing.line() == "1"
    [pid] = daemons(programs)
    os.kill(pid, signal.SIGSTOP)
    failing.say("end")
    assert failing.line() == "ended"
    time.sleep(0.3)  # it unlocks
    os.kill(pid, signal.SIGKILL)
    ended = failing.finish()
    assert (ended.returncode, ended.stderr) == (1, "")
    assert programs.run(*words, "sh", "-c", "echo $FLOM_ELEMENT").stdout == "1\n"


def check_that_the_next_daemon_waits(programs: Programs, marks: Marks, where: list[str], holder: Running) -> None:
    """Check that R is granted by a daemon that is started now as soon as the command of C{holder} ends, not before."""
    with daemon_at(where, "--session-timeout", "60000") as daemon:
        waiter = programs.start(*marks.job(*where, "-d", "0", "-r", "R", seconds=0))
        time.sleep(0.3)  # it must not be granted the lock
        assert waiter.process.poll() is None
        holder.say("end")
        ended = waiter.finish()
        assert (ended.returncode, ended.stderr) == (0, "")
        daemon.stop()


def test_a_command_whose_flom_run_was_killed_is_waited_for(programs: Programs, marks: Marks, where: list[str]) -> None:
    with daemon_at(where) as killed:
        holder = hold(programs, marks, *where, "-d", "0", "-r", "R")
        holder.signal(signal.SIGKILL)
        kill(killed)
    check_that_the_next_daemon_waits(programs, marks, where, holder)


def holders_files(where: list[str]) -> list[str]:
    """Return the holders files of the daemon at C{where}."""
    if where[0] == "-s":
        return glob(f"{where[1]}.holders-*")
    return glob(f"/dev/shm/flom-*-{where[1]}-{where[3]}.holders-*")


def test_holders_are_waited_for_though_their_file_was_removed(
    programs: Programs, marks: Marks, where: list[str]
) -> None:
    with daemon_at(where) as killed:
        holder = hold(programs, marks, *where, "-d", "0", "-r", "R")
        holder.signal(signal.SIGKILL)
        [file] = holders_files(where)
        os.unlink(file)
        killed.wait_for_log("was removed: made anew")
        kill(killed)
    check_that_the_next_daemon_waits(programs, marks, where, holder)


def test_a_holder_that_comes_too_late_is_told(programs: Programs, tmp_path: Path, where: list[str]) -> None:
    """It was stopped for longer than it is waited for, and another command got the lock."""
    loose = Marks(tmp_path / "loose")
    words = [*where, "-d", "0", "-r", "R"]
    with daemon_at(where) as killed:
        holder = hold(programs, loose, *words)
        holder.signal(signal.SIGSTOP)
        kill(killed)
    with daemon_at(where, *SOON) as daemon:
        other = programs.run(*loose.job(*words, seconds=0))
        assert (other.returncode, other.stderr) == (0, "")
        holder.signal(signal.SIGCONT)
        time.sleep(0.3)  # it is told while the command runs
        holder.say("end")
        ended = holder.finish()
        assert ended.returncode == 95
        assert "R: the lock was lost: " in ended.stderr
        assert "not reclaimed (another client has it, or may have had it since)" in ended.stderr
        daemon.stop()
    assert len(loose.violations()) == 1


def test_a_command_that_ends_first_does_not_wait_for_ever(programs: Programs, marks: Marks, where: list[str]) -> None:
    with daemon_at(where) as killed:
        holder = hold(programs, marks, *where, "-d", "0", "-r", "R")
        kill(killed)
    holder.say("end")
    ended = holder.finish()
    assert ended.returncode == 95
    assert "no daemon has come within 5 s after the end of the command" in ended.stderr


def test_a_free_lock_is_granted_soon_after_a_kill(programs: Programs, marks: Marks, where: list[str]) -> None:
    words = [*where, "-d", "60000"]
    holder = hold(programs, marks, *words, "-r", "R")
    [pid] = daemons(programs)
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    assert programs.run(*words, "-r", "free", "--", "true").returncode == 0
    assert time.monotonic() - began < 5.0  # 1.5 s, or over TCP 2.5 s, on a quiet machine
    holder.say("end")
    assert holder.finish().returncode == 0


def test_closed_descriptors_are_not_the_commands(programs: Programs, where: list[str]) -> None:
    listing = ["--", "ls", "-l", "/proc/self/fd"]
    with daemon_at(where):
        assert "holders" in programs.run(*where, "-d", "0", *listing).stdout
        assert "holders" not in programs.run(*where, "-d", "0", "--close", *listing).stdout


def test_nothing_is_left_behind_when_nobody_holds(programs: Programs, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    path = place / "s"
    assert programs.run("-s", str(path), "-d", "1", "--", "true").returncode == 0
    eventually(lambda: os.listdir(place) == ["s.lock"], "the end of the daemon")


SCRIPT = """
import sys
from flom import lock
with lock("R", start=False, socket=sys.argv[1]) as held:
    print("held", flush=True)
    sys.stdin.readline()
    print(held.lost, flush=True)
"""


def test_a_script_reclaims_its_lock(programs: Programs, tmp_path: Path) -> None:
    where = ["-s", str(tmp_path / "s")]
    with daemon_at(where) as killed:
        script = programs.start_program(sys.executable, "-c", SCRIPT, where[1])
        assert script.line() == "held"
        kill(killed)
    with daemon_at(where) as daemon:
        assert programs.run(*where, "-d", "0", "-r", "R", "-o", "0", "--", "true").returncode == 98
        script.say("end")
        ended = script.finish()
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "None\n", "")
        daemon.stop()


def test_a_script_does_not_wait_for_ever_with_its_release(programs: Programs, tmp_path: Path) -> None:
    where = ["-s", str(tmp_path / "s")]
    with daemon_at(where) as killed:
        script = programs.start_program(sys.executable, "-c", SCRIPT, where[1])
        assert script.line() == "held"
        kill(killed)
    script.say("end")
    ended = script.finish()
    assert (ended.returncode, ended.stdout) == (1, "None\n")
    assert ended.stderr.endswith("closed the connection, and no daemon came within 5 s\n")


DEFERRED = [sys.executable, "-m", "flom.client.deferred"]


def hold_by_twisted(programs: Programs, marks: Marks, *options: str, **others: Any) -> Running:
    holder = programs.start_program(*DEFERRED, *marks.job(*options), **others)
    eventually(lambda: holder.line() == "held", "the lock")
    return holder


def test_a_twisted_program_reclaims_its_lock(programs: Programs, marks: Marks, where: list[str]) -> None:
    words = [*where, "-d", "0"]
    with daemon_at(where) as killed:
        holders = [hold_by_twisted(programs, marks, *words, "-r", name) for name in ("R", "N[1]", "_s_seq[1]")]
        kill(killed)
    with daemon_at(where) as daemon:
        for name in ("R", "_s_seq[1]"):
            assert programs.run(*words, "-r", name, "-o", "0", "--", "true").returncode == 98
        for holder in holders:
            holder.say("end")
            ended = holder.finish()
            assert (ended.returncode, ended.stderr) == (0, "")
        assert programs.run(*words, "-r", "_s_seq[1]", "-o", "0", "--", "sh", "-c", "echo $1", "sh").stdout == "2\n"
        daemon.stop()


@pytest.mark.parametrize("kind", ["UNIX", "TLS"])
def test_programs_on_a_reactor_reclaim_what_they_held(
    kind: str, programs: Programs, marks: Marks, tmp_path: Path
) -> None:
    """On Twisted's, and on that of asyncio, by a proof of the daemon's key; over TLS, it is one of the certificate."""
    port = free_port()
    if kind == "TLS":
        place = f"UnicastAddress=127.0.0.1\nUnicastPort={port}\n"
        authority = make_authority(tmp_path / "tls", days=1).certificate
        own = issue(tmp_path / "tls", unique_id(), days=1)
        tls = f"[TLS]\nTlsCertificate={own.certificate}\nTlsPrivateKey={own.key}\nTlsCaCertificate={authority}\n"
    else:
        place, tls = f"SocketName={tmp_path / 's'}\n", ""
    (tmp_path / ".flom").write_text(f"[Daemon]\nLifespan=0\n{place}{tls}")
    environment = {"HOME": str(tmp_path)}
    options = ["--config", str(tmp_path / ".flom"), "--state", str(tmp_path / "state")]
    holders = []
    with Daemon(*options) as killed:
        for name, script in ("R", TWISTED), ("_s_seq[1]", ASYNCIO):
            program = f"{RUN}{script}\nos._exit(0)"  # Twisted's threads, which look names up, would keep asyncio's
            words = [sys.executable, "-c", program, name, "1", *marks.command("-r", name)]
            holders.append(programs.start_program(*words, environment=environment))
            eventually(lambda: holders[-1].line() == "held", "the lock")
        kill(killed)
    with Daemon(*options) as daemon:
        for name in ("R", "_s_seq[1]"):
            late = programs.start("-r", name, "-o", "0", "--", "true", environment=environment)
            assert late.finish().returncode == 98
        ended = [holder.finish() for holder in holders]
        assert [(one.returncode, one.stderr) for one in ended] == [(0, "")] * 2
        daemon.stop()
        assert "unproven" not in daemon.log


def test_the_command_of_a_twisted_program_is_waited_for(programs: Programs, marks: Marks, where: list[str]) -> None:
    with daemon_at(where) as killed:
        holder = hold_by_twisted(programs, marks, *where, "-d", "0", "-r", "R")
        holder.signal(signal.SIGKILL)
        kill(killed)
    with daemon_at(where, "--session-timeout", "60000") as daemon:
        waiter = programs.start(*marks.job(*where, "-d", "0", "-r", "R", seconds=0))
        time.sleep(0.3)  # it must not be granted the lock
        assert waiter.process.poll() is None
        holder.say("end")
        assert waiter.finish().returncode == 0
        daemon.stop()


@pytest.mark.parametrize(
    ("where", "first"),
    [("unix", None), ("tcp", None), ("unix", forbid_pidfds)],
    ids=["unix", "tcp", "without pidfds"],
    indirect=["where"],
)
def test_a_flom_run_that_is_killed_leaves_what_it_has_reclaimed(
    programs: Programs, marks: Marks, where: list[str], first: Callable[[], None] | None
) -> None:
    words = [*where, "-d", "60000", "-r", "R"]
    holder = hold(programs, marks, *words, "-V", first=first)
    for pid in daemons(programs):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: holder.line() == "R reclaimed", "the reclaim")
    time.sleep(0.2)
    holder.signal(signal.SIGKILL)
    waiter = programs.start(*marks.job(*words, seconds=0))
    time.sleep(0.3)  # it must not be granted the lock
    assert waiter.process.poll() is None
    holder.say("end")
    assert waiter.finish().returncode == 0


@pytest.mark.parametrize(
    ("where", "first"),
    [("unix", None), ("tcp", forbid_pidfds)],
    ids=["unix", "tcp, without pidfds"],
    indirect=["where"],
)
def test_a_twisted_program_that_is_killed_leaves_what_it_has_reclaimed(
    programs: Programs, marks: Marks, where: list[str], first: Callable[[], None] | None
) -> None:
    """To a process beside the command, which the daemon after the next waits for too."""
    words = [*where, "-d", "0", "-r", "R"]

    def stands_in() -> bool:
        return any("stand_in.py" in line for line in programs.command_lines())

    with daemon_at(where) as killed:
        holder = hold_by_twisted(programs, marks, *words, first=first)
        kill(killed)
    with daemon_at(where) as daemon:
        eventually(stands_in, "the process")
        holder.signal(signal.SIGKILL)
        assert programs.run(*words, "-o", "0", "--", "true").returncode == 98
        kill(daemon)
    with daemon_at(where, "--session-timeout", "60000") as last:
        waiter = programs.start(*marks.job(*words, seconds=0))
        time.sleep(0.3)  # it must not be granted the lock
        assert waiter.process.poll() is None
        holder.say("end")
        assert waiter.finish().returncode == 0
        eventually(lambda: not stands_in(), "the end of the process")
        last.stop()


def test_a_flom_run_that_is_killed_while_it_reclaims_leaves_the_lock(
    programs: Programs, marks: Marks, tmp_path: Path
) -> None:
    """It is killed between the moment when it asks and the one when it has heard that the lock is granted."""
    path = str(tmp_path / "s")
    with daemon_at(["-s", path]) as killed:
        holder = hold(programs, marks, "-s", path, "-d", "0", "-r", "R")
        kill(killed)
    os.unlink(path)
    with FakeDaemon(path) as daemon:
        conversation, asked = daemon.accept()
        assert asked.regains
        holder.signal(signal.SIGKILL)
        holder.wait()
        conversation.answer(Outcome.GRANTED)
        assert conversation.is_open()
        holder.say("end")
        assert conversation.read() is None


def test_an_unlock_is_confirmed_by_the_daemon_after_the_next(programs: Programs, tmp_path: Path) -> None:
    """The first one and the next are killed before they answer it."""
    path, start = str(tmp_path / "s"), "0123456789abcdef"
    with daemon_at(["-s", path]) as killed:
        holder = programs.start("-s", path, "-d", "0", "-r", "R", "--", "sh", "-c", "echo held; read line")
        assert holder.line() == "held"
        killed.process.send_signal(signal.SIGSTOP)
        holder.say("end")
        time.sleep(0.3)  # it unlocks
        kill(killed)
    os.unlink(path)
    Path(f"{path}.holders-{start}").touch()
    with FakeDaemon(path) as daemon:
        conversation, asked = daemon.accept()
        assert asked.regains
        conversation.say(Answer(16, Outcome.GRANTED, peer_id="0" * 32, extended=True, start=start))
        assert conversation.read() == Unlock("R")
    os.unlink(path)
    with daemon_at(["-s", path]) as last:
        ended = holder.finish()
        assert (ended.returncode, ended.stderr) == (0, "")
        last.stop()


def test_a_new_command_survives_daemons_killed_before_they_answer(programs: Programs, tmp_path: Path) -> None:
    """Three in a row; then it starts one itself."""
    path = str(tmp_path / "s")
    daemon = FakeDaemon(path)
    new = programs.start("-s", path, "-d", "1", "--", "echo", "ran")
    for _ in range(3):
        daemon.accept()
        os.unlink(path)
        killed, daemon = daemon, FakeDaemon(path)
        killed.close()
    daemon.close()
    ended = new.finish()
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ran\n", "")


def test_a_new_command_survives_daemons_killed_at_their_start(programs: Programs, where: list[str]) -> None:
    new = programs.start(*where, "-d", "1", "--", "echo", "ran")
    killed: set[int] = set()

    def kill_another() -> bool:
        for pid in programs.pids():
            if pid not in killed and "flom/daemon/" in command_line_of(pid):
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    for _ in range(3):
        eventually(kill_another, "a daemon that is starting")
    ended = new.finish()
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ran\n", "")

"""From the start of the daemon to any end of it; and no reader can delay anything."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from flom.codes import Outcome
from tests.fakes.daemon import BIN, FLOM_RUN, Daemon
from tests.fakes.mounts import (
    Person,
    listed,
    mount_at,
    needs_fuse,
    needs_root,
    process_at,
    processes_at,
    read,
    run,
    wait_for_no_mount,
)
from tests.fakes.programs import Programs, eventually, is_alive

pytestmark = needs_fuse

Ask = Callable[..., Person]

SOON = 5.0  # seconds


def end(daemon: Daemon) -> None:
    """End C{daemon} in good order."""
    daemon.stop()
    assert "Server Shut Down" in daemon.log


@contextmanager
def opened(file: Path) -> Iterator[int]:
    """Keep C{file} open for a while, whatever becomes of it."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        with suppress(OSError):  # the kernel reports that no process was there to be notified
            os.close(descriptor)


def wait_for_nothing_left(place: Path) -> None:
    wait_for_no_mount(place)
    eventually(lambda: not processes_at(place), "an end of what showed it")
    assert os.listdir(place) == []


def test_after_a_shutdown_in_good_order_nothing_is_left(showing: Daemon, place: Path) -> None:
    end(showing)
    assert mount_at(place) is None  # at once, so that the next daemon finds its place
    assert processes_at(place) == []
    assert f"FLM023I unmounted {place}" in showing.log


def test_after_an_immediate_shutdown_nothing_is_left(showing: Daemon, place: Path) -> None:
    assert run(FLOM_RUN, "-s", showing.socket, "-X").returncode == 0
    assert showing.process.wait(SOON) == 0
    assert mount_at(place) is None


def test_after_a_quiesce_shutdown_nothing_is_left(showing: Daemon, place: Path) -> None:
    assert run(FLOM_RUN, "-s", showing.socket, "-x").returncode == 0
    assert showing.process.wait(SOON) == 0
    assert mount_at(place) is None


def test_a_killed_daemon_leaves_nothing_either(showing: Daemon, place: Path) -> None:
    showing.process.kill()
    wait_for_nothing_left(place)


def test_the_view_does_not_keep_an_idle_daemon_alive(place: Path, tmp_path: Path) -> None:
    arguments = ["--socket-name", str(tmp_path / "flom.sock"), "-m", str(place), "--daemon-lifespan", "100"]
    with Daemon(*arguments, ready="FLM022I mounted at") as daemon:
        while daemon.process.poll() is None:
            run("find", str(place))
        daemon.stop()
    assert "Server Shut Down" in daemon.log
    assert mount_at(place) is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_an_open_file_or_a_working_directory_does_not_delay_the_end(
    showing: Daemon, place: Path, programs: Programs, number: signal.Signals
) -> None:
    sitting = programs.start_program("sh", "-c", "echo here; read forever", cwd=place / "status")
    assert sitting.line() == "here"
    with opened(place / "status.json"):
        showing.process.send_signal(number)
        wait_for_nothing_left(place)
        showing.process.wait(SOON)


def test_the_next_daemon_can_mount_at_the_same_place(showing: Daemon, place: Path) -> None:
    end(showing)
    with Daemon(*showing.arguments, ready="FLM022I mounted at"):
        assert "status.json" in listed(place)


def test_a_stopped_process_holds_up_neither_grants_nor_the_end(
    showing: Daemon, ask: Ask, place: Path, programs: Programs
) -> None:
    pid = process_at(place)
    os.kill(pid, signal.SIGSTOP)
    stuck = programs.start_program("cat", str(place / "status.json"))
    first = ask("R1")
    second = ask("R1")
    first.unlock()
    assert second.next() == Outcome.GRANTED
    assert stuck.process.poll() is None
    end(showing)
    assert mount_at(place) is None
    assert not is_alive(pid)
    stuck.wait()


def test_a_reader_of_a_stopped_daemon_gets_an_error_and_later_the_tree(showing: Daemon, place: Path) -> None:
    """A daemon that does not answer means an error; once it answers again, its locks are shown."""
    os.kill(showing.process.pid, signal.SIGSTOP)
    try:
        eventually(lambda: "Input/output error" in run("ls", str(place)).stderr, "an error")
    finally:
        os.kill(showing.process.pid, signal.SIGCONT)
    eventually(lambda: not run("ls", str(place)).stderr, "an end of the error")
    assert str(showing.process.pid) in read(place / "status.json")


def test_a_killed_process_is_replaced_and_the_daemon_lives_on(showing: Daemon, ask: Ask, place: Path) -> None:
    ask("R1")
    with opened(place / "status.json"):  # the dead mount is busy
        os.kill(process_at(place), signal.SIGKILL)
        showing.wait_for_log("FLM025E")
        showing.wait_for_log("FLM022I mounted at")
    assert "R1\n" in {read(file) for file in place.glob("status/lockers/*/resource_name")}
    assert ask("R1").answer == Outcome.QUEUED
    end(showing)
    assert mount_at(place) is None
    assert "FLM024W" not in showing.log


def test_a_process_that_is_killed_before_it_has_mounted_is_replaced(place: Path, tmp_path: Path) -> None:
    with Daemon("--socket-name", str(tmp_path / "flom.sock"), "-m", str(place)) as daemon:
        eventually(lambda: processes_at(place), "the process")
        os.kill(process_at(place), signal.SIGKILL)
        daemon.wait_for_log("FLM025E")
        daemon.wait_for_log("FLM022I mounted at")
        assert "FLM024W" not in daemon.log


def test_a_daemon_that_ends_does_not_wait_to_replace_the_process(showing: Daemon, place: Path) -> None:
    os.kill(process_at(place), signal.SIGKILL)
    showing.wait_for_log("FLM025E")
    began = time.monotonic()
    end(showing)
    assert time.monotonic() - began < SOON
    assert mount_at(place) is None


def test_what_a_user_unmounts_stays_unmounted(showing: Daemon, ask: Ask, place: Path) -> None:
    assert run("fusermount3", "-u", str(place)).returncode == 0
    showing.wait_for_log("was unmounted, but not by us")
    assert ask("R1").answer == Outcome.GRANTED
    end(showing)
    assert processes_at(place) == []


def test_signals_of_a_terminal_end_the_daemon_first(place: Path, tmp_path: Path, programs: Programs) -> None:
    """A terminal sends them to a whole process group."""
    words = [str(BIN / "twistd"), "-n", "--pidfile=", "flom", "-s", str(tmp_path / "flom.sock"), "-m", str(place)]
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a test that runs in the background ignores it
    daemon = programs.start_program(*words, own_session=True, first=heeding)
    while "FLM022I mounted at" not in daemon.line():
        pass
    os.killpg(daemon.pid, signal.SIGINT)
    done = daemon.finish()
    assert f"FLM023I unmounted {place}" in done.stdout
    assert mount_at(place) is None


@pytest.mark.parametrize("program", ["flom", "flom-run"])
def test_a_command_starts_a_daemon_that_mounts(place: Path, tmp_path: Path, programs: Programs, program: str) -> None:
    """The directory may be given from where the command runs, though the daemon is elsewhere."""
    words = [str(BIN / program), "-s", "flom.sock", "-m", place.name, "-d", "100", "--", "sh", "-c", "echo in; read on"]
    running = programs.start_program(*words, cwd=tmp_path)
    assert running.line() == "in"
    eventually(lambda: list(place.glob("status/lockers/*/holders/*/lock_mode")), "the lock of the command")
    running.say("on")
    assert running.wait() == 0
    wait_for_nothing_left(place)  # because the daemon ends


def test_a_file_may_say_where_to_mount(place: Path, tmp_path: Path, programs: Programs) -> None:
    file = tmp_path / "flom.conf"
    file.write_text(f"[Daemon]\nSocketName={tmp_path}/flom.sock\nLifespan=100\nMountPointVFS={place}\n")
    running = programs.start("-c", str(file), "--", "sh", "-c", "echo in; read on")
    assert running.line() == "in"
    eventually(lambda: mount_at(place), "a mount")
    running.say("on")
    assert running.wait() == 0
    wait_for_nothing_left(place)
    with Daemon("-c", str(file), ready="FLM022I mounted at"):
        assert "status.json" in listed(place)


def test_a_daemon_that_runs_already_is_not_made_to_mount(daemon: Daemon, place: Path, programs: Programs) -> None:
    done = programs.run("-s", daemon.socket, "-m", str(place), "--", "ls", str(place))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_client_of_a_daemon_that_has_mounted_may_name_the_place(showing: Daemon, place: Path) -> None:
    done = run(FLOM_RUN, "-s", showing.socket, "-m", str(place), "--", "true")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_process_is_not_among_the_daemons_that_pgrep_finds(showing: Daemon, place: Path) -> None:
    assert "flom" not in Path(f"/proc/{process_at(place)}/comm").read_text()


@needs_root
def test_other_users_do_not_see_it(showing: Daemon, place: Path) -> None:
    done = run("setpriv", "--reuid", "65534", "--clear-groups", "--", "ls", str(place))
    assert "Permission denied" in done.stderr

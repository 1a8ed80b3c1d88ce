"""C{flom-run -V} says at its end how it went, and C{--status-file} keeps it: whose a status is can be told."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.daemon import BIN
from tests.fakes.peers import FakeDaemon
from tests.fakes.programs import Programs, RunHere, assert_refused, eventually

SECONDS = r"\d+\.\d{3} s"
HELD = f"waited {SECONDS}, held {SECONDS}"
RAN = f"{HELD}, ran {SECONDS}"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The status file of the test."""
    return tmp_path / "status"


def read(path: Path) -> dict[str, Any]:
    """Return what a status file says, without its durations."""
    said: dict[str, Any] = json.loads(path.read_text())
    assert said.pop("format") == 1
    return {key: value for key, value in said.items() if key not in ("waited", "held", "ran")}


def hold(programs: Programs, address: str, resource: str) -> None:
    holder = programs.start("-s", address, "-r", resource, "--", "sh", "-c", "echo held; read line")
    assert holder.line() == "held"


@pytest.mark.parametrize(
    ("script", "status", "end"),
    [
        ("exit 0", 0, "exited with 0"),
        ("exit 98", 98, "exited with 98"),
        ("kill -TERM $$", -signal.SIGTERM, "ended by SIGTERM"),
    ],
)
def test_what_the_command_has_ended_with_is_said_to_be_so(
    programs: Programs, address: str, resource: str, kept: Path, script: str, status: int, end: str
) -> None:
    words = ["-V", "-s", address, "-r", resource, "--status-file", str(kept), "--", "sh", "-c", script]
    done = programs.start(*words).finish()
    assert (done.returncode, done.stdout) == (status, "")
    assert re.fullmatch(f"flom-run: {resource}: {RAN}, command {end}\n", done.stderr)
    shown = status if status >= 0 else 128 - status
    assert read(kept) == {
        "resources": [resource],
        "status": shown,
        "decided_by": "command",
        "why": None,
        "signal": None if status >= 0 else "SIGTERM",
        "lost": False,
        "command_status": shown,
    }


@pytest.mark.parametrize(("choice", "status"), [([], 98), (["-E", "75"], 75), (["-E", "0"], 0)])
def test_a_status_of_our_own_is_said_to_be_so(
    programs: Programs, address: str, resource: str, kept: Path, choice: list[str], status: int
) -> None:
    hold(programs, address, resource)
    words = ["-V", "-s", address, "-r", resource, "-o", "0", "--status-file", str(kept), *choice, "--", "echo", "ran"]
    done = programs.start(*words).finish()
    assert (done.returncode, done.stdout) == (status, "")
    last = done.stderr.splitlines()[-1]
    assert re.fullmatch(f"flom-run: {resource}: waited {SECONDS}, not run: busy, status {status}", last)
    said = read(kept)
    assert (said["status"], said["decided_by"], said["why"], said["command_status"]) == (
        status,
        "flom-run",
        "busy",
        None,
    )


def test_a_command_that_cannot_be_executed(programs: Programs, address: str, resource: str, kept: Path) -> None:
    words = ["-V", "-s", address, "-r", resource, "--status-file", str(kept), "--", "/no/command"]
    done = programs.start(*words).finish()
    assert done.returncode == 97
    said = f"flom-run: {resource}: {HELD}, not run: cannot execute, status 97"
    assert re.fullmatch(said, done.stderr.splitlines()[-1])
    assert (read(kept)["decided_by"], read(kept)["why"]) == ("flom-run", "cannot execute")


def test_an_error_of_ours(programs: Programs, address: str) -> None:
    done = programs.start("-V", "-s", address, "-r", "units[2]", "-q", "3", "--", "true").finish()
    assert done.returncode == 99
    assert re.fullmatch(f"flom-run: .*: waited {SECONDS}, not run: error, status 99", done.stderr.splitlines()[-1])


def test_a_signal_that_ends_the_wait(programs: Programs, address: str, resource: str, kept: Path) -> None:
    hold(programs, address, resource)
    waiter = programs.start("-V", "-s", address, "-r", resource, "--status-file", str(kept), "--", "true")
    assert waiter.line().startswith(f"waiting for {resource}")
    waiter.signal(signal.SIGTERM)
    done = waiter.finish()
    assert done.returncode == -signal.SIGTERM
    assert re.fullmatch(f"flom-run: {resource}: waited {SECONDS}, not run: SIGTERM\n", done.stderr)
    said = read(kept)
    assert (said["status"], said["signal"], said["decided_by"], said["why"]) == (143, "SIGTERM", "flom-run", None)


@pytest.mark.parametrize(
    ("script", "status", "end"),
    [
        ("read line; exit 0", 95, "command exited with 0; lost, status 95"),
        ("read line; exit 3", 3, "command exited with 3; the lock was lost"),
    ],
)
def test_a_loss_is_told_apart(
    programs: Programs, fake: FakeDaemon, kept: Path, tmp_path: Path, script: str, status: int, end: str
) -> None:
    words = ["-V", "-s", str(tmp_path / "fake.sock"), "-d", "0", "--status-file", str(kept)]
    running = programs.start(*words, "--", "sh", "-c", f"echo runs; {script}")
    conversation, _ = fake.accept()
    conversation.answer(0)
    assert running.line() == "runs"
    conversation.close()
    assert "the lock was lost" in running.error_line()
    running.say("")
    done = running.finish()
    assert done.returncode == status
    assert re.fullmatch(f"flom-run: .*: {RAN}, {end}", done.stderr.splitlines()[-1])
    said = read(kept)
    assert (said["decided_by"], said["why"]) == (("flom-run", "lost") if status == 95 else ("command", None))
    assert said["lost"] is True


def test_durations_are_those_of_wait_lock_and_command(
    programs: Programs, address: str, resource: str, kept: Path
) -> None:
    holder = programs.start("-s", address, "-r", resource, "--", "sh", "-c", "echo held; read line")
    assert holder.line() == "held"
    words = ["-s", address, "-r", resource, "--status-file", str(kept), "--", "sh", "-c", "echo runs; read line"]
    waiter = programs.start(*words)
    eventually(kept.exists, "the status file, which is opened before the lock is asked for")
    holder.say("")
    assert holder.finish().returncode == 0
    assert waiter.line() == "runs"
    waiter.say("")
    assert waiter.finish().returncode == 0
    said = json.loads(kept.read_text())
    assert said["waited"] > 0
    assert said["held"] >= said["ran"] > 0


def test_of_several_locks_all_are_named(programs: Programs, address: str, resource: str, kept: Path) -> None:
    names = [resource, f"{resource}2"]
    words = ["-V", "-s", address, *(word for name in names for word in ("-r", name)), "--status-file", str(kept)]
    done = programs.start(*words, "--", "true").finish()
    assert re.fullmatch(f"flom-run: {names[0]} and {names[1]}: {RAN}, command exited with 0\n", done.stderr)
    assert read(kept)["resources"] == names


def test_without_verbose_nothing_is_said(programs: Programs, address: str, resource: str, kept: Path) -> None:
    for quiet in ([], ["-Q"], ["-Q", "-V"]):
        kept.unlink(missing_ok=True)
        words = [*quiet, "-s", address, "-r", resource, "--status-file", str(kept), "--", "true"]
        done = programs.start(*words).finish()
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert read(kept)["decided_by"] == "command"


def test_a_descriptor_is_a_file_too(programs: Programs, address: str, resource: str, kept: Path) -> None:
    line = f"exec {BIN}/flom-run -s {address} -r {resource} --status-file /dev/fd/3 -- sh -c 'exit 5' 3>{kept}"
    assert programs.start_program("sh", "-c", line).finish().returncode == 5
    assert read(kept)["command_status"] == 5


def test_a_status_file_that_cannot_be_written(programs: Programs, address: str, resource: str, tmp_path: Path) -> None:
    words = ["-s", address, "-r", resource, "--status-file"]
    done = programs.start(*words, str(tmp_path), "--", "echo", "ran").finish()
    assert_refused(done, 99, f"status-file: '{tmp_path}' cannot be written to: is a directory")
    done = programs.start(*words, "/dev/full", "--", "echo", "ran").finish()
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert done.stderr == "flom-run: warning: the status file /dev/full is not whole: no space left on device\n"


@pytest.mark.parametrize("words", [["--status-file=", "--", "true"], ["--status-file"]])
def test_a_status_file_needs_a_name(flom_run_here: RunHere, words: list[str]) -> None:
    assert_refused(flom_run_here(*words), 99, "status-file")


def test_flom_has_no_line_at_its_end(programs: Programs, address: str, resource: str) -> None:
    flom = str(BIN / "flom")
    done = programs.start_program(flom, "-V", "-s", address, "-r", resource, "--", "sh", "-c", "exit 98").finish()
    assert (done.returncode, done.stderr) == (98, "")
    assert_refused(programs.start_program(flom, "--status-file", "f", "--", "true").finish(), 99, "Unknown option")

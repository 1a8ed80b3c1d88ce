"""C{flom-run --history}, and what C{flomctl check} says of it."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.ctl.peers import flomctl
from tests.fakes.daemon import BIN, Daemon
from tests.fakes.peers import FakeDaemon
from tests.fakes.programs import Programs, assert_refused, eventually

WAITS = ["sh", "-c", "echo held; read line; true"]


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def events(path: Path) -> list[str]:
    return [line["event"] for line in read(path)]


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return tmp_path / "history"


def test_all_that_becomes_of_a_lock_is_told(programs: Programs, daemon: Daemon, history: Path) -> None:
    words = ["-s", daemon.socket, "-r", "_S_n[1]", "-i", "2500", "--history", str(history)]
    assert programs.start(*words, "--", "sh", "-c", "exit 3").finish().returncode == 3
    assert events(history) == ["request", "grant", "begin", "end", "release"]
    request, _, begin, end, release = lines = read(history)
    assert len({each["id"] for each in lines}) == 1
    assert (begin["name"], begin["mode"], begin["quantity"], begin["lifespan"]) == ("_S_n[1]", "EX", 1, 2.5)
    assert (begin["element"], begin["command"], begin["on_lost"]) == ("1", "sh", "warn")
    assert int(begin["token"]) > 0
    assert begin["pid"] != request["pid"]
    assert (end["status"], release["rollback"]) == (3, True)


def test_many_share_a_file_and_it_is_good(programs: Programs, daemon: Daemon, history: Path) -> None:
    kinds = [["-r", "R"], ["-r", "N[2]", "-q", "2"], ["-r", "P", "-l", "PR"], ["-r", "a.b", "--type", "set"]]
    kinds += [["-r", "_s_n[2]", "-i", "9000"], ["-r", "_S_n[1]", "-i", "9000"], ["-r", "/t/a"]]
    started = [
        programs.start("-s", daemon.socket, *kind, "--history", str(history), "--", "sh", "-c", "sleep 0.01")
        for kind in kinds * 3
    ]
    assert [one.finish().returncode for one in started] == [0] * len(started)
    done = flomctl(programs, "check", str(history))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{5 * len(started)} lines, {len(started)} grants of 7 resources: no violations\n"


def test_locks_of_two_daemons_are_found_out(programs: Programs, history: Path, tmp_path: Path) -> None:
    paths = [str(tmp_path / "one"), str(tmp_path / "two")]
    with Daemon("--socket-name", paths[0]), Daemon("--socket-name", paths[1]):
        for path in paths:
            assert programs.start("-s", path, "-r", "R", "--history", str(history), "--", *WAITS).line() == "held"
        eventually(lambda: events(history).count("begin") == 2, "both have begun")
        done = flomctl(programs, "check", str(history))
    assert done.returncode == 1
    assert done.stdout.startswith("R: EX beside EX: sh (pid ")


def test_a_refusal_is_told(programs: Programs, daemon: Daemon, history: Path) -> None:
    holder = programs.start("-s", daemon.socket, "--", *WAITS)
    assert holder.line() == "held"
    words = ["-s", daemon.socket, "--history", str(history)]
    assert programs.start(*words, "-o", "0", "--", "true").finish().returncode == 98
    assert events(history) == ["request", "refusal"]
    waiter = programs.start(*words, "--", "true")
    eventually(lambda: events(history).count("request") == 2, "it asks")
    waiter.signal(signal.SIGTERM)
    assert waiter.wait() == -signal.SIGTERM
    assert events(history)[2:] == ["request", "refusal"]


def test_a_loss_is_told(programs: Programs, fake: FakeDaemon, history: Path, tmp_path: Path) -> None:
    words = ["-s", str(tmp_path / "fake.sock"), "-d", "0", "--history", str(history), "--", *WAITS]
    running = programs.start(*words)
    conversation, _ = fake.accept()
    conversation.answer(0)
    assert running.line() == "held"
    conversation.close()
    eventually(lambda: "loss" in events(history), "the loss")
    assert running.finish().returncode == 95
    assert events(history) == ["request", "grant", "begin", "loss", "end"]


def test_a_lock_that_was_converted_is_told_and_no_violation(programs: Programs, daemon: Daemon, history: Path) -> None:
    words = ["-s", daemon.socket, "-d", "0", "--history", str(history)]
    converts = f"{BIN / 'flomctl'} convert PR && echo converted && read line"
    writer = programs.start(*words, "--", "sh", "-c", converts)
    assert writer.line().isdecimal()  # the token
    assert writer.line() == "converted"
    assert programs.start(*words, "-l", "PR", "--", "true").finish().returncode == 0
    writer.say("")
    assert writer.finish().returncode == 0
    done = flomctl(programs, "check", str(history))
    assert (done.returncode, done.stderr) == (0, "")
    assert "no violations" in done.stdout


def test_a_file_that_cannot_be_written_is_one_line(programs: Programs, daemon: Daemon, tmp_path: Path) -> None:
    words = ["-s", daemon.socket, "--history"]
    done = programs.start(*words, str(tmp_path), "--", "echo", "ran").finish()
    assert_refused(done, 99, f"history: '{tmp_path}' cannot be written to: is a directory")
    done = programs.start(*words, "/dev/full", "--", "echo", "ran").finish()
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert done.stderr == "flom-run: warning: the history /dev/full is not whole: no space left on device\n"


def test_flom_has_none(programs: Programs) -> None:
    done = programs.start_program(str(BIN / "flom"), "--history", "h", "--", "echo", "ran").finish()
    assert_refused(done, 99, "Unknown option --history")

"""C{flomctl value}: what is kept of resources beyond their holders, and how commands set it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flom.codes import Outcome
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Answer, StatusFollows, StatusRequest
from flom.ctl.main import run
from flom.net.machine_id import unique_id
from flom.status.json import to_json
from tests.ctl.peers import FLOMCTL, flomctl
from tests.fakes.daemon import Daemon
from tests.fakes.peers import FakeDaemon
from tests.fakes.programs import Programs, assert_refused
from tests.fakes.status import make_status


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the socket of a daemon that keeps values."""
    directory = tmp_path_factory.mktemp("lasting")
    with Daemon("--socket-name", str(directory / "s"), "--state", str(directory / "state")) as daemon:
        yield daemon.socket


def test_nothing_is_kept(programs: Programs, daemon: Daemon) -> None:
    done = flomctl(programs, "value", "-s", daemon.socket)
    assert (done.returncode, done.stdout, done.stderr) == (0, "no values\n", "")
    done = flomctl(programs, "value", "-s", daemon.socket, "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"format": 1, "values": []})
    done = flomctl(programs, "value", "-s", daemon.socket, "R*")
    assert_refused(done, 1, "flomctl: nothing is kept of a resource that matches 'R*'")


def test_what_is_kept_is_told_in_words_and_as_json(programs: Programs, tmp_path: Path) -> None:
    """Also that of a resource that nobody uses, and of those that a pattern matches."""
    host, socket = os.uname().nodename, str(tmp_path / "s")
    with Daemon("--socket-name", socket, "--state", str(tmp_path / "state")):
        for words in (
            ["-r", "backup", "--once-per", "1h"],
            ["-r", "backup", "--once-per", "1d", "--key", "monday"],
            ["-r", "/tape/a", "--value", "a\tb"],
        ):
            assert programs.run("-s", socket, *words, "--", "true").returncode == 0
        lines = flomctl(programs, "value", "-s", socket).stdout.splitlines()
        tape, backup, monday, only = lines
        assert (tape, backup) == ("/tape/a  a\\tb", "backup")
        assert monday.startswith("  monday: done 0 s ago, at 20")
        assert only.startswith("  done 0 s ago, at 20")
        assert only.endswith(f", by {host}")
        assert flomctl(programs, "value", "-s", socket, "/t*").stdout.splitlines() == [tape]
        [value] = json.loads(flomctl(programs, "value", "-s", socket, "--json", "backup").stdout)["values"]
        assert (value["name"], value["value"]) == ("backup", "")
        assert [(done["key"], done["period"], done["by"]) for done in value["done"]] == [
            ("", 3600.0, host),
            ("monday", 86400.0, host),
        ]
        assert all(0 <= done["seconds"] < 20 for done in value["done"])
        status = json.loads(flomctl(programs, "status", "-s", socket, "--json", "backup").stdout)
        assert status["values"] == [value | {"done": status["values"][0]["done"]}]


def test_a_command_sets_the_value_that_it_has_computed(programs: Programs, lasting: str) -> None:
    """In the place of the one of its command line, or where it only reads one at first; the last one counts."""
    former, by_hand = "", "echo value ten >&$FLOM_CONTROL_FD; read -r _ <&$FLOM_CONTROL_FD"
    for words, script, status, value in (
        (["--value", "begun"], f"{by_hand}; {FLOMCTL} value --set ' tape  7'", 0, " tape  7"),
        (["--read-value"], f"printf 'tape8\\nmore\\n' | {FLOMCTL} value --set -", 0, "tape8"),
        (["--value", "begun"], f"{by_hand}; exit 7", 7, "tape8"),
        (["--read-value", "-l", "PR"], f"{FLOMCTL} convert EX >&2 && {FLOMCTL} value --set=-9", 0, "-9"),
        (["--once-per", "1h"], by_hand, 0, "ten"),
    ):
        script = f'echo "$FLOM_VALUE"; {script}'
        done = programs.run("-s", lasting, "-r", "tape", *words, "--", "sh", "-c", script)
        assert (done.returncode, done.stdout) == (status, f"{former}\n")
        former = value
    words = ["--value", "x", "--", "sh", "-c", f"echo $FLOM_VALUE; {FLOMCTL} value --set ''"]
    done = programs.run("-s", lasting, "-r", "tape", *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ten\n", "")
    [only] = flomctl(programs, "value", "-s", lasting, "tape").stdout.splitlines()[1:]
    assert only.startswith("  done ")


def test_a_value_that_cannot_be_set_is_refused_at_once(programs: Programs, lasting: str) -> None:
    """And the one of the command line is kept."""
    orders = (
        ("value --set " + "x" * 65, f"value '{'x' * 65}' has 65 bytes, more than 64"),
        ("value --set 'a\nb'", "value 'a\\nb' has more than one line"),
        ("value --set - </dev/null", "--set -: standard input has no line; --set '' removes the value"),
        ("value --set - 0>/dev/null", "--set -: standard input cannot be read: bad file descriptor"),
        ("value --set - <long", f"--set -: the line that begins with '{'y' * 66}' has more than 64 bytes"),
        (
            f"convert PR >/dev/null; {FLOMCTL} value --set x",
            "refused: the value can be set in mode EX or PW, not PR",
        ),
    )
    script = "".join(f"{FLOMCTL} {words}; echo $? >&2\n" for words, _ in orders) + f"{FLOMCTL} convert EX"
    cwd = Path(lasting).parent
    (cwd / "long").write_text("y" * 3000)
    done = programs.run("-s", lasting, "-r", "refused", "--value", "begun", "--", "sh", "-c", script, cwd=cwd)
    assert done.stderr.splitlines() == [line for _, why in orders for line in (f"flomctl: {why}", "99")]
    assert flomctl(programs, "value", "-s", lasting, "refused").stdout == "refused  begun\n"


def test_a_flom_run_that_was_not_asked_for_a_value_sets_none(programs: Programs, lasting: str) -> None:
    for more in ([], ["-r", "other"]):
        done = programs.run("-s", lasting, "-r", "tape", *more, "--", FLOMCTL, "value", "--set", "x")
        why = "flom-run was not asked for a value: it has none of --value, --read-value and --once-per"
        assert_refused(done, 99, f"flomctl: {why}")
    why = "there is no FLOM_CONTROL_FD: run this in a command under flom-run"
    assert_refused(flomctl(programs, "value", "--set", "-"), 99, f"flomctl: {why}")


@pytest.mark.parametrize("words", [["tape"], ["--json"], ["-s", "socket"], ["-c", "file"]])
def test_setting_goes_without_what_is_for_looking(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["value", "--set", "x", *words]) == 2
    why = "--set is for the lock of the flom-run that this runs under: it goes without other words"
    assert capsys.readouterr().err == f"flomctl: {why}\n"


def test_an_older_daemon_keeps_none(programs: Programs, fake: FakeDaemon, tmp_path: Path) -> None:
    running = programs.start_program(FLOMCTL, "value", "-s", str(tmp_path / "fake.sock"))
    conversation, _ = fake.accept()
    conversation.send(encode(Answer(16, Outcome.CANNOT_WAIT, peer_id=unique_id(), extended=True)))
    assert isinstance(conversation.read(), StatusRequest)
    status = json.loads(to_json(make_status("R1")))
    del status["values"]
    data = json.dumps(status).encode()
    conversation.send(encode(StatusFollows(len(data))) + data)
    assert_refused(running.finish(), 1, "flomctl: the daemon is an older one (flom ", "), which keeps no values")

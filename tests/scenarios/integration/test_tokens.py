"""Fencing tokens of real daemons that are killed, whose clock is set back, and whose disk is full."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.fakes.clocks import HOUR, FakeWallClock, needs_faketime
from tests.fakes.daemon import BIN, FLOM_RUN, Daemon
from tests.fakes.programs import Programs

TOKEN = ["--", "sh", "-c", "echo $FLOM_TOKEN"]


def token_at(daemon: Daemon, resource: str = "R") -> int:
    """Return the token of a command under a lock."""
    words = [FLOM_RUN, "-s", daemon.socket, "-r", resource, *TOKEN]
    return int(subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout)


def status_of(daemon: Daemon) -> dict[str, object]:
    """Return what the daemon says of itself."""
    words = [str(BIN / "flomctl"), "status", "-s", daemon.socket, "--json"]
    said = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout
    found: dict[str, object] = json.loads(said)["daemon"]
    return found


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    return ["--socket-name", str(tmp_path / "flom.sock"), "--state", str(tmp_path / "state")]


@needs_faketime
def test_tokens_grow_over_kills_with_a_clock_that_is_set_back(tmp_path: Path, words: list[str]) -> None:
    """By an hour before each start: only what is on disk remembers."""
    clock = FakeWallClock(tmp_path)
    tokens = []
    for number in range(5):
        clock.set_ahead(-number * HOUR)
        with Daemon(*words, environment=clock.environment) as daemon:
            tokens += [token_at(daemon, resource) for resource in ("R", "a.b", "R")]
            assert status_of(daemon)["epoch"] == tokens[-1] >> 32
            daemon.process.send_signal(signal.SIGKILL)
            daemon.process.wait(20)
    assert tokens == sorted(set(tokens))
    assert (tmp_path / "state" / "epoch").read_text() == f"{tokens[-1] >> 32}\n"


def test_without_a_state_directory_they_grow_with_the_clock(words: list[str]) -> None:
    tokens = []
    for _ in range(4):
        with Daemon(*words[:2]) as daemon:
            tokens += [token_at(daemon), token_at(daemon)]
            assert (status_of(daemon)["state"], status_of(daemon)["state_problem"]) == ("", "")
            daemon.process.send_signal(signal.SIGKILL)
            daemon.process.wait(20)
    assert tokens == sorted(set(tokens))


def test_daemons_that_commands_start_share_the_directory_of_their_user(programs: Programs, tmp_path: Path) -> None:
    state = tmp_path / "states" / "flom"
    tokens = []
    for place in ("one", "two", "three"):
        words = [FLOM_RUN, "-s", str(tmp_path / place), "-d", "1", *TOKEN]
        done = programs.start_program(*words, environment={"XDG_STATE_HOME": str(state.parent)}).finish()
        tokens.append(int(done.stdout))
        assert (state / "epoch").read_text() == f"{tokens[-1] >> 32}\n"
    assert tokens == sorted(set(tokens))


def test_a_broken_file_keeps_no_command_from_running(programs: Programs, tmp_path: Path) -> None:
    """The daemon logs it. What a file says of a daemon of root's is not for one that a command starts."""
    state = tmp_path / "states" / "flom"
    state.mkdir(parents=True, mode=0o700)
    (state / "epoch").write_text("1 and a half\n")
    file = tmp_path / "flom.conf"
    file.write_text("[Daemon]\nState=/dev/null\n")
    words = [FLOM_RUN, "-c", str(file), "-s", str(tmp_path / "sock"), "-d", "1", "--", "echo", "ran"]
    done = programs.start_program(*words, environment={"XDG_STATE_HOME": str(state.parent)}).finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")
    assert (state / "epoch").read_text() == "1 and a half\n"


def test_locks_are_granted_when_nothing_can_be_written(words: list[str]) -> None:
    """One line says so; the status too."""
    with Daemon(*words) as daemon:
        state = Path(words[-1])
        (state / "epoch.new").mkdir()  # for root, nothing is read-only
        assert token_at(daemon) < token_at(daemon)
        assert status_of(daemon)["state_problem"] == f"{state}/epoch: is a directory"
        shown = subprocess.run(
            [BIN / "flomctl", "status", "-s", daemon.socket], capture_output=True, text=True, timeout=60
        )
        assert shown.stdout.splitlines()[0].endswith(f"nothing is remembered: {state}/epoch: is a directory")
        daemon.stop()
    assert daemon.log.count("is a directory: nothing is remembered there; locks are granted") == 1

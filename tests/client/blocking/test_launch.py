"""
A daemon that does not come up: what its starter says of it, by both ways
(docs/compatibility.md, "Who starts a daemon").
"""

from __future__ import annotations

import fcntl
import os
import re
import site
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

import flom
from flom.client.blocking import launch
from flom.client.blocking.launch import campaign_of, daemon_words
from flom.config import Config
from flom.errors import DaemonUnreachable
from tests.fakes.programs import Programs, Running

# flom-run, whose daemon is run by the program that is its first argument, and which waits for it for less long
STARTER = """
import sys
import flom.client.blocking.launch as launch
from flom.run.main import main
sys.executable = sys.argv.pop(1)
launch.START_TIMEOUT = float(sys.argv.pop(1))
sys.argv[0] = "flom-run"
main()
"""
LONG_ENOUGH = 20.0


def start(programs: Programs, path: Path, script: str, *words: str, timeout: float = LONG_ENOUGH) -> Running:
    """Start C{flom-run}, whose daemon on C{path} is C{script}; that gets the arguments for Python."""
    shell = path.with_name("script")
    shell.write_text(f"#!/bin/sh\n{script}\n")
    shell.chmod(0o755)
    where = ["-s", str(path), "-d", "300", *words, "--", "echo", "ran"]
    return programs.start_program(sys.executable, "-c", STARTER, str(shell), str(timeout), *where)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


DID_NOT_START = "flom-run: the daemon did not start: "


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo first >&2; echo last >&2; echo >&2; exit 1", "last"),
        ("exit 3", ".+"),
        ("kill -9 $$", ".*signal 9.*"),
    ],
)
def test_why_it_has_not_started_is_its_last_line_or_how_it_ended(
    programs: Programs, path: Path, script: str, why: str
) -> None:
    done = start(programs, path, script).finish()
    assert (done.returncode, done.stdout) == (99, "")
    assert re.fullmatch(f"{DID_NOT_START}{why}\n", done.stderr), done.stderr
    assert not path.exists()  # nothing is left that no daemon serves


def test_a_daemon_that_is_not_ready_in_time_is_waited_for_no_more(programs: Programs, path: Path) -> None:
    done = start(programs, path, "exec sleep 60 2>&-", timeout=0.3).finish()
    assert (done.returncode, done.stdout) == (99, "")
    assert done.stderr == f"flom-run: {path}: the daemon was not ready within 0.3 s\n"
    assert not path.exists()


def test_a_ready_daemon_s_own_warnings_are_passed_on_and_nothing_else(programs: Programs, path: Path) -> None:
    script = f"echo 'twistd flom: warning: beware' >&2; echo 'from some library' >&2; exec '{sys.executable}' \"$@\""
    done = start(programs, path, script).finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "twistd flom: warning: beware\n")


def test_a_daemon_that_does_not_listen_is_not_started_for_ever(programs: Programs, path: Path) -> None:
    done = start(programs, path, "exit 0").finish()
    assert (done.returncode, done.stdout) == (99, "")
    assert f"{path}: a daemon was started 10 times, and does not listen\n" in done.stderr


# somebody else starts one, and does not come to an end


@pytest.fixture
def other_starter(path: Path) -> Iterator[None]:
    """Has the right to start a daemon, and does not do it."""
    with Path(f"{path}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.mark.usefixtures("other_starter")
def test_another_starter_has_the_time_that_a_daemon_has(programs: Programs, path: Path) -> None:
    done = start(programs, path, "exit 1", timeout=0.3).finish()
    assert (done.returncode, done.stdout) == (99, "")
    assert f"cannot start a daemon: {path}: another daemon is listening there\n" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.usefixtures("other_starter")
def test_a_timeout_limits_the_wait_for_another_starter_too(programs: Programs, path: Path) -> None:
    done = start(programs, path, "exit 1", "-o", "200").finish()
    assert (done.returncode, done.stdout) == (98, "")
    assert "not granted within 0.2 s" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_terminal_s_signals_to_the_starter_do_not_reach_the_daemon() -> None:
    """A Ctrl-Z would stop it while others come to it already."""
    process = launch._Process(["/bin/sleep", "60"], {}, 2, [])
    try:
        assert os.getpgid(process._pid) == process._pid
    finally:
        process.kill()


def test_a_user_without_a_home_is_told_that_nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launch.without_state() == ""
    monkeypatch.setattr(launch, "state_directory", lambda: "")
    assert "remembers nothing" in launch.without_state()


# what a daemon is told that is started


def test_it_is_told_where_this_package_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundled application has a folder of its own that is called site-packages too."""
    spawn = Mock(side_effect=OSError)
    monkeypatch.setattr("os.posix_spawn", spawn)
    for package, is_told in [(str(tmp_path / "site-packages"), True), (site.getsitepackages()[0], False)]:
        monkeypatch.setattr(launch, "_PACKAGE", package)
        with pytest.raises(DaemonUnreachable):
            launch.Launch(Config(), [], [])
        _, _, environment = spawn.call_args.args
        assert environment.get("PYTHONPATH", "").startswith(package) == is_told


def test_a_daemon_is_told_what_it_wants_to_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config(
        lifespan_ms=-1,
        socket_name="relative",
        keepalive_time=7,
        resource_name="R",
        timeout_ms=0,
        ignored_signals=(1,),
        command_trace_file="trace",
        daemon_trace_file="daemon.trace",
        verbose=True,
    )
    assert daemon_words(config, ["--inherit", "3"])[1:] == [
        str(Path(flom.__file__).parent / "daemon" / "__main__.py"),
        *("--daemon-lifespan", "-1"),
        *("--inherit", "3"),
        *("--daemon-trace-file", str(tmp_path / "daemon.trace")),
        *("--tcp-keepalive-time", "7"),
    ]


@pytest.mark.parametrize(
    ("config", "seconds"),
    [
        (Config(), 0.5),
        (Config(election_time_ms=2000), 2.0),
        (Config(discovery_attempts=4, discovery_timeout_ms=1000), 2.0),
        (Config(discovery_attempts=1000, discovery_timeout_ms=1000), 60.0),
    ],
)
def test_a_candidate_announces_itself_for_half_of_what_a_search_takes(config: Config, seconds: float) -> None:
    assert campaign_of(config) == seconds

"""
What the command of C{flom-run} finds, beyond what tests/contract/test_jobs.py has of every program that runs one
(docs/compatibility.md, "Running the command").
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from pathlib import Path

import pytest

from flom.errors import NoProcess
from flom.job.words import CannotExecute
from flom.run.child import Child
from tests.fakes.daemon import FLOM_RUN
from tests.fakes.programs import PATIENCE, Programs, ignoring


def python(script: str) -> list[str]:
    """Return the words that run C{script}, with C{show} to write a line."""
    return [sys.executable, "-I", "-S", "-c", f"import os, sys\ndef show(*x): print(*x, flush=True)\n{script}"]


@pytest.fixture
def at(address: str, resource: str) -> list[str]:
    """The words that lock a resource of the test's own."""
    return ["-s", address, "-r", resource]


def test_a_file_as_stdin_is_read_from_where_we_got_it(programs: Programs, at: list[str], tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("first\nsecond\n")
    with path.open("rb", buffering=0) as file:
        file.readline()
        done = programs.run(*at, "--", "cat", stdin=file)
    assert done.stdout == "second\n"


def test_the_shell_s_way_to_close_stdin_works(programs: Programs, address: str, resource: str) -> None:
    line = f"'{FLOM_RUN}' -s '{address}' -r {resource} -- cat <&-"
    done = programs.start_program("sh", "-c", line).finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_other_descriptors_are_passed_on(programs: Programs, at: list[str]) -> None:
    """Such as those of the shell's process substitution."""
    reading, writing = os.pipe()
    os.write(writing, b"substituted\n")
    os.close(writing)
    done = programs.run(*at, "--", "cat", f"/dev/fd/{reading}", pass_fds=(reading,))
    os.close(reading)
    assert (done.returncode, done.stdout, done.stderr) == (0, "substituted\n", "")


def test_words_and_names_need_not_be_ascii_whatever_the_locale(programs: Programs, address: str) -> None:
    words = ["-s", address, "-r", "/grüße/é", "--", "sh", "-c", 'echo "$FLOM_RESOURCE" "$0"', "Ωμέγα"]
    done = programs.run(*words, environment={"LC_ALL": "C"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "/grüße/é Ωμέγα\n", "")


def test_after_nohup_the_environment_is_still_ours(programs: Programs, at: list[str]) -> None:
    environment = {"WITH.DOT": "1", "OLDPWD": "/no/where", "SHLVL": "5"}
    script = "show(os.getenv('WITH.DOT'), os.getenv('OLDPWD'), os.getenv('SHLVL'))"
    done = programs.run(*at, "--", *python(script), environment=environment, first=ignoring(signal.SIGHUP))
    assert done.stdout == "1 /no/where 5\n"


def test_a_command_may_be_flom_run_itself(programs: Programs, address: str, at: list[str]) -> None:
    show = "echo $FLOM_RESOURCE $FLOM_ELEMENT $0"
    done = programs.run(*at, "--", FLOM_RUN, "-s", address, "-r", "inner.other", "--", "sh", "-c", show)
    assert (done.returncode, done.stdout) == (0, "inner.other inner inner\n")


# the child itself


class Started:
    """
    A command that was started.

    @ivar ends: the statuses that were told.
    """

    def __init__(self, script: str) -> None:
        self.ends: list[int] = []
        self.child = Child(["sh", "-c", script], dict(os.environb), self.ends.append)

    def wait(self) -> int | None:
        assert select.select([self.child], [], [], PATIENCE)[0]
        assert self.ends == [self.child.status]
        return self.child.status


def test_its_end_can_be_waited_for_and_gives_the_status() -> None:
    assert Started("exit 7").wait() == 7


def test_a_command_that_has_ended_takes_no_signal() -> None:
    started = Started("exit 7")
    started.wait()
    started.child.signal(signal.SIGTERM)  # its number may be another process's by now
    assert started.child.status == 7


def test_a_signal_reaches_it() -> None:
    started = Started("exec sleep 60")
    started.child.signal(signal.SIGTERM)
    assert started.wait() == -signal.SIGTERM


def test_where_there_can_be_no_thread_it_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Otherwise, its start would have to wait for its end, deaf to signals."""

    def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("flom.lean.start_new_thread", fail)
    with pytest.raises(NoProcess):
        Started(f"echo ran >{tmp_path}/ran")
    assert not (tmp_path / "ran").exists()


def test_without_a_descriptor_it_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> tuple[int, int]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pipe", none_left)
    with pytest.raises(CannotExecute, match="Unable to execute command 'sh': too many open files"):
        Started("exit 7")

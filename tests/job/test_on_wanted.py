"""
What C{flom-run --notify-wanted}, C{--max-hold} and C{--lock-delay} do (docs/howto/yield-when-wanted.md);
tests/contract/test_jobs.py has what other programs do likewise.
"""

from __future__ import annotations

import errno
from pathlib import Path
from time import monotonic

import pytest

from flom.core.protocol.messages import Answer
from flom.job.on_wanted import OnWanted
from tests.fakes.daemon import BIN, Daemon
from tests.fakes.peers import FakeDaemon
from tests.fakes.programs import Programs, assert_refused, free_port


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    return ["-s", str(tmp_path / "s"), "-r", "R1", "-d", "2000"]


@pytest.mark.parametrize("how", ["fd", "fd:17"])
def test_a_command_reads_that_its_lock_is_wanted(programs: Programs, place: list[str], how: str) -> None:
    script = 'echo "$FLOM_WANTED_FD"; read word <&"$FLOM_WANTED_FD"; echo "$word"'
    holder = programs.start(*place, f"--notify-wanted={how}", "--", "bash", "-c", script)
    number = holder.line()
    assert number == "17" or how == "fd"
    assert programs.run(*place, "--", "true").returncode == 0
    assert holder.finish().stdout == "wanted\n"


def test_a_command_that_is_not_to_know_gets_nothing(programs: Programs, place: list[str]) -> None:
    done = programs.run(*place, "--", "sh", "-c", "echo ${FLOM_WANTED_FD-none}", environment={"FLOM_WANTED_FD": "3"})
    assert done.stdout == "none\n"


def test_a_command_that_has_become_another_user_s_costs_a_line() -> None:
    def send(number: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    warnings: list[str] = []
    OnWanted("signal", 10).tell(7, send, warnings.append)
    assert warnings == ["the command (pid 7) cannot be told that its lock is wanted: operation not permitted"]


def test_a_limit_is_not_begun_anew_by_the_next_daemon(programs: Programs) -> None:
    port, most = free_port(), 3.0
    where = ["-a", "127.0.0.1", "-p", str(port), "-d", "0"]
    daemon = ["-a", "127.0.0.1", "--unicast-port", str(port)]
    words = ["--max-hold", str(most), "--on-lost", "kill", "--", "sh", "-c", "echo held; exec sleep 30"]
    with Daemon(*daemon) as first:
        holder = programs.start(*where, "-r", "R1", *words)
        assert holder.line() == "held"
        first.process.kill()
        first.process.wait()
    with Daemon(*daemon):
        ready = monotonic()
        done = holder.finish()
        assert monotonic() - ready < most
    assert done.returncode == 95
    assert "it was held for longer than 3 s" in done.stderr


def test_what_is_lost_is_kept_for_the_delay(programs: Programs, place: list[str]) -> None:
    done = programs.run(*place, "--max-hold", "0.2", "--lock-delay", "0.5", "--on-lost", "kill", "--", "sleep", "30")
    assert done.returncode == 95
    assert programs.run(*place, "-o", "0", "--", "true").returncode == 98
    assert programs.run(*place, "--", "true").returncode == 0


@pytest.mark.parametrize("wish", [["--max-hold", "9"], ["--lock-delay", "9"], ["--notify-wanted", "fd"]])
def test_a_daemon_that_knows_no_wishes_locks_nothing(
    fake: FakeDaemon, programs: Programs, tmp_path: Path, wish: list[str]
) -> None:
    running = programs.start("-s", str(tmp_path / "fake.sock"), "-r", "R1", *wish, "--", "echo", "runs")
    conversation, asked = fake.accept()
    assert asked.name.startswith("statusprobe")
    conversation.say(Answer(16, 5, None, "0" * 32))
    done = running.finish()
    assert (done.returncode, done.stdout) == (99, "")
    assert f"this daemon is one of FLoM's, or an older one, which does not know {wish[0]} (" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--max-hold", "x"], "max-hold: 'x'"),
        (["--lock-delay=-5"], "lock-delay: '-5'"),
        (["--notify-wanted", "fd:1"], "notify-wanted: 'fd:1'"),
        (["--notify-wanted", "fd:x"], "notify-wanted: 'fd:x'"),
        (["--notify-wanted", "nothing"], "notify-wanted: 'nothing'"),
    ],
)
def test_a_value_that_is_none_is_told(programs: Programs, place: list[str], words: list[str], named: str) -> None:
    assert_refused(programs.run(*place, *words, "--", "true"), 99, named)


def test_a_descriptor_that_is_open_is_refused(programs: Programs, place: list[str]) -> None:
    words = " ".join([*place, "--notify-wanted=fd:19", "--", "true"])
    done = programs.start_program("bash", "-c", f"exec 19</dev/null; exec {BIN}/flom-run {words}").finish()
    assert_refused(done, 99, "'fd:19' is open already")

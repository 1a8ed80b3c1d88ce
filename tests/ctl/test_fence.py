"""C{flomctl fence}: the command runs unless a later holder was there, and is left as it would be without us."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.ctl.peers import FLOMCTL, flomctl
from tests.fakes.daemon import FLOM_RUN, Daemon
from tests.fakes.programs import Programs, assert_refused


def fence(programs: Programs, file: Path, token: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"FLOM_TOKEN": token} | more
    return flomctl(programs, "fence", str(file), *words, environment=environment)


def test_the_command_runs_in_the_place_of_the_fence(programs: Programs, tmp_path: Path) -> None:
    done = fence(programs, tmp_path / "db", "5", "--", "sh", "-c", 'echo "$FLOM_TOKEN $0 $1"; exit 7', "-x", "a b")
    assert (done.returncode, done.stdout, done.stderr) == (7, "5 -x a b\n", "")
    assert (tmp_path / "db.fence").read_text() == "5\n"


def test_after_a_later_holder_it_does_not_run(programs: Programs, tmp_path: Path) -> None:
    for token, status in (("5", 0), ("4", 94), ("5", 0), ("18", 0), ("5", 94)):
        done = fence(programs, tmp_path / "db", token, "true")
        assert done.returncode == status
    assert_refused(done, 94, "db.fence: token 5 is lower than 18")


@pytest.mark.parametrize(
    ("token", "more", "named"),
    [("", {}, "''"), ("x", {}, "'x'"), ("9223372036854775808", {}, "9223372036854775808")]
    + [("7", {"FLOM_LOCK_MODE": mode}, f"mode {mode}") for mode in ("NL", "CR", "CW", "PR")],
)
def test_what_is_no_token_of_a_lock_that_excludes_has_a_status_of_its_own(
    programs: Programs, tmp_path: Path, token: str, more: dict[str, str], named: str
) -> None:
    assert_refused(fence(programs, tmp_path / "db", token, "true", **more), 91, named)
    assert list(tmp_path.glob("db*")) == []


def test_without_a_lock_there_is_no_token(programs: Programs, tmp_path: Path) -> None:
    assert_refused(flomctl(programs, "fence", str(tmp_path / "db"), "true"), 91, "there is no FLOM_TOKEN")


def test_of_several_locks_it_has_to_be_told_which_is_meant(programs: Programs, tmp_path: Path) -> None:
    several = {"FLOM_RESOURCES": "a\tEX\t1\t5\t\nb\tEX\t1\t6\t"}
    words = ["fence", str(tmp_path / "db"), "true"]
    assert_refused(flomctl(programs, *words, environment=several), 91, "there are several locks: set FLOM_TOKEN to")
    assert flomctl(programs, *words, environment=several | {"FLOM_TOKEN": "5"}).returncode == 0


def test_an_empty_name_is_one_line_and_makes_no_file(programs: Programs, tmp_path: Path) -> None:
    done = flomctl(programs, "fence", "", "--", "echo", "ran", environment={"FLOM_TOKEN": "7"}, cwd=tmp_path)
    assert_refused(done, 2, "flomctl fence: argument FILE: it is empty")
    assert list(tmp_path.iterdir()) == []


def test_a_fence_that_cannot_be_kept_is_one_line(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "db.fence").write_text("seven\n")
    assert_refused(fence(programs, tmp_path / "db", "7", "true"), 99, f"{tmp_path}/db.fence: 'seven'")


def test_a_command_that_cannot_be_executed_is_one_line(programs: Programs, tmp_path: Path) -> None:
    assert_refused(fence(programs, tmp_path / "db", "7", "--", "no-such-program"), 97, "no-such-program")
    assert_refused(fence(programs, tmp_path / "db", "7", "--"), 97, "No command")


def test_what_python_ignores_the_command_does_not(programs: Programs, tmp_path: Path) -> None:
    done = fence(programs, tmp_path / "db", "7", "--", "grep", "SigIgn", "/proc/self/status")
    assert int(done.stdout.split()[1], 16) & (1 << 12) == 0  # SIGPIPE


def test_under_flom_run_each_command_passes_in_its_turn(programs: Programs, daemon: Daemon, tmp_path: Path) -> None:
    words = [FLOM_RUN, "-s", daemon.socket, "-r", "db", "--", FLOMCTL, "fence", str(tmp_path / "db"), "--", "true"]
    assert [programs.start_program(*words).finish().returncode for _ in range(3)] == [0, 0, 0]
    held = int((tmp_path / "db.fence").read_text())
    assert fence(programs, tmp_path / "db", str(held - 1), "true").returncode == 94

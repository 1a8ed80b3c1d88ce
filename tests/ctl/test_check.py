"""C{flomctl check}: what histories tell, and what is wrong with it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.ctl.peers import flomctl
from tests.fakes.programs import Programs, assert_refused

SECOND = 1_000_000_000
NOON = 1_764_417_600  # seconds since the epoch


class Written:
    """A history that a test writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count = 0

    def note(self, event: str, seconds: float, id: str, host: str = "h1", **fields: object) -> None:
        """Append a line of the command C{id}, so many seconds after noon."""
        line = {
            "format": 1,
            "event": event,
            "id": f"{host} {id}",
            "clock": host,
            "host": host,
            "boottime_ns": round(seconds * SECOND) + 100 * len(host) * SECOND,
            "wall_ns": round((NOON + seconds) * SECOND),
        }
        with self.path.open("a") as file:
            print(json.dumps(line | fields), file=file)

    def hold(self, begin: float, end: float, name: str, host: str = "h1", **fields: object) -> None:
        """Append the two lines of a command."""
        self._count += 1
        id = f"job{self._count}"
        self.note("begin", begin, id, host, name=name, command=id, pid=self._count, **fields)
        self.note("end", end, id, host, rollback=False)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path / "history")


def check(programs: Programs, *words: str) -> subprocess.CompletedProcess[str]:
    return flomctl(programs, "check", *words)


def test_a_good_history_is_one_line(programs: Programs, written: Written) -> None:
    written.hold(1, 2, "R", token="1")
    written.hold(3, 4, "R", token="2")
    written.hold(1, 4, "N[2]")
    done = check(programs, str(written.path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "6 lines, 3 grants of 2 resources: no violations\n"


def test_each_kind_of_violation_is_one_line_that_names_both(programs: Programs, written: Written) -> None:
    written.hold(1, 3, "R", token="1")
    written.hold(2, 4, "R", mode="PR", token="2")
    written.hold(1, 3, "N[3]", quantity=2)
    written.hold(2, 4, "N[3]", quantity=2)
    written.hold(1, 3, "a.b", element="a")
    written.hold(2, 4, "a.b", element="a")
    written.hold(1, 3, "/t/a")
    written.hold(2, 4, "/t")
    written.hold(1, 2, "_s_n[1]", element="7")
    written.hold(3, 4, "_s_n[1]", element="7")
    written.hold(1, 2, "_S_n[1]", element="7")
    written.hold(3, 4, "_S_n[1]", element="7")
    written.hold(1, 2, "T", token="9")
    written.hold(3, 4, "T", token="8")
    written.hold(1, 2, "U", token="9")
    written.hold(3, 4, "U", token="9")
    done = check(programs, str(written.path))
    assert (done.returncode, done.stderr) == (1, "")
    *lines, last = done.stdout.splitlines()
    assert last == "32 lines, 16 grants of 9 resources: 8 violations"
    assert [" ".join(line.split(": ")[:2]) for line in sorted(lines)] == [
        "/t EX beside EX",
        "N[3] 4 of 3 units",
        "R PR beside EX",
        "T token 8 after 9",
        "U token 9 a second time",
        "_S_n[1] number 7 a second time",
        "_s_n[1] number 7 a second time",
        "a.b 'a' is held",
    ]
    [simple] = [line for line in lines if line.startswith("R: ")]
    for part in ("job2 (pid 2 on h1, ", ":00:02.000000 to ", "token 2, ", f"{written.path}:3)", "beside job1 (pid 1"):
        assert part in simple


def test_a_rollback_that_is_lost_is_found(programs: Programs, written: Written) -> None:
    for id, number, token, when in (("a", "1", "4294967297", 1), ("b", "2", "4294967298", 11)):
        written.note("request", when, id, name="_S_n[1]", command=id)
        written.note("begin", when + 1, id, element=number, token=token)
        written.note("end", when + 2, id, status=1)
        written.note("release", when + 3, id, rollback=True)
    done = check(programs, str(written.path))
    assert done.returncode == 1
    assert "_S_n[1]: number 2, and 1, rolled back before, is free: b (" in done.stdout


def test_hosts_are_compared_by_their_wall_clocks(programs: Programs, written: Written, tmp_path: Path) -> None:
    other = Written(tmp_path / "other")
    written.hold(1, 5, "R")
    other.hold(4.5, 9, "R", host="host2")
    assert check(programs, str(written.path), str(other.path)).returncode == 0
    done = check(programs, "--skew", "0.4", str(written.path), str(other.path))
    assert done.returncode == 1
    assert "job1 (pid 1 on host2, " in done.stdout


def test_a_wall_clock_that_was_set_is_told(programs: Programs, written: Written) -> None:
    written.hold(1, 5, "R")
    written.hold(2, 9, "R", host="host2")
    written.note("grant", 20, "late", host="host2", name="S", wall_ns=(NOON + 3600) * SECOND)
    done = check(programs, str(written.path))
    assert done.returncode == 0
    assert "flomctl: warning: the wall clock of host2 was set by 3580.000 s meanwhile" in done.stderr


def test_a_command_without_an_end_counts_unless_told_otherwise(programs: Programs, written: Written) -> None:
    written.note("begin", 1, "killed", name="R")
    written.hold(2, 3, "R")
    done = check(programs, str(written.path))
    assert done.returncode == 1
    assert "without an end" in done.stdout
    assert check(programs, "--assume-ended", str(written.path)).returncode == 0


def test_bad_lines_are_named_and_the_rest_is_checked(programs: Programs, written: Written) -> None:
    written.hold(1, 3, "R")
    with written.path.open("ab") as file:
        file.write(b'{"format": 1, "event": "be\xff\n\n')
    done = check(programs, str(written.path))
    assert (done.returncode, done.stderr) == (2, f"flomctl: {written.path}:3: it is no JSON\n")
    written.hold(2, 4, "R")
    done = check(programs, str(written.path))
    assert (done.returncode, done.stderr) == (1, f"flomctl: {written.path}:3: it is no JSON\n")


def test_no_history_is_an_error(programs: Programs, tmp_path: Path) -> None:
    assert_refused(check(programs, str(tmp_path / "none")), 2, f"{tmp_path}/none: no such file")
    assert_refused(check(programs, str(tmp_path)), 2, "is a directory")
    (tmp_path / "empty").touch()
    done = check(programs, str(tmp_path / "empty"))
    assert (done.returncode, done.stderr) == (2, "flomctl: nothing was granted: there is nothing to check\n")
    assert_refused(check(programs, "--skew", "-1", str(tmp_path / "empty")), 2, "argument --skew: '-1'")
    assert_refused(check(programs), 2, "HISTORY")

"""Several C{-r} on one command line of C{flom-run} (docs/howto/several-locks.md)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flom.codes import Outcome
from flom.config import Config
from flom.errors import DaemonLost, FlomError, LockTimeout, lock_refused
from flom.job.command_line import parse
from flom.run.program import configure
from flom.run.several import WordingOfSeveral, split_options
from tests.fakes.daemon import BIN, Daemon
from tests.fakes.programs import Programs, RunHere, assert_refused

HELD = "b is held by pid 4711 (root, backup) for 37 s"


def wanted(line: str) -> list[tuple[object, ...]]:
    """Return what each lock is that the options of C{line} ask for."""
    configs = configure("flom-run", parse([*line.split(), "--", "true"]))
    return [(each.resource_name, each.lock_mode.name, each.quantity, each.create) for each in configs]


# the command line


@pytest.mark.parametrize(
    ("line", "locks"),
    [
        ("-r a", [("a", "EX", 1, True)]),
        ("-r a -r b", [("a", "EX", 1, True), ("b", "EX", 1, True)]),
        ("-l PR -r a -r b", [("a", "PR", 1, True), ("b", "PR", 1, True)]),
        ("-r a -l PR -r b", [("a", "PR", 1, True), ("b", "EX", 1, True)]),
        ("-l PR -r a -r b -l CR", [("a", "PR", 1, True), ("b", "CR", 1, True)]),
        ("-r a -r b[5] -q 2 -e no", [("a", "EX", 1, True), ("b[5]", "EX", 2, False)]),
        ("-q 2 -r a -r b[5] -r c[5] -q 3", [("a", "EX", 2, True), ("b[5]", "EX", 2, True), ("c[5]", "EX", 3, True)]),
        ("-l PR -r a", [("a", "PR", 1, True)]),
        ("-r a -l PR", [("a", "PR", 1, True)]),
    ],
)
def test_what_follows_a_name_is_about_that_lock(line: str, locks: list[tuple[object, ...]]) -> None:
    assert wanted(line) == locks


def test_what_is_about_no_lock_is_about_the_command_wherever_it_stands() -> None:
    for_all, for_each = split_options(
        parse(["-r", "a", "-o", "5", "-r", "b", "-s", "/x", "-l", "PR", "--", "true"]).options
    )
    assert [setting.field for setting, _ in for_all] == ["timeout_ms", "socket_name"]
    assert [[setting.field for setting, _ in own] for own in for_each] == [
        ["resource_name"],
        ["resource_name", "lock_mode"],
    ]


def test_names_of_a_command_line_replace_that_of_a_file(tmp_path: Path) -> None:
    """The rest of what a file says of a lock is for all of them."""
    (tmp_path / "conf").write_text("[Resource]\nName=other\nLockMode=PR\n")
    assert wanted(f"-c {tmp_path}/conf -r a -r b -l EX") == [("a", "PR", 1, True), ("b", "EX", 1, True)]


def test_to_flom_the_last_name_counts(run_here: RunHere) -> None:
    shown = run_here("-V", "-r", "a", "-l", "PR", "-r", "b").stdout
    assert "[Resource]/Name='b'\n" in shown
    assert "'a'" not in shown


def test_the_configuration_of_each_is_shown(flom_run_here: RunHere) -> None:
    shown = flom_run_here("-r", "a", "-r", "b", "-l", "PR", "--show-config").stdout.splitlines()
    assert [line for line in shown if line.startswith(("[Resource]/Name", "[Resource]/LockMode"))] == [
        *("[Resource]/Name='a'", "[Resource]/Name='b'", "[Resource]/LockMode=5", "[Resource]/LockMode=3")
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("-r a -r b -r a", "resource-name: 'a' is asked for twice"),
        ("-r /a/b -r /a/c", "resource-name: '/a/c' is asked for beside '/a/b', a node of the same hierarchy"),
        (" ".join(f"-r a{number}" for number in range(65)), "resource-name: 65 locks at once: there can be 1 to 64"),
        ("-r a -r 1b", "resource-name: '1b' is "),
        ("-r a -r b -q 2", "resource-quantity: 'b', which is simple, has no units"),
        ("-r a -r b[3] -l PR", "lock-mode: 'b[3]', which is numeric, has no modes"),
        ("-l PR -r b[3] -r c.d --type set", "lock-mode: 'b[3]', which is numeric, has no modes"),
        ("-r a -r b.c --type simple", "type: 'b.c' is of type set, not simple"),
        ("-r a -r b -l XX", "lock-mode: 'XX' is an invalid value"),
    ],
)
def test_what_is_wrong_with_one_of_them_is_one_line(flom_run_here: RunHere, line: str, why: str) -> None:
    assert_refused(flom_run_here(*line.split(), "--", "true"), 99, f"flom-run: {why}")


# what is said


@pytest.mark.parametrize(
    ("error", "held", "line"),
    [
        (LockTimeout("x"), HELD, f"flom-run: a and b[5]: not all granted within 0.5 s: {HELD}"),
        (LockTimeout("x"), "", "flom-run: a and b[5]: not all granted within 0.5 s"),
        (lock_refused(Outcome.BUSY, "a", "peer"), HELD, f"flom-run: a and b[5]: not all are free: {HELD}"),
        (lock_refused(Outcome.BUSY, "a", "peer"), "", "flom-run: a and b[5]: not all are free"),
        (
            lock_refused(Outcome.IMPOSSIBLE, "b[5]", "peer"),
            "",
            "flom-run: b[5]: 6 wanted (-q), and there are only 5; none of the locks was taken",
        ),
        (lock_refused(Outcome.CANNOT_WAIT, "a", "peer"), "", "flom-run: a: it does not exist, and is neither"),
        (lock_refused(Outcome.UNSUPPORTED, "a and b[5]", "peer"), "", "flom-run: a and b[5]"),
    ],
    ids=repr,
)
def test_a_refusal_names_all_or_the_one_to_blame(error: FlomError, held: str, line: str) -> None:
    first = Config(resource_name="a", timeout_ms=500)
    wording = WordingOfSeveral("flom-run", first, Config(resource_name="b[5]", quantity=6))
    assert wording.refused(error, held).startswith(line)
    assert wording.lost(DaemonLost("a and b[5]: gone"), has_ended=True) == (
        "flom-run: a and b[5]: the lock was lost: gone"
    )


# real commands


def test_a_command_is_told_what_it_holds(programs: Programs, address: str) -> None:
    words = ["-r", "a", "-r", "b[5]", "-q", "2", "-r", "/c/d", "-l", "PR", "-r", "x.y", "--type", "set"]
    outer = {"FLOM_TOKEN": "1", "FLOM_RESOURCE": "other", "FLOM_ELEMENT": "e", "FLOM_LOCK_MODE": "PR"}
    script = 'echo "$*"; echo "$FLOM_RESOURCES"; env | grep -c "^FLOM_[TREL][OEL]"'
    done = programs.run("-s", address, *words, "--", "sh", "-c", script, "job", "word", environment=outer)
    said, *lines, count = done.stdout.splitlines()
    assert (done.returncode, done.stderr, said, count) == (0, "", "word x", "1")
    fields = [line.split("\t") for line in lines]
    assert [(name, mode, units, element) for name, mode, units, _, element in fields] == [
        *(("a", "EX", "1", ""), ("b[5]", "EX", "2", ""), ("/c/d", "PR", "1", ""), ("x.y", "EX", "1", "x"))
    ]
    tokens = [int(token) for _, _, _, token, _ in fields]
    assert tokens == sorted(tokens)
    assert tokens[0] > 0


def test_the_lines_are_read_by_a_shell(programs: Programs, address: str) -> None:
    script = """printf '%s\\n' "$FLOM_RESOURCES" | while IFS="$(printf '\\t')" read -r name mode units token element; do
        echo "$name $mode $units ${element:-none}"; done"""
    done = programs.run("-s", address, "-r", "a", "-r", "u.v", "--type", "set", "--", "sh", "-c", script)
    assert done.stdout == "a EX 1 none\nu.v EX 1 u\n"


def test_what_is_not_free_is_named_with_its_holder(programs: Programs, address: str) -> None:
    holder = programs.start("-s", address, "-r", "b", "--", "sh", "-c", "echo; read line")
    holder.line()
    held = f"b is held by pid {holder.pid} ("
    done = programs.run("-s", address, "-r", "a", "-r", "b", "-o", "0", "--", "echo", "ran")
    assert_refused(done, 98, f"flom-run: a and b: not all are free: {held}")
    done = programs.run("-s", address, "-r", "a", "-r", "b", "--timeout", "0.1", "--", "echo", "ran")
    assert_refused(done, 98, f"flom-run: a and b: not all granted within 0.1 s: {held}")
    holder.finish()


def test_commands_that_name_them_in_another_order_never_deadlock(programs: Programs, tmp_path: Path) -> None:
    """Of two locks that are taken one after another, each command would hold one, and wait for the other."""
    orders = [("a", "b"), ("b", "a"), ("b", "c", "a"), ("c", "a")]
    script = f"ls {tmp_path}/in 2>/dev/null; : > {tmp_path}/in; rm {tmp_path}/in"
    with Daemon("--socket-name", str(tmp_path / "s")) as daemon:
        running = [
            programs.start("-s", daemon.socket, "--timeout", "20", *[f"-r{name}" for name in order], "--shell", script)
            for order in orders * 2
        ]
        assert [(done.returncode, done.stdout) for done in (each.finish() for each in running)] == [(0, "")] * 8


def test_verbose_tells_which_of_them_is_waited_for(programs: Programs, address: str) -> None:
    holder = programs.start("-s", address, "-r", "b", "--", "sh", "-c", "echo; read line")
    holder.line()
    waiter = programs.start("-V", "-s", address, "-r", "a", "-r", "b", "--", "echo", "ran")
    said = waiter.line()
    assert said.startswith(f"waiting for a and b: b is held by pid {holder.pid} (")
    holder.finish()
    done = waiter.finish()
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert done.stderr.startswith("flom-run: a and b: waited ")


def test_history_and_status_file_have_all_of_them(programs: Programs, address: str, tmp_path: Path) -> None:
    files = ["--history", str(tmp_path / "history"), "--status-file", str(tmp_path / "status")]
    assert programs.run("-s", address, *files, "-r", "a", "-r", "b[3]", "-q", "2", "--", "true").returncode == 0
    lines = [json.loads(line) for line in (tmp_path / "history").read_text().splitlines()]
    begun = [(line["name"], line["quantity"], line["token"]) for line in lines if line["event"] == "begin"]
    assert [(name, quantity) for name, quantity, _ in begun] == [("a", 1), ("b[3]", 2)]
    assert len({line["id"] for line in lines}) == len({token for _, _, token in begun}) == 2
    status = json.loads((tmp_path / "status").read_text())
    assert status["resources"] == ["a", "b[3]"]
    assert programs.start_program(str(BIN / "flomctl"), "check", str(tmp_path / "history")).finish().returncode == 0


def test_what_is_kept_with_a_resource_is_for_one_lock(flom_run_here: RunHere) -> None:
    done = flom_run_here("-r", "a", "-r", "b", "--once-per", "1h", "--", "true")
    assert_refused(done, 99, "flom-run: --once-per, --value and --read-value are for one lock")


def test_all_of_them_end_when_their_time_is_over(programs: Programs, address: str) -> None:
    words = ["-s", address, "--max-hold", "0.2", "--on-lost", "terminate", "-r", "a", "-r", "b"]
    done = programs.run(*words, "--", "sleep", "20")
    assert done.returncode == 95
    assert done.stderr.startswith("flom-run: a and b: the lock was lost: it was held for longer than 0.2 s")
    assert programs.run("-s", address, "-r", "b", "-o", "0", "--", "true").returncode == 0


def test_what_is_lost_of_them_is_kept_for_the_delay(programs: Programs, address: str) -> None:
    words = ["-s", address, "--max-hold", "0.1", "--lock-delay", "0.5", "--on-lost", "kill", "-r", "a", "-r", "b"]
    assert programs.run(*words, "--", "sleep", "20").returncode == 95
    assert programs.run("-s", address, "-r", "b", "-o", "0", "--", "true").returncode == 98
    assert programs.run("-s", address, "-r", "b", "-r", "a", "-o", "20s", "--", "true").returncode == 0


def test_a_command_learns_that_one_of_them_is_wanted(programs: Programs, address: str) -> None:
    script = 'echo held; read word <&"$FLOM_WANTED_FD"; echo "$word"'
    holder = programs.start("-s", address, "-r", "a", "-r", "b", "--notify-wanted=fd", "--", "bash", "-c", script)
    assert holder.line() == "held"
    assert programs.run("-s", address, "-r", "b", "--", "true").returncode == 0
    assert holder.finish().stdout == "wanted\n"

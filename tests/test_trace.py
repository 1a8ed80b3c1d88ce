"""Traces: where they go, what selects them, how their lines look (docs/compatibility.md, "Traces")."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from flom.trace import MASK_VARIABLE, TOPICS, start_trace, stop_trace, tracer
from tests.fakes.programs import Programs, RunHere
from tests.fakes.reading import no_warning

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} \[(\d+)/\d+\] (\w+): .*")


@pytest.fixture(autouse=True)
def quiet_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Trace nothing at first and in the end."""
    monkeypatch.delenv(MASK_VARIABLE, raising=False)
    yield
    stop_trace()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace"


def topics_in(text: str) -> set[str]:
    """Return the topics of the lines of C{text}, all of which look as they should."""
    found = set()
    for line in text.splitlines():
        match = LINE.fullmatch(line)
        assert match, line
        assert int(match[1]) == os.getpid()
        found.add(match[2])
    return found


def trace_everything() -> None:
    for topic in TOPICS:
        tracer(topic).debug("%s is a topic", topic)


@pytest.mark.parametrize(
    ("mask", "topics"),
    [
        (None, set(TOPICS) - {"msg", "locker"}),
        ("0", set()),
        ("0x2", {"config"}),
        ("12", {"exec", "client"}),
        ("020", {"daemon"}),
        ("0x2001a0", {"conns", "msg", "locker", "tls"}),
        ("0x1", set()),
        ("-1", set(TOPICS)),
        ("0xffffffff", set(TOPICS)),
    ],
)
def test_the_mask_selects_what_a_file_gets(path: Path, mask: str | None, topics: set[str]) -> None:
    start_trace(str(path), False, {} if mask is None else {MASK_VARIABLE: mask}, no_warning)
    trace_everything()
    assert topics_in(path.read_text()) == topics


def test_a_line_feed_in_a_text_makes_no_second_line(path: Path) -> None:
    start_trace(str(path), False, {MASK_VARIABLE: "0x80"}, no_warning)
    tracer("msg").debug("%s", "two\nlines of böse\udcff")
    (line,) = path.read_text().splitlines()
    assert line.endswith(r"] msg: two\nlines of böse\udcff")


def test_without_a_file_and_a_mask_nothing_is_traced(capsys: pytest.CaptureFixture[str]) -> None:
    start_trace("", False, {}, no_warning)
    trace_everything()
    assert capsys.readouterr().err == ""


def test_without_a_file_a_mask_sends_the_trace_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    start_trace("", False, {MASK_VARIABLE: "0x82"}, no_warning)
    trace_everything()
    assert topics_in(capsys.readouterr().err) == {"config", "msg"}


@pytest.mark.parametrize("mask", ["", "all", "0x", "08"])
def test_a_mask_that_is_no_number_is_told_and_selects_nothing(path: Path, mask: str) -> None:
    warnings: list[str] = []
    start_trace(str(path), False, {MASK_VARIABLE: mask}, warnings.append)
    trace_everything()
    (warning,) = warnings
    assert f"FLOM_TRACE_MASK: '{mask}'" in warning
    assert path.read_text() == ""


# the options


def test_the_command_s_trace_has_its_configuration(run_here: RunHere, path: Path) -> None:
    done = run_here("-T", str(path), "-r", "R1")
    text = path.read_text()
    assert topics_in(text) == {"config"}
    assert "config: [Resource]/Name='R1'\n" in text
    assert (done.returncode, done.stdout, done.stderr) == (97, "", "No command to execute!\n")


@pytest.mark.parametrize(("append", "before"), [(None, ""), ("no", ""), ("yes", "before\n")])
def test_the_file_is_made_whatever_the_mask_is(
    run_here: RunHere, path: Path, monkeypatch: pytest.MonkeyPatch, append: str | None, before: str
) -> None:
    """It is replaced unless it is to be added to."""
    monkeypatch.setenv(MASK_VARIABLE, "0")
    words = ["-T", str(path), *([] if append is None else ["--append-trace-file", append])]
    run_here(*words)
    assert path.read_text() == ""
    path.write_text("before\n")
    run_here(*words)
    assert path.read_text() == before


def test_a_file_is_named_by_a_configuration_file_too(run_here: RunHere, tmp_path: Path, path: Path) -> None:
    (tmp_path / ".flom").write_text(f"[Trace]\nCommandTraceFile={path}\nAppendTraceFile=yes\n")
    path.write_text("before\n")
    run_here()
    before, *lines = path.read_text().splitlines()
    assert before == "before"
    assert topics_in("\n".join(lines)) == {"config"}


def test_the_verbose_lines_go_to_stdout_whatever_is_traced(run_here: RunHere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MASK_VARIABLE, "2")
    done = run_here("-V")
    *trace, complaint = done.stderr.splitlines()
    assert topics_in("\n".join(trace)) == {"config"}
    assert complaint == "No command to execute!"
    assert done.stdout.startswith("[Trace]/DaemonTraceFile=''\n")


def test_a_file_that_cannot_be_made_does_not_keep_the_command_from_running(
    programs: Programs, address: str, resource: str, tmp_path: Path
) -> None:
    file = tmp_path / "none" / "trace"
    done = programs.run("-s", address, "-r", resource, "-T", str(file), "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert done.stderr.count("\n") == 1
    assert f"cannot trace to '{file}'" in done.stderr


def test_a_file_that_takes_no_more_ends_the_trace_with_one_line(
    programs: Programs, address: str, resource: str
) -> None:
    done = programs.run("-s", address, "-r", resource, "-T", "/dev/full", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert done.stderr.count("\n") == 1
    assert "the trace ends here" in done.stderr


def test_the_trace_follows_the_command_to_its_end(programs: Programs, address: str, resource: str, path: Path) -> None:
    words = ["-s", address, "-r", resource, "-T", str(path), "--", "sh", "-c", "exit 5"]
    running = programs.start(*words, environment={MASK_VARIABLE: "0x8c"})
    assert running.wait() == 5
    found = [LINE.fullmatch(line) for line in path.read_text().splitlines()]
    assert {match and match[1] for match in found} == {str(running.pid)}
    assert {match and match[2] for match in found} == {"exec", "client", "msg"}


# the daemon that is started


@pytest.mark.parametrize(
    ("mask", "append", "is_traced"),
    [({}, "no", True), ({MASK_VARIABLE: "0"}, "no", False), ({MASK_VARIABLE: "0x10"}, "yes", True)],
    ids=["everything", "nothing", "added"],
)
def test_a_daemon_that_is_started_traces_into_a_file_of_its_own(
    programs: Programs, tmp_path: Path, path: Path, mask: dict[str, str], append: str, is_traced: bool
) -> None:
    path.write_text("before\n")
    words = ["-s", str(tmp_path / "s"), "-d", "300", "-t", "trace", "--append-trace-file", append, "--", "echo", "ran"]
    done = programs.run(*words, environment=mask, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")
    lines = path.read_text().splitlines()
    assert (lines[:1] == ["before"]) == (append == "yes")
    traced = [line for line in lines if LINE.fullmatch(line)]
    assert bool(traced) == is_traced
    assert len(traced) == len(lines) - (append == "yes")


def test_a_daemon_whose_trace_file_cannot_be_made_serves_all_the_same(programs: Programs, tmp_path: Path) -> None:
    words = ["-s", str(tmp_path / "s"), "-d", "300", "-t", str(tmp_path / "none" / "trace"), "--", "echo", "ran"]
    done = programs.run(*words)
    assert (done.returncode, done.stdout) == (0, "ran\n")
    [complaint] = done.stderr.splitlines()
    assert complaint.startswith("twistd flom: warning: cannot trace to")

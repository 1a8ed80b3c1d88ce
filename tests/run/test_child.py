"""
What the command finds: all that it would have had without C{flom-run}, and its lock
(docs/compatibility.md, "Running the command").
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from pathlib import Path
from threading import Thread

import pytest

from flom.job.words import CannotExecute
from flom.run.child import Child
from tests.fakes.daemon import FLOM_RUN
from tests.fakes.peers import is_locked
from tests.fakes.programs import PATIENCE, Programs, ignoring


def python(script: str) -> list[str]:
    """Return the words that run C{script}, with C{show} to write a line."""
    return [sys.executable, "-I", "-S", "-c", f"import os, sys\ndef show(*x): print(*x, flush=True)\n{script}"]


@pytest.fixture
def at(address: str, resource: str) -> list[str]:
    """The words that lock a resource of the test's own."""
    return ["-s", address, "-r", resource]


def test_stdin_stdout_and_stderr_are_ours(programs: Programs, at: list[str]) -> None:
    running = programs.start(*at, "--", "sh", "-c", "cat; echo to stderr >&2")
    running.say("from stdin")
    done = running.finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, "from stdin\n", "to stderr\n")


def test_a_file_as_stdin_is_read_from_where_we_got_it(programs: Programs, at: list[str], tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("first\nsecond\n")
    with path.open("rb", buffering=0) as file:
        file.readline()
        done = programs.run(*at, "--", "cat", stdin=file)
    assert done.stdout == "second\n"


@pytest.mark.parametrize("descriptor", [0, 1, 2])
def test_a_closed_descriptor_does_not_matter(programs: Programs, at: list[str], descriptor: int) -> None:
    script = "read line; echo to stdout; echo to stderr >&2; exit 5"
    done = programs.run(*at, "--", "sh", "-c", script, first=lambda: os.close(descriptor))
    assert done.returncode == 5
    assert done.stdout == ("" if descriptor == 1 else "to stdout\n")
    assert done.stderr == ("" if descriptor == 2 else "to stderr\n")


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


OPEN_DESCRIPTORS = """
for number in range(64):
    try:
        found = os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        continue
    show(number, found.partition(":")[0])
"""


def test_the_connection_is_the_only_descriptor_of_ours_that_it_gets(programs: Programs, at: list[str]) -> None:
    done = programs.run(*at, "--", *python(OPEN_DESCRIPTORS))
    lines = done.stdout.splitlines()
    assert lines[:3] == ["0 pipe", "1 pipe", "2 pipe"]
    (fourth,) = lines[3:]
    assert fourth.endswith(" socket")


def test_with_close_it_gets_no_descriptor_of_ours(programs: Programs, at: list[str]) -> None:
    done = programs.run(*at, "--close", "--", *python(OPEN_DESCRIPTORS))
    assert done.stdout.splitlines() == ["0 pipe", "1 pipe", "2 pipe"]


def test_what_it_leaves_running_does_not_keep_the_lock(programs: Programs, address: str, resource: str) -> None:
    words = ["-s", address, "-r", resource, "--", "sh", "-c", "sleep 60 </dev/null >/dev/null 2>&1 & echo started"]
    done = programs.run(*words)
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert not is_locked(address, resource)


PLACE = "show(os.getpgid(0), os.getsid(0), os.getcwd(), oct(os.umask(0)), os.getppid())"


def test_process_group_session_directory_and_umask_are_ours(programs: Programs, at: list[str], tmp_path: Path) -> None:
    running = programs.start(*at, "--", *python(PLACE), cwd=tmp_path, own_session=True, first=lambda: os.umask(0o027))
    assert running.line() == f"{running.pid} {running.pid} {tmp_path} 0o27 {running.pid}"


def test_the_environment_is_ours_and_tells_of_the_lock(programs: Programs, at: list[str], resource: str) -> None:
    environment = {"OWN": "böse\udcff", "WITH.DOT": "1", "FLOM_ELEMENT": "outer", "FLOM_RESOURCE": "outer"}
    script = "[show(name, ascii(value)) for name, value in sorted(os.environ.items())]"
    with_us = programs.run(*at, "-l", "PR", "--", *python(script), environment=environment).stdout.splitlines()
    without_us = programs.start_program(*python(script), environment=environment).finish().stdout.splitlines()
    assert set(with_us) - set(without_us) == {"FLOM_LOCK_MODE 'PR'", f"FLOM_RESOURCE '{resource}'"}
    assert set(without_us) - set(with_us) == {"FLOM_ELEMENT 'outer'", "FLOM_RESOURCE 'outer'"}


@pytest.mark.parametrize(
    ("name", "element"),
    [("red.green", "red"), ("_s_tickets[2]", "1"), ("/a/b c", None), ("N[7]", None)],
)
def test_the_element_is_the_last_argument_and_in_the_environment(
    programs: Programs, address: str, name: str, element: str | None
) -> None:
    script = "show(sys.argv[1:], os.environ['FLOM_RESOURCE'], os.environ['FLOM_LOCK_MODE'], os.getenv('FLOM_ELEMENT'))"
    words = ["-s", address, "-r", name, "-l", "CR", "--", *python(script), "own"]
    done = programs.run(*words, environment={"FLOM_ELEMENT": "outer"})
    mode = "CR" if name.startswith("/") else "EX"  # the others have one mode, whatever is asked for
    assert done.stdout == f"{['own', *([element] if element else [])]} {name} {mode} {element}\n"


def test_words_reach_it_as_they_are(programs: Programs, at: list[str]) -> None:
    words = ["", " a  b ", "*", "$HOME", "--", "-r", "é", "\udcff", "a\nb"]
    done = programs.run(*at, "--", *python("show(ascii(sys.argv[1:]))"), *words)
    assert done.stdout == f"{words!a}\n"


def test_words_and_names_need_not_be_ascii_whatever_the_locale(programs: Programs, address: str) -> None:
    words = ["-s", address, "-r", "/grüße/é", "--", "sh", "-c", 'echo "$FLOM_RESOURCE" "$0"', "Ωμέγα"]
    done = programs.run(*words, environment={"LC_ALL": "C"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "/grüße/é Ωμέγα\n", "")


def signal_sets(output: str) -> dict[str, set[int]]:
    """Read what C{/proc/self/status} tells, as numbers of signals below the real-time ones."""
    sets = {}
    for line in output.splitlines():
        name, _, mask = line.partition(":")
        sets[name] = {number for number in range(1, 32) if int(mask, 16) >> (number - 1) & 1}
    return sets


SHOW_SIGNALS = ["grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"]


def test_no_signal_is_blocked_or_ignored(programs: Programs, at: list[str]) -> None:
    done = programs.run(*at, "--", *SHOW_SIGNALS)
    assert signal_sets(done.stdout) == {"SigBlk": set(), "SigIgn": set()}


def test_signals_that_whoever_started_us_ignores_stay_ignored(programs: Programs, at: list[str]) -> None:
    ignored = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT]
    done = programs.run(*at, "--", *SHOW_SIGNALS, first=ignoring(*ignored))
    assert signal_sets(done.stdout) == {"SigBlk": set(), "SigIgn": set(ignored)}


def test_after_nohup_the_environment_is_still_ours(programs: Programs, at: list[str]) -> None:
    environment = {"WITH.DOT": "1", "OLDPWD": "/no/where", "SHLVL": "5"}
    script = "show(os.getenv('WITH.DOT'), os.getenv('OLDPWD'), os.getenv('SHLVL'))"
    done = programs.run(*at, "--", *python(script), environment=environment, first=ignoring(signal.SIGHUP))
    assert done.stdout == "1 /no/where 5\n"


@pytest.mark.parametrize("header", [None, "#!/no/such/interpreter\n"], ids=["missing", "no such interpreter"])
def test_after_nohup_a_command_that_cannot_be_executed_gives_97_too(
    programs: Programs, at: list[str], tmp_path: Path, header: str | None
) -> None:
    program = tmp_path / "program"
    if header is not None:
        program.write_text(header)
        program.chmod(0o755)
    done = programs.run(*at, "--", str(program), first=ignoring(signal.SIGHUP))
    assert (done.returncode, done.stdout) == (97, "")
    assert done.stderr.count("\n") == 1
    assert f"'{program}'" in done.stderr


def test_after_nohup_a_script_without_a_header_runs_too(programs: Programs, at: list[str], tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text('echo "$@"; exit 7\n')
    program.chmod(0o755)
    done = programs.run(*at, "--", str(program), "a b", first=ignoring(signal.SIGHUP))
    assert (done.returncode, done.stdout, done.stderr) == (7, "a b\n", "")


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
    assert started.wait() == 128 + signal.SIGTERM


def test_where_there_can_be_no_thread_its_start_waits_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", fail)
    assert Started("exit 7").child.status == 7


def test_without_a_descriptor_it_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> tuple[int, int]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "pipe", none_left)
    with pytest.raises(CannotExecute, match="Unable to execute command 'sh': too many open files"):
        Started("exit 7")

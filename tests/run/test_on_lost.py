"""
What C{flom-run --on-lost} does to a command whose lock is lost (docs/reference/flom-run.md, "A lock that is lost").
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from flom.core.protocol.messages import Answer, Contested
from tests.fakes.daemon import BIN, Daemon
from tests.fakes.peers import FakeDaemon, SocketConversation
from tests.fakes.programs import Programs, Running, assert_refused, eventually, free_port, is_alive
from tests.fakes.signals import RECORD, ControllingTerminal

Holds = Callable[..., tuple[Running, SocketConversation]]

TERMINATE = ["--on-lost", "terminate"]
RUNS_ON = "echo runs; while :; do sleep 0.05; done"


@pytest.fixture
def holds(fake: FakeDaemon, programs: Programs, tmp_path: Path) -> Holds:
    """Starts a program with some arguments, up to where its command may run under the lock of R1."""

    def start(*words: str, program: str = "flom-run", **options: Any) -> tuple[Running, SocketConversation]:
        at = [str(BIN / program), "-s", str(tmp_path / "fake.sock"), "-r", "R1"]
        running = programs.start_program(*at, *words, **options)
        conversation, _ = fake.accept()
        conversation.say(Answer(16, 0, None, "0" * 32, extended=True))
        return running, conversation

    return start


@pytest.fixture
def terminal() -> Iterator[ControllingTerminal]:
    terminal = ControllingTerminal()
    yield terminal
    terminal.close()


def shell(script: str) -> list[str]:
    return ["--", "sh", "-c", script]


def lost(directory: Path, fate: str) -> str:
    """Return the line of C{flom-run} when the daemon has closed the connection."""
    return f"flom-run: R1: the lock was lost: {directory}/fake.sock closed the connection; the command {fate}\n"


def gone(pid: int) -> None:
    eventually(lambda: not is_alive(pid), f"the end of process {pid}")


# terminate


@pytest.mark.parametrize("trap", ["", "trap 'exit 3' TERM;", "trap 'exit 0' TERM;"], ids=["dies", "fails", "ends"])
def test_terminate_ends_the_command_and_the_status_is_95(holds: Holds, tmp_path: Path, trap: str) -> None:
    running, conversation = holds(*TERMINATE, *shell(f"{trap} {RUNS_ON}"))
    assert running.line() == "runs"
    conversation.close()
    done = running.finish()
    assert (done.returncode, done.stdout) == (95, "")
    assert lost(tmp_path, "gets SIGTERM") in done.stderr  # beside what the shell may say


def test_a_command_that_outlives_that_is_killed_after_a_time(holds: Holds, tmp_path: Path) -> None:
    running, conversation = holds(*TERMINATE, "--kill-after", "0.3", *shell(f"trap 'echo told' TERM; {RUNS_ON}"))
    assert running.line() == "runs"
    conversation.close()
    assert running.line() == "told"
    done = running.finish()
    assert (done.returncode, done.stdout) == (95, "")
    assert lost(tmp_path, "gets SIGTERM") in done.stderr
    assert "flom-run: R1: the command has not ended within 0.3 s; it gets SIGKILL\n" in done.stderr


def test_a_command_that_is_stopped_is_ended_too(holds: Holds) -> None:
    running, conversation = holds(*TERMINATE, "--kill-after", "60", *shell("echo $$; kill -STOP $$"))
    command = int(running.line())
    eventually(lambda: "State:\tT" in Path(f"/proc/{command}/status").read_text(), "the stop")
    conversation.close()
    assert running.finish().returncode == 95
    gone(command)


def test_what_the_command_has_started_is_ended_with_it(holds: Holds) -> None:
    running, conversation = holds(*TERMINATE, *shell("sleep 1000 & echo $!; wait"))
    other = int(running.line())
    conversation.close()
    assert running.finish().returncode == 95
    gone(other)


def test_what_outlives_the_command_is_waited_for_and_killed(holds: Holds) -> None:
    """The command dies at once, what it has started at its leisure, or never: then nothing of it may go on unlocked."""
    stubborn = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done'"
    running, conversation = holds(*TERMINATE, "--kill-after", "0.3", *shell(f"{stubborn}; true"))
    other = int(running.line())
    conversation.close()
    done = running.finish()
    assert done.returncode == 95
    assert "it gets SIGKILL\n" in done.stderr
    gone(other)


NEGLIGENT = """
import os, time
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(1000)  # in the command's group
    os.setpgid(0, 0)
    print(os.getpid(), flush=True)
    os.dup2(0, 1), os.dup2(0, 2)
time.sleep(1000)
"""


def test_what_has_ended_is_not_waited_for_though_no_parent_takes_note(holds: Holds) -> None:
    """As in a container without an init."""
    running, conversation = holds(*TERMINATE, "--kill-after", "30", "--", sys.executable, "-c", NEGLIGENT)
    parent = int(running.line())
    conversation.close()
    try:
        done = running.finish()
    finally:
        os.kill(parent, signal.SIGKILL)
    assert (done.returncode, done.stderr.count("\n")) == (95, 1)


def test_a_message_that_is_not_read_delays_nothing(holds: Holds) -> None:
    """As on a terminal after Ctrl-S."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    while True:
        try:
            os.write(writing, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(writing, True)
    running, conversation = holds(*TERMINATE, *shell("echo $$; exec sleep 1000"), stderr=writing)
    command = int(running.line())
    conversation.close()
    gone(command)
    os.close(writing)
    os.close(reading)
    assert running.finish().returncode == 95


def test_quietly_it_acts_too(holds: Holds) -> None:
    running, conversation = holds("-Q", *TERMINATE, *shell(RUNS_ON))
    assert running.line() == "runs"
    conversation.close()
    done = running.finish()
    assert done.returncode == 95
    assert "flom-run" not in done.stderr


def test_a_lock_that_another_daemon_has_granted_too_is_lost(holds: Holds) -> None:
    running, conversation = holds(*TERMINATE, *shell(RUNS_ON))
    assert running.line() == "runs"
    conversation.say(Contested())
    conversation.read()
    conversation.close()
    done = running.finish()
    assert done.returncode == 95
    assert "neither could hear the other; the command gets SIGTERM\n" in done.stderr


# other signals


def test_kill_is_sigkill(holds: Holds, tmp_path: Path) -> None:
    running, conversation = holds("--on-lost", "kill", *shell(f"trap '' TERM; sleep 1000 & echo $!; {RUNS_ON}"))
    other = int(running.line())
    conversation.close()
    done = running.finish()
    assert (done.returncode, done.stderr) == (95, lost(tmp_path, "gets SIGKILL"))
    gone(other)


@pytest.mark.parametrize(
    ("trap", "status"),
    [("", 95), ("trap 'exit 0' USR1;", 95), ("trap 'exit 3' USR1;", 3)],
    ids=["dies", "ends", "has a status of its own"],
)
def test_any_signal_can_be_sent_and_the_rest_is_the_command_s(
    holds: Holds, tmp_path: Path, trap: str, status: int
) -> None:
    running, conversation = holds("--on-lost", "signal:usr1", *shell(f"{trap} {RUNS_ON}"))
    assert running.line() == "runs"
    conversation.close()
    done = running.finish()
    assert done.returncode == status
    assert lost(tmp_path, "gets SIGUSR1") in done.stderr


def test_by_default_the_command_goes_on(holds: Holds, tmp_path: Path) -> None:
    running, conversation = holds(*shell("echo runs; read line; exit $line"))
    assert running.line() == "runs"
    conversation.close()
    running.say("7")
    done = running.finish()
    assert (done.returncode, done.stderr) == (7, lost(tmp_path, "goes on unlocked"))


def test_a_command_that_has_ended_before_keeps_its_status(holds: Holds) -> None:
    running, conversation = holds(*TERMINATE, *shell("exit 7"))
    conversation.read()
    conversation.close()
    done = running.finish()
    assert (done.returncode, done.stdout) == (7, "")


# process groups

GROUP = [sys.executable, "-I", "-S", "-c", "import os; print(os.getpgid(0) == os.getpid())"]


@pytest.mark.parametrize(
    ("words", "leads"), [([], False), (["--on-lost", "warn"], False), (TERMINATE, True)], ids=["", "warn", "terminate"]
)
def test_only_a_command_that_may_be_ended_leads_a_group(holds: Holds, words: list[str], leads: bool) -> None:
    running, _ = holds(*words, "--", *GROUP)
    assert running.line() == str(leads)


def test_at_a_terminal_the_command_stays_in_our_group(holds: Holds, terminal: ControllingTerminal) -> None:
    """So the terminal is its own, and keys reach it once; when the lock is lost, the signal is for it alone."""
    words = ["--on-lost", "signal:USR2", "--", *RECORD]
    running, conversation = holds(*words, stdin=terminal.slave, own_session=True, first=terminal.seize)
    assert os.getpgid(int(running.line())) == running.pid
    terminal.press(b"\x03")
    assert running.line() == "SIGINT"
    conversation.close()
    assert running.line() == "SIGUSR2"
    assert running.wait() == 5


def test_signals_are_passed_on_to_a_command_that_leads_a_group(holds: Holds) -> None:
    running, _ = holds(*TERMINATE, "--", *RECORD)
    running.line()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCONT):
        running.signal(number)
        assert running.line() == number.name


# what is no value


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--on-lost", "die"], "on-lost: 'die' is an invalid value: it is none of warn, terminate, kill and signal:"),
        (["--on-lost", "signal:FOO"], "on-lost: 'signal:FOO' is an invalid value: it is no signal"),
        (["--on-lost", "signal:"], "on-lost: 'signal:' is an invalid value: it names no signal"),
        (["--on-lost", "signal:HUP;INT"], "on-lost: 'signal:HUP;INT' is an invalid value: it names no signal, or more"),
        (["--on-lost=kill", "--kill-after", "1"], "kill-after: it is for --on-lost terminate"),
        ([*TERMINATE, "--kill-after", "soon"], "kill-after: 'soon' is an invalid value: it is no duration"),
        ([*TERMINATE, "--kill-after=-1"], "kill-after: '-1' is an invalid value: it is negative"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_no_value_is_refused_before_anything_is_locked(
    programs: Programs, tmp_path: Path, words: list[str], why: str
) -> None:
    done = programs.run("-s", str(tmp_path / "s"), *words, "--", "echo", "ran")
    assert_refused(done, 99, f"flom-run: {why}")
    assert programs.daemons() == []


def test_a_bad_value_in_a_file_names_file_and_key(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("[Command]\nOnLost=die\n")
    done = programs.run("-c", str(tmp_path / "file"), "--", "echo", "ran")
    assert_refused(done, 99, f"flom-run: {tmp_path}/file: [Command] OnLost: 'die' is an invalid value: it is none of ")


# flom


def test_flom_has_no_such_option(programs: Programs) -> None:
    done = programs.start_program(str(BIN / "flom"), "--on-lost", "kill", "--", "echo", "ran").finish()
    assert_refused(done, 99, "option parsing failed: Unknown option --on-lost")
    assert "lost" not in programs.start_program(str(BIN / "flom"), "--help").finish().stdout.partition("Options:")[2]


def test_flom_leaves_its_command_alone_and_exits_with_99(holds: Holds, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("[Resource]\n[Daemon]\n[Network]\n[Command]\nOnLost=kill\n")
    words = ["-c", str(tmp_path / "file"), *shell("echo runs; read line; echo $line")]
    running, conversation = holds(*words, program="flom")
    assert running.line() == "runs"
    conversation.close()
    assert running.error_line().endswith("the command goes on unlocked\n")
    running.say("went on")
    done = running.finish()
    assert (done.returncode, done.stdout) == (99, "went on\n")


@pytest.mark.parametrize("option", [TERMINATE, []], ids=["terminate", "warn"])
def test_a_sleeper_does_not_reclaim_from_another_daemon(programs: Programs, tmp_path: Path, option: list[str]) -> None:
    """One between the two may have granted the lock, and its holder may be slower to reclaim it."""
    port = str(free_port())
    words = ["-a", "127.0.0.1", "--unicast-port", port, "--state", str(tmp_path / "state"), "--session-timeout", "1s"]
    with Daemon(*words, reserves=True) as daemon:
        place = ["-a", "127.0.0.1", "-p", port, "-d", "0", "-r", "R1"]
        holder = programs.start(
            *place, *option, *shell(RUNS_ON.replace(":", "[ ! -e end ]")), own_session=True, cwd=tmp_path
        )
        assert holder.line() == "runs"
        os.killpg(holder.pid, signal.SIGSTOP)
        sleep(1.2)  # more than its patience
        daemon.process.kill()
        daemon.process.communicate()
        daemon.__enter__()
        os.killpg(holder.pid, signal.SIGCONT)
        if not option:
            daemon.wait_for_log("all holders of the last daemon have come back")
            (tmp_path / "end").touch()
        done = holder.finish()
        assert done.returncode == (95 if option else 0)
        assert ("has gone while this program was stopped" in done.stderr) is bool(option)
        assert programs.run(*place, "-o", "0", "--", "true").returncode == 0


# FLOM_DEADLINE_FD

DEADLINE = """
import os, select
number = int(os.environ["FLOM_DEADLINE_FD"])
print(select.select([number], [], [], 0)[0], flush=True)
print(os.read(number, 1), flush=True)
"""


@pytest.mark.parametrize("option", [[], ["--close"]], ids=" ".join)
def test_the_command_has_a_descriptor_that_ends_with_the_lock(holds: Holds, option: list[str]) -> None:
    running, conversation = holds(*option, "--", sys.executable, "-I", "-S", "-c", DEADLINE)
    assert running.line() == "[]"
    conversation.close()
    assert running.line() == "b''"
    assert running.finish().returncode == 95


def test_a_shell_script_reads_it_too(holds: Holds) -> None:
    running, conversation = holds(*shell('echo runs; cat "/dev/fd/$FLOM_DEADLINE_FD"; echo lost; exit 4'))
    assert running.line() == "runs"
    conversation.close()
    assert running.line() == "lost"
    assert running.finish().returncode == 4


def test_it_ends_too_if_nobody_is_left_to_tell_of_a_loss(holds: Holds) -> None:
    running, _ = holds("--", sys.executable, "-I", "-S", "-c", DEADLINE)
    assert running.line() == "[]"
    running.signal(signal.SIGKILL)
    assert running.line() == "b''"


def test_an_inner_flom_has_one_of_its_own(programs: Programs, address: str, resource: str) -> None:
    def nested(name: str, *command: str) -> list[str]:
        return [str(BIN / "flom-run"), "-s", address, "-r", name, "--", *command]

    script = 'echo "$FLOM_RESOURCE $FLOM_DEADLINE_FD"; shift; exec "$@"'
    inner = nested(f"{resource}2", "sh", "-c", script, "sh", "x", "true")
    outer = nested(resource, "sh", "-c", script, "sh", "x", *inner)
    first, second = programs.start_program(*outer).finish().stdout.splitlines()
    assert first.partition(" ")[0] == resource
    assert second.partition(" ")[0] == f"{resource}2"
    assert first.partition(" ")[2] != second.partition(" ")[2]

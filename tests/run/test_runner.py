"""
What C{flom-run} exits with and says, and what it tells the daemon at the end
(docs/compatibility.md, "Exit statuses", "Status of the command").
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from flom.core.modes import LockMode
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import HAS_SESSIONS, Answer, Contested, Lock, Unlock, Unlocked
from tests.fakes.daemon import BIN
from tests.fakes.peers import FakeDaemon, SocketClient, SocketConversation, is_locked
from tests.fakes.programs import Programs, Running, complaints, eventually

GARBAGE = b"<msg>not & XML</msg>"


@pytest.fixture
def asked(fake: FakeDaemon, programs: Programs, tmp_path: Path) -> Callable[..., tuple[Running, SocketConversation]]:
    """Starts C{flom-run} with some arguments at the fake daemon, up to where it has asked for its lock."""

    def start(*words: str) -> tuple[Running, SocketConversation]:
        running = programs.start("-s", str(tmp_path / "fake.sock"), *words)
        conversation, _ = fake.accept()
        return running, conversation

    return start


Asked = Callable[..., tuple[Running, SocketConversation]]


def child_of(pid: int) -> str:
    """Return the number of the only child of process C{pid}, started by any of its threads; empty if there is none."""
    return "".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")).strip()


def one_line(text: str) -> str:
    """Check that C{text} is one line; give it."""
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    return text


@pytest.mark.parametrize("status", [0, 255])
def test_the_status_of_the_command_is_kept(programs: Programs, address: str, resource: str, status: int) -> None:
    done = programs.run("-s", address, "-r", resource, "--", "sh", "-c", f"exit {status}")
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGPIPE])
def test_flom_exits_with_128_and_the_number_of_the_command_s_signal(
    programs: Programs, address: str, resource: str, number: int
) -> None:
    """As scripts of FLoM's users know it; flom-run dies of the signal (tests/contract/test_jobs.py)."""
    done = programs.start_program(
        str(BIN / "flom"), "-s", address, "-r", resource, "--", "sh", "-c", f"kill -{int(number)} $$"
    ).finish()
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "")


def test_a_resource_that_is_locked_for_too_long_gives_98(programs: Programs, address: str, resource: str) -> None:
    """The request has left the queue."""
    with SocketClient(address) as holder:
        holder.ask(resource)
        done = programs.run("-s", address, "-r", resource, "-o", "150", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (98, "")
    assert "still locked after 0.15 s" in one_line(done.stderr)
    assert not is_locked(address, resource)


# the command cannot be executed


@pytest.mark.parametrize("kind", ["not executable", "directory", "no such interpreter", "empty word"])
def test_what_is_no_program_gives_97(
    programs: Programs, address: str, resource: str, tmp_path: Path, kind: str
) -> None:
    program = tmp_path / "program"
    if kind == "directory":
        program.mkdir()
    else:
        program.write_text("#!/no/such/interpreter\n" if kind == "no such interpreter" else "echo ran\n")
        program.chmod(0o755 if kind == "no such interpreter" else 0o644)
    word = "" if kind == "empty word" else str(program)
    done = programs.run("-s", address, "-r", resource, "--", word)
    assert (done.returncode, done.stdout) == (97, "")
    assert f"'{word}'" in one_line(done.stderr)


def test_a_script_without_a_header_is_run_by_the_shell(
    programs: Programs, address: str, resource: str, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_text('echo "$0" "$@"\nexit 7\n')
    script.chmod(0o755)
    by_path = programs.run("-s", address, "-r", resource, "--", str(script), "a b", "c")
    assert (by_path.returncode, by_path.stdout, by_path.stderr) == (7, f"{script} a b c\n", "")
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    by_name = programs.run("-s", address, "-r", resource, "--", "script", "d", environment=environment)
    assert (by_name.returncode, by_name.stdout, by_name.stderr) == (7, f"{script} d\n", "")


# how the lock is given back


@pytest.mark.parametrize(
    ("command", "status", "rollback"),
    [
        (["true"], 0, False),
        (["sh", "-c", "exit 3"], 3, True),
        (["sh", "-c", "kill -9 $$"], -9, True),
        (["no-such-command"], 97, True),
    ],
    ids=["success", "failure", "killed", "not executed"],
)
def test_the_daemon_is_told_to_roll_back_what_has_failed(
    asked: Asked, command: list[str], status: int, rollback: bool
) -> None:
    running, conversation = asked("-r", "R1", "--", *command)
    conversation.answer(0)
    assert conversation.read() == Unlock("R1", rollback)
    assert conversation.read() is None  # it has closed its side, and waits for us
    conversation.close()
    assert running.finish().returncode == status


def test_a_sequence_value_returns_when_the_command_failed(programs: Programs, address: str) -> None:
    def draw(script: str) -> str:
        return programs.run("-s", address, "-r", "_S_orders[1]", "-i", "20000", "--", "sh", "-c", script).stdout

    assert draw("echo $0; exit 1") == "1\n"
    assert draw("echo $0; kill -9 $$") == "1\n"
    assert draw("echo $0") == "1\n"


# the whole wait has one limit


def test_the_timeout_bounds_the_whole_wait_and_not_each_message(asked: Asked) -> None:
    running, conversation = asked("-o", "700", "--", "echo", "ran")
    began = time.monotonic()
    conversation.answer(1)
    while time.monotonic() < began + 10:
        try:
            running.process.wait(timeout=0.1)
            break
        except subprocess.TimeoutExpired:
            with suppress(BrokenPipeError):  # it has ended in this moment
                conversation.answer(1, step=24)
    assert conversation.read() is None
    done = running.finish()
    assert (done.returncode, done.stdout) == (98, "")
    assert "not granted within 0.7 s" in one_line(done.stderr)


def test_a_daemon_that_never_answers_runs_into_the_timeout_too(asked: Asked) -> None:
    running, _ = asked("-o", "200", "--", "echo", "ran")
    done = running.finish()
    assert (done.returncode, done.stdout) == (98, "")
    assert "not granted within 0.2 s" in one_line(done.stderr)


# answers of a daemon that is not as it should be


def test_what_is_asked_for_is_what_the_options_say(fake: FakeDaemon, programs: Programs, tmp_path: Path) -> None:
    words = ["-r", "/a/b", "-l", "CW", "-o", "0", "-e", "no", "-i", "2500"]
    programs.start("-s", str(tmp_path / "fake.sock"), *words, "--", "true")
    _, lock = fake.accept()
    assert lock.peer_id is not None
    wanted = Lock("/a/b", LockMode.CW, 0, False, False, 2.5, lock.peer_id, extended=HAS_SESSIONS)
    assert lock.replace(user="", command="", wishes=None) == wanted
    assert lock.wishes is not None
    assert len(lock.wishes.lineage) == 1


def test_nothing_of_the_command_runs_before_the_grant(asked: Asked, tmp_path: Path) -> None:
    running, conversation = asked("--", "cat", str(tmp_path / "text"))
    conversation.answer(2)
    conversation.answer(1, step=24)
    conversation.answer(1, step=24)
    (tmp_path / "text").write_text("written before the grant\n")
    conversation.answer(0, step=24)
    assert running.line() == "written before the grant"


def test_a_grant_by_step_32_is_a_grant(asked: Asked) -> None:
    running, conversation = asked("--", "echo", "ran")
    conversation.answer(1)
    conversation.answer(0, step=32)
    assert running.line() == "ran"


def test_an_answer_may_arrive_in_pieces(asked: Asked) -> None:
    running, conversation = asked("--", "echo", "ran")
    message = b'<?xml version="1.0" encoding="UTF-8" ?><msg level="3" verb="1" step="16"><answer rc="0"/></msg>'
    for i in range(len(message)):
        conversation.send(message[i : i + 1])
    assert running.line() == "ran"


BAD_ANSWERS: list[tuple[str, bytes, int]] = [
    ("no answer tag", b'<msg level="3" verb="1" step="16"></msg>', 99),
    ("unknown code", b'<msg level="3" verb="1" step="16"><answer rc="7"/></msg>', 99),
    ("invalid name", b'<msg level="3" verb="1" step="16"><answer rc="-14"/></msg>', 99),
    ("another level", b'<msg level="4" verb="1" step="16"><answer rc="0"/></msg>', 99),
    ("no XML", GARBAGE, 99),
    ("no end", b"x" * 1024, 99),
    ("busy while waiting", b'<msg level="3" verb="1" step="24"><answer rc="4"/></msg>', 98),
    ("impossible while waiting", b'<msg level="3" verb="1" step="24"><answer rc="6"/></msg>', 99),
    ("unknown code while waiting", b'<msg level="3" verb="1" step="24"><answer rc="3"/></msg>', 99),
    ("refused by step 32 while waiting", b'<msg level="3" verb="1" step="32"><answer rc="3"/></msg>', 99),
]


@pytest.mark.parametrize(("kind", "answer", "status"), BAD_ANSWERS, ids=[kind for kind, _, _ in BAD_ANSWERS])
def test_an_answer_that_grants_nothing_runs_nothing(asked: Asked, kind: str, answer: bytes, status: int) -> None:
    running, conversation = asked("--", "echo", "ran")
    if "while waiting" in kind:
        conversation.answer(1)
    conversation.send(answer)
    assert conversation.read() is None
    done = running.finish()
    assert (done.returncode, done.stdout) == (status, "")
    one_line(done.stderr)


def test_when_a_daemon_goes_a_waiter_asks_the_next_one(fake: FakeDaemon, asked: Asked) -> None:
    running, conversation = asked("--", "echo", "ran")
    conversation.answer(1)
    conversation.close()
    fake.accept()[0].answer(0)
    fake.close()
    done = running.finish()
    assert (done.returncode, done.stdout) == (95, "ran\n")  # its unlock was not confirmed


def test_a_daemon_that_closes_without_an_answer_is_asked_once_more(fake: FakeDaemon, asked: Asked) -> None:
    running, conversation = asked("-r", "R1", "--", "echo", "ran")
    conversation.close()  # as a daemon does that ends at this moment
    again, lock = fake.accept()
    assert lock.name == "R1"
    again.answer(0)
    assert running.line() == "ran"


def test_a_daemon_that_closes_without_an_answer_twice_gives_99(fake: FakeDaemon, asked: Asked, tmp_path: Path) -> None:
    """It is asked more often where the command may start the next one."""
    running, conversation = asked("-d", "0", "--", "echo", "ran")
    conversation.close()
    again, _ = fake.accept()
    again.close()
    done = running.finish()
    assert (done.returncode, done.stdout) == (99, "")
    assert str(tmp_path / "fake.sock") in one_line(done.stderr)


# the daemon goes wrong while the command runs


@pytest.mark.parametrize(("own", "status"), [(0, 95), (5, 5)])
def test_a_command_whose_daemon_goes_away_is_left_alone(asked: Asked, tmp_path: Path, own: int, status: int) -> None:
    running, conversation = asked("--", "sh", "-c", f"echo runs; read line; echo $line; exit {own}")
    conversation.answer(0)
    assert running.line() == "runs"
    conversation.close()
    warning = running.error_line()  # comes while the command still runs
    assert warning.startswith("flom-run: _RESOURCE: the lock was lost: ")
    assert str(tmp_path / "fake.sock") in warning
    running.say("still runs")
    done = running.finish()
    assert (done.returncode, done.stdout, done.stderr) == (status, "still runs\n", "")


def grant_to_ours(conversation: SocketConversation) -> None:
    conversation.say(Answer(16, 0, None, "0" * 32, extended=True))


CONTESTED = "another daemon of the group has granted the lock too, while neither could hear the other"


@pytest.mark.parametrize(("own", "status"), [(0, 95), (5, 5)])
def test_a_contested_lock_is_told_once_and_in_the_status(asked: Asked, tmp_path: Path, own: int, status: int) -> None:
    running, conversation = asked("--", "sh", "-c", f"echo runs; read line; echo $line; exit {own}")
    grant_to_ours(conversation)
    assert running.line() == "runs"
    conversation.say(Contested())
    conversation.say(Contested())
    warning = running.error_line()  # comes while the command still runs
    assert warning.startswith("flom-run: _RESOURCE: ")
    assert warning.endswith(f"fake.sock: {CONTESTED}; the command goes on\n")
    running.say("still runs")
    assert conversation.read() == Unlock("_RESOURCE", rollback=bool(own))  # it was held until then
    conversation.say(Unlocked())
    conversation.close()
    done = running.finish()
    assert (done.returncode, done.stdout, done.stderr) == (status, "still runs\n", "")


def test_a_lock_that_turns_out_contested_at_the_end_is_told_of(asked: Asked) -> None:
    running, conversation = asked("--", "true")
    grant_to_ours(conversation)
    assert isinstance(conversation.read(), Unlock)
    conversation.send(encode(Contested()) + encode(Unlocked()))
    conversation.close()
    done = running.finish()
    assert (done.returncode, done.stdout) == (95, "")
    assert one_line(done.stderr).endswith(f"fake.sock: {CONTESTED}\n")


def test_a_contested_lock_whose_daemon_goes_is_lost_too(asked: Asked) -> None:
    running, conversation = asked("--", "cat")
    grant_to_ours(conversation)
    conversation.say(Contested())
    conversation.close()
    done = running.finish()
    assert done.returncode == 95
    assert [CONTESTED in line for line in done.stderr.splitlines()].count(True) == 1
    assert "closed the connection" in done.stderr


def test_a_daemon_that_goes_as_the_command_ends_is_told_of(asked: Asked, tmp_path: Path) -> None:
    """The end of the command and the loss of the lock, noticed in one moment, are a loss, and one line says so."""
    running, conversation = asked("--", "sh", "-c", "read line")
    conversation.answer(0)
    eventually(lambda: child_of(running.pid), "the command")
    command = Path("/proc", child_of(running.pid), "status")
    running.signal(signal.SIGSTOP)
    eventually(lambda: "State:\tT" in Path(f"/proc/{running.pid}/status").read_text(), "the stop")
    conversation.close()
    running.say("end")
    eventually(lambda: "State:\tZ" in command.read_text(), "the end of the command")
    running.signal(signal.SIGCONT)
    done = running.finish()
    assert (done.returncode, done.stdout) == (95, "")
    assert one_line(done.stderr).startswith("flom-run: _RESOURCE: the lock was lost: ")
    assert "fake.sock closed the connection" in done.stderr


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (GARBAGE, 0),
        (b"y" * 5000, 5),
        (b'<msg level="3" verb="1" step="24"><answer rc="4"/></msg>', 0),
    ],
    ids=["garbage", "no end", "an answer nobody waits for"],
)
def test_what_a_daemon_sends_to_a_holder_does_not_cost_the_lock(asked: Asked, sent: bytes, status: int) -> None:
    running, conversation = asked("-r", "R1", "--", "sh", "-c", f"echo runs; read line; exit {status}")
    conversation.answer(0)
    assert running.line() == "runs"
    conversation.send(sent)
    running.say("end")
    assert conversation.read() == Unlock("R1", rollback=status != 0)
    assert conversation.read() is None
    conversation.close()
    done = running.finish()
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


# what is said on the way


def test_verbose_shows_the_element_before_the_command(programs: Programs, address: str) -> None:
    done = programs.run("-V", "-s", address, "-r", "one.two", "--type", "set", "--", "echo", "ran")
    assert (done.returncode, done.stdout, complaints(done)) == (0, "Locked element is 'one'\nran one\n", "")


def test_verbose_flom_shows_the_configuration_before_that(programs: Programs, address: str) -> None:
    words = [str(BIN / "flom"), "-V", "-s", address, "-r", "three.four", "--", "echo", "ran"]
    done = programs.start_program(*words).finish()
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[:5] == [
        "[Trace]/DaemonTraceFile=''",
        "[Trace]/CommandTraceFile=''",
        "[Trace]/AppendTraceFile=0",
        "[Trace]/Verbose=1",
        "[Resource]/Name='three.four'",
    ]
    assert lines[-2:] == ["Locked element is 'three'", "ran three"]


def test_verbose_says_nothing_of_a_lock_that_is_free(programs: Programs, address: str, resource: str) -> None:
    done = programs.run("-V", "-s", address, "-r", resource, "--", "echo", "ran")
    assert (done.returncode, done.stdout, complaints(done)) == (0, "ran\n", "")

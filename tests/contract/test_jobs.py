"""
A command under a lock is the same whether C{flom-run} runs it or a Twisted program spawns it: statuses, signals, the
element, what it inherits, and a lock that outlives the program (docs/compatibility.md, "Commands under a lock").
"""

from __future__ import annotations

import fcntl
import math
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any, Final

import pytest

from flom.codes import Outcome
from flom.core.protocol.messages import Goodbye, Unlock
from flom.job.forwarding import UNCERTAIN
from flom.net.machine_id import unique_id
from flom.tls.authority import issue, make_authority
from tests.fakes.daemon import FLOM_RUN, Daemon
from tests.fakes.peers import FakeDaemon, SocketClient, is_locked
from tests.fakes.programs import Programs, Running, assert_refused, free_port, ignoring, is_alive
from tests.fakes.signals import RECORD, ControllingTerminal

RUNNERS: Final = {"flom-run": [FLOM_RUN], "spawn": [sys.executable, "-m", "flom.client.deferred"]}


class Runner:
    """
    A program that runs commands under a lock of the resource C{name}.

    @ivar program: its name in its messages.
    @ivar address: the UNIX socket of the daemon.
    """

    def __init__(self, programs: Programs, words: list[str], address: str, name: str) -> None:
        self.program = Path(words[-1]).name
        self.address = address
        self.name = name
        self._programs = programs
        self._words = words

    def start(self, *words: str, **options: Any) -> Running:
        """Start it with options and a command, which follow those for the lock."""
        return self._programs.start_program(*self._words, "-s", self.address, "-r", self.name, *words, **options)

    def run(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Start it, and wait for its end."""
        return self.start(*words, **options).finish()

    @property
    def is_locked(self) -> bool:
        """True if the resource is held."""
        return is_locked(self.address, self.name)


@pytest.fixture(params=RUNNERS)
def words(request: pytest.FixtureRequest) -> list[str]:
    """The words that start the program."""
    found: list[str] = RUNNERS[request.param]
    return found


@pytest.fixture
def runner(programs: Programs, words: list[str], address: str, resource: str) -> Runner:
    """A program with a resource of the test's own."""
    return Runner(programs, words, address, resource)


@pytest.fixture
def refused(programs: Programs, words: list[str], tmp_path: Path) -> Runner:
    """A program whose daemon is the fixture C{fake}."""
    return Runner(programs, words, str(tmp_path / "fake.sock"), "R1")


@pytest.fixture
def terminal() -> Iterator[ControllingTerminal]:
    terminal = ControllingTerminal()
    yield terminal
    terminal.close()


def python(script: str) -> list[str]:
    """Return the words that run C{script}."""
    return [sys.executable, "-I", "-S", "-c", f"import os, sys\n{script}"]


# statuses


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 5", 5), ("exit 255", 255), ("kill -9 $$", -9)])
def test_the_status_is_the_command_s(runner: Runner, script: str, status: int) -> None:
    done = runner.run("--", "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")
    assert not runner.is_locked


@pytest.mark.parametrize("status", [0, 5])
def test_a_value_is_rolled_back_unless_the_status_is_0(refused: Runner, fake: FakeDaemon, status: int) -> None:
    running = refused.start("--", "sh", "-c", f"exit {status}")
    conversation, _ = fake.accept()
    conversation.answer(0)
    assert conversation.read() == Unlock("R1", rollback=status != 0)
    conversation.close()
    assert running.finish().returncode == status


def test_a_busy_resource_gives_98(runner: Runner) -> None:
    with SocketClient(runner.address) as client:
        assert client.ask(runner.name) == Outcome.GRANTED
        done = runner.run("-o", "0", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (98, "")
    assert re.fullmatch(rf"{runner.program}: {runner.name}: locked( by pid .*)?\n", done.stderr)


def test_a_timeout_gives_98(runner: Runner) -> None:
    with SocketClient(runner.address) as client:
        assert client.ask(runner.name) == Outcome.GRANTED
        done = runner.run("-o", "300", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (98, "")
    what = "(still locked after|not granted within) 0.3 s"
    assert re.fullmatch(rf"{runner.program}: {runner.name}: {what}( by pid .*)?\n", done.stderr)


def test_what_does_not_exist_and_may_not_be_waited_for_gives_96(runner: Runner) -> None:
    done = runner.run("-o", "0", "-e", "no", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (96, "")


@pytest.mark.parametrize("header", [None, "#!/no/such/interpreter\n"], ids=["missing", "no such interpreter"])
@pytest.mark.parametrize("ignored", [(), (signal.SIGHUP,)], ids=["", "after nohup"])
def test_what_cannot_be_executed_gives_97(
    runner: Runner, tmp_path: Path, header: str | None, ignored: tuple[signal.Signals, ...]
) -> None:
    program = tmp_path / "program"
    if header is not None:
        program.write_text(header)
        program.chmod(0o755)
    done = runner.run("--", str(program), first=ignoring(*ignored))
    assert (done.returncode, done.stdout) == (97, "")
    assert done.stderr == f"{runner.program}: Unable to execute command '{program}': no such file or directory\n"
    assert not runner.is_locked


def test_no_command_gives_97_and_a_bad_option_99(runner: Runner) -> None:
    done = runner.run()
    assert (done.returncode, done.stderr.count("\n")) == (97, 1)
    assert "no command to execute" in done.stderr.lower()
    done = runner.run("--no-such-option", "--", "true")
    assert (done.returncode, done.stderr.count("\n")) == (99, 1)
    assert "unknown option --no-such-option" in done.stderr


def test_without_a_daemon_it_gives_99(programs: Programs, words: list[str], tmp_path: Path) -> None:
    runner = Runner(programs, words, str(tmp_path / "none"), "R1")
    done = runner.run("-d", "0", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (99, "")
    assert done.stderr.startswith(f"{runner.program}: {runner.address}: no daemon is listening")


def test_a_lost_lock_is_told_and_the_command_goes_on(refused: Runner, fake: FakeDaemon) -> None:
    running = refused.start("--", "sh", "-c", "read line; echo $line")
    conversation, _ = fake.accept()
    conversation.answer(0)
    conversation.close()
    told = running.error_line()
    what = f"the lock was lost: {refused.address} closed the connection; the command goes on unlocked"
    assert told == f"{refused.program}: R1: {what}\n"
    running.say("went on")
    done = running.finish()
    assert (done.returncode, done.stdout) == (95, "went on\n")


@pytest.mark.parametrize(
    ("option", "script", "status"),
    [
        (["--on-lost", "terminate"], "trap 'exit 3' TERM; echo; while :; do sleep 0.05; done", 95),
        (["--on-lost", "terminate", "--kill-after", "0.2"], "trap '' TERM; echo; while :; do sleep 0.05; done", 95),
        (["--on-lost", "kill"], "echo; while :; do sleep 0.05; done", 95),
        (["--on-lost", "signal:USR1"], "trap 'exit 3' USR1; echo; while :; do sleep 0.05; done", 3),
    ],
    ids=["terminate", "what outlives that", "kill", "another signal"],
)
def test_a_command_whose_lock_is_lost_can_be_ended(
    refused: Runner, fake: FakeDaemon, option: list[str], script: str, status: int
) -> None:
    running = refused.start(*option, "--", "sh", "-c", script)
    conversation, _ = fake.accept()
    conversation.answer(0)
    running.line()
    conversation.close()
    assert running.finish().returncode == status


def test_a_command_sees_itself_that_its_lock_is_lost(refused: Runner, fake: FakeDaemon) -> None:
    script = 'import select; number = int(os.environ["FLOM_DEADLINE_FD"])\n'
    script += "print(select.select([number], [], [], 0)[0], flush=True); print(os.read(number, 1), flush=True)"
    running = refused.start("--close", "--", *python(script))
    conversation, _ = fake.accept()
    conversation.answer(0)
    assert running.line() == "[]"
    conversation.close()
    assert running.line() == "b''"
    assert running.finish().returncode == 95


def test_a_lock_that_is_held_for_too_long_is_lost_and_kept_for_a_while(runner: Runner) -> None:
    done = runner.run("--max-hold", "0.2", "--lock-delay", "2", "--on-lost", "kill", "--", "sleep", "30")
    assert (done.returncode, runner.is_locked) == (95, True)
    what = f"{runner.name}: the lock was lost: it was held for longer than 0.2 s; the command gets SIGKILL"
    assert done.stderr == f"{runner.program}: {what}\n"


def test_a_command_reads_each_time_that_its_lock_is_wanted(runner: Runner) -> None:
    script = 'echo "$FLOM_WANTED_FD"; read one <&17; echo "$one"; read two <&17; echo "$two"'
    running = runner.start("--notify-wanted=fd:17", "--", "bash", "-c", script)
    assert running.line() == "17"
    for _ in range(2):
        with SocketClient(runner.address) as client:
            assert client.ask(runner.name, wait=True) == Outcome.QUEUED
            assert running.line() == "wanted"
    assert running.finish().returncode == 0


def test_a_command_gets_a_signal_when_its_lock_is_wanted(runner: Runner) -> None:
    script = "import signal; signal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))\n"
    running = runner.start("--notify-wanted=usr1", "--", *python(script + "print(flush=True); signal.pause()"))
    running.line()
    with SocketClient(runner.address) as client:
        assert client.ask(runner.name, wait=True) == Outcome.QUEUED
        assert running.finish().returncode == 3


def test_a_number_for_what_it_reads_that_is_taken_is_refused(runner: Runner) -> None:
    """It is one that we were given, and the command is to have."""
    with open("/dev/null", "rb") as given:
        number = given.fileno()
        done = runner.run(f"--notify-wanted=fd:{number}", "--", "echo", "ran", pass_fds=[number])
    assert_refused(done, 99, f"notify-wanted: 'fd:{number}' is open already: choose another number, or 'fd'")


# what the command finds


@pytest.mark.parametrize(
    ("name", "element", "mode"),
    [("red.green", "red", "EX"), ("_s_tickets[2]", "1", "EX"), ("/a/b c", None, "CR"), ("N[7]", None, "EX")],
)
def test_the_element_is_the_last_argument_and_all_is_in_the_environment(
    programs: Programs, words: list[str], daemon: Daemon, name: str, element: str | None, mode: str
) -> None:
    runner = Runner(programs, words, daemon.socket, name)
    script = "print(sys.argv[1:], *map(os.getenv, ('FLOM_RESOURCE', 'FLOM_LOCK_MODE', 'FLOM_ELEMENT')))"
    options = ["-l", mode] if mode != "EX" else []
    done = runner.run(*options, "--", *python(script), "own", environment={"FLOM_ELEMENT": "outer"})
    assert done.stdout == f"{['own', *([element] if element else [])]} {name} {mode} {element}\n"


def test_a_later_command_has_a_higher_token(programs: Programs, words: list[str], daemon: Daemon) -> None:
    """Whatever it has locked; one of a flom-run around it does not count."""
    tokens = []
    for name in ("one", "red.green", "one"):
        runner = Runner(programs, words, daemon.socket, name)
        script = "print(os.environ['FLOM_TOKEN'])"
        tokens.append(int(runner.run("--", *python(script), environment={"FLOM_TOKEN": "7"}).stdout))
    assert tokens == sorted(set(tokens))
    assert 2**32 < tokens[0] < 2**63


def test_the_environment_is_otherwise_ours(programs: Programs, runner: Runner) -> None:
    environment = {"OWN": "böse\udcff", "WITH.DOT": "1", "LC_ALL": "C", "FLOM_RESOURCE": "outer"}
    script = "for name, value in sorted(os.environ.items()): print(name, ascii(value))"
    with_us = runner.run("--", *python(script), environment=environment).stdout.splitlines()
    without_us = programs.start_program(*python(script), environment=environment).finish().stdout.splitlines()
    changing = re.compile(
        r"FLOM_(CONTROL_FD|DEADLINE_FD|TOKEN) '\d+'|FLOM_RESOURCES '\S+\\tEX\\t1\\t\d+\\t'|FLOM_LINEAGE '[0-9a-f]{16}'"
    )
    ours = {line for line in set(with_us) - set(without_us) if not changing.fullmatch(line)}
    assert ours == {"FLOM_LOCK_MODE 'EX'", f"FLOM_RESOURCE '{runner.name}'"}
    assert set(without_us) - set(with_us) == {"FLOM_RESOURCE 'outer'"}


def test_arguments_reach_it_as_they_are(runner: Runner) -> None:
    arguments = ["", " a  b ", "*", "$HOME", "--", "-r", "é", "\udcff", "a\nb"]
    assert runner.run("--", *python("print(ascii(sys.argv[1:]))"), *arguments).stdout == f"{arguments!a}\n"


@pytest.mark.parametrize("ignored", [(), (signal.SIGHUP,)], ids=["", "after nohup"])
def test_a_script_without_a_header_is_the_shell_s(
    runner: Runner, tmp_path: Path, ignored: tuple[signal.Signals, ...]
) -> None:
    program = tmp_path / "program"
    program.write_text('echo "$@"; exit 7\n')
    program.chmod(0o755)
    done = runner.run("--", str(program), "a b", first=ignoring(*ignored))
    assert (done.returncode, done.stdout, done.stderr) == (7, "a b\n", "")


PLACE = "print(os.getpgid(0), os.getsid(0), os.getcwd(), oct(os.umask(0)), os.getppid())"


def test_group_session_directory_and_umask_are_ours(runner: Runner, tmp_path: Path) -> None:
    running = runner.start("--", *python(PLACE), cwd=tmp_path, own_session=True, first=lambda: os.umask(0o027))
    assert running.line() == f"{running.pid} {running.pid} {tmp_path} 0o27 {running.pid}"


def test_the_standard_streams_are_ours(runner: Runner) -> None:
    running = runner.start("--", "sh", "-c", "cat; echo to stderr >&2")
    running.say("from stdin")
    done = running.finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, "from stdin\n", "to stderr\n")


@pytest.mark.parametrize("descriptor", [0, 1, 2])
def test_a_closed_descriptor_does_not_matter(runner: Runner, descriptor: int) -> None:
    script = "read line; echo to stdout; echo to stderr >&2; exit 5"
    done = runner.run("--", "sh", "-c", script, first=lambda: os.close(descriptor))
    assert done.returncode == 5
    assert done.stdout == ("" if descriptor == 1 else "to stdout\n")
    assert done.stderr == ("" if descriptor == 2 else "to stderr\n")


OPEN_DESCRIPTORS = """
for number in os.listdir("/proc/self/fd"):
    if int(number) > 2 and number not in map(os.getenv, ("FLOM_DEADLINE_FD", "FLOM_CONTROL_FD")):
      try:
        if ".holders-" not in (link := os.readlink(f"/proc/self/fd/{number}")):  # of the daemon
            print(link.partition(":")[0])
      except OSError:
        pass  # the one that listdir used
"""


@pytest.mark.parametrize(("option", "found"), [([], ["pipe", "socket"]), (["--close"], ["pipe"])])
def test_it_inherits_the_connection_and_what_we_were_given(runner: Runner, option: list[str], found: list[str]) -> None:
    reading, writing = os.pipe()
    done = runner.run(*option, "--", *python(OPEN_DESCRIPTORS), pass_fds=(writing,))
    assert sorted(done.stdout.split()) == found
    os.close(reading)
    os.close(writing)


def test_no_signal_is_blocked_or_ignored_but_by_who_started_us(runner: Runner) -> None:
    show = ["sed", "-n", "s/^Sig\\(Blk\\|Ign\\)://p", "/proc/self/status"]
    for ignored, expected in ([], 0), ([signal.SIGHUP, signal.SIGINT, signal.SIGQUIT], 0b111):
        blocked, ignored_there = runner.run("--", *show, first=ignoring(*ignored)).stdout.split()
        assert int(blocked, 16) == 0
        assert int(ignored_there, 16) & 0x7FFFFFFF == expected  # above are two of the C library's own


# signals

PASSED_ON: Final = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGALRM, signal.SIGTERM, signal.SIGCONT),
    *(signal.SIGWINCH, signal.SIGXCPU, signal.SIGVTALRM, signal.SIGPWR, signal.SIGRTMIN, signal.SIGUSR2),
)


def allow_cores() -> None:
    """Allow programs to write as large a core as their user may."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_wait_and_leaves_the_queue(refused: Runner, fake: FakeDaemon, number: int) -> None:
    running = refused.start("--", "echo", "ran")
    conversation, _ = fake.accept()
    conversation.answer(1)
    running.signal(number)
    assert all(isinstance(said, Goodbye) for said in iter(conversation.read, None))  # if the answer was not read yet
    done = running.finish()
    assert (done.returncode, done.stdout, done.stderr) == (-number, "", "")


def test_signals_are_passed_on_to_the_command(runner: Runner) -> None:
    running = runner.start("--", *RECORD)
    running.line()
    for number in PASSED_ON:
        running.signal(number)
        assert running.line() == number.name
    done = running.finish()
    assert (done.returncode, done.stdout, done.stderr) == (5, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGPIPE, signal.SIGQUIT, signal.SIGRTMIN])
def test_we_die_of_the_signal_that_the_command_has_died_of(
    runner: Runner, tmp_path: Path, number: signal.Signals
) -> None:
    """Then a shell ends its loop, and systemd, xargs and Python know; the lock is free before, and no core is ours."""
    done = runner.run("--", "sh", "-c", f"ulimit -c 0; kill -{int(number)} $$", cwd=tmp_path, first=allow_cores)
    assert (done.returncode, done.stderr) == (-number, "")
    assert not runner.is_locked
    assert list(tmp_path.glob("core*")) == []


def test_a_signal_that_only_the_kernel_sends_is_passed_on(runner: Runner) -> None:
    running = runner.start("--", *RECORD)
    running.line()
    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, running.pid)
    fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC)
    os.write(writing, b"now it can be read from")
    assert running.line() == "SIGIO"
    os.close(reading)
    os.close(writing)


def test_when_the_terminal_goes_away_the_command_is_told(runner: Runner, terminal: ControllingTerminal) -> None:
    """The kernel tells the session's leader alone, which we are."""
    running = runner.start("--", *RECORD, stdin=terminal.slave, own_session=True, first=terminal.seize)
    running.line()
    terminal.hang_up()
    assert sorted([running.line(), running.line()]) == ["SIGCONT", "SIGHUP"]


def test_a_key_reaches_a_command_in_a_group_of_its_own(runner: Runner, terminal: ControllingTerminal) -> None:
    """As C{timeout} makes one, and C{setsid}; it gets it once, as often as the key is pressed."""
    words = [*python("os.setpgid(0, 0); os.execv(sys.argv[1], sys.argv[1:])"), *RECORD]
    running = runner.start("--", *words, stdin=terminal.slave, own_session=True, first=terminal.seize)
    running.line()
    for _ in range(2):
        terminal.press(b"\x03")
        assert running.line() == "SIGINT"
    running.signal(signal.SIGUSR2)
    assert running.finish().stdout == "SIGUSR2\n"


@pytest.mark.parametrize("wrapper", [["timeout", "60"], ["setsid", "-w"]], ids=["timeout", "setsid"])
def test_control_c_ends_a_wrapped_command(runner: Runner, terminal: ControllingTerminal, wrapper: list[str]) -> None:
    """Which includes what a shell in it waits for: a key's signal goes to all of the group."""
    words = ["--", *wrapper, "bash", "-c", "echo; sleep 60; echo went on"]
    running = runner.start(*words, stdin=terminal.slave, own_session=True, first=terminal.seize)
    running.line()
    terminal.press(b"\x03")
    done = running.finish()
    assert (done.returncode == 0, done.stdout) == (False, "")
    assert not runner.is_locked


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a command as another user")
def test_a_command_of_another_user_costs_a_line(programs: Programs, words: list[str], daemon: Daemon) -> None:
    """As with sudo: it may not be signalled, but we receive what comes next, and hold the lock until its end."""
    powerless = ["setpriv", "--inh-caps=-kill", "--bounding-set=-kill", *words]
    runner = Runner(programs, powerless, daemon.socket, "R1")
    running = runner.start("--", "setpriv", "--reuid=65534", "sh", "-c", "echo $$; read line; exit 5")
    told = f": warning: signal 15 cannot be passed on to the command (pid {running.line()}): operation not permitted\n"
    for _ in range(2):
        running.signal(signal.SIGTERM)
        assert running.error_line().endswith(told)
    assert runner.is_locked
    running.say("end")
    done = running.finish()
    assert (done.returncode, done.stderr) == (5, "")


def test_a_signal_of_the_terminal_reaches_the_command_once(runner: Runner, terminal: ControllingTerminal) -> None:
    running = runner.start("--", *RECORD, stdin=terminal.slave, own_session=True, first=terminal.seize)
    running.line()
    noted_at = math.inf
    while monotonic() <= noted_at + UNCERTAIN:
        running.signal(signal.SIGINT)  # to us alone; after one of the terminal it might be one with it
        assert running.line() == "SIGINT"
        noted_at = min(noted_at, monotonic())  # that the command runs is known where one has been passed on
    for _ in range(3):
        terminal.press(b"\x03")
        assert running.line() == "SIGINT"
    terminal.press(b"\x1c")
    assert running.line() == "SIGQUIT"
    running.signal(signal.SIGUSR2)  # takes the same way as a SIGINT that is passed on: so there is no other one
    assert running.finish().stdout == "SIGUSR2\n"


def test_a_signal_that_the_user_wants_ignored_is_not_passed_on(runner: Runner) -> None:
    running = runner.start("--ignore-signal=SIGTERM", "--ignore-signal=SIGKILL", "--", *RECORD)
    running.line()
    running.signal(signal.SIGTERM)
    running.signal(signal.SIGWINCH)
    assert running.line() == "SIGWINCH"
    running.signal(signal.SIGUSR2)
    done = running.finish()
    assert (done.returncode, done.stdout) == (5, "SIGUSR2\n")
    assert done.stderr == "Warning: couldn't ignore signal 9:SIGKILL\n"


# without us


def test_when_we_are_killed_the_lock_lives_as_long_as_the_command(runner: Runner) -> None:
    running = runner.start("--", *RECORD)
    command = int(running.line())
    running.signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    with SocketClient(runner.address) as waiter:
        assert waiter.ask(runner.name, wait=True) == Outcome.QUEUED
        assert is_alive(command)
        os.kill(command, signal.SIGUSR2)
        assert running.line() == "SIGUSR2"
        assert waiter.next() == Outcome.GRANTED


def test_with_close_the_lock_ends_with_us(runner: Runner) -> None:
    running = runner.start("--close", "--", *RECORD)
    command = int(running.line())
    with SocketClient(runner.address) as waiter:
        assert waiter.ask(runner.name, wait=True) == Outcome.QUEUED
        running.signal(signal.SIGKILL)
        assert waiter.next() == Outcome.GRANTED
    assert is_alive(command)


def test_what_the_command_leaves_running_does_not_keep_the_lock(runner: Runner) -> None:
    done = runner.run("--", "sh", "-c", "sleep 60 </dev/null >/dev/null 2>&1 & echo started")
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert not runner.is_locked


def test_over_tls_too_the_command_keeps_the_lock(programs: Programs, words: list[str], tmp_path: Path) -> None:
    authority = make_authority(tmp_path, days=1)
    issued = issue(tmp_path, unique_id(), days=1)
    port = str(free_port())
    where = ["-a", "127.0.0.1", "-p", port, "--tls-certificate", str(issued.certificate)]
    where += ["--tls-private-key", str(issued.key), "--tls-ca-certificate", str(authority.certificate)]
    long = {"-a": "--unicast-address", "-p": "--unicast-port"}
    with Daemon(*[long.get(word, word) for word in where]):
        running = programs.start_program(*words, *where, "-r", "R1", "--", *RECORD)
        command = int(running.line())
        running.signal(signal.SIGKILL)
        running.wait()
        assert programs.run(*where, "-r", "R1", "-o", "0", "--", "true").returncode == 98
        os.kill(command, signal.SIGUSR2)
        assert programs.run(*where, "-r", "R1", "-o", "20000", "--", "true").returncode == 0

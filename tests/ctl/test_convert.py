"""C{flomctl convert}, run by commands under C{flom-run}: over UNIX sockets and TCP, with a daemon that is replaced."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ctl.peers import FLOMCTL, flomctl
from tests.fakes.daemon import FLOM_RUN, Daemon
from tests.fakes.peers import FakeDaemon
from tests.fakes.programs import Programs, Running, assert_refused, eventually, free_port

SHELL = 'echo begins; while read -r line; do eval "$line"; echo "done $?"; done'

BUSY = "other holders are in the way of the conversion"


class Scene:
    """A daemon, and commands under its lock db, each of which is a shell that does what it is told."""

    def __init__(self, programs: Programs, at: list[str], options: list[str]) -> None:
        """
        @param at: options of C{flom-run} for the daemon.
        @param options: of the daemon.
        """
        self.programs = programs
        self.at = at
        self._options = options
        self.daemon = Daemon(*options)

    def replace_daemon(self) -> None:
        """Kill the daemon, and start the next one."""
        self.daemon.__exit__(None, None, None)
        self.daemon.__enter__()

    def wait_for_conversion(self) -> None:
        """Wait until a conversion to EX waits: then, a reader that holds nothing has to wait too."""
        words = [*self.at, "-d", "0", "-r", "db", "-l", "PR", "-o", "0", "--", "true"]
        eventually(lambda: self.programs.run(*words).returncode == 98, "a reader that has to wait")

    def start(self, *words: str, name: str = "db") -> Running:
        """Start a command, and wait until it runs."""
        running = self.programs.start(*self.at, "-d", "0", "-r", name, *words, "--", "sh", "-c", SHELL)
        assert running.line() == "begins"
        return running


@pytest.fixture(params=["UNIX", "TCP"])
def scene(request: pytest.FixtureRequest, programs: Programs, tmp_path: Path) -> Iterator[Scene]:
    path, port = str(tmp_path / "flom.sock"), str(free_port())
    is_unix = request.param == "UNIX"
    at = ["-s", path] if is_unix else ["-a", "127.0.0.1", "-p", port]
    options = ["--socket-name", path] if is_unix else ["-a", "127.0.0.1", "--unicast-port", port]
    scene = Scene(programs, at, options)
    with scene.daemon:
        yield scene


def order(command: Running, line: str) -> None:
    """Send an order to C{command}."""
    command.say(f"{line} 2>&1")


def said(command: Running) -> tuple[str, int]:
    """Return the line that an order has printed, if there is one, and its status."""
    text = "" if (line := command.line()).startswith("done ") else line
    return text, int((line if not text else command.line()).removeprefix("done "))


def convert(command: Running, *words: str) -> tuple[str, int]:
    order(command, " ".join((FLOMCTL, "convert", *words)))
    return said(command)


def end(*commands: Running) -> None:
    for command in commands:
        done = command.finish()
        assert (done.returncode, done.stderr) == (0, "")


def test_a_long_reader_lets_others_in_and_writes_again(scene: Scene) -> None:
    writer = scene.start()
    token, status = convert(writer, "PR")
    assert status == 0
    assert convert(writer, "pr") == (token, 0)
    reader = scene.start("-l", "PR", "-o", "0")
    assert convert(writer, "EX", "--no-wait")[1] == 98
    order(writer, f"{FLOMCTL} convert EX")
    words = [*scene.at, "-d", "0", "-r", "db", "-l", "PR"]
    eventually(
        lambda: scene.programs.run(*words, "-o", "0", "--", "true").returncode == 98, "a reader that has to wait"
    )
    waiter = scene.programs.start(*words, "--", "true")
    end(reader)
    higher, status = said(writer)
    assert (status, int(higher) > int(token)) == (0, True)
    end(writer, waiter)


def test_of_two_that_want_to_write_the_later_one_is_refused(scene: Scene) -> None:
    first, second = scene.start("-l", "PR"), scene.start("-l", "PR")
    order(first, f"{FLOMCTL} convert EX")
    scene.wait_for_conversion()
    text, status = convert(second, "EX")
    assert status == 93
    assert text.startswith("flomctl: db at ")
    assert "it would wait for ever: db (PR) is held by " in text
    assert ", sh), which waits for db (EX); db (PR) is held by " in text
    assert text.endswith(", sh), which is the client itself")
    end(second)
    assert said(first)[1] == 0
    end(first)


def test_a_conversion_ends_with_its_time_or_its_process(scene: Scene) -> None:
    holder, other = scene.start("-l", "PR"), scene.start("-l", "PR")
    for option in ("--timeout", "--wait"):
        assert convert(holder, "EX", option, "20ms") == ("flomctl: db: not converted within 20ms", 98)
    text, status = convert(holder, "EX", "--no-wait")
    assert (text.endswith(BUSY), status) == (True, 98)
    assert convert(holder, "EX & sleep 0.2; kill $!; wait $!")[1] == 128 + signal.SIGTERM
    third = scene.start("-l", "PR", "-o", "0")  # which no conversion holds back any more
    end(other, third)
    assert convert(holder, "EX", "--no-wait")[1] == 0
    end(holder)


def test_two_processes_that_ask_at_once_are_answered_in_turn(scene: Scene) -> None:
    holder, other = scene.start("-l", "PR"), scene.start("-l", "PR")
    order(holder, f"{FLOMCTL} convert EX >/dev/null & {FLOMCTL} convert PW; wait $!")
    end(other)
    assert said(holder)[1] == 0
    end(holder)


def test_a_shell_needs_nothing_but_the_descriptor(scene: Scene) -> None:
    holder = scene.start()
    for line, answer in (
        ("convert PR", "converted PR "),
        ("convert EX 0", "converted EX "),
        ("convert cr 10ms", "converted CR "),
        ("convert", "error 'convert' is no question: convert MODE [SECONDS], or value TEXT"),
        ("release db now please", "error 'release db now please' is no question"),
        ("convert XX", "error db: mode 'XX' is none of NL, CR, CW, PR, PW, EX"),
        ("convert PR soon", "error 'soon': "),
        ("x" * 3000, f"error '{'x' * 60}' is no question"),
    ):
        order(holder, f'echo {line} >&$FLOM_CONTROL_FD; read -r answer <&$FLOM_CONTROL_FD; echo "$answer"')
        assert said(holder)[0].startswith(answer)
    end(holder)


def test_the_lock_is_reclaimed_in_the_mode_that_is_held(scene: Scene) -> None:
    """By two readers, of which one was a writer, and wants to write again while the daemon is replaced."""
    writer = scene.start()
    token, _ = convert(writer, "PR")
    reader = scene.start("-l", "PR")
    order(writer, f"{FLOMCTL} convert EX")
    scene.wait_for_conversion()
    scene.replace_daemon()
    assert convert(reader, "CR")[1] == 0
    end(reader)
    higher, status = said(writer)
    assert (status, int(higher) > int(token)) == (0, True)
    scene.replace_daemon()
    refused = scene.programs.run(*scene.at, "-d", "0", "-r", "db", "-l", "CR", "-o", "0", "--", "true")
    assert refused.returncode == 98
    assert convert(writer, "CW")[1] == 0
    end(writer)


@pytest.mark.parametrize("name", ["N[3]", "red.green", "_s_a[1]"])
def test_what_has_no_mode_is_not_converted(programs: Programs, tmp_path: Path, name: str) -> None:
    words = ["-s", str(tmp_path / "s"), "-r", name, "--", "sh", "-c", f"{FLOMCTL} convert PR"]
    done = programs.start(*words).finish()
    assert done.returncode == 99
    assert f"flomctl: {name}: it has no mode: only simple and hierarchical resources can be converted" in done.stderr


def test_of_several_locks_none_is_converted(programs: Programs, tmp_path: Path) -> None:
    both = ["-r", "a", "-r", "b"]
    done = programs.start("-s", str(tmp_path / "s"), *both, "--", FLOMCTL, "convert", "PR").finish()
    assert_refused(done, 99, "flomctl: several locks are held at once: none of them can be converted")


def test_without_flom_run_there_is_nothing_to_convert(programs: Programs) -> None:
    assert_refused(flomctl(programs, "convert", "PR"), 99, "there is no FLOM_CONTROL_FD: run this in a command under")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "MODE"),
        (["XX"], "'XX'"),
        (["PR", "--wait", "soon"], "'soon'"),
        (["PR", "--wait", "1", "--no-wait"], "--no-wait"),
    ],
)
def test_a_line_that_makes_no_sense_is_one_line(programs: Programs, words: list[str], named: str) -> None:
    assert_refused(flomctl(programs, "convert", *words), 2, named)


def test_the_inner_lock_is_the_one_that_is_converted(programs: Programs, tmp_path: Path) -> None:
    at = ["-s", str(tmp_path / "s")]
    look = f"{FLOMCTL} status -s {tmp_path / 's'} --json"
    inner = [FLOM_RUN, *at, "-r", "inner", "--", "sh", "-c", f"{FLOMCTL} convert PR >/dev/null && {look}"]
    done = programs.start(*at, "-r", "outer", "--", *inner).finish()
    assert done.returncode == 0, done.stderr
    for name, mode in (("inner", "PR"), ("outer", "EX")):
        assert f'"name": "{name}", "mode": "{mode}"' in done.stdout.replace(',"', ', "').replace('":', '": ')


def test_a_flom_run_that_was_killed_answers_nothing(scene: Scene) -> None:
    holder = scene.start()
    holder.process.kill()
    holder.wait()
    text, status = convert(holder, "PR")
    assert (text.startswith("flomctl: flom-run "), status) == (True, 99)
    holder.finish()


def test_an_older_daemon_is_not_asked(programs: Programs, fake: FakeDaemon, tmp_path: Path) -> None:
    """It would close the connection, and the lock would be lost."""
    words = ["-s", str(tmp_path / "fake.sock"), "-d", "0", "-r", "db", "--", FLOMCTL, "convert", "PR"]
    running = programs.start(*words)
    conversation, _ = fake.accept()
    conversation.answer_as_ours(0)
    conversation.unlock()
    assert_refused(running.finish(), 99, "older one, which cannot convert locks")


def test_one_that_waits_is_shown_wherever_waiters_are(scene: Scene) -> None:
    """Its own lock is not in its way; and it is in a deadlock if the other holder waits for its program."""
    writer, reader = scene.start("-l", "PR"), scene.start("-l", "PR")
    order(writer, f"{FLOMCTL} convert EX")
    scene.wait_for_conversion()
    shown = [line.split("\t") for line in flomctl(scene.programs, "status", *scene.at).stdout.splitlines()]
    assert sorted(cells[3:][:1] + cells[8:9] for cells in shown if cells[0] == "db") == [
        ["converts", "EX"],
        ["holds", "PR"],
        ["holds", "PR"],
    ]
    resource, waiter, *blockers = flomctl(scene.programs, "wait-for", *scene.at).stdout.splitlines()
    assert (resource, len(blockers)) == ("db", 1)
    assert " waits to convert db (EX), " in waiter
    assert " holds db (PR), " in blockers[0]
    assert "no deadlock" in flomctl(scene.programs, "deadlocks", *scene.at).stdout
    end(reader)
    assert said(writer)[1] == 0
    end(writer)

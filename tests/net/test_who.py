"""Who clients are that have not said so."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from threading import Event
from time import monotonic

from flom.net.who import Commands, UserNames, command_of
from tests.fakes.programs import eventually


def test_a_process_is_called_what_it_runs() -> None:
    with subprocess.Popen(["sleep", "100"]) as process:
        try:
            eventually(lambda: command_of(process.pid, 0.0) == "sleep", "another program")
        finally:
            process.kill()
    assert command_of(process.pid, 0.0) is None


def test_a_name_may_have_brackets_and_blanks() -> None:
    rename = "import sys; open('/proc/self/comm', 'w').write('a) b (c'); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", rename]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert command_of(process.pid, 0.0) == "a) b (c"
        process.communicate(timeout=20)


def test_a_process_that_has_begun_later_is_another_one() -> None:
    with subprocess.Popen(["sleep", "100"]) as process:
        try:
            assert command_of(process.pid, 60.0) is None
        finally:
            process.kill()


def test_what_was_found_is_remembered_from_round_to_round() -> None:
    commands = Commands()
    with subprocess.Popen(["sleep", "100"]) as process:
        eventually(lambda: command_of(process.pid, 0.0) == "sleep", "another program")
        assert commands.find(process.pid, 7, 0.0) == "sleep"
        process.kill()
    commands.begin()
    assert commands.find(process.pid, 7, 0.0) == "sleep"
    assert commands.find(process.pid, 8, 0.0) is None
    for _ in range(2):
        commands.begin()
    assert commands.find(process.pid, 7, 0.0) is None


def test_users_have_their_names() -> None:
    users = UserNames()
    assert users.find(os.getuid()) == pwd.getpwuid(os.getuid()).pw_name
    assert users.find(4_000_000_000) is None


def test_a_directory_that_does_not_answer_delays_nothing() -> None:
    answer = Event()

    def look_up(uid: int) -> str:
        answer.wait(20)
        return f"user{uid}"

    users = UserNames(look_up)
    began = monotonic()
    assert [users.find(uid) for uid in range(1000)] == [None] * 1000
    assert monotonic() - began < 1.0
    answer.set()
    eventually(lambda: users.find(0) == "user0", "the name")

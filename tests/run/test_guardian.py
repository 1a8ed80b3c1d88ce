"""A C{flom-run} that is killed or stopped under a quorum: another process takes its place."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from flom.codes import Outcome
from flom.core.modes import PR
from flom.core.protocol.messages import Answer, Convert, ConvertAnswer, Ping, Unlock
from tests.ctl.peers import FLOMCTL
from tests.fakes.leading import HASTY, RUNS_ON, SECRET, TERMS, Answering, Holds, gone, grant, reclaimed, still_asked
from tests.fakes.peers import FakeDaemon
from tests.fakes.programs import Programs, is_alive


def test_a_flom_run_that_is_killed_leaves_one_that_asks(holds_by_quorum: Holds) -> None:
    running, answering = holds_by_quorum(*RUNS_ON)
    command = int(running.line())
    still_asked(answering)
    running.signal(signal.SIGKILL)
    running.wait()
    still_asked(answering)
    still_asked(answering)
    assert is_alive(command)
    os.kill(command, signal.SIGKILL)
    answering.join()
    assert answering.others == [Unlock("R1", rollback=True)]


def test_that_ends_the_command_if_the_lock_is_lost(holds_by_quorum: Holds) -> None:
    running, answering = holds_by_quorum(*RUNS_ON, terms=HASTY)
    command = int(running.line())
    running.signal(signal.SIGKILL)
    running.wait()
    answering.answers = False
    gone(command)
    assert b"the command gets SIGTERM" in running.process.stderr.read()  # type: ignore[union-attr]


def test_it_reclaims_too(holds_by_quorum: Holds, fake: FakeDaemon) -> None:
    running, answering = holds_by_quorum(*RUNS_ON)
    command = int(running.line())
    running.signal(signal.SIGKILL)
    running.wait()
    answering.close()
    next_answering = reclaimed(fake)
    still_asked(next_answering)
    assert is_alive(command)
    os.kill(command, signal.SIGKILL)
    next_answering.join()


def test_after_a_reclaim_it_asks_on_the_new_connection(holds_by_quorum: Holds, fake: FakeDaemon) -> None:
    running, answering = holds_by_quorum(*RUNS_ON)
    command = int(running.line())
    answering.close()
    conversation, asked = fake.accept()
    grant(conversation, asked)
    answering = Answering(conversation)
    still_asked(answering)
    running.signal(signal.SIGKILL)
    running.wait()
    still_asked(answering)
    answering.answers = False
    gone(command)


def test_after_a_conversion_it_reclaims_what_is_held_then(fake: FakeDaemon, programs: Programs, tmp_path: Path) -> None:
    """The mode, the token and the proof are those of the conversion, not of the grant."""
    script = f"{FLOMCTL} convert PR && echo $$; while :; do sleep 0.05; done"
    running = programs.start("-s", str(tmp_path / "fake.sock"), "-r", "R1", "--", "sh", "-c", script)
    conversation, _ = fake.accept()
    answer = Answer(16, Outcome.GRANTED, None, "0" * 32, extended=True, session=SECRET, terms=TERMS, converts=True)
    conversation.say(answer.replace(token=7, proof="a" * 32))
    while isinstance(asked := conversation.read(), Ping):
        conversation.say(Ping(16))
    assert isinstance(asked, Convert)
    conversation.say(ConvertAnswer(16, Outcome.GRANTED, PR, asked.number, 9, "b" * 32))
    answering = Answering(conversation)
    assert running.line() == "9"
    command = int(running.line())
    running.signal(signal.SIGKILL)
    running.wait()
    still_asked(answering)
    answering.close()
    conversation, again = fake.accept()
    assert (again.regains, again.mode, again.token, again.proof) == (True, PR, 9, "b" * 32)
    grant(conversation, again)
    answering = Answering(conversation)
    still_asked(answering)
    os.kill(command, signal.SIGKILL)
    answering.join()


def test_the_command_of_a_flom_run_that_is_stopped_is_ended(holds_by_quorum: Holds) -> None:
    running, answering = holds_by_quorum(*RUNS_ON, terms=HASTY)
    command = int(running.line())
    still_asked(answering)
    running.signal(signal.SIGSTOP)
    gone(command)
    running.signal(signal.SIGCONT)
    assert running.finish().returncode == 95


# flom-run whose connections are as if they were encrypted: no other process can go on with them
ENCRYPTED = """
import sys
from flom.client.blocking.stream import Stream
from flom.run.main import main
Stream.can_be_inherited = False
sys.argv[0] = "flom-run"
main()
"""


def test_what_is_encrypted_is_asked_for_anew(fake: FakeDaemon, programs: Programs, tmp_path: Path) -> None:
    words = ["-s", str(tmp_path / "fake.sock"), "-r", "R1", *RUNS_ON]
    running = programs.start_program(sys.executable, "-c", ENCRYPTED, *words)
    conversation, asked = fake.accept()
    grant(conversation, asked)
    Answering(conversation)
    command = int(running.line())
    running.signal(signal.SIGKILL)
    running.wait()
    answering = reclaimed(fake)
    still_asked(answering)
    assert is_alive(command)
    os.kill(command, signal.SIGKILL)
    answering.join()
    assert answering.others == [Unlock("R1", rollback=True)]

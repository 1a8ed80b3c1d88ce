"""C{flom-run} at a daemon that leads by a quorum: the lock ends unless it answers, whatever the connection is."""

from __future__ import annotations

from pathlib import Path

from flom.core.protocol.messages import Unlock
from tests.fakes.daemon import BIN
from tests.fakes.leading import HASTY, RUNS_ON, Answering, Holds, gone, grant, reclaimed, still_asked
from tests.fakes.peers import FakeDaemon
from tests.fakes.programs import Programs


def test_over_a_unix_socket_the_daemon_is_asked_too(holds_by_quorum: Holds) -> None:
    running, answering = holds_by_quorum("--", "sh", "-c", "echo; read line")
    running.line()
    still_asked(answering)
    running.say("")
    assert running.finish().returncode == 0
    assert [type(message) for message in answering.others] == [Unlock]


def test_if_it_does_not_answer_the_command_is_ended_by_default(holds_by_quorum: Holds) -> None:
    running, answering = holds_by_quorum(*RUNS_ON, terms=HASTY)
    command = int(running.line())
    answering.answers = False
    done = running.finish()
    assert done.returncode == 95
    assert "the command gets SIGTERM" in done.stderr
    gone(command)


def test_what_is_said_of_a_loss_counts_all_the_same(holds_by_quorum: Holds) -> None:
    running, answering = holds_by_quorum("--on-lost", "warn", "--", "sh", "-c", "echo; read line; exit 3", terms=HASTY)
    running.line()
    answering.answers = False
    assert "the command goes on unlocked" in running.error_line()
    running.say("")
    assert running.finish().returncode == 3


def test_flom_leaves_its_command_alone(
    holds_by_quorum: Holds, fake: FakeDaemon, programs: Programs, tmp_path: Path
) -> None:
    words = ["-s", str(tmp_path / "fake.sock"), "-r", "R1", "--", "sh", "-c", "echo; read line"]
    running = programs.start_program(str(BIN / "flom"), *words)
    conversation, asked = fake.accept()
    grant(conversation, asked, HASTY)
    answering = Answering(conversation)
    running.line()
    answering.answers = False
    assert "the command goes on unlocked" in running.error_line()
    running.say("")
    assert running.finish().returncode == 99


def test_what_has_no_room_is_an_error_before_the_command_begins(holds_by_quorum: Holds) -> None:
    running, answering = holds_by_quorum("--on-lost", "terminate", "--kill-after", "1.7", "--", "echo", "ran")
    done = running.finish()
    assert (done.returncode, done.stdout) == (99, "")
    assert done.stderr.startswith("flom-run: kill-after: 1.7 s are too long: ")
    assert done.stderr.count("\n") == 1
    answering.join()
    assert answering.others == [Unlock("R1", rollback=True)]


def test_it_reclaims_in_time_and_is_asked_there(holds_by_quorum: Holds, fake: FakeDaemon) -> None:
    running, answering = holds_by_quorum("--", "sh", "-c", "echo; read line; exit 4")
    running.line()
    answering.close()
    next_answering = reclaimed(fake)
    still_asked(next_answering)
    running.say("")
    assert running.finish().returncode == 4


def test_what_is_reclaimed_too_late_is_lost(holds_by_quorum: Holds, fake: FakeDaemon) -> None:
    running, answering = holds_by_quorum(*RUNS_ON, terms=HASTY)
    command = int(running.line())
    answering.close()
    _, asked = fake.accept()  # who does not answer
    assert asked.regains
    assert running.finish().returncode == 95
    gone(command)

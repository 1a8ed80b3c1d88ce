"""
The heartbeat of a lock over TCP: when the daemon is asked, and when a lock is lost of which nothing is heard any more.

The clock is the test's, as it is where a program passes one; tests/scenarios/lan/test_heartbeat.py has real hosts.
"""

from __future__ import annotations

import pytest

from flom.client.deferred.heartbeat import LossPolicy
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Lock, Ping, Unlock, Unlocked
from flom.errors import ConfigError
from tests.fakes.connections import xml
from tests.fakes.played import PATIENCE, PONG, SECRET, SILENT, PlayedDaemon, granted


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What a test puts something into if the kernel of the daemon's host confirms what is sent."""
    confirms: list[bool] = []
    monkeypatch.setattr("flom.client.deferred.connection.has_arrived", lambda transport: bool(confirms))
    return confirms


def test_the_daemon_is_asked_a_third_of_its_time_after_the_last_answer() -> None:
    daemon = PlayedDaemon(granted())
    daemon.pass_time(3.3)
    assert daemon.connections[0].heard() == []
    daemon.pass_time(0.1)
    assert daemon.connections[0].heard() == [Ping(8)]
    daemon.connections[0].say(PONG)
    assert daemon.pass_time_answering(30.0) == 8
    assert not daemon.lost


@pytest.mark.parametrize("data", [xml(1, 16, '<session peerid="x"/><answer rc="0"/>'), granted(0.0)])
def test_who_would_not_understand_it_is_not_asked(data: bytes) -> None:
    daemon = PlayedDaemon(data)
    daemon.pass_time(60.0)
    assert daemon.connections[0].heard() == []
    assert not daemon.lost


def test_after_the_release_nothing_is_asked_and_no_timer_is_left() -> None:
    daemon = PlayedDaemon(granted())
    daemon.held.release()
    assert daemon.connections[0].heard() == [Unlock("R")]
    daemon.connections[0].say(encode(Unlocked()))
    daemon.pass_time(60.0)
    assert not any(isinstance(message, Ping) for message in daemon.connections[0].heard())
    daemon.arbiter.close()
    assert not daemon.clock.getDelayedCalls()


def test_a_daemon_that_does_not_answer_is_tried_by_another_connection() -> None:
    daemon = PlayedDaemon(granted())
    daemon.pass_time(PATIENCE - 0.5)
    assert daemon.connections[0].aborted
    [reclaim] = daemon.connections[1].heard()
    assert isinstance(reclaim, Lock)
    assert (reclaim.regains, reclaim.session) == (True, SECRET)
    daemon.connections[1].say(granted())
    assert daemon.pass_time_answering(60.0) > 10
    assert not daemon.lost


def test_the_time_counts_from_the_last_question_that_was_answered() -> None:
    daemon = PlayedDaemon(granted())
    daemon.pass_time(3.4)
    daemon.connections[0].say(PONG)
    daemon.refused = SILENT
    daemon.pass_time(PATIENCE - 0.1)
    assert not daemon.lost
    daemon.pass_time(0.2)
    assert str(daemon.lost[0]) == (
        "R: the connection to the daemon is broken, and the lock was not reclaimed (no daemon came in time)"
    )
    assert daemon.held.is_lost


def test_so_it_is_if_a_new_connection_is_not_answered_either() -> None:
    daemon = PlayedDaemon(granted())
    daemon.pass_time(PATIENCE + 0.1)
    assert len(daemon.connections) > 1
    assert daemon.lost


def test_what_has_to_be_gone_earlier_is_lost_earlier() -> None:
    """As a command is ended that has 2.5 s for that."""
    daemon = PlayedDaemon(granted(), LossPolicy(is_strict=True, time_to_end=None))
    daemon.pass_time(5.9)
    assert not daemon.lost
    daemon.pass_time(0.2)
    assert daemon.lost


def test_what_has_no_room_is_an_error_and_the_lock_is_free() -> None:
    daemon = PlayedDaemon(granted(2.0), LossPolicy(is_strict=True, time_to_end=1.5))
    assert isinstance(daemon.errors[0], ConfigError)
    assert daemon.connections[0].heard() == [Unlock("R", rollback=True)]
    assert daemon.connections[0].aborted


def test_what_the_kernel_there_confirms_is_not_broken(kernel: list[bool]) -> None:
    kernel.append(True)
    daemon = PlayedDaemon(granted())
    daemon.pass_time(60.0)
    assert len(daemon.connections) == 1
    assert not daemon.lost


@pytest.mark.parametrize(
    ("grant", "policy"),
    [
        (granted(more=' succession="2350"'), LossPolicy(is_in_group=True, is_strict=True)),
        (granted(5.0, more=' required="1" quorum="1"'), None),
    ],
    ids=["in a group", "under a quorum"],
)
def test_where_another_daemon_takes_over_it_is_not_believed(
    grant: bytes, policy: LossPolicy | None, kernel: list[bool]
) -> None:
    kernel.append(True)
    daemon = PlayedDaemon(grant, policy)
    daemon.pass_time(1.9)
    assert not daemon.lost
    daemon.pass_time(1.3)
    assert daemon.lost


def test_a_program_that_was_stopped_asks_before_it_believes() -> None:
    daemon = PlayedDaemon(granted())
    daemon.clock.advance(1000.0)
    assert daemon.connections[0].heard() == [Ping(8)]
    daemon.connections[0].say(PONG)
    assert daemon.pass_time_answering(30.0) == 8
    assert not daemon.lost


def test_it_does_not_believe_for_long() -> None:
    daemon = PlayedDaemon(granted())
    daemon.clock.advance(1000.0)
    daemon.pass_time(1.1)
    assert daemon.lost


def test_a_grant_that_is_old_by_now_is_asked_about() -> None:
    daemon = PlayedDaemon()
    daemon.clock.advance(4.0)
    daemon.connections[0].say(granted())
    assert daemon.connections[0].heard() == [Ping(8)]
    assert not daemon.is_held
    daemon.connections[0].say(PONG)
    assert daemon.is_held
    daemon.pass_time(3.3)
    assert daemon.connections[0].heard() == []
    daemon.pass_time(0.2)
    assert daemon.connections[0].heard() == [Ping(8)]


def test_if_that_is_not_answered_the_lock_is_asked_for_anew() -> None:
    daemon = PlayedDaemon()
    daemon.clock.advance(4.0)
    daemon.connections[0].say(granted())
    daemon.pass_time(3.0)
    assert daemon.connections[0].aborted
    [again] = daemon.connections[1].heard()
    assert isinstance(again, Lock)
    assert (again.regains, again.wait, again.session) == (False, True, SECRET)
    daemon.connections[1].say(granted())
    assert daemon.is_held


def test_who_gives_up_meanwhile_gives_the_lock_back() -> None:
    daemon = PlayedDaemon()
    daemon.clock.advance(4.0)
    daemon.connections[0].say(granted())
    daemon.connections[0].heard()
    daemon.acquiring.cancel()
    assert daemon.connections[0].heard() == [Unlock("R", rollback=True)]
    assert not daemon.is_held


QUEUED = granted(3.0, more=' required="1" quorum="1"').replace(b'rc="0"', b'rc="1"')


def test_under_a_quorum_who_waits_asks_too() -> None:
    daemon = PlayedDaemon(QUEUED)
    assert daemon.pass_time_answering(20.0) == 6
    daemon.pass_time(6.1)
    assert daemon.connections[0].aborted
    daemon.pass_time(1.0)
    [again] = daemon.connections[1].heard()
    assert isinstance(again, Lock)
    assert (again.wait, again.session) == (True, SECRET)


def test_under_a_quorum_who_waits_goes_on_while_its_daemon_stands_by() -> None:
    """It closes each connection without a word, however often it is asked."""
    daemon = PlayedDaemon(QUEUED)
    for _ in range(50):
        daemon.connections[-1].end()
        daemon.pass_time(2.0)
    assert daemon.errors == []
    assert len(daemon.connections) > 40
    daemon.connections[-1].say(granted(3.0, more=' required="1" quorum="1"'))
    daemon.pass_time_answering(0.1)  # it asks about a grant that has come late
    assert daemon.is_held


def test_an_answer_to_what_was_asked_before_the_grant_does_not_count() -> None:
    daemon = PlayedDaemon(QUEUED)
    daemon.pass_time(3.1)
    assert daemon.connections[0].heard() == [Ping(8)]
    daemon.connections[0].say(xml(1, 24, '<answer rc="0"/>'))
    assert daemon.connections[0].heard() == [Ping(8)]  # about a grant that may be old
    daemon.connections[0].say(PONG)
    assert not daemon.is_held
    daemon.connections[0].say(PONG)
    assert daemon.is_held


def test_under_a_quorum_it_is_too_late_for_a_program_that_was_stopped() -> None:
    daemon = PlayedDaemon(granted(3.0, more=' required="1" quorum="1"'))
    daemon.clock.advance(2.0)
    daemon.pass_time(0.2)
    assert daemon.lost

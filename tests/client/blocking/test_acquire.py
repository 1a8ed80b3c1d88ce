"""What an Acquirer does at a daemon that a test plays; tests of flom.lock, flom-run and libflom do the rest."""

from __future__ import annotations

from time import monotonic
from typing import Any

import pytest

from flom.client.blocking.connection import Conversation
from flom.codes import Outcome
from flom.core.modes import EX
from flom.core.protocol.events import Granted, Refused
from flom.errors import DaemonLost, FlomError, LockBusy, LockTimeout
from tests.fakes.peers import FakeDaemon
from tests.fakes.taking import REQUEST, Taking


def test_the_connection_and_the_element_are_returned(taking: Taking, fake: FakeDaemon) -> None:
    taken = taking.start(taking.acquirer())
    conversation, asked = fake.accept()
    assert (asked.name, asked.mode, asked.wait, asked.lifespan) == ("R", EX, True, 2.0)
    conversation.answer(Outcome.GRANTED, element="red", token=2**62)
    connection, granted = taken.result()
    assert granted == Granted("red", 2**62)
    assert taking.hooks.asked == [connection]
    connection.close()


def test_a_refusal_closes_the_connection(taking: Taking, fake: FakeDaemon) -> None:
    taken = taking.start(taking.acquirer())
    conversation, _ = fake.accept()
    conversation.answer(Outcome.BUSY)
    with pytest.raises(LockBusy):
        taken.result()
    assert conversation.read() is None


def test_a_daemon_that_goes_without_a_word_is_asked_once_more(taking: Taking, fake: FakeDaemon) -> None:
    taken = taking.start(taking.acquirer())
    for _ in range(2):
        conversation, _ = fake.accept()
        conversation.close()
    with pytest.raises(DaemonLost):
        taken.result()
    assert len(taking.hooks.asked) == 2


def test_a_hook_can_keep_the_lock_from_being_asked_for(taking: Taking, fake: FakeDaemon) -> None:
    acquirer = taking.acquirer()
    taking.hooks.problem = FlomError("no")
    with pytest.raises(FlomError, match=r"^no$"):
        acquirer.acquire(REQUEST)
    acquirer.give_up()
    assert acquirer.conversation is not None
    assert acquirer.conversation.fileno() < 0


def test_the_timeout_ends_the_wait(taking: Taking, fake: FakeDaemon) -> None:
    began = monotonic()
    taken = taking.start(taking.acquirer(0.1))
    conversation, _ = fake.accept()
    conversation.answer(Outcome.QUEUED)
    with pytest.raises(LockTimeout):
        taken.result()
    assert 0.1 <= monotonic() - began < 5.0


def test_one_that_steps_out_leaves_the_queue_and_asks_anew(taking: Taking, fake: FakeDaemon) -> None:
    acquirer = taking.acquirer()
    acquirer.step_out()  # of no queue yet
    taken = taking.start(acquirer)
    for _ in range(3):
        conversation, _ = fake.accept()
        conversation.answer(Outcome.QUEUED)
        acquirer.step_out()
        assert conversation.read() is None
    conversation, _ = fake.accept()
    conversation.answer(Outcome.GRANTED)
    connection, _ = taken.result()
    acquirer.step_out()  # too late: the lock is there
    assert not connection.is_lost
    connection.close()


def test_what_is_granted_while_one_steps_out_is_given_back(
    taking: Taking, fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquirer = taking.acquirer()
    lock = Conversation.lock

    def lock_and_step_out(self: Conversation, *arguments: Any) -> Granted | Refused:
        monkeypatch.setattr(Conversation, "lock", lock)
        decision = lock(self, *arguments)
        acquirer.step_out()
        return decision

    monkeypatch.setattr(Conversation, "lock", lock_and_step_out)
    taken = taking.start(acquirer)
    for color in "red", "green":
        conversation, _ = fake.accept()
        conversation.answer(Outcome.GRANTED, element=color)
    connection, granted = taken.result()
    assert granted.element == "green"
    connection.close()

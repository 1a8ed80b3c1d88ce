"""What an Acquirer says to reclaim a lock, at a daemon that a test plays; scenarios have the rest."""

from __future__ import annotations

import pytest

from flom.codes import Outcome
from flom.errors import RemoteProtocolError
from tests.fakes.peers import FakeDaemon
from tests.fakes.taking import REQUEST, Taking


def test_to_reclaim_is_not_to_wait_and_has_no_timeout(taking: Taking, fake: FakeDaemon) -> None:
    acquirer = taking.acquirer(0.1)
    taken = taking.start(acquirer)
    conversation, _ = fake.accept()
    conversation.answer(Outcome.GRANTED, token=7)
    taken.result()[0].close()
    reclaimed = taking._pool.submit(acquirer.reclaim, REQUEST)
    conversation, asked = fake.accept()
    assert (asked.wait, asked.create, asked.regains, asked.lifespan, asked.token) == (False, True, True, 2.0, 7)
    assert 0 < asked.holder < 2**32
    conversation.answer(Outcome.GRANTED)
    reclaimed.result().close()


def test_to_reclaim_is_to_get_the_same_element(taking: Taking, fake: FakeDaemon) -> None:
    acquirer = taking.acquirer()
    taken = taking.start(acquirer)
    fake.accept()[0].answer(Outcome.GRANTED, element="red")
    taken.result()[0].close()
    for element in "red", "red", "green":
        reclaimed = taking._pool.submit(acquirer.reclaim, REQUEST)
        conversation, asked = fake.accept()
        assert asked.element == "red"
        conversation.answer(Outcome.GRANTED, element=element)
        if element == "red":
            reclaimed.result().close()
    with pytest.raises(RemoteProtocolError, match="would grant 'green' in the place of 'red'"):
        reclaimed.result()
    assert conversation.read() is None

"""What an Acquirer says to reclaim a lock, at a daemon that a test plays; scenarios have the rest."""

from __future__ import annotations

from time import monotonic
from unittest.mock import Mock

import pytest

from flom.client.blocking.dial import NoDaemon, Seek
from flom.client.blocking.reclaim import going_on
from flom.client.retry import CLOSE_TIMEOUT
from flom.codes import Outcome, ReturnCode
from flom.core.protocol.events import Granted
from flom.core.protocol.messages import Answer, Terms
from flom.errors import FlomError, LockTimeout, RemoteProtocolError
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


@pytest.mark.parametrize(("is_refused", "seconds", "kind"), [(True, 60.0, NoDaemon), (False, 0.5, LockTimeout)])
def test_where_the_host_says_that_there_is_no_daemon_an_unlock_soon_ends(
    is_refused: bool,
    seconds: float,
    kind: type[FlomError],
    taking: Taking,
    fake: FakeDaemon,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = taking.start(taking.acquirer())
    fake.accept()[0].say(Answer(16, Outcome.GRANTED, extended=True, session="0" * 32, terms=Terms(timeout=60.0)))
    connection, _ = taken.result()
    gone = NoDaemon(ReturnCode.CONNECT_ERROR, "none")
    gone.is_refused = is_refused
    monkeypatch.setattr("flom.client.blocking.acquire.connect", Mock(side_effect=gone))
    monkeypatch.setattr("flom.client.blocking.acquire.CLOSE_TIMEOUT", 0.1)
    assert connection.go_on is not None
    with pytest.raises(kind):
        connection.go_on(monotonic() + seconds)
    connection.close()


def test_in_a_group_the_next_leader_is_told_of_a_holder_that_only_releases(
    taking: Taking, fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it waits for that one, too, before it serves others."""
    acquirer = taking.acquirer()
    taken = taking.start(acquirer)
    fake.accept()[0].say(Answer(16, Outcome.GRANTED, extended=True, session="0" * 32, terms=Terms(timeout=60.0)))
    connection, _ = taken.result()
    acquirer.is_in_group = True
    looking = Mock(side_effect=NoDaemon(ReturnCode.CONNECT_ERROR, "none"))
    monkeypatch.setattr("flom.client.blocking.acquire.connect", looking)
    assert connection.go_on is not None
    with pytest.raises(LockTimeout):
        connection.go_on(monotonic() + 0.2)
    assert looking.call_args.kwargs["seek"] == Seek.TO_RECLAIM
    assert looking.call_args.kwargs["holder"] == acquirer.holder > 0
    connection.close()


def test_what_was_granted_again_is_proven_by_its_own_proof(taking: Taking, fake: FakeDaemon) -> None:
    """A proof is of one session: the next daemon would not believe one together with the session of another."""
    acquirer = taking.acquirer()
    taken = taking.start(acquirer)
    answer = Answer(16, Outcome.GRANTED, extended=True, token=7, terms=Terms(timeout=60.0))
    fake.accept()[0].say(answer.replace(session="1" * 32, proof="a" * 32))
    conversation, _ = taken.result()
    conversation.break_off()
    conversation.connection.session = "2" * 32
    conversation.granted = Granted(None, 7, "b" * 32)  # of a reclaim
    message = going_on(acquirer, REQUEST.replace(regains=True, session="1" * 32, proof="a" * 32))
    assert (message.session, message.proof) == ("2" * 32, "b" * 32)
    conversation.close()


@pytest.mark.parametrize("may_start", [True, False])
def test_where_a_daemon_is_started_a_release_has_the_time_that_this_takes(
    may_start: bool, taking: Taking, fake: FakeDaemon
) -> None:
    """On a machine that is busy, one may need more than the seconds for which another program's is waited for."""
    acquirer = taking.acquirer(may_start=may_start)
    taken = taking.start(acquirer)
    fake.accept()[0].answer(Outcome.GRANTED)
    conversation, _ = taken.result()
    conversation.holding = Mock()  # the next daemon here waits for us
    reclaimed = taking._pool.submit(acquirer.reclaim, REQUEST)
    fake.accept()[0].answer(Outcome.GRANTED)
    reclaimed.result().close()
    assert acquirer.hurry() == (10.0 if may_start else CLOSE_TIMEOUT)
    conversation.holding = None
    conversation.close()

"""What an Acquirer does where there is no daemon, and none is to be started."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from flom.client.blocking.acquire import Acquirer
from flom.client.blocking.dial import NoDaemon
from flom.codes import Outcome, ReturnCode
from flom.config import Config
from flom.core.protocol.decode import NO_TERMS
from flom.core.protocol.events import Granted
from flom.errors import DaemonUnreachable
from tests.fakes.peers import FakeDaemon
from tests.fakes.taking import REQUEST, Taking


def test_without_a_daemon_it_says_so_if_none_may_be_started(taking: Taking) -> None:
    with pytest.raises(NoDaemon):
        taking.acquirer().acquire(REQUEST)


def test_a_lifespan_of_0_forbids_to_start_one(taking: Taking) -> None:
    with pytest.raises(DaemonUnreachable, match="no daemon is listening, and daemon-lifespan 0 forbids") as caught:
        taking.acquirer(may_start=True, lifespan_ms=0).acquire(REQUEST)
    assert caught.value.code == ReturnCode.CONNECT_ERROR


def waits(acquirer: Acquirer, error: NoDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that C{acquirer} waits where C{error} says that there is no daemon, and starts none."""
    granting = Mock(lock=Mock(return_value=Granted(None)), connection=Mock(terms=NO_TERMS))
    monkeypatch.setattr("flom.client.blocking.acquire.connect", Mock(side_effect=[error, error, granting]))
    monkeypatch.setattr("flom.client.blocking.launch.start_daemon", Mock(side_effect=AssertionError))
    monkeypatch.setattr("flom.client.blocking.launch.stand_for_election", Mock(side_effect=AssertionError))
    acquirer.acquire(REQUEST)


def by_quorum() -> NoDaemon:
    error = NoDaemon(ReturnCode.CONNECT_ERROR, "no daemon leads G by its quorum")
    error.is_by_quorum = True
    return error


def test_where_a_quorum_decides_none_is_started(taking: Taking, monkeypatch: pytest.MonkeyPatch) -> None:
    acquirer = Acquirer(Config(multicast_address="ff02::1"), taking.hooks, None, may_start=True)
    waits(acquirer, by_quorum(), monkeypatch)
    assert taking.hooks.warned == ["no daemon leads G by its quorum: waiting for one that does"]


def test_nor_is_it_waited_for_by_who_is_not_to_wait(taking: Taking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flom.client.blocking.acquire.connect", Mock(side_effect=by_quorum()))
    with pytest.raises(NoDaemon):
        taking.acquirer(may_start=True).acquire(REQUEST.replace(wait=False))


@pytest.mark.parametrize("may_wait", [True, False])
def test_the_only_daemon_may_stand_by(
    taking: Taking, fake: FakeDaemon, monkeypatch: pytest.MonkeyPatch, may_wait: bool
) -> None:
    monkeypatch.setattr("flom.client.blocking.leaders.why_none_leads", lambda config, name: "no etcd")
    taken = taking.start(taking.acquirer(), REQUEST.replace(wait=may_wait))
    for _ in range(4 if may_wait else 2):
        fake.accept()[0].close()
    if may_wait:
        fake.accept()[0].answer(Outcome.GRANTED)
        taken.result()[0].close()
        assert [line.partition(": waiting")[0] for line in taking.hooks.warned] == [
            f"{taking.path} does not lead by its quorum (no etcd)"
        ]
    else:
        with pytest.raises(DaemonUnreachable, match=r"does not lead by its quorum \(no etcd\)$"):
            taken.result()

"""What an Acquirer does where there is no daemon, and none is to be started."""

from __future__ import annotations

import pytest

from flom.client.blocking.dial import NoDaemon
from flom.codes import ReturnCode
from flom.errors import DaemonUnreachable
from tests.fakes.taking import REQUEST, Taking


def test_without_a_daemon_it_says_so_if_none_may_be_started(taking: Taking) -> None:
    with pytest.raises(NoDaemon):
        taking.acquirer().acquire(REQUEST)


def test_a_lifespan_of_0_forbids_to_start_one(taking: Taking) -> None:
    with pytest.raises(DaemonUnreachable, match="no daemon is listening, and daemon-lifespan 0 forbids") as caught:
        taking.acquirer(may_start=True, lifespan_ms=0).acquire(REQUEST)
    assert caught.value.code == ReturnCode.CONNECT_ERROR

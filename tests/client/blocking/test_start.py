"""How often an Acquirer starts a daemon; test_launch_start.py has how it does."""

from __future__ import annotations

from itertools import cycle
from unittest.mock import Mock

import pytest

from flom.client.blocking import launch
from flom.client.blocking.dial import NoDaemon
from flom.codes import ReturnCode
from flom.core.protocol.events import Granted
from flom.core.protocol.messages import Terms
from tests.fakes.taking import REQUEST, Taking


def test_starts_count_only_until_there_is_a_connection(taking: Taking, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a group, a long job may see many daemons come and go."""
    granting = Mock(**{"lock.return_value": Granted(None), "connection.terms": Terms()})
    attempts = cycle([NoDaemon(ReturnCode.CONNECT_ERROR, "none"), granting])
    monkeypatch.setattr("flom.client.blocking.acquire.connect", Mock(side_effect=attempts))
    start_daemon = Mock()
    monkeypatch.setattr(launch, "start_daemon", start_daemon)
    acquirer = taking.acquirer(may_start=True)
    for _ in range(launch.MOST_STARTS + 1):
        acquirer.acquire(REQUEST)
    assert start_daemon.call_count == launch.MOST_STARTS + 1

"""What is believed of a lock by the times of its daemon; scenarios/lan has what comes of it."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from flom.client.blocking.lease import HeldLease
from flom.config import Config
from flom.core.lease import NEVER
from flom.core.protocol.messages import Terms
from flom.errors import ConfigError


def held_on(terms: Terms) -> Mock:
    """Return a connection to a daemon that has told C{terms}."""
    return Mock(connection=Mock(terms=terms))


def test_the_daemon_says_how_long_it_keeps_a_lock() -> None:
    conversation = held_on(Terms(timeout=10.0))
    held = HeldLease(Config(), conversation, 2.5, is_ended=True)
    held.renew(conversation, 100.0)
    assert (held.lease.lost_at, held.lease.kill_after) == (106.0, 2.5)
    assert held.lease.next_ping == pytest.approx(103.333, abs=0.001)


def test_a_daemon_that_does_not_say_is_not_asked() -> None:
    conversation = held_on(Terms())
    held = HeldLease(Config(session_timeout_ms=10_000), conversation, 0.0, is_ended=False)
    held.renew(conversation, 100.0)
    assert held.lease.next_ping == NEVER


def test_what_ends_with_its_lock_ends_before_a_leader_has_a_successor() -> None:
    conversation = held_on(Terms(timeout=10.0, succession=4.0))
    held = HeldLease(Config(), conversation, 1.0, is_ended=True)
    held.renew(conversation, 100.0)
    assert held.lease.lost_at == pytest.approx(102.4)
    assert HeldLease(Config(), conversation, 1.0, is_ended=False).lease.patience > 7


def test_what_has_no_room_in_it_is_an_error_that_says_in_what() -> None:
    with pytest.raises(
        ConfigError, match=r"^kill-after: 3 s are too long: .*after 4 s \(if the leader of the group goes\)"
    ):
        HeldLease(Config(), held_on(Terms(timeout=10.0, succession=4.0)), 3.0, is_ended=True)

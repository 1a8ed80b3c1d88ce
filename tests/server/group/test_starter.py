"""A daemon tells the program that has started it how its election has ended."""

from __future__ import annotations

import pytest
from twisted.internet.testing import StringTransport

from flom.server.group.starter import StarterConnection


class Starter:
    """
    Both ends of the connection.

    @ivar losses: how often the daemon was told that its starter has gone.
    """

    def __init__(self) -> None:
        self.losses = 0
        self.connection = StarterConnection(self._note_loss)
        self.transport = StringTransport()
        self.connection.makeConnection(self.transport)

    def _note_loss(self) -> None:
        self.losses += 1


@pytest.fixture
def starter() -> Starter:
    return Starter()


def test_one_line_is_told_and_the_connection_is_closed(starter: Starter) -> None:
    starter.connection.tell("elected")
    starter.connection.tell("beaten")
    assert starter.transport.value() == b"elected\n"
    assert starter.transport.disconnecting


def test_a_starter_that_goes_before_that_is_missed(starter: Starter) -> None:
    starter.connection.connectionLost()
    assert starter.losses == 1


def test_one_that_has_been_told_may_go(starter: Starter) -> None:
    starter.connection.tell("elected")
    starter.connection.connectionLost()
    assert starter.losses == 0


def test_what_is_told_to_one_that_has_gone_does_no_harm(starter: Starter) -> None:
    starter.connection.connectionLost()
    starter.connection.tell("beaten")
    assert starter.transport.value() == b""

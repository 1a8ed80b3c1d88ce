"""
What a daemon tells the program that has started it to lead a group: whether it does.

The two talk by a pair of sockets. The daemon says one line, C{elected}, C{beaten} or C{deaf WHY}, and closes the
connection. If the program closes it before that, or ends, the daemon is not wanted any more, and ends too.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from flom.interfaces import IReactor
from flom.reactor.transports import adopt


class StarterConnection(Protocol):
    """The daemon's end of it."""

    transport: Any

    def __init__(self, on_gone: Callable[[], None]) -> None:
        """
        @param on_gone: called when the program has gone, if it has not been told how the election ended.
        """
        self._on_gone = on_gone
        self._is_told = False

    def tell(self, line: str) -> None:
        """Say how the election has ended, for this daemon; only the first line is sent."""
        if not self._is_told:
            self._is_told = True
            self.transport.write(line.encode() + b"\n")
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._is_told:
            self._is_told = True
            self._on_gone()


def connect_to_starter(reactor: IReactor, inherited: socket.socket, on_gone: Callable[[], None]) -> StarterConnection:
    """
    Return the connection that the program has left us.

    @param inherited: the socket, which is closed here: the connection has a copy.
    """
    connection = StarterConnection(on_gone)
    adopt(reactor, inherited, connection)
    inherited.close()
    return connection

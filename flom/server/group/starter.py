"""
Reports to the program that has started a daemon for a group whether the daemon leads.

A pair of sockets connects them. The daemon sends one line, C{elected}, C{beaten} or C{deaf WHY}, and closes the
connection. If the program closes it before that, or ends, the daemon is not wanted any more, and ends too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure


class StarterConnection(Protocol):
    """The daemon's end of the pair."""

    transport: Any

    def __init__(self, on_gone: Callable[[], None]) -> None:
        self._on_gone = on_gone  # called when the program has gone, if it was not told how the election ended
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

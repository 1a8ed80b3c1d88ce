"""
How the process that was elected hands its office to the daemon that it has started.

A daemon takes about as long to start as an election does; so C{flom-run} stands for election itself in the meantime.
The two talk by a pair of sockets, in lines: the daemon says C{ready}, its candidate C{lead NODE SINCE WHEN ORPHANS}
once it has won. If the candidate is beaten, or dies, the daemon sees its end of the pair close, and goes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from flom.core.protocol.messages import Role, Standing

FRESH: Final = 0.3
"""Seconds for which a victory holds; the daemon that hears of it later has to win for itself."""


class Candidate(Protocol):
    """The end of the process that stands for election."""

    def __init__(self, on_ready: Callable[[], None], on_gone: Callable[[], None]) -> None:
        """
        @param on_ready: called when the daemon could lead.
        @param on_gone: called when it has ended, or we have closed the connection.
        """
        self._on_ready = on_ready
        self._on_gone = on_gone

    def dataReceived(self, data: bytes) -> None:
        self._on_ready()  # it has nothing else to say

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._on_gone()

    def hand_over(self, standing: Standing, now: float, *, has_orphans: bool) -> None:
        """
        Make the daemon lead as C{standing}.

        @param now: seconds on the monotonic clock, which all processes of a host share.
        @param has_orphans: see L{flom.server.group.member.GroupMember.has_orphans}.
        """
        assert self.transport is not None
        self.transport.write(f"lead {standing.node} {standing.since} {now} {has_orphans:d}\n".encode("ascii"))


class Successor(LineOnlyReceiver):
    """The daemon's end."""

    delimiter = b"\n"
    transport: Any

    def __init__(
        self,
        now: Callable[[], float],
        on_elected: Callable[[Standing | None, bool], None],
        on_beaten: Callable[[], None],
    ) -> None:
        """
        @param now: seconds on the monotonic clock.
        @param on_elected: called with the office to take over, or C{None} if the victory was too long ago; and whether
            there are orphans.
        @param on_beaten: called if there is nothing to take over.
        """
        self._now = now
        self._on_elected = on_elected
        self._on_beaten = on_beaten
        self._is_elected = False

    def connectionMade(self) -> None:
        self.transport.write(b"ready\n")

    def lineReceived(self, line: bytes) -> None:
        _, node, since, when, has_orphans = line.decode("ascii").split()
        self._is_elected = True
        is_fresh = self._now() - float(when) < FRESH
        self._on_elected(Standing(node, Role.LEADER, int(since)) if is_fresh else None, has_orphans == "1")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._is_elected:
            self._on_beaten()

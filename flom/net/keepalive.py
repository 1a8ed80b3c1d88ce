"""
What every TCP connection of ours is set to, at both ends: no delay, and a dead peer noticed
(docs/compatibility.md, "Keepalive", "IPv6 connections have no keepalive").
"""

from __future__ import annotations

from flom.core.value import Value
from flom.lean import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


class Keepalive(Value):
    """
    When a silent peer is asked whether it is alive.

    @ivar time: seconds of silence before the first probe, 1 to 32767.
    @ivar interval: seconds between probes, 1 to 32767.
    @ivar probes: unanswered probes that end the connection, 1 to 127.
    """

    time: int = 60
    interval: int = 10
    probes: int = 6

    @property
    def patience(self) -> int:
        """Seconds after which a peer that is silent is taken for dead."""
        return self.time + self.interval * self.probes

    @property
    def of_daemon(self) -> Keepalive:
        """The same for the daemon's end: one probe more, so that a holder knows first that its lock is at stake."""
        return self.replace(probes=min(self.probes + 1, 127))

    def within(self, seconds: float) -> Keepalive:
        """
        Return the same, or what takes a peer for dead after C{seconds} that confirms nothing: the first probe comes
        after half of them, and others follow.
        """
        time, interval = min(self.time, max(1, int(seconds / 2))), min(self.interval, max(1, int(seconds / 10)))
        return Keepalive(time, interval, min(self.probes, max(1, int((seconds - time) / interval))))

    @classmethod
    def of(cls, connection: socket.socket) -> Keepalive:
        """Return what C{connection} is set to, which is over TCP."""
        options = socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT
        return cls(*(connection.getsockopt(socket.IPPROTO_TCP, option) for option in options))

    def tune(self, connection: socket.socket) -> None:
        """Set up C{connection}, over TCP."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, self.probes)
        self.retune(connection)

    def retune(self, connection: socket.socket) -> None:
        """Change the times of C{connection}, for which there is keepalive; the kernel ends it after L{patience}."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, self.time)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, self.interval)
        # a peer that has yet to confirm data is not probed: the kernel sends it again and again, for 15 minutes
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, min(self.patience * 1000, 2**31 - 1))


def is_confirmed(descriptor: int) -> bool:
    """
    Return whether the kernel at the other end has confirmed all that was sent by the connection C{descriptor}; the
    program there need not have read it. False if the connection is closed.
    """
    from fcntl import ioctl
    from termios import TIOCOUTQ

    try:
        return not any(ioctl(descriptor, TIOCOUTQ, bytes(4)))  # how many bytes it has not
    except (OSError, ValueError):
        return False


DEFAULT_KEEPALIVE: Final = Keepalive()  # FLoM's own values (docs/compatibility.md, "Options")

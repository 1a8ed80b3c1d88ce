"""What every TCP connection of ours is set to, at both ends: no delay, and a dead peer noticed (spec 7.4, D-36)."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.interfaces import ITCPTransport, IUNIXTransport

from flom.transports import underlying


@dataclass(frozen=True, slots=True)
class Keepalive:
    """
    When a silent peer is asked whether it is alive.

    @ivar time: seconds of silence before the first probe, 1 to 32767.
    @ivar interval: seconds between probes, 1 to 32767.
    @ivar probes: unanswered probes that end the connection, 1 to 127.
    """

    time: int = 60
    interval: int = 10
    probes: int = 6


DEFAULT_KEEPALIVE: Final = Keepalive()
"""FLoM's own values (spec 1.2)."""


def tune(transport: Any, keepalive: Keepalive) -> None:
    """Set C{transport} up; one that is not TCP is left as it is."""
    transport = underlying(transport)
    is_tcp = ITCPTransport.providedBy(transport) and not IUNIXTransport.providedBy(transport)  # the latter are both
    if not is_tcp:
        return
    transport.setTcpNoDelay(True)
    transport.setTcpKeepAlive(True)
    handle: socket.socket = transport.getHandle()
    handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, keepalive.time)
    handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, keepalive.interval)
    handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, keepalive.probes)

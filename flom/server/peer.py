"""Who is at the other end of a connection, and what that lets it do."""

from __future__ import annotations

import os
import socket
import struct
from typing import Any, NamedTuple

from twisted.internet.address import IPv4Address, IPv6Address

from flom.errors import spell
from flom.multicast import is_loopback
from flom.transports import underlying


class Credentials(NamedTuple):
    """What the kernel tells of a process at the other end of a UNIX socket."""

    pid: int
    uid: int
    gid: int


def credentials(transport: Any) -> Credentials | None:
    """Give the credentials of the process that connected C{transport}, if that is a UNIX socket."""
    handle = underlying(transport).getHandle()
    if handle.family != socket.AF_UNIX:
        return None
    size = struct.calcsize("3i")
    return Credentials(*struct.unpack("3i", handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)))


def describe(transport: Any) -> str:
    """Name the other end for a log."""
    address = transport.getPeer()
    if isinstance(address, IPv4Address | IPv6Address):
        return spell(address.host, address.port)
    try:
        process = credentials(transport)
    except (AttributeError, OSError):
        process = None
    return f"pid {process.pid} of uid {process.uid}" if process else "a process of this host"


def may_end_daemon(transport: Any, *, is_verified: bool) -> bool:
    """
    Tell whether the other end may shut the daemon down.

    FLoM lets everybody (D-29). We let the daemon's own user and root over a UNIX socket, and over TCP whoever is on
    this host or has a certificate.

    @param is_verified: whether TLS has shown that it has one that we trust.
    """
    peer, own = transport.getPeer(), transport.getHost()
    if isinstance(peer, (IPv4Address, IPv6Address)):
        return is_verified or peer.host == own.host or is_loopback(peer.host)
    process = credentials(transport)
    return process is not None and process.uid in (0, os.geteuid())

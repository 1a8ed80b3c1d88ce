"""The other end of a connection: its address, its process, and whether it is trusted."""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from twisted.internet.address import IPv4Address, IPv6Address

from flom.reactor.transports import underlying
from flom.text import host_port, one_line

if TYPE_CHECKING:
    from flom.status.model import HoldStatus

_UCRED: Final = struct.Struct("3i")


class Credentials(NamedTuple):
    """
    The process at the other end of a UNIX socket, as the kernel knows it.

    @ivar pid: its number; 0 if it has none here, because it is in a PID namespace beside or above ours.
    """

    pid: int
    uid: int
    gid: int

    @property
    def name(self) -> str:
        """The name of the process in a log."""
        return _name_of(self.pid, self.uid)


def _name_of(pid: int | None, uid: int | None) -> str:
    return f"pid {pid} of uid {uid}" if pid else f"a process of uid {uid}"


def address_text(address: Any) -> str:
    """Return the C{address} of a port as text."""
    if isinstance(address, (IPv4Address, IPv6Address)):
        return host_port(address.host, address.port)
    if not address.name:
        return str(address)
    name = os.fsdecode(address.name)
    return f"@{name[1:]}" if name[0] == "\0" else name  # an abstract socket, as other programs show it


class Peer(NamedTuple):
    """
    The other end, as logs and the status show it.

    @ivar address: see L{flom.status.model.LockStatus.address}.
    @ivar peer_id: the unique id that it has sent; C{None} before.
    @ivar pid: its process, if it has a number here (L{Credentials.pid}).
    @ivar user: the name that it has given to its user; C{None} if it has given none.
    @ivar command: the program that its lock is for, by its own account; likewise.
    @ivar is_in_grace: true if its connection is broken, and it may come back.
    @ivar hold: the hold without a process that this is, or that this client has adopted; C{None} for none.
    """

    address: str
    peer_id: str | None = None
    pid: int | None = None
    uid: int | None = None
    user: str | None = None
    command: str | None = None
    is_in_grace: bool = False
    hold: HoldStatus | None = None

    @property
    def name(self) -> str:
        """The name of the other end in a log."""
        if self.hold is not None and self.uid is None and not self.address:
            return self.hold.id
        return self.address if self.uid is None else _name_of(self.pid, self.uid)

    @property
    def details(self) -> str:
        """What follows the L{name} of a client that has told more: C{" (root, backup)"}; else the empty string."""
        told = ", ".join(filter(None, (self.user, self.command)))
        return f" ({one_line(told)})" if told else ""


def peer_of(transport: Any, peer_id: str | None) -> Peer:
    """Return the other end of C{transport}, which has sent the unique id C{peer_id}."""
    address = transport.getPeer()
    if isinstance(address, (IPv4Address, IPv6Address)):
        return Peer(f"{address.host}/{address.port}", peer_id)
    process = _credentials_or_none(transport)
    return Peer("localhost/", peer_id, (process and process.pid) or None, process and process.uid)


def credentials(transport: Any) -> Credentials:
    """Return the credentials of the process that connected C{transport}, which is a UNIX socket."""
    handle = underlying(transport).getHandle()
    return Credentials._make(_UCRED.unpack(handle.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)))


def origin_of(transport: Any) -> str:
    """Return what limits for each peer count by: the IP address, or the user of this host."""
    address = transport.getPeer()
    if isinstance(address, (IPv4Address, IPv6Address)):
        return address.host
    process = _credentials_or_none(transport)
    return f"uid {process.uid}" if process else "this host"


def describe(transport: Any) -> str:
    """Return the name of the other end for a log."""
    address = transport.getPeer()
    if isinstance(address, (IPv4Address, IPv6Address)):
        return host_port(address.host, address.port)
    process = _credentials_or_none(transport)
    return process.name if process else "a process of this host"


def _credentials_or_none(transport: Any) -> Credentials | None:
    try:
        return credentials(transport)
    except (AttributeError, OSError):
        return None


def is_of_this_host(transport: Any) -> bool:
    """Return whether the other end is a process of this host, as far as that can be known."""
    peer = transport.getPeer()
    if isinstance(peer, (IPv4Address, IPv6Address)):
        # in this order: the first is most often so and costs least
        return peer.host.startswith("127.") or peer.host == transport.getHost().host or _is_loopback(peer.host)
    return True


def _is_loopback(host: str) -> bool:
    from flom.core.group.addresses import is_loopback  # few need it

    return is_loopback(host)


def is_trusted(transport: Any, *, is_verified: bool, trusts_host: bool) -> bool:
    """
    Return whether the other end may shut the daemon down, or see what it holds.

    FLoM lets every client do so (docs/compatibility.md, "Any client may end the daemon"). This daemon lets its own user
    and root over a UNIX socket, and over TCP clients with a certificate, and those of this host if C{trusts_host}: TCP
    does not tell whose they are.

    @param is_verified: whether TLS has verified its certificate.
    @param trusts_host: whether every user of this host is trusted.
    """
    if isinstance(transport.getPeer(), (IPv4Address, IPv6Address)):
        return is_verified or (trusts_host and is_of_this_host(transport))
    return credentials(transport).uid in (0, os.geteuid())

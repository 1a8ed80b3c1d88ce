"""
Where a group meets, and which host a daemon of it means by an address
(docs/compatibility.md, "Discovery by the client").
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from flom.core.value import Value
from flom.text import host_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.core.group.key import GroupKey

Sender = tuple[str, int]
"""Where a datagram came from: an address, with its zone if it is link-local, and a port."""


HIGHEST_HOP_LIMIT: Final = 255
"""What arrives with this hop limit, or TTL, has passed no router: each would have made it lower."""


class Group(Value):
    """
    A multicast group, in which daemons and clients find each other.

    @ivar address: a multicast address, IPv4 or IPv6, without a zone.
    @ivar port: the UDP port that the daemons listen on.
    @ivar interface: the only network interface to use; the empty string for every one that can.
    @ivar ttl: how many routers minus one a datagram may pass, 1 to 255.
    @ivar key: with which its daemons and clients seal what they say; C{None} if they do not.
    """

    address: str
    port: int
    interface: str = ""
    ttl: int = 1
    key: GroupKey | None = None

    def __str__(self) -> str:
        return host_port(self.address, self.port) + (f" by {self.interface}" if self.interface else "")

    @property
    def is_ipv6(self) -> bool:
        """True for IPv6, False for IPv4."""
        return ":" in self.address

    @property
    def is_own_host(self) -> bool:
        """True if the group consists of this host alone."""
        return self.interface == "lo"

    @property
    def own_host(self) -> Sender | None:
        """
        Where a daemon of this host is asked too, as it hears us there even if multicast does not work; C{None} if only
        one other interface may be used.
        """
        return None if self.interface and not self.is_own_host else ("::1" if self.is_ipv6 else "127.0.0.1", self.port)


def is_for_link(group: Group) -> bool:
    """Return whether no router passes on what is sent to C{group}: it is 224.0.0.x, or of IPv6's scope 1 or 2."""
    packed = ip_address(group.address).packed
    return packed[1] & 15 <= 2 if group.is_ipv6 else packed[:3] == bytes((224, 0, 0))


def may_be_from_link(sender: str, destination: str, hop_limit: int) -> bool:
    """
    Return whether a datagram for a group L{is_for_link} may have come without passing a router.

    One that was sent to the group has, and one whose hop limit is the highest. A link-local or loopback address passes
    no router either; of other addresses of IPv4, the caller has to know whether they are on the link.

    @param destination: the address that it was sent to.
    @param hop_limit: with which it has arrived; its TTL in IPv4.
    """
    source = ip_address(sender.partition("%")[0])
    is_own = is_loopback(sender) or (isinstance(source, IPv6Address) and source.is_link_local)
    return ip_address(destination).is_multicast or hop_limit == HIGHEST_HOP_LIMIT or is_own


def destination(address: str, sender: Sender, group: Group) -> str:
    """
    Return the host to connect to, for a daemon that has answered.

    @param address: what the daemon says. A link-local address carries no zone there: the zone is that of C{sender}, or
        the interface of C{group}. The empty string means the host of C{sender}.
    """
    if not address:
        return sender[0]
    zone = sender[0].partition("%")[2] or group.interface
    return f"{address}%{zone}" if zone and is_link_local(address) else address


def is_link_local(host: str) -> bool:
    """Return whether C{host} is a link-local IPv6 address without a zone."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return isinstance(address, IPv6Address) and address.is_link_local and address.scope_id is None


def is_loopback(host: str) -> bool:
    """Return whether the address C{host}, with or without a zone, is one of the loopback interface."""
    address = ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)

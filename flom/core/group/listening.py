"""
Where a daemon listens, and by which of its addresses another host reaches it: one of the interface that joins the two.

A host may have addresses that mean another host elsewhere, such as that of Docker's bridge, 172.17.0.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from flom.core.value import Value

Address = IPv4Address | IPv6Address

_HERE: Final = 0  # an address of the interface, of the family in which the two have spoken
_ANYWHERE: Final = 1  # every address of this host, and so that one
_OTHER_FAMILY: Final = 2  # an address of the interface
_ELSEWHERE: Final = 3  # an address of another interface
_NOWHERE: Final = 4  # an address that means nothing to other hosts, or not by this interface


class Listening(Value):
    """
    Where a daemon listens for clients.

    @ivar port: of TCP.
    @ivar hosts: what clients are told, and the address that it listens on by that: the same, or that of a host whose
        name is told. The empty string stands for where the answer comes from.
    """

    port: int
    hosts: tuple[tuple[str, str], ...]

    def host_for(self, other: str, local: Sequence[Address]) -> str:
        """
        Return what to tell another host.

        @param other: its address, which may have a zone, or that of a group.
        @param local: the addresses of the interface by which it is told.
        """
        to, source = _read(other), source_for(other, local)
        has_zone = source is not None and _is_of_link(source)  # for the other host, which takes that of the source
        hosts = [each for host in self.hosts for each in _spell_out(host, to, local)]
        return min(hosts, key=lambda host: _distance(_read(host[1]), to, local, has_zone=has_zone))[0]


def source_for(other: str, local: Sequence[Address]) -> Address | None:
    """Return the one of the addresses C{local} to send from to another host; C{None} if there is none of its family."""
    to = _read(other)
    usable = [address for address in local if address.version == to.version]
    of_its_kind = [address for address in usable if _is_of_link(address) == _is_of_link(to)]
    return max(of_its_kind or usable, key=lambda address: -(int(address) ^ int(to)).bit_length(), default=None)


def _read(text: str) -> Address:
    address = ip_address(text.partition("%")[0])
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _spell_out(host: tuple[str, str], to: Address, local: Sequence[Address]) -> list[tuple[str, str]]:
    """Return C{host}, or for 0.0.0.0 over IPv6, where the answer does not come from there, what that means here."""
    if to.version == 4 or host[1] != "0.0.0.0":
        return [host]
    return [(str(address), str(address)) for address in local if address.version == 4] or [host]


def _distance(address: Address, to: Address, local: Sequence[Address], *, has_zone: bool) -> int:
    """Return how bad C{address} is for being told to a host; see the constants."""
    is_same_family = address.version == to.version
    if address.is_unspecified:
        return _ANYWHERE if is_same_family or address.version == 6 else _NOWHERE
    if address in local and (has_zone or not _is_of_link(address)):
        return _HERE if is_same_family else _OTHER_FAMILY
    return _NOWHERE if address.is_loopback or _is_of_link(address) else _ELSEWHERE


def _is_of_link(address: Address) -> bool:
    """Return whether C{address}, of a host or a group, is one of IPv6 for a single link: with it goes a zone."""
    if address.version == 4:
        return False
    return address.is_link_local or (address.is_multicast and address.packed[1] & 15 <= 2)

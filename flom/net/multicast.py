"""
A multicast group as the kernel sees it: which interfaces lead to it, joining it on each, sending by each.

Twisted's own C{joinGroup} wants the address of an interface, which need not have one. Here interfaces go by their
index, for IPv4 and IPv6 alike (ip(7), ipv6(7)).
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from time import monotonic

from flom.codes import ReturnCode
from flom.core.group.addresses import HIGHEST_HOP_LIMIT, Group, Sender, is_for_link, may_be_from_link
from flom.core.value import Value
from flom.errors import ConfigError, FlomError
from flom.lean import socket
from flom.text import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Final

    from flom.config import Config

_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFCONF: Final = 0x8912

_LISTED_FOR: Final = 0.1
"""
Seconds for which the addresses of this host are not listed again: that takes longer than all else that an answer does,
and a hundred clients ask hundreds of times a second when their leader has gone.
"""
_IFF_UP: Final = 0x1
_IFF_LOOPBACK: Final = 0x8
_IFF_RUNNING: Final = 0x40
_IFF_MULTICAST: Final = 0x1000

_MOST_NAMED: Final = 20  # interfaces in a message: a host of containers has hundreds

# missing in Python's socket module; off, they keep us from datagrams to groups that others on this host have joined
_IP_MULTICAST_ALL: Final = 49
_IPV6_MULTICAST_ALL: Final = 29

_PACKET_INFO: Final = struct.Struct("16sI")  # struct in6_pktinfo: where a datagram was sent to, and how it came
_PACKET_INFO_4: Final = struct.Struct("I4s4s")  # struct in_pktinfo: how it came, and where it was sent to
_HOP_LIMIT: Final = struct.Struct("i")
_INTERFACE_LIST: Final = struct.Struct("iP")  # struct ifconf: the size of a list, and where it is
_INTERFACE_REQUEST: Final = struct.Struct("16s4x4s16x")  # struct ifreq: a label and its IPv4 address
_PACKET_INFO_SPACE: Final = socket.CMSG_SPACE(_PACKET_INFO.size) + socket.CMSG_SPACE(_HOP_LIMIT.size)

# missing in Python's socket module before 3.12, or at all
_IP_PKTINFO: Final = 8
_IP_RECVTTL: Final = 12


class NoMulticast(FlomError):
    """Nothing can be sent to the group, or it cannot be joined, on any interface."""


class NetworkInterface(Value):
    """A network interface: the kernel's index, name and flags, IFF_... (netdevice(7))."""

    index: int
    name: str
    flags: int

    @property
    def is_up(self) -> bool:
        """True if it is switched on."""
        return bool(self.flags & _IFF_UP)

    @property
    def has_multicast(self) -> bool:
        """True if it can do multicast."""
        return bool(self.flags & _IFF_MULTICAST)

    @property
    def has_carrier(self) -> bool:
        """True if something is at the other end of its cable."""
        return bool(self.flags & _IFF_RUNNING)

    @property
    def is_loopback(self) -> bool:
        """True if it leads to this host only."""
        return bool(self.flags & _IFF_LOOPBACK)

    def use_for(self, sender: socket.socket) -> None:
        """Set C{sender} to send to groups by this interface."""
        if sender.family == socket.AF_INET6:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, self.index)
        else:
            source = bytes((127, 0, 0, 1)) if self.is_loopback else bytes(4)
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("4x4si", source, self.index))


def make_group(
    address: str,
    port: int,
    interface: str = "",
    ttl: int = 1,
    key: str = "",
    *,
    is_key_required: bool = False,
    must_be_there: bool = True,
) -> Group:
    """
    Return the group that a user means.

    @param address: an address, or a name that stands for one. It may have a zone, as in C{ff02::1%eth0}.
    @param key: the file with its key; the empty string if it has none.
    @param is_key_required: see L{flom.core.group.key.GroupKey.is_required}.
    @param must_be_there: false if C{interface} may come later.
    @raise ConfigError: it is no multicast address, there is no such interface, or the key cannot be used.
    """
    try:
        found = ip_address(address)
    except ValueError:
        found = _resolve(address)
    if isinstance(found, IPv6Address):
        if found.scope_id is not None:
            interface = interface or _interface_of_zone(found.scope_id)
        found = found.ipv4_mapped or IPv6Address(int(found))
    if not found.is_multicast:
        raise ConfigError(f"multicast-address: '{address}' is not a multicast address")
    if interface and must_be_there:
        check_interface(interface)
    if is_key_required and not key:
        raise ConfigError("group-key-required needs group-key too")
    if not key:
        return Group(str(found), port, interface, ttl)

    from flom.net.group_key import read_key  # most groups have none

    return Group(str(found), port, interface, ttl, read_key(key, is_required=is_key_required))


def group_of(config: Config, *, must_be_there: bool = True) -> Group:
    """Return the group that C{config} means; see L{make_group}."""
    return make_group(
        config.multicast_address,
        config.multicast_port,
        config.network_interface,
        config.discovery_ttl,
        config.group_key,
        is_key_required=config.group_key_required,
        must_be_there=must_be_there,
    )


def _interface_of_zone(zone: str) -> str:
    try:
        return socket.if_indextoname(int(zone))
    except (ValueError, OSError, OverflowError):
        return zone


def check_interface(name: str) -> None:
    """Raise L{ConfigError} if there is no network interface C{name}."""
    try:
        socket.if_nametoindex(name)
    except OSError:
        there = [interface for _, interface in socket.if_nameindex()]
        named = ", ".join(there[:_MOST_NAMED]) + (", ..." if len(there) > _MOST_NAMED else "")
        raise ConfigError(
            f"network-interface: this host has no '{name}', but {named}",
            flom_line=f"network-interface: '{name}' is an invalid value "
            f"(ret_cod={ReturnCode.INVALID_IPV6_NETWORK_INTERFACE})",
        ) from None


def has_ipv6_address(interface: str, table: str = "/proc/net/if_inet6") -> bool:
    """Return whether a network interface has an IPv6 address, by the kernel's C{table}, which need not be there."""
    try:
        with open(table) as lines:
            return any(line.split()[-1] == interface for line in lines)
    except FileNotFoundError:
        return False


def list_interfaces(only: str = "") -> list[NetworkInterface]:
    """Return the network interfaces of this host, or the one whose name is C{only} if that is not empty."""
    found = []
    any_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        for index, name in socket.if_nameindex():
            if only not in ("", name):
                continue
            try:
                answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16sH14x", name.encode(), 0))
            except OSError:
                continue  # it has gone just now
            found.append(NetworkInterface(index, name, struct.unpack("16xH14x", answer)[0]))
    finally:
        any_socket.close()
    return found


def local_addresses() -> dict[str, list[IPv4Address | IPv6Address]]:
    """Return the addresses of this host, by the names of its interfaces."""
    found: dict[str, list[IPv4Address | IPv6Address]] = {}
    for name, packed in _list_ipv4():
        found.setdefault(name, []).append(IPv4Address(packed))
    try:
        with open("/proc/thread-self/net/if_inet6") as lines:
            for number, *_, name in map(str.split, lines):
                found.setdefault(name, []).append(IPv6Address(bytes.fromhex(number)))
    except FileNotFoundError:
        pass  # the kernel was started without IPv6
    return found


def _list_ipv4() -> Iterator[tuple[str, bytes]]:
    """Yield the name of an interface with each of its IPv4 addresses."""
    from array import array  # a client that asks an IPv6 group needs none of this

    size = capacity = 16 * _INTERFACE_REQUEST.size
    any_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        while size == capacity:  # or else, the list is whole
            capacity *= 2
            listed = array("B", bytes(capacity))
            asked = _INTERFACE_LIST.pack(capacity, listed.buffer_info()[0])
            size, _ = _INTERFACE_LIST.unpack(fcntl.ioctl(any_socket, _SIOCGIFCONF, asked))
    finally:
        any_socket.close()
    for label, packed in _INTERFACE_REQUEST.iter_unpack(listed[:size]):
        yield label.partition(b"\0")[0].partition(b":")[0].decode(), packed  # of eth0:1, the interface is eth0


def usable_interfaces(group: Group) -> list[NetworkInterface]:
    """Return the interfaces that may lead to C{group}; L{NoMulticast} is raised if there are none."""
    usable = [
        found
        for found in list_interfaces(group.interface)
        if found.is_up and (found.has_multicast or group.is_own_host)  # lo does multicast, and does not say so
    ]
    if not usable:
        which = f"network-interface: '{group.interface}'" if group.interface else "no network interface"
        raise NoMulticast(f"{group.address}: {which} is {'not ' if group.interface else ''}up and able to do multicast")
    return usable


class GroupSocket:
    """
    A UDP socket for sending to a group, and, as a member, for hearing it; the caller binds C{udp} to a port.

    @ivar came_by: the name of the interface by which the last datagram came; empty if the socket has not joined there.
    @ivar expected: the names of the interfaces by which the last datagram to the group has to come back to a member.
    @ivar networks: by how many interfaces that have a carrier it was sent.
    """

    __slots__ = (
        "_came_at",
        "_came_to",
        "_group",
        "_is_for_link",
        "_joined",
        "_listed",
        "_listed_at",
        "came_by",
        "expected",
        "networks",
        "udp",
    )

    def __init__(self, group: Group, udp: socket.socket) -> None:
        self._group = group
        self._joined: dict[int, str] = {}
        self._is_for_link = is_for_link(group)
        self._listed: dict[str, list[IPv4Address | IPv6Address]] = {}  # the addresses of this host, not long ago
        self._listed_at = 0.0  # on the monotonic clock
        self._came_at = 0  # the index of the interface by which the last datagram came
        self._came_to: IPv4Address | IPv6Address | None = None  # where it was sent; None if that was the group
        self.came_by = ""
        self.expected: list[str] = []
        self.networks = 0
        self.udp = udp
        udp.setblocking(False)
        if group.is_ipv6:
            udp.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, group.ttl)
            if self._is_for_link:
                udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, HIGHEST_HOP_LIMIT)
        else:
            udp.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            udp.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            udp.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, group.ttl)
            if self._is_for_link:
                udp.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, HIGHEST_HOP_LIMIT)

    def close(self) -> None:
        """Close the socket; a member leaves the group."""
        self.udp.close()

    def join(self, refused: Callable[[NetworkInterface, OSError], None] = lambda interface, error: None) -> list[str]:
        """
        Join the group on every interface where the socket is no member yet; there may be new ones.

        The kernel drops a membership with the addresses of its interface, and does not say so: where it does not list
        the group, it is joined again.

        @param refused: called with each interface on which that is not possible, and with the reason.
        @return: the names of the interfaces where it is a member since this call.
        @raise NoMulticast: it is a member on none.
        """
        interfaces = usable_interfaces(self._group)
        listed = _memberships(self._group)
        self._joined = {
            interface.index: interface.name
            for interface in interfaces
            if interface.index in self._joined and (listed is None or interface.index in listed)
        }
        joined, problem = [], OSError()
        for interface in interfaces:
            if interface.index not in self._joined:
                try:
                    self._join(interface)
                except OSError as e:
                    problem = e
                    refused(interface, e)
                    continue
                self._joined[interface.index] = interface.name
                joined.append(interface.name)
        if not self._joined:
            names = ", ".join(interface.name for interface in interfaces)
            raise NoMulticast(f"{self._group.address}: it cannot be joined on {names}: {reason(problem)}")
        return joined

    def forget(self, names: list[str]) -> None:
        """Forget that the group is joined on the interfaces C{names}: the next L{join} joins it again."""
        self._joined = {index: name for index, name in self._joined.items() if name not in names}

    def tell(self, datagram: bytes) -> list[str]:
        """
        Send C{datagram} to the group by every interface.

        @return: the names of those by which that was possible.
        @raise NoMulticast: that was not possible by any.
        """
        return self.tell_each(lambda name, addresses: datagram)

    def tell_each(self, write: Callable[[str, list[IPv4Address | IPv6Address]], bytes | None]) -> list[str]:
        """
        Send to the group by every interface, as L{tell}, what C{write} returns for its name and its addresses.

        By one without an IPv4 address, nothing is sent to an IPv4 group: it would come from that of another interface.

        @param write: returns C{None} to leave an interface out. Only a member is sure to get the addresses.
        """
        told, problems = [], []
        self.expected = []
        self.networks = 0
        local = {} if self._group.is_ipv6 and not self._joined else local_addresses()
        for interface in usable_interfaces(self._group):
            addresses = local.get(interface.name, [])
            datagram = write(interface.name, addresses)
            if datagram is None:
                continue
            try:
                if not self._group.is_ipv6 and all(address.version == 6 for address in addresses):
                    raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
                interface.use_for(self.udp)
                self.udp.sendto(datagram, (self._group.address, self._group.port))
                told.append(interface.name)
                self.networks += interface.has_carrier
                if interface.index in self._joined and interface.has_carrier:
                    self.expected.append(interface.name)
            except OSError as e:
                problems.append(f"{interface.name}: {why_not_sent(e, self._group)}")
        if not told:
            raise NoMulticast(f"{self._group.address}: nothing can be sent to it: {'; '.join(problems)}")
        return told

    @property
    def arrival(self) -> tuple[int, IPv4Address | IPv6Address | None, str]:
        """How the last datagram came; to set it is to answer an earlier one."""
        return self._came_at, self._came_to, self.came_by

    @arrival.setter
    def arrival(self, arrival: tuple[int, IPv4Address | IPv6Address | None, str]) -> None:
        self._came_at, self._came_to, self.came_by = arrival

    @property
    def asked_addresses(self) -> list[IPv4Address | IPv6Address]:
        """The addresses of the interface by which the last datagram came, as they were L{_LISTED_FOR} ago at most."""
        now = monotonic()
        try:
            if now - self._listed_at >= _LISTED_FOR:
                self._listed, self._listed_at = local_addresses(), now
            return self._listed.get(socket.if_indextoname(self._came_at), [])
        except OSError:
            return []  # it has gone just now

    def answer(self, datagram: bytes, asker: Sender) -> None:
        """Send C{datagram} to where the last one came from, as L{send_to}, from an address that it has come to."""
        from flom.core.group.listening import source_for  # clients answer nothing

        source = self._came_to or source_for(asker[0], self.asked_addresses)
        if source is not None:
            try:
                self.udp.sendmsg([datagram], [self._from(source)], 0, _with_zone(asker))
                return
            except OSError:
                pass  # the address has gone just now, or there is no way from it: there may be another
        self.send_to(datagram, asker)

    def _from(self, source: IPv4Address | IPv6Address) -> tuple[int, int, bytes]:
        """Return what has the kernel send a datagram from the address C{source}."""
        if source.version == 4:
            return socket.IPPROTO_IP, _IP_PKTINFO, _PACKET_INFO_4.pack(0, source.packed, bytes(4))
        index = self._came_at if source.is_link_local else 0
        return socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PACKET_INFO.pack(source.packed, index)

    def send_to(self, datagram: bytes, addressee: Sender) -> None:
        """Send C{datagram} to one host; L{OSError} is raised if there is no way to it."""
        self.udp.sendto(datagram, _with_zone(addressee))

    def receive(self, size: int) -> tuple[bytes, Sender] | None:
        """
        Return the next datagram that was sent to us alone, or to the group by an interface where the socket has joined
        it; C{None} if the next one was not, or if it is for a group of the link and has passed a router.

        @param size: bytes; what is longer is cut off.
        @raise OSError: there is nothing, or a port that we sent to is closed.
        """
        datagram, about, _, sender = self.udp.recvmsg(size, _PACKET_INFO_SPACE)
        if not self._is_for_us(about) or not (not self._is_for_link or self._is_from_link(sender[0], about)):
            return None
        return datagram, sender_of(sender)

    def _is_for_us(self, about: list[tuple[int, int, bytes]]) -> bool:
        """For IPv4, the kernel sees to it; for IPv6, it takes a member on one interface for a member on all."""
        for level, kind, data in about:
            if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
                self._came_at, local, address = _PACKET_INFO_4.unpack(data)
                self.came_by = self._joined.get(self._came_at, "")
                self._came_to = None if IPv4Address(address).is_multicast else IPv4Address(local)
            elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
                address, self._came_at = _PACKET_INFO.unpack(data)
                self.came_by = self._joined.get(self._came_at, "")
                self._came_to = None if IPv6Address(address).is_multicast else IPv6Address(address)
                return self._came_to is not None or self._came_at in self._joined
        return True

    def _is_from_link(self, sender: str, about: list[tuple[int, int, bytes]]) -> bool:
        """Return whether a datagram has passed no router, as far as can be known."""
        sent_to, hop_limit = sender, 0
        for level, kind, data in about:
            match level, kind:
                case socket.IPPROTO_IPV6, socket.IPV6_PKTINFO:
                    sent_to = str(IPv6Address(_PACKET_INFO.unpack(data)[0]))
                case socket.IPPROTO_IP, _ if kind == _IP_PKTINFO:
                    sent_to = str(IPv4Address(_PACKET_INFO_4.unpack(data)[2]))
                case (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT) | (socket.IPPROTO_IP, socket.IP_TTL):
                    [hop_limit] = _HOP_LIMIT.unpack(data)
        if may_be_from_link(sender, sent_to, hop_limit):
            return True
        return not self._group.is_ipv6 and is_on_link(sender)

    def _join(self, interface: NetworkInterface) -> None:
        if self._group.is_ipv6:
            level, leave, join = socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, socket.IPV6_JOIN_GROUP
            request = struct.pack("16sI", IPv6Address(self._group.address).packed, interface.index)
        else:
            level, leave, join = socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, socket.IP_ADD_MEMBERSHIP
            request = struct.pack("4s4xi", IPv4Address(self._group.address).packed, interface.index)
        try:
            self.udp.setsockopt(level, leave, request)  # what is left of a membership that the kernel has dropped
        except OSError:
            pass  # there was none
        self.udp.setsockopt(level, join, request)


def _memberships(group: Group) -> set[int] | None:
    """Return the indexes of the interfaces on which the kernel lists C{group}; C{None} if there is no such list."""
    found, index = set(), 0
    try:
        with open(f"/proc/thread-self/net/{'igmp6' if group.is_ipv6 else 'igmp'}") as lines:
            if group.is_ipv6:
                wanted = IPv6Address(group.address).packed.hex()
                return {int(fields[0]) for fields in map(str.split, lines) if fields[2:3] == [wanted]}
            wanted = f"{struct.unpack('=I', IPv4Address(group.address).packed)[0]:08X}"
            next(lines, "")  # a heading
            for line in lines:
                first = line.split()[0]
                if not line[0].isspace():
                    index = int(first)
                elif first == wanted:
                    found.add(index)
    except FileNotFoundError:
        return None
    return found


def open_group_socket(group: Group, *, is_member: bool) -> GroupSocket:
    """
    Open a socket for C{group}, which has not joined yet.

    @param is_member: bind it to the group's port, which other programs may share, instead of any that is free.
    @raise NoMulticast: that is not possible.
    """
    udp: socket.socket | None = None
    try:
        udp = socket.socket(socket.AF_INET6 if group.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        opened = GroupSocket(group, udp)
        if is_member:
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.bind(("::" if group.is_ipv6 else "", group.port if is_member else 0))
    except OSError as e:
        if udp is not None:
            udp.close()
        raise NoMulticast(f"{group}: {reason(e)}") from e
    return opened


def is_on_link(address: str, table: str = "/proc/net/route") -> bool:
    """Return whether the IPv4 C{address} is reached without a router, by the kernel's C{table}, if that is there."""
    number = int.from_bytes(IPv4Address(address).packed, "little")
    try:
        with open(table) as lines:
            routes = [line.split() for line in lines][1:]
    except FileNotFoundError:
        return False
    return any(
        int(gateway, 16) == 0 != int(mask, 16) and number & int(mask, 16) == int(network, 16)
        for _, network, gateway, _, _, _, _, mask, *_ in routes
    )


def _with_zone(addressee: Sender) -> tuple[str, int] | tuple[str, int, int, int]:
    """Return C{addressee} as sockets want it: they drop a zone, and the kernel would choose an interface for us."""
    host, _, zone = addressee[0].partition("%")
    return (host, addressee[1], 0, socket.if_nametoindex(zone)) if zone else addressee


def sender_of(address: Any) -> Sender:
    """Return where a datagram came from: C{address} as the socket has it, with its zone if there is one."""
    host, port, *more = address
    if more and more[1]:
        try:
            host = f"{host}%{socket.if_indextoname(more[1])}"
        except OSError:
            pass  # the interface has gone just now
    return host, port


def why_not_sent(error: OSError, group: Group) -> str:
    """Return in words why nothing can be sent to C{group}."""
    family = "IPv6" if group.is_ipv6 else "IPv4"
    return f"it has no {family} address" if error.errno == errno.EADDRNOTAVAIL else reason(error)


def _resolve(name: str) -> IPv4Address | IPv6Address:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except (OSError, ValueError):
        raise ConfigError(f"multicast-address: '{name}' is not a multicast address") from None
    return ip_address(found[0][4][0])

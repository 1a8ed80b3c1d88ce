"""A UDP port for a multicast group, which Twisted's own cannot be: it hears by every interface, named by its index."""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from twisted.internet import udp
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from flom.core.group.addresses import Group, Sender
from flom.core.protocol.wire import MAX_ANSWER_SIZE
from flom.net.multicast import NetworkInterface, NoMulticast, sender_of, set_up, tell_group, usable_interfaces
from flom.text import reason

_PACKET_INFO: Final = struct.Struct("16sI")  # struct in6_pktinfo: where a datagram was sent to, and how it came
_PACKET_INFO_SPACE: Final = socket.CMSG_SPACE(_PACKET_INFO.size)

_DATAGRAMS_AT_ONCE: Final = 64  # that are read before it is somebody else's turn


class GroupPort(udp.MulticastPort):
    """
    A UDP port for talking to a group, and, as a member, for hearing what is said in it.

    However many datagrams come in, others have their turn too.
    """

    _log = Logger()

    def __init__(self, group: Group, protocol: DatagramProtocol, reactor: Any, *, is_member: bool) -> None:
        """
        @param is_member: listen on the group's port; it may be shared with other programs.
        """
        address = "::" if group.is_ipv6 else ""
        port = group.port if is_member else 0
        super().__init__(port, protocol, address, MAX_ANSWER_SIZE + 1, reactor, listenMultiple=is_member)
        self._group = group
        self._joined: set[int] = set()
        self._refused: set[int] = set()

    def join(self) -> list[str]:
        """
        Join the group on every interface where we are no member yet; there may be new ones.

        @return: the names of these interfaces.
        @raise NoMulticast: we are a member on none.
        """
        interfaces = usable_interfaces(self._group)
        self._joined &= {interface.index for interface in interfaces}
        joined, problem = [], OSError()
        for interface in interfaces:
            if interface.index not in self._joined:
                try:
                    self._join(interface)
                except OSError as e:
                    if e.errno != errno.EADDRINUSE:  # a member already: the interface was down for a while
                        problem = e
                        self._warn_of(interface, e)
                        continue
                self._joined.add(interface.index)
                joined.append(interface.name)
        if not self._joined:
            names = ", ".join(interface.name for interface in interfaces)
            raise NoMulticast(f"{self._group.address}: it cannot be joined on {names}: {reason(problem)}")
        return joined

    def tell(self, datagram: bytes) -> list[str]:
        """
        Send C{datagram} to the group by every interface.

        @return: the names of those by which that was possible.
        @raise NoMulticast: that was not possible by any.
        """
        return tell_group(self.socket, self._group, datagram)

    def write(self, datagram: bytes, addr: Sender | None = None) -> None:
        """
        Send C{datagram} to C{addr}.

        @raise OSError: there is no way to it.
        """
        assert addr is not None
        host, _, zone = addr[0].partition("%")
        # of an address with its zone, sendto would drop the zone, and the kernel would choose an interface for us
        where = (host, addr[1], 0, socket.if_nametoindex(zone)) if zone else (host, addr[1])
        self.socket.sendto(datagram, where)

    def createInternetSocket(self) -> socket.socket:
        created: socket.socket = super().createInternetSocket()
        # SO_REUSEADDR, which Twisted sets too, is what FLoM shares the port by; among those who share it by this, the
        # kernel may give a datagram to one that is not in its group
        created.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
        set_up(created, self._group)
        return created

    def doRead(self) -> None:
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                datagram, about, _, sender = self.socket.recvmsg(self.maxPacketSize, _PACKET_INFO_SPACE)
            except OSError:
                return  # nothing more, or a peer's port that was closed
            if not self._is_by_our_interface(about):
                continue
            try:
                self.protocol.datagramReceived(datagram, sender_of(sender))
            except Exception:
                self._log.failure("taking a datagram of {sender}", sender=sender)

    def _is_by_our_interface(self, about: list[tuple[int, int, bytes]]) -> bool:
        """
        Tell whether a datagram has come to the group by an interface where we have joined it, or was sent to us alone.

        For IPv4, the kernel sees to that; for IPv6, it takes a member on one interface for a member on all.
        """
        for level, kind, data in about:
            if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
                address, index = _PACKET_INFO.unpack(data)
                return not IPv6Address(address).is_multicast or index in self._joined
        return True

    def _warn_of(self, interface: NetworkInterface, problem: OSError) -> None:
        """Say once that we hear nothing of the group by C{interface}."""
        if interface.index not in self._refused:
            self._refused.add(interface.index)
            self._log.warn(
                "{group} cannot be joined on {interface}: {why}",
                group=self._group.address,
                interface=interface.name,
                why=reason(problem),
            )

    def _join(self, interface: NetworkInterface) -> None:
        if self._group.is_ipv6:
            request = struct.pack("16sI", IPv6Address(self._group.address).packed, interface.index)
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        else:
            request = struct.pack("4s4xi", IPv4Address(self._group.address).packed, interface.index)
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)

"""A UDP port for a multicast group: unlike Twisted's own, it joins on every interface, named by its index."""

from __future__ import annotations

import socket
from collections.abc import Callable
from time import monotonic
from typing import Final

from twisted.internet import udp
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from flom.core.group.addresses import Group, Sender
from flom.core.group.listening import Address
from flom.core.protocol.framing import MAX_ANSWER_SIZE
from flom.interfaces import IReactor
from flom.net.multicast import GroupSocket, NetworkInterface
from flom.text import reason

_DATAGRAMS_AT_ONCE: Final = 64  # that are read in one turn of the reactor

_READING: Final = 0.02
"""Seconds after which a turn of the reactor reads no more: a candidate has to go on with its campaign in time."""


class GroupPort(udp.MulticastPort):
    """A UDP port for sending to a group, and, as a member, for receiving what is sent to it."""

    _log = Logger()

    def __init__(
        self,
        group: Group,
        protocol: DatagramProtocol,
        reactor: IReactor,
        *,
        is_member: bool,
        opened: GroupSocket | None = None,
    ) -> None:
        """
        @param is_member: listen on the group's port; it may be shared with other programs.
        @param opened: the socket to use; C{None} to open one.
        """
        address = "::" if group.is_ipv6 else ""
        port = group.port if is_member else 0
        super().__init__(port, protocol, address, MAX_ANSWER_SIZE + 1, reactor, listenMultiple=is_member)
        self._group = group
        if opened is not None:
            self._preexistingSocket = opened.udp  # type: ignore[assignment]
            self._group_socket = opened
        self._refused: set[int] = set()

    def join(self) -> list[str]:
        """See L{GroupSocket.join}; an interface without the group is logged once."""
        return self._group_socket.join(self._warn_of)

    def forget(self, names: list[str]) -> None:
        """See L{GroupSocket.forget}."""
        self._group_socket.forget(names)

    def tell(self, datagram: bytes) -> list[str]:
        """See L{GroupSocket.tell}."""
        return self._group_socket.tell(datagram)

    def tell_each(self, write: Callable[[str, list[Address]], bytes | None]) -> list[str]:
        """See L{GroupSocket.tell_each}."""
        return self._group_socket.tell_each(write)

    @property
    def asked_addresses(self) -> list[Address]:
        """See L{GroupSocket.asked_addresses}."""
        return self._group_socket.asked_addresses

    def answer(self, datagram: bytes, asker: Sender) -> None:
        """See L{GroupSocket.answer}."""
        self._group_socket.answer(datagram, asker)

    @property
    def arrival(self) -> tuple[int, Address | None, str]:
        """See L{GroupSocket.arrival}."""
        return self._group_socket.arrival

    @arrival.setter
    def arrival(self, arrival: tuple[int, Address | None, str]) -> None:
        self._group_socket.arrival = arrival

    @property
    def came_by(self) -> str:
        """See L{GroupSocket.came_by}."""
        return self._group_socket.came_by

    @property
    def expected(self) -> list[str]:
        """See L{GroupSocket.expected}."""
        return self._group_socket.expected

    @property
    def networks(self) -> int:
        """See L{GroupSocket.networks}."""
        return self._group_socket.networks

    def write(self, datagram: bytes, addr: Sender | None = None) -> None:
        """See L{GroupSocket.send_to}."""
        assert addr is not None
        self._group_socket.send_to(datagram, addr)

    def createInternetSocket(self) -> socket.socket:
        created: socket.socket = super().createInternetSocket()
        # SO_REUSEADDR, which Twisted sets too, is what FLoM shares the port by; among those who share it by this, the
        # kernel may give a datagram to one that is not in its group
        created.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
        self._group_socket = GroupSocket(self._group, created)
        return created

    def doRead(self) -> None:
        until = monotonic() + _READING
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                arrived = self._group_socket.receive(self.maxPacketSize)
            except OSError:
                return  # nothing more, or a peer's port that was closed
            if arrived is None:
                continue
            try:
                self.protocol.datagramReceived(*arrived)
            except Exception:
                self._log.failure("receiving a datagram of {sender}", sender=arrived[1])
            if monotonic() >= until:
                return

    def hear_again(self, arrivals: list[tuple[bytes, Sender, str]]) -> None:
        """Receive datagrams that were received before, with their senders and the interfaces by which they came."""
        for datagram, sender, interface in arrivals:
            self._group_socket.came_by = interface
            self.protocol.datagramReceived(datagram, sender)

    def _warn_of(self, interface: NetworkInterface, problem: OSError) -> None:
        if interface.index not in self._refused:
            self._refused.add(interface.index)
            text, group = "{group} cannot be joined on {interface}: {why}", self._group.address
            self._log.warn(text, group=group, interface=interface.name, why=reason(problem))

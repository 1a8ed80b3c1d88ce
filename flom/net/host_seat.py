"""
The seat of a group on this host: only the daemon that has it may lead or stand by here.

Lost datagrams do not matter: the kernel gives each name of an abstract UNIX socket to one process, for as long as that
lives, and to each network namespace its own names. Nothing is left behind, and no file needs permissions.
"""

from __future__ import annotations

import os

from flom.core.group.addresses import Group
from flom.errors import FlomError
from flom.lean import socket
from flom.net.multicast import usable_interfaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class SeatTaken(FlomError):
    """Another daemon on this host has the seat."""


class Seat:
    """The right to be a group's daemon on this host, as sockets: one for each interface that leads to the group."""

    def __init__(self, group: Group, inherited: Iterable[socket.socket] = ()) -> None:
        self._group = group
        self._sockets = {bytes(taken.getsockname()): taken for taken in inherited}

    def extend(self) -> None:
        """
        Acquire the seat for every interface that leads to the group now; what is ours already stays so.

        @raise SeatTaken: another daemon has it for one of them. Then nothing has changed.
        @raise flom.net.multicast.NoMulticast: there is no such interface.
        """
        added: dict[bytes, socket.socket] = {}
        for interface in usable_interfaces(self._group):
            name = f"\0flom-seat/{self._group.address}/{self._group.port}/{interface.index}".encode()
            if name in self._sockets:
                continue
            seat = added[name] = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                seat.bind(name)
            except OSError:
                for taken in added.values():
                    taken.close()
                raise SeatTaken(f"another daemon on this host is in {self._group} already") from None
        self._sockets |= added

    def descriptors(self) -> list[int]:
        """Return the descriptors by which another process takes the seat over (L{inherit_seat})."""
        return [taken.fileno() for taken in self._sockets.values()]

    def close(self) -> None:
        """Leave the seat, or leave it to the process that has inherited it."""
        for taken in self._sockets.values():
            taken.close()
        self._sockets.clear()


def take_seat(group: Group) -> Seat:
    """Acquire the seat of C{group}, or raise what L{Seat.extend} raises."""
    seat = Seat(group)
    seat.extend()
    return seat


def inherit_seat(group: Group, descriptors: Iterable[int]) -> Seat:
    """Return the seat that another process has passed on; L{OSError} is raised if a descriptor is no socket."""
    inherited = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    for taken in inherited:
        os.set_inheritable(taken.fileno(), False)
    return Seat(group, inherited)

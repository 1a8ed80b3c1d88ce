"""Reserving the addresses of a configured daemon, which is to be waited for if it is killed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.logger import Logger

from flom.config import runtime_socket
from flom.net import reservation
from flom.net.reservation import Entry, Reservation

_READABLE = 0o644
RESTART: Final = 5.0
"""
Seconds for which the addresses stay reserved after a good end, if clients were connected that come back and the end was
not ordered by a client: its supervisor may be about to start the daemon again.
"""

_PART = 4  # the reservation is renewed so many times as often as it must be


class ReservationService(Service):
    """Keeps the reservations of the daemon's addresses up to date while it runs, and withdraws them in good order."""

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        hosts: Sequence[IAddress],
        seconds: float,
        may_restart: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        @param hosts: where the daemon listens once this is started.
        @param may_restart: returns, at a good end, whether the addresses are to stay reserved for L{RESTART}.
        @param seconds: for how long the addresses stay reserved after its end, at least; at most a quarter longer.
        """
        self._clock = clock
        self._hosts = hosts
        self._seconds = seconds
        self._may_restart = may_restart
        self._entries: list[Entry] = []
        self._addresses: list[str] = []
        self._problems: set[str] = set()  # files that were complained about
        self._timer: IDelayedCall | None = None

    def privilegedStartService(self) -> None:
        """Reserve the addresses, or raise L{reservation.Reserved}."""
        super().privilegedStartService()
        found: list[Reservation] = []
        self._addresses, self._entries = [], []
        for host in self._hosts:
            match host:
                case UNIXAddress(name=bytes(name)) if name[:1] == b"\0":
                    path = name.decode("utf-8", "surrogateescape")
                    found += reservation.unix_reservations(path, is_private=True)
                    self._addresses.append(reservation.abstract_address(path))
                    self._entries.append(Entry(reservation.abstract_file(path), _READABLE))
                case UNIXAddress(name=bytes(name)) if name:
                    path = name.decode("utf-8", "surrogateescape")
                    if path == runtime_socket():
                        continue  # its directory may not be there when the daemon starts again
                    found += reservation.unix_reservations(path, is_private=False)
                    self._addresses.append(reservation.unix_address(path))
                    self._entries.append(Entry(reservation.unix_file(path), _READABLE))
                case IPv4Address() | IPv6Address():
                    found += reservation.tcp_reservations(host.host, host.port)
                    self._addresses.append(reservation.tcp_address(host.host, host.port))
                    self._entries.append(Entry(reservation.tcp_file(host.host, host.port), _READABLE))
        reservation.check_free(found, self._addresses)
        reservation.sweep()
        self._write()

    def startService(self) -> None:
        super().startService()
        if not self._entries:
            self.privilegedStartService()
        self._timer = self._clock.callLater(self._seconds / _PART, self._renew)

    def stopService(self) -> None:
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._may_restart():
            self._seconds = min(self._seconds, RESTART / (1 + 1 / _PART))
            self._write()
            for entry in self._entries:
                entry.close()
        for entry in self._entries:
            entry.withdraw()
        self._entries = []

    def _renew(self) -> None:
        self._timer = self._clock.callLater(self._seconds / _PART, self._renew)
        self._write()

    def _write(self) -> None:
        for entry in self._entries:
            try:
                entry.write(self._addresses, self._seconds * (1 + 1 / _PART))
                self._problems.discard(entry.file)
            except OSError as e:
                if entry.file not in self._problems:
                    self._problems.add(entry.file)
                    text = "{file}: {why}: if this daemon is killed, commands will start another one at once"
                    self._log.warn(text, file=entry.file, why=reservation.describe(e))

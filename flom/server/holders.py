"""
The holders files of a daemon and its mark for other hosts, and the grace period after the end of one that was cut short
(docs/explanation/guarantees.md, L{flom.net.holders}, L{flom.server.mark}).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from time import time
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.logger import Logger

from flom.config import private_sockets
from flom.net import holding
from flom.net.holders import HoldersFile, NoStandIn, find_others, old_files, remove_if_free, start_of
from flom.net.holding import file_of
from flom.server.connection import LockFactory
from flom.text import reason

LOOK: Final = 0.03
"""Seconds between two looks whether all holders have come, or are gone."""

WATCH: Final = 0.25
"""Seconds between two looks whether the files are still there; each costs two system calls for each file."""

MOST_SWEPT: Final = 50
"""Old files that are looked at in one turn: thousands may be left of daemons that were killed, and clients wait."""

TOUCH: Final = 3600.0
"""Seconds between two times at which the files are touched; what is in use for days would be removed as old."""

_UNKNOWN: Final = "{file}: {why}: if this daemon is killed, the next one does not know who holds a lock{since}"

_FOR_ALL: Final = 0o644
_PRIVATE: Final = 0o600


class HoldersService(Service):
    """Has the next daemon here know of the holders of this one, and waits for those of the last one."""

    _log = Logger()

    def __init__(self, clock: IReactorTime, hosts: Sequence[IAddress], factory: LockFactory) -> None:
        """
        @param hosts: where the daemon listens once this is started.
        """
        self._clock = clock
        self._hosts = hosts
        self._factory = factory
        self._files: list[HoldersFile] = []
        self._awaited: list[str] = []
        self._awaits_others = False  # on other hosts, to the end of the grace period
        self._timer: IDelayedCall | None = None
        self._watching: IDelayedCall | None = None
        self._touching: IDelayedCall | None = None
        self._problems: dict[str, str] = {}  # of files that cannot be made anew, as it was logged
        self._old: Iterator[str] = iter(())  # files to be removed if they are free

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        addresses = [address for host in self._hosts if (address := _address_of(host)) is not None]
        found = [
            file for address in addresses for file in find_others(address, is_private=_mode_of(address) == _PRIVATE)
        ]
        proofs = self._factory.proofs
        self._factory.start = proofs.new_start()
        for address in addresses:
            file = file_of(address, self._factory.start)
            try:
                self._files.append(HoldersFile(file, _mode_of(address), _group_of(address)))
            except OSError as e:
                self._log.warn(_UNKNOWN, file=file, why=reason(e), since="")
        if any(os.path.dirname(file.file) == holding.PLACE for file in self._files):
            self._old = old_files(time())
        self._watching = self._clock.callLater(WATCH, self._watch)
        self._touching = self._clock.callLater(TOUCH, self._touch)
        self._awaited = [file for file in dict.fromkeys(found) if not remove_if_free(file)]
        seconds = self._factory.options.limits.session_timeout
        if self._awaited:
            proofs.note_predecessor(has_key=all(proofs.has_signed(start_of(file)) for file in self._awaited))
            self._log.info("holders of the last daemon are expected back: grace for {seconds:g} s", seconds=seconds)
        if why := self._begin_mark(seconds):
            self._log.info("{why}: grace for {seconds:g} s", why=why, seconds=seconds)
        self._awaits_others = bool(why)
        if self._awaited or self._awaits_others:
            self._factory.arbiter.begin_grace(seconds)
            self._timer = self._clock.callLater(LOOK, self._look)

    def startService(self) -> None:
        super().startService()
        if not self._factory.start:
            self.privilegedStartService()

    def stopService(self) -> None:
        super().stopService()
        for timer in self._timer, self._watching, self._touching:
            if timer is not None:
                timer.cancel()
        self._timer = self._watching = self._touching = None
        if self._factory.arbiter.mark is not None:
            self._factory.arbiter.mark.stop()
            self._factory.arbiter.mark = None
        for file in self._files:
            # a client that was told of it may be about to lock it
            file.close(removes=not any(client.is_extended for client in self._factory.connected))
        self._files, self._factory.start = [], ""

    def _watch(self) -> None:
        """Make files anew that were removed, and remove those of daemons that are long gone."""
        self._watching = self._clock.callLater(WATCH, self._watch)
        for old in islice(self._old, MOST_SWEPT):
            remove_if_free(old)
        for each in self._files:
            each.note_end_of_holders()
            if each.is_there():
                self._problems.pop(each.file, None)
                continue
            try:
                each.renew()
                self._log.warn("{file} was removed: made anew", file=each.file)
            except NoStandIn as e:
                self._log.warn(_UNKNOWN, file=each.file, why=reason(e), since=" by now")
            except OSError as e:
                if self._problems.get(each.file) != str(e):
                    self._problems[each.file] = str(e)
                    self._log.warn(_UNKNOWN, file=each.file, why=reason(e), since="")

    def _touch(self) -> None:
        self._touching = self._clock.callLater(TOUCH, self._touch)
        for file in self._files:
            file.touch()

    def _look(self) -> None:
        self._timer = None
        arbiter = self._factory.arbiter
        self._awaited = [file for file in self._awaited if not remove_if_free(file)]
        if not arbiter.is_in_grace and self._awaited:
            self._log.warn("not all holders of the last daemon have come back: others are served now")
        elif not arbiter.is_in_grace:
            self._log.info("grace is over: others are served now")
        elif self._awaited or self._awaits_others:
            self._timer = self._clock.callLater(LOOK, self._look)
        else:
            self._log.info("all holders of the last daemon have come back, or are gone")
            arbiter.end_grace()

    def _begin_mark(self, seconds: float) -> str:
        """Begin a mark if clients of other hosts can connect; see L{flom.server.mark.Mark.begin}."""
        hosts = [host for host in self._hosts if isinstance(host, (IPv4Address, IPv6Address))]
        reachable = [(host.host.partition("%")[0], host.port) for host in hosts if not _is_loopback(host.host)]
        if not reachable:
            return ""
        from flom.server.mark import Mark  # the others need not wait for its import

        self._factory.arbiter.mark = mark = Mark(self._factory.arbiter, self._clock, reachable)
        why = mark.begin(seconds)
        if mark.is_of_other_place:
            self._factory.proofs.note_predecessor(has_key=False)  # proofs are for a place, too
        return why


def _is_loopback(host: str) -> bool:
    """Return whether the address C{host}, as C{getsockname} has it, is one of loopback: without an import for that."""
    return host == "::1" or host.removeprefix("::ffff:").startswith("127.")


def _address_of(host: IAddress) -> Any:
    """Return C{host} as C{getsockname} has it; C{None} if it is no address of this kind."""
    match host:
        case IPv4Address() | IPv6Address():
            return host.host, host.port
        case UNIXAddress(name=bytes(name)) if name:
            return name


def _mode_of(address: Any) -> int:
    """Return the permissions for a file that every client at C{address} can read."""
    if isinstance(address, tuple):
        return _FOR_ALL
    if address[:1] == b"\0":
        return _PRIVATE if os.fsdecode(address) == next(private_sockets()) else _FOR_ALL
    return _PRIVATE | (os.stat(address).st_mode & 0o022) << 1


def _group_of(address: Any) -> int:
    return -1 if isinstance(address, tuple) or address[:1] == b"\0" else os.stat(address).st_gid

"""
Reservations: to which daemon an address belongs while that is gone, and for how long.

A daemon that was configured, and that will be started again, serves one lock space at several addresses. If it is
killed, commands at two of them must not start a daemon each. So it leaves a file beside each UNIX socket, and one for
each TCP address in a directory of the host; it removes them when it ends in good order.

A file says until when it holds, by the monotonic clock, and the daemon says so anew while it lives. After the machine
was booted, it holds for as long, counted from the boot.
"""

from __future__ import annotations

import os
import stat
from time import monotonic

from flom.errors import FlomError
from flom.net import holding
from flom.net.claim import addresses_of
from flom.text import host_port, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

SUFFIX: Final = ".reserved"
MOST: Final = 3600.0  # seconds that a reservation holds at most, whatever a file says

_HEAD: Final = "flom-reservation 1"
_LONGEST: Final = 16_384  # bytes of a file


class Reserved(FlomError):
    """The address belongs to another daemon, which is to come back."""


class Reservation:
    """
    What a file says.

    @ivar file: its path.
    @ivar addresses: of the daemon, as in L{unix_address} and L{tcp_address}.
    @ivar seconds: for how long it holds after the daemon's end.
    @ivar left: seconds for which it still holds; 0 or less if it does not.
    @ivar uid: who wrote it.
    """

    __slots__ = ("addresses", "file", "left", "seconds", "uid")

    def __init__(self, file: str, addresses: frozenset[str], seconds: float, left: float, uid: int) -> None:
        self.file = file
        self.addresses = addresses
        self.seconds = seconds
        self.left = left
        self.uid = uid


def unix_address(path: str) -> str:
    """Return what names a UNIX socket in a reservation."""
    return f"unix:{os.path.realpath(path)}"


def tcp_address(host: str, port: int) -> str:
    """Return what names a TCP address in a reservation; C{host} is an address of IPv4 or IPv6."""
    return f"tcp:{host_port(host, port)}"


def unix_file(path: str) -> str:
    """Return where the reservation of a UNIX socket is."""
    return path + SUFFIX


def abstract_address(name: str) -> str:
    """Return what names an abstract socket in a reservation; C{name} begins with a null character."""
    return f"unix:@{name[1:]}"


def abstract_file(name: str) -> str:
    """Return where the reservation of an abstract socket is; each network namespace has its own."""
    return holding.abstract_file(name) + SUFFIX


def tcp_file(host: str, port: int) -> str:
    """Return where the reservation of a TCP address is; each network namespace has its own."""
    return holding.tcp_file(host, port) + SUFFIX


def unix_reservations(path: str, *, is_private: bool) -> list[Reservation]:
    """
    Return what is reserved at the UNIX socket C{path}, also what was; it may be abstract.

    @param is_private: whether only this user or root can be its daemon; what others have written does not count.
    """
    file = abstract_file(path) if path[:1] == "\0" else unix_file(path)
    found = _read(file)
    if found is None or (is_private and found.uid not in (0, os.geteuid())):
        return []
    return [found]


def tcp_reservations(host: str, port: int) -> list[Reservation]:
    """
    Return what is reserved at C{port} of C{host}, a name or an address, also what was.

    Only root can have reserved a port below 1024, as only root listens there.
    """
    prefix, suffix = holding.prefix(), f"-{port}{SUFFIX}"
    try:
        files = [name for name in os.listdir(holding.PLACE) if name.startswith(prefix) and name.endswith(suffix)]
    except OSError:
        return []
    if not files:
        return []
    try:
        resolved = addresses_of(host, port)
    except OSError:
        return []
    wanted = {str(address[0]) for *_, address in resolved}
    found = []
    for name in files:
        reserved_host = name[len(prefix) : -len(suffix)]
        if reserved_host in wanted or reserved_host in holding.ANY or not wanted.isdisjoint(holding.ANY):
            reservation = _read(os.path.join(holding.PLACE, name))
            if reservation is not None and (port >= 1024 or reservation.uid == 0):
                found.append(reservation)
    return found


class Entry:
    """A file by which this process reserves an address."""

    def __init__(self, file: str, mode: int) -> None:
        """
        @param mode: permissions of the file.
        """
        self.file = file
        self._mode = mode
        self._descriptor = -1

    def write(self, addresses: Iterable[str], seconds: float) -> None:
        """
        Say that C{addresses} are reserved until C{seconds} after now; make the file anew if it was removed.

        @raise OSError: that is not possible.
        """
        if self._descriptor >= 0 and not self._is_there():
            self.close()
        if self._descriptor < 0:
            flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            try:
                self._descriptor = os.open(self.file, flags | os.O_CREAT | os.O_EXCL, self._mode)
            except FileExistsError:
                self._descriptor = os.open(self.file, flags)
            if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                self.close()
                raise OSError(f"{self.file} is no file")
            if os.fstat(self._descriptor).st_uid == os.geteuid():
                os.fchmod(self._descriptor, self._mode)
        lines = [_HEAD, _boot_id(), f"{seconds:.3f}", f"{monotonic() + seconds:020.3f}", *sorted(addresses), ""]
        text = os.fsencode("\n".join(lines))
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))

    def withdraw(self) -> None:
        """Remove the file, or at least what it says."""
        if self._descriptor < 0:
            return
        try:
            os.ftruncate(self._descriptor, 0)
            if self._is_there():
                os.unlink(self.file)
        except OSError:
            pass  # it is in a directory in which we may not remove files any more; an empty one says nothing
        self.close()

    def close(self) -> None:
        """Leave the file as it is."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _is_there(self) -> bool:
        try:
            found = os.lstat(self.file)
        except OSError:
            return False
        held = os.fstat(self._descriptor)
        return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)


def check_free(reservations: Iterable[Reservation], addresses: Iterable[str]) -> None:
    """
    Raise L{Reserved} if one of C{reservations} holds, and is not of a daemon whose place this one takes.

    That is one of the same user, or of root, which has no address that is not among C{addresses}.
    """
    ours = frozenset(addresses)
    for found in reservations:
        is_former = found.uid in (0, os.geteuid()) and found.addresses <= ours
        if found.left > 0 and not is_former:
            theirs = ", ".join(sorted(found.addresses))
            raise Reserved(
                f"{found.file}: {theirs} belong to another daemon, which is expected back for {found.left:.0f} s; "
                f"start it, or remove the file"
            )


def remove(reservation: Reservation) -> None:
    """Remove a file that does not hold any more, if that is possible."""
    found = _read(reservation.file)
    if found is not None and found.left <= 0:
        try:
            os.unlink(reservation.file)
        except OSError:
            pass


def sweep() -> None:
    """Remove files of this user about TCP addresses, also of other namespaces, that have not held for an hour."""
    try:
        names = os.listdir(holding.PLACE)
    except OSError:
        return
    for name in names:
        if name.startswith("flom-") and name.endswith(SUFFIX):
            found = _read(os.path.join(holding.PLACE, name))
            if found is not None and found.left < -MOST and found.uid == os.geteuid():
                remove(found)


def describe(problem: OSError) -> str:
    """Return why a reservation cannot be written."""
    return reason(problem) if problem.errno else str(problem)


def _read(file: str) -> Reservation | None:
    """Return what C{file} says; C{None} if it says nothing, or is no file."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        about = os.fstat(descriptor)
        data = os.read(descriptor, _LONGEST) if stat.S_ISREG(about.st_mode) else b""
    except OSError:
        return None
    finally:
        os.close(descriptor)
    head, *lines = os.fsdecode(data).split("\n")
    if head != _HEAD or len(lines) < 4:
        return None
    try:
        seconds, until = min(float(lines[1]), MOST), float(lines[2])
    except ValueError:
        return None
    if not 0 < seconds <= MOST:
        return None  # such as not a number
    if lines[0] != _boot_id():
        until = seconds
    left = min(until - monotonic(), 2 * seconds)
    return Reservation(file, frozenset(filter(None, lines[3:])), seconds, left, about.st_uid)


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""

"""
A holder's part in a holders file (L{flom.net.holders}), and where the files of an address are. C{flom-run} imports this
for every lock, and nothing more.

A file that belongs to a TCP address or an abstract socket is in a directory of the host. Such an address is another one
in each network namespace, and so is the file.
"""

from __future__ import annotations

import fcntl
import os

from flom.lean import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

PLACE: Final = "/dev/shm"  # on every Linux; /tmp may be another one for each service
PREFIX: Final = "flom-"
SUFFIX: Final = ".holders-"
FLAGS: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
ANY: Final = ("0.0.0.0", "::")

_SO_NETNS_COOKIE: Final = 71  # which no other network namespace had since the boot; Linux 5.14 has it


class DaemonGone(Exception):
    """The daemon that has made the file has ended, and another one has removed it."""


class Holding:
    """A shared lock on a holders file; a process that inherits the descriptor has it too."""

    __slots__ = ("__weakref__", "_descriptor")

    def __init__(self, file: str) -> None:
        """
        Lock C{file}.

        @raise DaemonGone: it is too late for that.
        @raise OSError: it cannot be opened.
        """
        self._descriptor = os.open(file, os.O_RDONLY | FLAGS)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            is_there = os.fstat(self._descriptor).st_nlink > 0
        except BlockingIOError:
            is_there = False
        except BaseException:
            self.close()
            raise
        if not is_there:
            self.close()
            raise DaemonGone

    def fileno(self) -> int:
        """Return the descriptor, -1 once it is closed."""
        return self._descriptor

    def release(self) -> None:
        """End the lock, also for the processes that have inherited it."""
        if self._descriptor >= 0:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self.close()

    def close(self) -> None:
        """Leave the lock to the processes that have inherited it."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def file_of(address: Any, start: str) -> str:
    """
    Return where a daemon that listens at C{address} has the holders file of its C{start}.

    @param address: as C{getsockname} returns it.
    """
    return f"{base_of(address)}{SUFFIX}{start}"


def files_for(address: Any, path: str, start: str) -> list[str]:
    """
    Return where the holders file of a daemon may be to which a client is connected at C{address}.

    @param address: as C{getpeername} returns it.
    @param path: the UNIX socket as the client knows it.
    """
    if isinstance(address, str):  # in another mount namespace, the daemon may know it by another name
        return [f"{name}{SUFFIX}{start}" for name in (path, address) if name.startswith("/")]
    if isinstance(address, bytes):
        return [file_of(address, start)]
    host = address[0].removeprefix("::ffff:")  # which an address of IPv4 has on a socket of IPv6
    return [file_of((each, address[1]), start) for each in (host, *ANY)]


def base_of(address: Any) -> str:
    """Return how the path of a file of C{address} begins, which is as C{getsockname} has it."""
    if isinstance(address, tuple):
        return tcp_file(address[0].partition("%")[0], address[1])
    if address[:1] in ("\0", b"\0"):
        return abstract_file(os.fsdecode(address))
    return os.path.abspath(os.fsdecode(address))


def abstract_file(name: str) -> str:
    """Return how the path of a file of an abstract socket begins; C{name} begins with a null character."""
    return os.path.join(PLACE, f"{prefix()}@{name[1:].replace('/', '.')}")


def tcp_file(host: str, port: int) -> str:
    """Return how the path of a file of a TCP address begins."""
    return os.path.join(PLACE, f"{prefix()}{host}-{port}")


def prefix() -> str:
    """Return how the names of all such files of this network namespace begin."""
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        cookie = probe.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8).hex()
    except OSError:
        try:
            cookie = f"{os.stat('/proc/self/ns/net').st_ino}"
        except OSError:
            cookie = "0"
    finally:
        probe.close()
    return f"{PREFIX}{cookie}-"

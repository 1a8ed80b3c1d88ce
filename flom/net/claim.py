"""
Claiming the addresses that a daemon listens on.

L{claim_unix} and L{claim_tcp} bind and listen before anything else happens, so that of two daemons that start at the
same moment one wins and the other fails, and clients that come early wait in the kernel. The claim may be passed on to
another process, which is how C{flom-run} starts a daemon; L{flom.reactor.ports} serves it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat

from flom.codes import ReturnCode
from flom.errors import FlomError
from flom.text import host_port, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

PRIVATE: Final = 0o600  # permissions of the default socket, which is its user's alone
OPEN: Final = 0o777  # of a socket whose path the user chose (docs/compatibility.md, "Start of a daemon")

BACKLOG: Final = 4096  # connections that wait in the kernel until they are accepted, if its own limit is not lower


class CannotClaim(FlomError):
    """
    The address cannot be listened on.

    @ivar is_taken: whether that is because a daemon, or another program, is there already.
    @ivar code: FLoM's code for it.
    """

    def __init__(self, where: str, why: str, *, is_taken: bool = False, code: ReturnCode) -> None:
        super().__init__(f"{where}: {why}")
        self.is_taken = is_taken
        self.code = code


class Claim:
    """
    A listening socket.

    @ivar lock: the locked file beside a UNIX socket, held as long as the daemon lives; C{None} for TCP.
    @ivar is_borrowed: whether another program, such as systemd, goes on listening after this process.
    """

    __slots__ = ("is_borrowed", "lock", "socket")

    def __init__(self, socket: socket.socket, lock: int | None = None, is_borrowed: bool = False) -> None:
        self.socket = socket
        self.lock = lock
        self.is_borrowed = is_borrowed

    def descriptors(self) -> list[int]:
        """Return what another process needs to continue the claim by L{from_descriptors}."""
        return [self.socket.fileno()] + ([] if self.lock is None else [self.lock])

    def close(self) -> None:
        """End the claim, or leave it to the process that continues it; a UNIX socket that none does is removed."""
        path = self.socket.getsockname() if self.lock is not None else ""
        self.socket.close()
        if self.lock is not None:
            os.close(self.lock)
            remove_unserved(path)


def from_descriptors(listening: int, lock: int | None = None) -> Claim:
    """Return a claim that was inherited."""
    for descriptor in (listening, lock):
        if descriptor is not None:
            os.set_inheritable(descriptor, False)
    return Claim(socket.socket(fileno=listening), lock)


def claim_unix(path: str, mode: int) -> Claim:
    """
    Listen on the UNIX socket C{path}; a stale socket there is replaced, nothing else is
    (docs/compatibility.md, "A file at the path of the socket is deleted").

    @param mode: the socket's permissions, which it has from the first moment on.
    @raise CannotClaim: another program listens there, or it is not possible.
    """
    lock = _lock_beside(path, mode)
    try:
        _remove_stale(path)
        return Claim(_bind_unix(path, mode), lock)
    except CannotClaim:
        os.close(lock)
        raise


def claim_tcp(host: str, port: int, *, v6_only: bool = False) -> Claim:
    """
    Listen on C{port} of C{host}, a name or an address, IPv4 or IPv6.

    @param host: the empty string for every address of this host.
    @param port: 0 for any that is free.
    @param v6_only: keep an IPv6 socket from taking IPv4 connections too, as C{::} otherwise does.
    @raise CannotClaim: another program listens there, or C{host} is not here.
    """
    where = host_port(host, port)
    try:
        candidates = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as e:
        raise CannotClaim(where, reason(e), code=ReturnCode.GETADDRINFO_ERROR) from e
    problem = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    for family, kind, protocol, _, address in candidates:
        listening = None
        try:
            listening = socket.socket(family, kind, protocol)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if v6_only and family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
            return Claim(listening)
        except OSError as e:
            problem = e
            if listening is not None:
                listening.close()
            if e.errno == errno.EADDRINUSE:
                break  # on another address of the host, this would be a second daemon beside the one that is there
    is_taken = problem.errno == errno.EADDRINUSE
    raise CannotClaim(where, reason(problem), is_taken=is_taken, code=ReturnCode.DAEMON_NOT_STARTED)


def remove_unserved(path: str) -> None:
    """Remove the UNIX socket C{path} if no process serves it, or is about to."""
    try:
        lock = _lock_beside(path, PRIVATE)
    except CannotClaim:
        return
    try:
        _remove_stale(path)
    except CannotClaim:
        pass
    finally:
        os.close(lock)


def _bind_unix(path: str, mode: int) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o777 & ~mode)
    try:
        listening.bind(path)
        listening.listen(BACKLOG)
    except OSError as e:
        listening.close()
        raise CannotClaim(path, reason(e), code=ReturnCode.BIND_ERROR) from e
    finally:
        os.umask(mask)
    return listening


def _lock_beside(path: str, mode: int) -> int:
    """Lock the file that keeps a second daemon away from C{path}, as FLoM's daemons do too."""
    name = path + ".lock"
    mask = os.umask(0o777 & ~(mode & 0o666))
    try:
        lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY, 0o666)
    except OSError as e:
        raise CannotClaim(name, reason(e), code=ReturnCode.OPEN_ERROR) from e
    finally:
        os.umask(mask)
    found = os.fstat(lock)
    why = ""
    if not stat.S_ISREG(found.st_mode):
        why = "is there and is no file"
    elif mode == PRIVATE and found.st_uid not in (0, os.geteuid()):  # its owner could keep us away, or let others in
        why = f"it belongs to uid {found.st_uid}; choose another socket with --socket-name"
    if why:
        os.close(lock)
        raise CannotClaim(name, why, code=ReturnCode.OPEN_ERROR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        os.close(lock)
        raise _taken(path) from e
    return lock


def _remove_stale(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise CannotClaim(path, "is there and is no socket", code=ReturnCode.UNLINK_ERROR)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        problem = probe.connect_ex(path)
    if problem in (0, errno.EAGAIN):
        raise _taken(path)
    if problem not in (errno.ECONNREFUSED, errno.ENOENT):  # it is of another kind, or we may not know who is there
        raise CannotClaim(path, f"is there already: {os.strerror(problem).lower()}", code=ReturnCode.UNLINK_ERROR)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as e:
        raise CannotClaim(path, reason(e), code=ReturnCode.UNLINK_ERROR) from e


def _taken(path: str) -> CannotClaim:
    return CannotClaim(path, "another daemon is listening there", is_taken=True, code=ReturnCode.DAEMON_NOT_STARTED)

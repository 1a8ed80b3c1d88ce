"""
Claiming the addresses that a daemon listens on.

L{claim_unix} and L{claim_tcp} bind and listen before anything else happens, so that of two daemons that start at the
same moment one wins and the other fails, and clients that come early wait in the kernel. The claim may be passed on to
another process, which is how C{flom-run} starts a daemon; L{flom.reactor.ports} serves it.

What keeps a second daemon away from a UNIX socket are the socket, the locked file beside it, and names that no cleaner
of C{/tmp} can remove: abstract sockets, which the kernel gives to one process as long as that lives (L{_take_seats}).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from time import sleep

from flom.codes import ReturnCode
from flom.errors import FlomError
from flom.lean import socket
from flom.text import host_port, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Final

PRIVATE: Final = 0o600  # permissions of the default socket, which is its user's alone
OPEN: Final = 0o777  # of a socket whose path the user chose (docs/compatibility.md, "Start of a daemon")

_LISTENS_WITHIN: Final = 100  # looks, L{_PAUSE} seconds apart, until a daemon of ours listens at what it has bound
_PAUSE: Final = 0.01

BACKLOG: Final = 4096  # connections that wait in the kernel until they are accepted, if its own limit is not lower


_FREEBIND: Final = {  # options that Python has no names for
    socket.AF_INET: (socket.IPPROTO_IP, 15),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 78),
}


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

    @ivar socket: accepts no connections (L{flom.lean}); see L{accepting}.
    @ivar lock: the locked file beside a UNIX socket, held as long as the daemon lives; C{None} for TCP.
    @ivar is_borrowed: whether another program, such as systemd, goes on listening after this process.
    @ivar made: tells the socket at the path that is ours from any other (L{identity}); C{None} if it is not ours.
    """

    __slots__ = ("_mode", "_path", "_seats", "is_borrowed", "lock", "made", "socket")

    def __init__(
        self,
        socket: socket.socket,
        lock: int | None = None,
        is_borrowed: bool = False,
        seats: Iterable[int] = (),
        mode: int = PRIVATE,
    ) -> None:
        """
        @param seats: see L{_take_seats}.
        @param mode: permissions of a UNIX socket that is made anew.
        """
        self.socket = socket
        self.lock = lock
        self.is_borrowed = is_borrowed
        self._seats = list(seats)
        self._mode = mode
        self._path = "" if lock is None else os.path.abspath(socket.getsockname())
        self.made = None if lock is None else identity(self._path)

    def descriptors(self) -> list[int]:
        """Return what another process needs to continue the claim by L{from_descriptors}."""
        return [self.socket.fileno()] + ([] if self.lock is None else [self.lock, *self._seats])

    def accepting(self) -> socket.socket:
        """Return C{self.socket} after having made it one of the standard library, which accepts connections."""
        from socket import socket

        if not isinstance(self.socket, socket):
            self.socket = socket(fileno=self.socket.detach())
        return self.socket

    def close(self) -> None:
        """End the claim, or leave it to the process that continues it; a UNIX socket that none does is removed."""
        self.socket.close()
        if self.lock is not None:
            self.release()
            remove_unserved(self._path)

    def release(self) -> None:
        """Leave the path of a UNIX socket, which is closed and removed already, to other daemons."""
        if self.lock is not None:
            for descriptor in (self.lock, *self._seats):
                os.close(descriptor)
            self.lock, self._seats = None, []

    def renew(self) -> socket.socket | None:
        """
        Make anew what is not at the path any more of a UNIX socket and its lock file.

        @return: the socket that has taken the place of C{self.socket}, which the caller closes; C{None} if it stays.
        @raise CannotClaim: something else is there, such as another daemon, or it is not possible now.
        """
        if self.lock is None:
            return None
        _drain(self._seats)
        held = os.fstat(self.lock)
        is_locked = identity(self._path + ".lock") == (held.st_dev, held.st_ino)
        is_there = self.made is not None and identity(self._path) == self.made
        if is_locked and is_there:
            return None
        lock = self.lock if is_locked else _lock_beside(self._path, self._mode)
        former = None
        try:
            if not is_there:
                _remove_stale(self._path)
                former, self.socket = self.socket, _bind_unix(self._path, self._mode)
                self.made = identity(self._path)
        except CannotClaim:
            if not is_locked:
                os.close(lock)
            raise
        if not is_locked:
            os.close(self.lock)
            self.lock = lock
        for seat in self._seats:
            os.close(seat)
        try:
            self._seats = _take_seats(self._path, self._mode)  # the directory may be another one
        except CannotClaim:
            self._seats = []  # a daemon that starts just now sees that the path is taken
        return None if former is None else self.socket


def from_descriptors(listening: int, lock: int | None = None, *seats: int) -> Claim:
    """Return a claim that was inherited."""
    for descriptor in (listening, lock, *seats):
        if descriptor is not None:
            os.set_inheritable(descriptor, False)
    inherited = socket.socket(fileno=listening)
    mode = PRIVATE
    if lock is not None:
        try:
            mode = stat.S_IMODE(os.lstat(inherited.getsockname()).st_mode)
        except OSError:
            pass  # it was removed a moment ago
    return Claim(inherited, lock, seats=seats, mode=mode)


def identity(path: str | bytes) -> tuple[int, int] | None:
    """Return what tells the file at C{path} from a later one there: device and inode; C{None} if there is no file."""
    try:
        found = os.lstat(path)
    except (OSError, ValueError):  # the latter: it is an abstract socket, which is no file
        return None
    return found.st_dev, found.st_ino


def claim_unix(path: str, mode: int) -> Claim:
    """
    Listen on the UNIX socket C{path}; a stale socket there is replaced, nothing else is
    (docs/compatibility.md, "A file at the path of the socket is deleted").

    @param mode: the socket's permissions, which it has from the first moment on.
    @raise CannotClaim: another program listens there, or it is not possible.
    """
    held = _take_seats(path, mode)
    try:
        held.insert(0, _lock_beside(path, mode))
        _remove_stale(path)
        return Claim(_bind_unix(path, mode), held[0], seats=held[1:], mode=mode)
    except CannotClaim:
        for descriptor in held:
            os.close(descriptor)
        raise


def claim_private(addresses: Iterable[str], warn: Callable[[str], None]) -> list[Claim]:
    """
    Listen at all C{addresses} of a user's daemon (L{flom.config.private_sockets}).

    The abstract one comes first, and keeps a second daemon away also where other files are to be seen. The others are
    not needed; if another user has bound the abstract one, the last one is, which is FLoM's.

    @param warn: called with a line if that one cannot be used.
    @raise CannotClaim: the user's daemon runs already, or there can be none.
    """
    name, *paths = addresses
    claims: list[Claim] = []
    abstract = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        is_ours = _bind_abstract(abstract, name)
        for path in paths:
            try:
                claims.append(claim_unix(path, PRIVATE))
            except CannotClaim as e:
                if e.is_taken or (path == paths[-1] and not is_ours):
                    raise
                if path == paths[-1]:
                    warn(f"FLoM's own commands will not find this daemon: {e}")
        if is_ours:
            abstract.listen(BACKLOG)
            claims.append(Claim(abstract))
        else:
            abstract.close()
    except BaseException:
        abstract.close()
        for claim in claims:
            claim.close()
        raise
    return claims


def _bind_abstract(unbound: socket.socket, name: str) -> bool:
    """Bind the abstract socket C{name}; return whether that is possible, or raise L{CannotClaim}: a daemon has it."""
    try:
        unbound.bind(name)
    except OSError as e:
        if e.errno != errno.EADDRINUSE:
            return False
        try:
            is_daemon = _soon_bound_by(name) in (0, os.geteuid())
        except BlockingIOError:
            is_daemon = True  # or it is not, but that cannot be known
        if is_daemon:
            raise _taken(f"@{name[1:]}") from e
        return False
    return True


def claim_tcp(host: str, port: int, *, v6_only: bool = False, may_come: bool = False) -> Claim:
    """
    Listen on C{port} of C{host}, a name or an address, IPv4 or IPv6.

    @param host: the empty string for every address of this host.
    @param port: 0 for any that is free.
    @param v6_only: keep an IPv6 socket from taking IPv4 connections too, as C{::} otherwise does.
    @param may_come: whether the address may be one that no interface has yet.
    @raise CannotClaim: another program listens there, or C{host} is not here.
    """
    where = host_port(host, port)
    try:
        candidates = addresses_of(host, port)
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
            if may_come:
                listening.setsockopt(*_FREEBIND[family], 1)
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


def addresses_of(host: str, port: int) -> list[Any]:
    """Return what C{getaddrinfo} finds of the C{host} and C{port} of a claim; it may raise L{OSError}."""
    name = host.encode() if host.isascii() else host  # what is bytes is looked up without a codec of 4 ms
    return socket.getaddrinfo(name or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)


def remove_unserved(path: str) -> None:
    """Remove the UNIX socket C{path} if no process serves it, or is about to."""
    held: list[int] = []
    try:
        held = _take_seats(path, PRIVATE)
        held.append(_lock_beside(path, PRIVATE))
        _remove_stale(path)
    except CannotClaim:
        pass
    finally:
        for descriptor in held:
            os.close(descriptor)


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


def _take_seats(path: str, mode: int) -> list[int]:
    """
    Bind the abstract sockets that stand for C{path}, by its name and by its directory, and return their descriptors.

    The name outlives a directory that is made again; but a process sees it in its own mount namespace, and the
    directory is the same in all. What another user has bound counts only where that user could be the daemon.

    @raise CannotClaim: the daemon of C{path} lives, even if its files were removed.
    """
    directory = os.path.realpath(os.path.dirname(os.path.abspath(path)))
    full = os.path.join(directory, os.path.basename(path))
    names = [f"{_inode('/proc/self/ns/mnt')}/{_inode('/')}/{_number(full)}"]
    if (place := identity(directory)) is not None:
        names.append(f"{place[0]}.{place[1]}/{_number(os.path.basename(path))}")
    taken: list[int] = []
    for name in names:
        seat = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            seat.bind(f"\0flom-path/{name}")
            seat.listen(BACKLOG)
            taken.append(seat.detach())
        except OSError as e:
            seat.close()
            if e.errno == errno.EADDRINUSE and _counts(f"\0flom-path/{name}", directory, mode):
                for descriptor in taken:
                    os.close(descriptor)
                raise _taken(path) from e
    return taken


def _drain(seats: Iterable[int]) -> None:
    """Accept and close what L{_counts} has connected, or the queues would be full some day."""
    from socket import AF_UNIX, SOCK_STREAM
    from socket import socket as accepting_socket

    for descriptor in seats:
        seat = accepting_socket(AF_UNIX, SOCK_STREAM, fileno=descriptor)
        try:
            seat.setblocking(False)
            while True:
                seat.accept()[0].close()
        except OSError:
            pass
        finally:
            seat.detach()


def _counts(name: str, directory: str, mode: int) -> bool:
    """Return whether the process that has bound C{name} may be the daemon of a socket in C{directory}."""
    try:
        uid = _bound_by(name)
    except BlockingIOError:
        return False  # it has been asked thousands of times, and has not said who it is
    if uid is None:
        return True
    try:
        found = os.stat(directory)
    except OSError:
        return True
    is_for_all = mode != PRIVATE and found.st_mode & stat.S_IWOTH != 0
    return is_for_all or uid in (0, os.geteuid(), found.st_uid)


def _soon_bound_by(name: str) -> int | None:
    """Return L{_bound_by}; C{None} if who has bound C{name} does not listen for a second, unlike a daemon of ours."""
    for _ in range(_LISTENS_WITHIN):
        uid = _bound_by(name)
        if uid is not None:
            return uid
        sleep(_PAUSE)
    return None


def _bound_by(name: str) -> int | None:
    """
    Return the uid of the process that has bound the abstract socket C{name}; C{None} if it is about to listen.

    @raise BlockingIOError: more connections are waiting than the kernel keeps for it.
    """
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.setblocking(False)
    try:
        probe.connect(name)
        return peer_uid(probe)
    except BlockingIOError:
        raise
    except OSError:
        return None
    finally:
        probe.close()


def peer_uid(connected: socket.socket) -> int:
    """Return the uid of the process at the other end of a UNIX socket."""
    _, uid, _ = memoryview(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)).cast("I")  # pid, uid, gid
    return int(uid)


def _inode(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return ""
    return f"{found.st_dev}.{found.st_ino}"


def _number(name: str) -> str:
    """Return C{name} as a number that fits the name of a socket; it is the same for no two names in practice."""
    return f"{int.from_bytes(os.fsencode(name), 'big') % (2**127 - 1):x}"


def _lock_beside(path: str, mode: int) -> int:
    """
    Lock the file that keeps a second daemon away from C{path}, as FLoM's daemons do too.

    None is made beside what is no socket: other programs may take C{/etc/passwd.lock} for theirs.
    """
    _is_there(path)
    while True:
        lock = _lock_once(path, mode)
        held = os.fstat(lock)
        if identity(path + ".lock") == (held.st_dev, held.st_ino):
            return lock
        os.close(lock)  # it was removed between opening and locking


def _lock_once(path: str, mode: int) -> int:
    name = path + ".lock"
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    mask = os.umask(0o777 & ~(mode & 0o666))
    try:
        try:
            lock = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            lock = os.open(name, flags)  # with O_CREAT, Linux refuses another user's file in /tmp (protected_regular)
    except (FileNotFoundError, NotADirectoryError) as e:
        raise CannotClaim(path, "its directory does not exist", code=ReturnCode.OPEN_ERROR) from e
    except OSError as e:
        raise CannotClaim(name, _why(e, name), code=ReturnCode.OPEN_ERROR) from e
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


def _is_there(path: str) -> bool:
    """Return whether there is a socket at C{path}, of a daemon or left by one; what else there may be is an error."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    if not stat.S_ISSOCK(found.st_mode):
        raise CannotClaim(path, "it is no socket", code=ReturnCode.UNLINK_ERROR)
    return True


def _remove_stale(path: str) -> None:
    if not _is_there(path):
        return
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.setblocking(False)
        problem = probe.connect_ex(path)
    finally:
        probe.close()
    if problem in (0, errno.EAGAIN):
        raise _taken(path)
    if problem not in (errno.ECONNREFUSED, errno.ENOENT):  # it is of another kind, or we may not know who is there
        why = _why(OSError(problem, os.strerror(problem)), path)
        raise CannotClaim(path, f"is there already: {why}", code=ReturnCode.UNLINK_ERROR)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as e:
        raise CannotClaim(path, f"a daemon that has gone left it, {_why(e, path)}", code=ReturnCode.UNLINK_ERROR) from e


def _why(error: OSError, path: str) -> str:
    """Return why C{path} could not be used, and if it is another user's, what to do."""
    why = reason(error)
    try:
        owner = os.lstat(path).st_uid
    except OSError:
        return why
    if not isinstance(error, PermissionError) or owner == os.geteuid():
        return why
    return f"{why}: it belongs to uid {owner}, who may remove it; or choose another socket with --socket-name"


def _taken(path: str) -> CannotClaim:
    return CannotClaim(path, "another daemon is listening there", is_taken=True, code=ReturnCode.DAEMON_NOT_STARTED)

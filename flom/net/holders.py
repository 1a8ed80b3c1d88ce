"""
Holders files: whether the holders of a daemon's locks that are on this host still are, when the daemon has gone.

At its start, a daemon makes a file for each of its addresses, named after the address and this start. A holder has a
shared lock (flock) on it. The command inherits that, and the kernel drops it with the last process that has it open. So
the next daemon there sees whether anybody holds what it does not know, and serves nobody else until they have come.

The daemon has such a lock too: a file that nobody has locked is of no use any more.

A file that was removed cannot be given a name again, nor can a daemon move the locks of others to a new one. So when it
makes the file anew, a small process locks that, for as long as a holder has one locked that was removed.
"""

from __future__ import annotations

import fcntl
import os
import stat

from flom.net import holding
from flom.net.holding import ANY, FLAGS, SUFFIX, base_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    from flom.net.stand_in import StandIn


OLD: Final = 7200.0
"""
Seconds since a file was touched after which it is old: a daemon that lives touches it each hour, and a client that was
told of it has locked it long before.
"""

_START: Final = frozenset("0123456789abcdef")  # what names a start is made of


class NoStandIn(OSError):
    """There can be no process that stands in for holders whose file was removed."""


class HoldersFile:
    """The file of a daemon that runs."""

    def __init__(self, file: str, mode: int, group: int = -1) -> None:
        """
        Make the file C{file}.

        @param mode: its permissions; a client that cannot read it is not waited for.
        @param group: that it belongs to; -1 for ours.
        @raise OSError: it cannot be made.
        """
        self.file = file
        self._mode = mode
        self._group = group
        self._descriptor = self._make()
        self._removed: list[int] = []  # descriptors of files that were removed, and may still be locked by holders
        self._stand_in: StandIn | None = None

    def is_there(self) -> bool:
        """Return whether it is where it was made: it was neither removed nor replaced."""
        try:
            return os.path.samestat(os.stat(self.file, follow_symlinks=False), os.fstat(self._descriptor))
        except OSError:
            return False

    def renew(self) -> None:
        """
        Make it anew, because it is not there: those that have locked the one of before count as if they had this.

        @raise OSError: it cannot be made.
        @raise NoStandIn: it was, but those are not known by it.
        """
        former, self._descriptor = self._descriptor, self._make()
        fcntl.flock(former, fcntl.LOCK_UN)
        self._removed.append(former)
        former_stand_in, self._stand_in = self._stand_in, None
        if former_stand_in is None:
            self._forget_free()
        try:
            if self._removed:
                self._start_stand_in()
        except OSError as e:
            raise NoStandIn(e.errno, e.strerror) from e
        finally:
            if former_stand_in is not None:
                former_stand_in.end()  # it had the former file locked
                self._forget_free()

    def note_end_of_holders(self) -> None:
        """Forget what is there for holders whose file was removed, if they have ended; to be called now and then."""
        if self._stand_in is not None and self._stand_in.has_ended():
            self._stand_in = None
            self._forget_removed()

    def touch(self) -> None:
        """Make it a new file, so to speak, for what removes old ones, as systemd-tmpfiles does in /tmp."""
        try:
            os.utime(self._descriptor)
        except OSError:
            pass  # where it cannot be changed, nothing can remove it either

    def close(self, *, removes: bool) -> None:
        """End; the file is removed if C{removes}, and nobody else has locked it."""
        try:
            if removes:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(self.file)
        except OSError:
            pass  # it is for the next daemon
        os.close(self._descriptor)
        self._forget_removed()

    def _make(self) -> int:
        """Make the file, lock it, and return its descriptor."""
        descriptor = os.open(self.file, os.O_RDONLY | os.O_CREAT | os.O_EXCL | FLAGS, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if self._group >= 0:
                os.fchown(descriptor, -1, self._group)
            os.fchmod(descriptor, self._mode)
        except BaseException:
            os.close(descriptor)
            os.unlink(self.file)
            raise
        return descriptor

    def _start_stand_in(self) -> None:
        """Start a process that has the file locked as long as others have one locked that was removed."""
        from flom.net.stand_in import StandIn  # which most daemons never need

        kept = os.open(self.file, os.O_RDONLY | FLAGS)
        try:
            fcntl.flock(kept, fcntl.LOCK_SH | fcntl.LOCK_NB)
            self._stand_in = StandIn([kept], self._removed, are_files=True)
        finally:
            os.close(kept)

    def _forget_free(self) -> None:
        """Forget removed files that no holder has locked; none can lock them any more."""
        removed, self._removed = self._removed, []
        for each in removed:
            try:
                fcntl.flock(each, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.close(each)
            except BlockingIOError:
                self._removed.append(each)

    def _forget_removed(self) -> None:
        while self._removed:
            os.close(self._removed.pop())


def new_start() -> str:
    """Return what names a start of a daemon: 16 hexadecimal digits."""
    return os.urandom(8).hex()


def start_of(file: str) -> str:
    """Return what names the start of the daemon whose holders file C{file} is."""
    return file.rpartition(SUFFIX)[2]


def find_others(address: Any, *, is_private: bool) -> list[str]:
    """
    Return the holders files of earlier daemons at C{address}, where none of ours is yet.

    @param address: as C{getsockname} returns it.
    @param is_private: whether only this user or root can have been their daemon.
    """
    directory, name = os.path.split(base_of(address))
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    if isinstance(address, tuple):
        prefix, end = holding.prefix(), f"-{address[1]}{SUFFIX}"
        any_hosts = ANY[-1:] if ":" in address[0] else ANY  # "::" has the clients of IPv4 addresses too
        is_any = address[0] in ANY
        hosts = {other: other[len(prefix) :].partition(end)[0] for other in names if other.startswith(prefix)}
        names = [
            other
            for other, host in hosts.items()
            if end in other and (is_any or host in any_hosts or other.startswith(name + SUFFIX))
        ]
    else:
        names = [other for other in names if other.startswith(name + SUFFIX)]
    return [path for other in names if _is_holders_file(path := os.path.join(directory, other), is_private)]


def old_files(now: float) -> Iterator[str]:
    """
    Return the files of this user for TCP addresses and abstract sockets that have been untouched for more than L{OLD}
    seconds at C{now}, by the clock of files, also those of network namespaces that have gone: no daemon may ever listen
    there again and look for them. They need not be free (L{remove_if_free}).
    """
    try:
        names = os.listdir(holding.PLACE)
    except OSError:
        return
    for name in names:
        if not (name.startswith(holding.PREFIX) and SUFFIX in name and _START.issuperset(start_of(name))):
            continue
        path = os.path.join(holding.PLACE, name)
        try:
            found = os.lstat(path)
        except OSError:
            continue
        is_ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_size
        if is_ours and now - found.st_mtime > OLD:
            yield path


def remove_if_free(file: str) -> bool:
    """Remove C{file} if nobody has it locked, and return whether that is so."""
    try:
        descriptor = os.open(file, os.O_RDONLY | FLAGS)
    except OSError:
        return True  # it has been removed, or has been made for others
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(file)
    except BlockingIOError:
        return False
    except OSError:
        pass  # another user's, in a directory in which we may not remove files: it is free
    finally:
        os.close(descriptor)
    return True


def _is_holders_file(path: str, is_private: bool) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and (not is_private or found.st_uid in (0, os.geteuid()))

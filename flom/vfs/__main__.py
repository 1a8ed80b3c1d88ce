"""
The door of what a daemon holds as a file system (docs/compatibility.md, "File system"): C{python -m flom.vfs
DIRECTORY}, which the daemon starts.

It is a process of its own, so that nobody who reads its files, or sits in one of its directories, can hold up the
daemon. Its standard input is a connection to the daemon, where it asks for the status as any client does, and by the
end of which it knows that the daemon has ended: it unmounts then, and ends too. Once it has mounted, it writes
C{mounted} to its standard output; if it cannot, it says why in one line on stderr.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property, partial
from itertools import count
from select import POLLPRI, POLLRDHUP, poll
from threading import Thread
from time import monotonic
from typing import Any, Final, NoReturn, TypeAlias

from flom.client.blocking.status import StatusReader
from flom.client.blocking.stream import Stream
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.errors import FlomError
from flom.status.model import TYPES, Party, ResourceStatus, Status
from flom.text import one_line, reason

FRESH: Final = 0.2
"""Seconds for which what the daemon has said is shown without asking again, so that C{find} asks once or twice."""

REST: Final = 4
"""After an answer that took long, this many times as long: many holders must not keep the daemon busy with telling."""

TIMEOUT: Final = 2.0
"""Seconds that the daemon has for an answer; whoever reads the file system gets an error then."""

_LONG_NAMES: Final = {
    "NL": "NullLock",
    "CR": "ConcurrentRead",
    "CW": "ConcurrentWrite",
    "PR": "ProtectedRead",
    "PW": "ProtectedWrite",
    "EX": "Exclusive",
}
assert _LONG_NAMES.keys() == LockMode.__members__.keys()

_ROOT, _JSON, _STATUS, _INCUBATOR, _LOCKERS = range(1, 6)  # inodes
_SUBTYPE: Final = "flom"
_TYPE: Final = f"fuse.{_SUBTYPE}"
"""Of our mounts, as the kernel calls it."""

_NUMBERED: Final = 8
"""An inode is that many times the number of a party or resource, and from 1 for what is in its directory."""


class File:
    """A file, as it is in one snapshot."""

    def __init__(self, inode: int, since: float, make: Callable[[], bytes]) -> None:
        """
        @param since: when it came to be, in seconds since the epoch.
        @param make: makes its content, when that is wanted.
        """
        self.inode = inode
        self.created = self.changed = since
        self._make = make

    @cached_property
    def content(self) -> bytes:
        return self._make()


class Directory:
    """A directory, as it is in one snapshot."""

    def __init__(self, inode: int, created: float, changed: float, make: Callable[[], dict[str, Node]]) -> None:
        """
        @param created: when it came to be, in seconds since the epoch.
        @param changed: when the newest of its entries did, likewise.
        @param make: makes its entries by name, when they are wanted.
        """
        self.inode = inode
        self.created = created
        self.changed = max(created, changed)
        self._make = make

    @cached_property
    def entries(self) -> dict[str, Node]:
        return self._make()


Node: TypeAlias = File | Directory


class Tree:
    """
    FLoM's tree of files, and C{status.json}, made from one snapshot; only those parts are made that are looked at.

    @ivar root: its root.
    """

    def __init__(self, status: Status) -> None:
        self._status = status
        self._now = status.daemon.now
        started = status.daemon.started
        newest_locker = self._newest(status.resources)
        newest_incubated = self._newest(status.incubator)
        newest = max(newest_locker, newest_incubated)
        lockers = Directory(_LOCKERS, started, newest_locker, self._lockers)
        incubator = Directory(_INCUBATOR, started, newest_incubated, self._incubator)
        shown = Directory(_STATUS, started, newest, lambda: {"incubator": incubator, "lockers": lockers})
        as_json = File(_JSON, self._now, lambda: f"{status.as_json()}\n".encode())
        self.root = Directory(_ROOT, started, newest, lambda: {"status": shown, "status.json": as_json})

    def find(self, path: str) -> Node:
        """
        Give what is at C{path}, which begins with a slash.

        @raise OSError: nothing is.
        """
        node: Node = self.root
        for name in path.split("/"):
            if not name:
                continue
            if not isinstance(node, Directory):
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            found = node.entries.get(name)
            if found is None:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            node = found
        return node

    def _newest(self, shown: Iterable[Party | ResourceStatus]) -> float:
        """Tell when the newest of C{shown} came; 0 if there is none."""
        return max((self._since(one) for one in shown), default=0.0)

    def _since(self, shown: Party | ResourceStatus) -> float:
        return self._now - shown.seconds

    def _incubator(self) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for party in self._status.incubator:
            kind = TYPES[parse_name(party.name).type_number]
            lines = {
                "peer_name": f"{party.address}\n",
                "resource_name": f"{party.name}\n",
                "resource_type": f"{kind}\n",
            }
            found[str(party.number)] = self._files(party, lines)
        return found

    def _lockers(self) -> dict[str, Node]:
        return {str(resource.number): self._locker(resource) for resource in self._status.resources}

    def _locker(self, resource: ResourceStatus) -> Directory:
        created, inode = self._since(resource), resource.number * _NUMBERED
        changed = self._newest([*resource.holders, *resource.waiters])

        def waiters() -> dict[str, Node]:
            return {
                str(party.number): self._files(party, {"peer_name": f"{party.address}\n"}) for party in resource.waiters
            }

        def holders() -> dict[str, Node]:
            return {
                str(party.number): self._files(party, {"peer_name": f"{party.address}\n"} | _value(resource, party))
                for party in resource.holders
            }

        def entries() -> dict[str, Node]:
            return {
                "resource_name": File(inode + 1, created, partial(_encode, f"{resource.name}\n")),
                "resource_type": File(inode + 2, created, partial(_encode, f"{resource.type}\n")),
                "holders": Directory(inode + 3, created, self._newest(resource.holders), holders),
                "waitings": Directory(inode + 4, created, self._newest(resource.waiters), waiters),
            }

        return Directory(inode, created, changed, entries)

    def _files(self, party: Party, contents: dict[str, str]) -> Directory:
        """Make the directory of C{party}, with files of these contents."""
        since, inode = self._since(party), party.number * _NUMBERED

        def entries() -> dict[str, Node]:
            return {
                name: File(inode + place, since, partial(_encode, text))
                for place, (name, text) in enumerate(contents.items(), start=1)
            }

        return Directory(inode, since, since, entries)


def _value(resource: ResourceStatus, holder: Party) -> dict[str, str]:
    """Give the file with what C{holder} holds, for the types that have one."""
    match resource.type:
        case "simple" | "hierarchical":
            assert holder.mode is not None
            return {"lock_mode": _LONG_NAMES[holder.mode]}  # FLoM ends it with no line feed
        case "numeric":
            return {"quantity": f"{holder.quantity}\n"}
        case "sequence" | "timestamp":
            return {f"{resource.type}_value": f"{holder.element}\n"}
    return {}


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class Snapshots:
    """What the daemon holds, asked for when somebody wants to see it."""

    def __init__(self, reader: StatusReader) -> None:
        self._reader = reader
        self._tree: Tree | None = None
        self._stale_at = 0.0

    def latest(self) -> Tree:
        """
        Give a tree that is not older than L{FRESH}, as long as the daemon answers quickly.

        @raise OSError: it does not answer; for the next moment it is not asked again, because a program that reads many
            files would wait for each.
        """
        asked = monotonic()
        if asked >= self._stale_at:
            self._tree = None
            with suppress(FlomError):
                self._tree = Tree(self._reader.read(timeout=TIMEOUT))
            now = monotonic()
            self._stale_at = now + max(FRESH, min(now - asked, FRESH) * REST)
        if self._tree is None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._tree


class View:
    """The file system, as libfuse asks for it; nothing but reading works, because it is mounted read-only."""

    use_ns: Final = True  # times are in nanoseconds

    def __init__(self, latest: Callable[[], Tree], on_mounted: Callable[[], None]) -> None:
        """
        @param latest: gives what is to be shown; raises C{OSError} if nothing is known.
        @param on_mounted: called once, when it can be used.
        """
        self._latest = latest
        self._on_mounted = on_mounted
        self._opened: dict[int, File] = {}  # whoever reads a file in pieces gets those of one snapshot
        self._handles = count(1)

    def init(self, path: str) -> None:
        self._on_mounted()

    def getattr(self, path: str, handle: int | None = None) -> dict[str, int]:
        node = self._opened.get(handle or 0) or self._latest().find(path)
        is_file = isinstance(node, File)
        return {
            "st_ino": node.inode,
            "st_mode": stat.S_IFREG | 0o440 if is_file else stat.S_IFDIR | 0o550,
            "st_nlink": 1,  # for a directory: not known, or find would rely on the number of those in it
            "st_size": len(node.content) if isinstance(node, File) else 0,
            "st_uid": os.geteuid(),
            "st_gid": os.getegid(),
            "st_ctime": round(node.created) * 10**9,
            "st_mtime": round(node.changed) * 10**9,
            "st_atime": round(node.changed) * 10**9,
        }

    def readdir(self, path: str, handle: int) -> list[str | tuple[str, dict[str, int], int]]:
        node = self._latest().find(path)
        if not isinstance(node, Directory):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        listed: list[str | tuple[str, dict[str, int], int]] = [".", ".."]
        for name, entry in node.entries.items():
            mode = stat.S_IFREG if isinstance(entry, File) else stat.S_IFDIR
            listed.append((name, {"st_mode": mode, "st_ino": entry.inode}, 0))
        return listed

    def open(self, path: str, flags: int) -> int:
        node = self._latest().find(path)
        if not isinstance(node, File):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        handle = next(self._handles)
        self._opened[handle] = node
        return handle

    def read(self, path: str, size: int, offset: int, handle: int) -> bytes:
        return self._opened[handle].content[offset : offset + size]

    def release(self, path: str, handle: int) -> int:
        del self._opened[handle]
        return 0


def unmounting(directory: str) -> list[str]:
    """Give the words of the command that unmounts C{directory}, even while somebody is there."""
    return ["fusermount3", "-u", "-z", "-q", "--", directory]


def make_room(directory: str) -> None:
    """
    See that what a killed daemon has mounted at C{directory} is gone, so that the next one finds its place.

    If its process was killed too, the mount is taken away; if it was not, it is about to do so itself, and has a moment
    for that. What is no mount of ours is left alone, and so is that of a daemon which lives.
    """
    give_up = monotonic() + TIMEOUT
    with open("/proc/self/mountinfo", "rb") as mounts:
        changes = poll()
        changes.register(mounts, POLLPRI)
        while type_of_mount(directory) == _TYPE:
            if _is_dead(directory):
                subprocess.run(unmounting(directory), stdin=subprocess.DEVNULL, timeout=TIMEOUT)
                return
            left = give_up - monotonic()
            if left <= 0:
                return
            changes.poll(left * 1000)


def _is_dead(directory: str) -> bool:
    """Tell whether the process is gone that has mounted at C{directory}."""
    try:
        os.stat(directory)
    except OSError as e:
        return e.errno == errno.ENOTCONN
    return False


def why_not(directory: str) -> str | None:
    """Tell why nothing can be mounted at C{directory}, as far as that can be seen without trying."""
    try:
        if not stat.S_ISDIR(os.stat(directory).st_mode):
            return "it is no directory"
        if type_of_mount(directory) is not None:
            return "something is mounted there already"
        if os.listdir(directory):
            return "it is not empty"
    except OSError as e:
        if e.errno == errno.ENOTCONN:
            return f"a mount is left there whose process is gone; 'fusermount3 -u {shlex.quote(directory)}' removes it"
        return reason(e)
    if not os.path.exists("/dev/fuse"):
        return "this machine has no /dev/fuse"
    if shutil.which("fusermount3") is None:
        return "the program fusermount3 is missing (Debian package fuse3)"
    return None


def type_of_mount(directory: str) -> str | None:
    """
    Give the type of what is mounted at C{directory}, even if it is dead; C{None} if nothing is.

    @param directory: an absolute path without links.
    """
    found = None
    with open("/proc/self/mountinfo", "rb") as mounts:
        for line in mounts:
            place, _, source = line.partition(b" - ")
            if _unescape(place.split()[4]) == os.fsencode(directory):
                found = source.split()[0].decode()  # the last one covers the others
    return found


def _unescape(path: bytes) -> bytes:
    """Read a path as the kernel writes it in its list of mounts, with octal numbers for blanks."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), path)


def _fuse() -> Any:
    """
    Give what mounts.

    @raise SystemExit: it is not installed.
    """
    os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")  # it would take an older one first
    try:
        from mfusepy import FUSE  # type: ignore[import-untyped]
    except ImportError as e:
        _refuse(f"the Python package mfusepy cannot be used: {e}")
    except (OSError, AttributeError) as e:
        _refuse(f"libfuse3 cannot be used (Debian package fuse3): {e}")
    return FUSE


def _refuse(why: str) -> NoReturn:
    raise SystemExit(one_line(why))


def _unmount_at_the_end(daemon: socket.socket, directory: str) -> None:
    """Wait until the daemon has gone; then unmount, and end this process whatever it does."""
    poller = poll()
    poller.register(daemon, POLLRDHUP)  # nothing else: what the daemon says is for somebody else to read
    poller.poll()
    status = 1
    with suppress(OSError, subprocess.SubprocessError):
        status = subprocess.run(unmounting(directory), stdin=subprocess.DEVNULL, timeout=TIMEOUT).returncode
    os._exit(status)


def main() -> None:
    """Mount at the directory that is the only argument, an absolute path without links, until the daemon has gone."""
    if len(sys.argv) != 2 or not stat.S_ISSOCK(os.fstat(0).st_mode):
        _refuse("flom.vfs is started by a daemon: see the option -m of flom, flom-run and twistd flom")
    directory = sys.argv[1]
    with suppress(OSError):
        os.setsid()  # what a terminal sends to the daemon's group is for the daemon, and we end after it
    with suppress(OSError, subprocess.SubprocessError):
        make_room(directory)  # if it cannot, we say what is there
    if why := why_not(directory):
        _refuse(why)
    fuse = _fuse()
    daemon = socket.socket(fileno=0)
    daemon.setblocking(False)
    has_mounted = False

    def note_mount() -> None:
        nonlocal has_mounted
        has_mounted = True
        os.write(1, b"mounted\n")
        Thread(target=_unmount_at_the_end, args=(daemon, directory), daemon=True).start()

    view = View(Snapshots(StatusReader(Stream(daemon), "the daemon")).latest, note_mount)
    try:
        fuse(
            view,
            directory,
            foreground=True,
            nothreads=True,
            fsname="flom",
            subtype=_SUBTYPE,
            ro=True,
            use_ino=True,
            direct_io=True,
            entry_timeout=FRESH,
            attr_timeout=0,
        )
    except RuntimeError:
        if not has_mounted:
            raise SystemExit(1) from None  # libfuse has said why


if __name__ == "__main__":
    main()

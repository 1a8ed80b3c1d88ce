"""The file system as libfuse asks for it, and the latest tree to show there."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from time import monotonic
from typing import Any, Final

from flom.client.blocking.status import StatusReader
from flom.errors import FlomError
from flom.vfs.mounts import SUBTYPE
from flom.vfs.tree import Directory, File, Tree

FRESH: Final = 0.2
"""Seconds for which a tree is shown without asking the daemon again, so that C{find} asks once or twice."""

REST: Final = 4
"""After an answer that took up to 0.2 s, the daemon is left alone for this many times as long."""

TIMEOUT: Final = 2.0
"""Seconds that the daemon has for an answer; readers of the file system get an error then."""


class Snapshots:
    """The trees of a daemon, which is asked for a new one when a reader finds the last one old."""

    def __init__(self, reader: StatusReader) -> None:
        self._reader = reader
        self._tree: Tree | None = None
        self._stale_at = 0.0

    def latest(self) -> Tree:
        """
        Return a tree that is not older than L{FRESH} seconds, as long as the daemon answers quickly.

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


class FileSystem:
    """The operations of libfuse; the mount is read-only, so there are none that write."""

    use_ns: Final = True  # times are in nanoseconds

    def __init__(self, latest: Callable[[], Tree], on_mounted: Callable[[], None]) -> None:
        """C{latest} returns the tree to show, or raises C{OSError}; C{on_mounted} is called once it can be used."""
        self._latest = latest
        self._on_mounted = on_mounted
        self._opened: dict[int, File] = {}  # a file that is read in pieces is of one snapshot
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


def load_mfusepy() -> Any:
    """
    Return mfusepy's class that mounts and serves.

    @raise ImportError: the Python package is missing or cannot be used.
    @raise OSError: libfuse3 is missing.
    """
    os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")  # it would take an older one first
    try:
        from mfusepy import FUSE  # type: ignore[import-untyped]
    except AttributeError as e:  # what is found under that name is no libfuse3
        raise OSError(str(e)) from None
    return FUSE


def serve(fuse: Any, operations: FileSystem, directory: str) -> None:
    """
    Mount at C{directory}, and serve until it is unmounted.

    @param fuse: see L{load_mfusepy}.
    @raise RuntimeError: libfuse has failed, and has written why to stderr.
    """
    fuse(
        operations,
        directory,
        foreground=True,
        nothreads=True,
        fsname="flom",
        subtype=SUBTYPE,
        ro=True,
        use_ino=True,
        direct_io=True,
        entry_timeout=FRESH,
        attr_timeout=0,
    )

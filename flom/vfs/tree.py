"""The tree of files that shows a status (docs/compatibility.md, "File system"), made as far as it is looked at."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from typing import Final, TypeAlias

from flom.core.names import parse_name
from flom.status.json import to_json
from flom.status.model import LockStatus, ResourceStatus, Status

LONG_NAMES: Final = {
    "NL": "NullLock",
    "CR": "ConcurrentRead",
    "CW": "ConcurrentWrite",
    "PR": "ProtectedRead",
    "PW": "ProtectedWrite",
    "EX": "Exclusive",
}

_ROOT, _JSON, _STATUS, _INCUBATOR, _LOCKERS = range(1, 6)  # inodes

_INODES_EACH: Final = 8
"""Number 5 (a lock or a resource) has inode 5 * 8 = 40, and 41 to 47 are for the entries of its directory."""


class File:
    """A file, as it is in one snapshot."""

    def __init__(self, inode: int, since: float, make: Callable[[], str]) -> None:
        """It was created at C{since}, in seconds since the epoch; C{make}, called at most once, returns its text."""
        self.inode = inode
        self.created = self.changed = since
        self._make = make

    @cached_property
    def content(self) -> bytes:
        return self._make().encode("utf-8", "surrogateescape")


class Directory:
    """A directory, as it is in one snapshot."""

    def __init__(self, inode: int, created: float, changed: float, make: Callable[[], dict[str, Node]]) -> None:
        """C{changed}: when its newest entry was created. C{make}, called at most once, returns its entries."""
        self.inode = inode
        self.created = created
        self.changed = max(created, changed)
        self._make = make

    @cached_property
    def entries(self) -> dict[str, Node]:
        return self._make()


Node: TypeAlias = File | Directory


class Tree:
    """FLoM's tree of files, and C{status.json}, made from one snapshot."""

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
        as_json = File(_JSON, self._now, lambda: f"{to_json(status)}\n")
        self.root = Directory(_ROOT, started, newest, lambda: {"status": shown, "status.json": as_json})

    def find(self, path: str) -> Node:
        """Return what is at C{path}, which begins with a slash; C{OSError} is raised if nothing is."""
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

    def _newest(self, shown: Iterable[LockStatus | ResourceStatus]) -> float:
        """Return when the newest of C{shown} began; 0 if there is none."""
        return max((self._since(one) for one in shown), default=0.0)

    def _since(self, shown: LockStatus | ResourceStatus) -> float:
        return self._now - shown.seconds

    def _incubator(self) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for waiter in self._status.incubator:
            kind = parse_name(waiter.name).type_name
            wanted = {"resource_name": f"{waiter.name}\n", "resource_type": f"{kind}\n"}
            found[str(waiter.number)] = self._files(waiter, wanted)
        return found

    def _lockers(self) -> dict[str, Node]:
        return {str(resource.number): self._locker(resource) for resource in self._status.resources}

    def _locker(self, resource: ResourceStatus) -> Directory:
        created, inode = self._since(resource), resource.number * _INODES_EACH

        def waiters() -> dict[str, Node]:
            return {str(waiter.number): self._files(waiter, {}) for waiter in resource.waiters}

        def holders() -> dict[str, Node]:
            return {str(holder.number): self._files(holder, _value(resource, holder)) for holder in resource.holders}

        def entries() -> dict[str, Node]:
            return {
                "resource_name": File(inode + 1, created, lambda: f"{resource.name}\n"),
                "resource_type": File(inode + 2, created, lambda: f"{resource.type}\n"),
                "holders": Directory(inode + 3, created, self._newest(resource.holders), holders),
                "waitings": Directory(inode + 4, created, self._newest(resource.waiters), waiters),
            }

        return Directory(inode, created, self._newest([*resource.holders, *resource.waiters]), entries)

    def _files(self, lock: LockStatus, more: dict[str, str]) -> Directory:
        """Return the directory of C{lock}: a file with its address, and C{more} contents by name."""
        since, inode = self._since(lock), lock.number * _INODES_EACH
        contents = {"peer_name": f"{lock.address}\n"} | more

        def entries() -> dict[str, Node]:
            return {
                name: File(inode + place, since, partial(str, text))
                for place, (name, text) in enumerate(contents.items(), start=1)
            }

        return Directory(inode, since, since, entries)


def _value(resource: ResourceStatus, holder: LockStatus) -> dict[str, str]:
    """Return the file with what C{holder} holds, for the types that have one."""
    match resource.type:
        case "simple" | "hierarchical":
            assert holder.mode is not None
            return {"lock_mode": LONG_NAMES[holder.mode]}  # FLoM ends it with no line feed
        case "numeric":
            return {"quantity": f"{holder.quantity}\n"}
        case "sequence" | "timestamp":
            return {f"{resource.type}_value": f"{holder.element}\n"}
    return {}

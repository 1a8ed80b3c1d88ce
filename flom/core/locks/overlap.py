"""
Which locks that two daemons have granted, while neither could hear the other, exclude each other.

Each daemon lists what is held at it by digests, salted for this one comparison: the other one recognizes what is held
at itself too, and does not learn the names of what is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Final, NamedTuple

from flom.core.locks.snapshot import LockView, TableView
from flom.core.modes import LockMode, compatible
from flom.core.names import HierarchicalName, NumericName, SequenceName, SetName, TimestampName
from flom.errors import RemoteProtocolError

_DIGEST_SIZE: Final = 12  # bytes; by chance, two of a million names would have the same once in 10**17 comparisons


class HeldThere(NamedTuple):
    """
    A lock that is held, without its names.

    @ivar resource: the digest of the resource's key.
    @ivar path: the digests of the node of a hierarchy and of those above it, the root first; empty for other types.
    @ivar mode: the number of the lock mode.
    @ivar quantity: units of a numeric resource.
    @ivar element: the digest of the element that was granted; empty if there is none.
    """

    resource: str
    path: tuple[str, ...]
    mode: int
    quantity: int
    element: str


class Digests:
    """Makes digests that are the same at both daemons, and of use for one comparison alone."""

    def __init__(self, salt: bytes) -> None:
        """@param salt: what both have agreed on; with a secret in it, only those who know that can guess names."""
        self._salt = hashlib.sha256(salt).digest()

    def of(self, text: str) -> str:
        """Return the digest of C{text}."""
        whole = hashlib.sha256(self._salt + text.encode("utf-8", "surrogateescape"))
        return whole.digest()[:_DIGEST_SIZE].hex()

    def held(self, lock: LockView) -> HeldThere:
        """Return what is held by C{lock}."""
        name, request = lock.request.name, lock.request
        levels = name.levels if isinstance(name, HierarchicalName) else ()
        path = tuple(self.of("/" + "/".join(levels[: depth + 1])) for depth in range(len(levels)))
        element = "" if lock.element is None else self.of(f"{name.key}\0{lock.element}")
        return HeldThere(self.of(name.key), path, int(request.mode), request.quantity, element)


def list_held(view: TableView, digests: Digests, known: Iterable[LockView] = ()) -> bytes:
    """
    Return all that is held in C{view}, for another daemon.

    @param known: locks that are listed too, though they may have been released meanwhile.
    """
    locks = [*known, *(lock for resource in view.resources for lock in resource.holders)]
    once = {(lock.number, lock.token): lock for lock in locks}
    return json.dumps([digests.held(lock) for lock in once.values()], separators=(",", ":")).encode()


def read_held(data: bytes) -> list[HeldThere]:
    """Return what another daemon has listed; raise L{RemoteProtocolError} if C{data} is no such list."""
    try:
        found = [
            HeldThere(str(resource), tuple(map(str, path)), LockMode(mode), int(quantity), str(element))
            for resource, path, mode, quantity, element in json.loads(data)
        ]
    except (ValueError, TypeError, RecursionError) as e:
        raise RemoteProtocolError(f"no list of what is held: {e}") from None
    return found


def contested(view: TableView, held_there: Iterable[HeldThere], digests: Digests) -> list[LockView]:
    """Return the locks in C{view} that one daemon alone would not have granted beside those that are C{held_there}."""
    by_resource: dict[str, list[HeldThere]] = {}
    for each in held_there:
        by_resource.setdefault(each.resource, []).append(each)
    found: list[LockView] = []
    for resource in view.resources:
        if resource.holders:
            there = by_resource.get(digests.of(resource.holders[0].request.name.key))
            if there:
                found += _contested(resource.holders, there, digests)
    return found


def _contested(holders: list[LockView], there: list[HeldThere], digests: Digests) -> list[LockView]:
    """Return those of C{holders}, of one resource, that those of the same resource who hold it C{there} exclude."""
    match holders[0].request.name:
        case NumericName(total=total):
            taken = sum(lock.request.quantity for lock in holders) + sum(each.quantity for each in there)
            is_there = any(each.quantity for each in there)
            return [lock for lock in holders if lock.request.quantity] if is_there and taken > total else []
        case SequenceName(slots=slots) | TimestampName(slots=slots) if len(holders) + len(there) > slots:
            return holders
        case SequenceName() | TimestampName() | SetName():
            elements = {each.element for each in there}
            return [lock for lock in holders if digests.held(lock).element in elements]
        case _:
            return [lock for lock in holders if _is_excluded(digests.held(lock), there)]


def _is_excluded(held: HeldThere, there: list[HeldThere]) -> bool:
    """Return whether one of C{there} excludes C{held}: of a hierarchy, those at its node, above it and below it do."""
    return any(
        not compatible(LockMode(each.mode), LockMode(held.mode))
        and (not held.path or (bool(each.path) and (held.path[-1] in each.path or each.path[-1] in held.path)))
        for each in there
    )

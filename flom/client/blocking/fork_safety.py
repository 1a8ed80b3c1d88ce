"""
Sockets that stay with the process that has made them, even if its other threads fork.

A child that had a copy of the connection would keep the lock after its parent's end, and could release it.
"""

from __future__ import annotations

import os
from _weakrefset import WeakSet

from flom.lean import RLock, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, TypeVar

    from flom.net.holding import Holding

    _Self = TypeVar("_Self", bound="_Socket")

guard: Final = RLock()
"""Held for a moment at a time, and by no thread at the moment of a fork; for what must be done in one go."""


class _Socket(socket.socket):
    """A socket that can be referred to weakly, and closes itself at the end of a block."""

    __slots__ = ("__weakref__",)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_sockets: WeakSet[socket.socket | Holding] = WeakSet()


def open_socket(family: int, kind: int) -> socket.socket:
    """Open a socket that does not block; it is closed in a forked child, and inherited if it is passed on."""
    with guard:
        made = _Socket(family, kind)
        _sockets.add(made)
    made.setblocking(False)
    return made


def adopt(descriptor: int) -> socket.socket:
    """Return the socket that is C{descriptor}, which another process has sent, as L{open_socket} would."""
    with guard:
        made = _Socket(fileno=descriptor)
        _sockets.add(made)
    made.setblocking(False)
    return made


def open_pair() -> tuple[socket.socket, socket.socket]:
    """Open two sockets that are connected with each other; they are closed in a forked child."""
    with guard:
        one, other = (_Socket(fileno=end.detach()) for end in socket.socketpair())
        _sockets.update((one, other))
    return one, other


def lock_holders(file: str) -> Holding:
    """Lock the holders file C{file}; see L{Holding}. A forked child does not have it."""
    from flom.net.holding import Holding  # for those whose daemon has such a file

    with guard:
        made = Holding(file)
        _sockets.add(made)
    return made


def close_socket(made: socket.socket) -> None:
    """Close C{made}; a child that is forked at this moment does not have it either."""
    with guard:
        made.close()


def _close_all() -> None:
    for inherited in list(_sockets):
        inherited.close()  # this descriptor only: the connection is the parent's, and goes on
    _sockets.clear()
    guard.release()


os.register_at_fork(before=guard.acquire, after_in_parent=guard.release, after_in_child=_close_all)

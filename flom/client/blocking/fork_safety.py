"""
Sockets that stay with the process that has made them, even if its other threads fork.

A child that had a copy of the connection would keep the lock after its parent's end, and could release it.
"""

from __future__ import annotations

import os
import socket
from threading import RLock
from weakref import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

guard: Final = RLock()
"""Held for a moment at a time, and by no thread at the moment of a fork; for what must be done in one go."""

_sockets: WeakSet[socket.socket] = WeakSet()


def open_socket(family: int, kind: int) -> socket.socket:
    """Open a socket that does not block; it is closed in a forked child, and inherited if it is passed on."""
    with guard:
        made = socket.socket(family, kind)
        _sockets.add(made)
    made.setblocking(False)
    return made


def open_pair() -> tuple[socket.socket, socket.socket]:
    """Open two sockets that are connected with each other; they are closed in a forked child."""
    with guard:
        pair = socket.socketpair()
        _sockets.update(pair)
    return pair


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

"""
Sockets that stay with the process that has made them, whatever its other threads fork.

A child that had a copy of the connection would keep the lock after its parent's end, and could give it back.
"""

from __future__ import annotations

import os
import socket
from threading import RLock
from typing import Final
from weakref import WeakSet

guard: Final = RLock()
"""Held for a moment at a time, and by nobody at the moment of a fork; for what must be done in one go."""

_sockets: WeakSet[socket.socket] = WeakSet()


def open_socket(family: int, kind: int) -> socket.socket:
    """
    Make a socket that does not block.

    A child that is forked has it closed; a program that is run has not got it, unless it is passed on on purpose.
    """
    with guard:
        made = socket.socket(family, kind)
        _sockets.add(made)
    made.setblocking(False)
    return made


def close_socket(made: socket.socket) -> None:
    """Close it; a child that is forked at this moment has not got it either."""
    with guard:
        made.close()


def _close_all() -> None:
    for inherited in list(_sockets):
        inherited.close()  # this descriptor only: the connection is the parent's, and goes on
    _sockets.clear()
    guard.release()


os.register_at_fork(before=guard.acquire, after_in_parent=guard.release, after_in_child=_close_all)

"""A way over TCP that breaks when it is told to: L{ResettingProxy}."""

from __future__ import annotations

import select
import socket
import struct
from random import Random
from threading import Lock, Thread
from types import TracebackType
from typing import Final

_LOOK: Final = 0.05  # seconds between two looks whether it is over
_RESET: Final = struct.pack("ii", 1, 0)  # linger for no time: the other end gets an RST


class ResettingProxy:
    """
    Passes on what clients and a daemon say to each other; a context manager.

    @ivar port: where clients connect, at 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        """@param port: of the daemon, at 127.0.0.1."""
        self._daemon = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listening.getsockname()[1]
        self._other: dict[socket.socket, socket.socket] = {}  # of each end, the one to which it is passed on
        self._lock = Lock()
        self._is_over = False
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> ResettingProxy:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._is_over = True
        self._thread.join(10)
        self.break_some(Random(), 1.0)
        self._listening.close()

    def break_some(self, random: Random, part: float) -> int:
        """Reset a C{part} of all connections, 0 to 1, at both ends; return how many that were."""
        with self._lock:
            broken = [end for end in list(self._other)[::2] if random.random() < part]
            for end in broken:
                self._end(end, resets=True)
        return len(broken)

    def _run(self) -> None:
        while not self._is_over:
            with self._lock:
                ends = [self._listening, *self._other]
            readable, _, _ = select.select(ends, [], [], _LOOK)
            with self._lock:
                for end in readable:
                    if end is self._listening:
                        self._join()
                    elif end in self._other:  # or else it was broken meanwhile
                        self._pass_on(end)

    def _join(self) -> None:
        client, _ = self._listening.accept()
        try:
            daemon = socket.create_connection(self._daemon, 5)
        except OSError:
            client.close()
            return
        self._other |= {client: daemon, daemon: client}

    def _pass_on(self, end: socket.socket) -> None:
        try:
            data = end.recv(65536)
            self._other[end].sendall(data)
        except OSError:
            self._end(end, resets=True)
            return
        if not data:
            self._end(end, resets=False)

    def _end(self, end: socket.socket, *, resets: bool) -> None:
        for each in (end, self._other[end]):
            del self._other[each]
            if resets:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            each.close()

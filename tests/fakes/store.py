"""
A store that checks fencing tokens, and a command that writes to it all the time, as what a lock protects does.

The store is written from docs/explanation/tokens.md, without any help of the code that grants: it compares numbers.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

S = TypeVar("S", bound="Store")

_WRITER = """
import os, socket, sys, time
path, who = sys.argv[1:]
store = socket.socket(socket.AF_UNIX)
store.connect(path)
print("writing", flush=True)
while True:
    store.sendall(f"{os.environ['FLOM_TOKEN']} {who}\\n".encode())
    if store.recv(1) != b"+":
        print("refused", flush=True)
    time.sleep(0.02)
"""


class Store:
    """
    Takes a write only with a token that is not lower than the highest one before; as a context manager, it is gone
    outside.

    @ivar path: of its socket.
    @ivar taken: who has written, each time another one than before.
    @ivar refused: whose writes were refused, likewise.
    """

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.taken: list[str] = []
        self.refused: list[str] = []
        self._highest = 0
        self._lock = threading.Lock()
        self._listening = socket.socket(socket.AF_UNIX)

    def words(self, who: str) -> list[str]:
        """Return the words of a command that writes as C{who}, from its line C{writing} on until it is ended."""
        return [sys.executable, "-I", "-S", "-c", _WRITER, self.path, who]

    def __enter__(self: S) -> S:
        self._listening.bind(self.path)
        self._listening.listen(100)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        os.unlink(self.path)

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self._listening.accept()
            except OSError:
                return  # it was closed
            threading.Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connected: socket.socket) -> None:
        with suppress(OSError), connected, connected.makefile() as file:  # it may be ended while it writes
            for line in file:
                with self._lock:
                    is_taken = self.hear(line)
                connected.sendall(b"+" if is_taken else b"-")

    def hear(self, line: str) -> bool:
        """Judge what a command writes; return whether it is taken."""
        token, who = line.split()
        is_taken = int(token) >= self._highest
        self._highest = max(self._highest, int(token))
        noted = self.taken if is_taken else self.refused
        if noted[-1:] != [who]:
            noted.append(who)
        return is_taken

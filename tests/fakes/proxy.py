"""A TCP proxy that hides how a connection has ended, as C{ssh -L} does."""

from __future__ import annotations

import socket
from threading import Lock, Thread
from types import TracebackType


class Proxy:
    """
    Passes on what both ends say, by threads; as a context manager, it has ended outside.

    @ivar port: where it listens on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        """@param port: that it leads to, on 127.0.0.1."""
        self._leads_to = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._guard = Lock()
        self._ends: list[socket.socket] = []
        self._is_cut = False
        Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Lose the way to the daemon: close all connections, in good order, and new ones at once."""
        with self._guard:
            self._is_cut = True
            for end in self._ends:
                self._hang_up(end)
            self._ends.clear()

    def heal(self) -> None:
        """Find the way again."""
        self._is_cut = False

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._hang_up(self._listening)
        self._listening.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with self._guard:
                if self._is_cut:
                    client.close()
                    continue
                daemon = socket.create_connection(("127.0.0.1", self._leads_to))
                self._ends += [client, daemon]
            Thread(target=self._pass_on, args=(client, daemon), daemon=True).start()
            Thread(target=self._pass_on, args=(daemon, client), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(4096):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            self._hang_up(source)  # likewise in good order, whatever has happened
            self._hang_up(target)
        with self._guard:
            if source in self._ends:
                self._ends.remove(source)

    @staticmethod
    def _hang_up(end: socket.socket) -> None:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended

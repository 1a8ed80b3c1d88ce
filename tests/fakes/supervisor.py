"""The program that supervises a daemon, such as systemd, as far as daemons talk to it (sd_notify(3))."""

from __future__ import annotations

import shutil
import socket
from types import TracebackType
from typing import Final

import pytest

from tests.fakes.pipes import PATIENCE

needs_systemd: Final = pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="needs systemd's programs (Debian package systemd)"
)


class Supervisor:
    """
    A socket that is told what becomes of a daemon; as a context manager, it is closed outside.

    @ivar environment: what the daemon is started with.
    @ivar heard: the lines of each datagram so far.
    """

    def __init__(self, address: str, watchdog: float | None = None) -> None:
        """
        @param address: a path, or C{@} and the name of an abstract socket.
        @param watchdog: seconds within which the daemon has to be heard; C{None} for no watchdog.
        """
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.settimeout(PATIENCE)
        self.environment = {"NOTIFY_SOCKET": address}
        if watchdog is not None:
            self.environment["WATCHDOG_USEC"] = f"{watchdog * 1e6:.0f}"
        self.heard: list[list[str]] = []

    def __enter__(self) -> Supervisor:
        return self

    def hear(self) -> list[str]:
        """Wait for the next datagram, and return its lines."""
        self.heard.append(self._socket.recv(65_536).decode().split("\n"))
        return self.heard[-1]

    def wait_for(self, line: str) -> list[str]:
        """Wait for a datagram that has C{line}, and return its lines."""
        while line not in (lines := self.hear()):
            pass
        return lines

    def wait_for_status(self, beginning: str) -> str:
        """Wait for a status that begins so, and return it."""
        while True:
            for line in self.hear():
                if line.startswith(f"STATUS={beginning}"):
                    return line.removeprefix("STATUS=")

    def is_told_nothing(self) -> bool:
        """Return whether there is no datagram now."""
        self._socket.setblocking(False)
        try:
            self.hear()
        except BlockingIOError:
            return True
        finally:
            self._socket.settimeout(PATIENCE)
        return False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._socket.close()

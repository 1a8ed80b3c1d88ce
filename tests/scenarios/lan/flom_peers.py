"""
The other end as FLoM 1.7.2 is, written from its specification: the bytes that it sends, and a client.

Nothing of our own implementation is used here.
"""

from __future__ import annotations

import re
import socket
from base64 import b64encode
from contextlib import suppress
from types import TracebackType
from typing import Final

from tests.fakes.programs import PATIENCE
from tests.scenarios.lan.network import GROUP, PORT, LanHost

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8" ?>'

QUESTION: Final = f'{_DECLARATION}<msg level="3" verb="4" step="8"></msg>'.encode()
"""What a client sends to the group (docs/compatibility.md, "Discovery by the client")."""

_REPLY: Final = re.compile(
    re.escape(f'{_DECLARATION}<msg level="3" verb="4" step="16"><network address="') + r'([^"]*)" port="(\d+)"/></msg>'
)


def port_in(reply: bytes) -> int:
    """Return the TCP port in what a daemon replies, which must be what FLoM's daemon would say without an address."""
    found = _REPLY.fullmatch(reply.decode())
    assert found, reply
    assert found[1] == ""
    return int(found[2])


def connect_to_leader(host: LanHost) -> socket.socket:
    """
    Connect from C{host} to the daemon that leads the group there, as FLoM's client finds it.

    @raise OSError: there is none at this moment.
    """
    with host.open_socket(socket.AF_INET6, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.5)
        asker.sendto(QUESTION, (GROUP, PORT))
        reply, sender = asker.recvfrom(65536)
    connected = host.open_socket(socket.AF_INET6, socket.SOCK_STREAM)
    try:
        connected.connect((sender[0], port_in(reply), 0, sender[3]))
    except OSError:
        connected.close()
        raise
    return connected


def _base64(name: str) -> str:
    return b64encode(name.encode()).decode()


class FlomClient:
    """
    A connection for one lock (docs/compatibility.md, "Protocol: messages"); as a context manager, it is closed outside.
    """

    def __init__(self, host: LanHost, address: tuple[str | int, ...]) -> None:
        """
        @param host: where the client is.
        @param address: of a daemon, as sockets want it.
        """
        self._connection = host.open_socket(socket.AF_INET6, socket.SOCK_STREAM)
        self._connection.settimeout(PATIENCE)
        self._connection.connect(address)

    def lock(self, name: str, *, wait: bool = True) -> str:
        """Ask for a simple resource exclusively; give the code of the first answer, nothing if there is none."""
        self._say(
            f'<msg level="3" verb="1" step="8"><session peerid="{"0" * 32}"/>'
            f'<resource name="{_base64(name)}" mode="5" wait="{int(wait)}" create="1" lifespan="0"/></msg>'
        )
        answer = self._read()
        found = re.fullmatch(
            re.escape(_DECLARATION)
            + r'<msg level="3" verb="1" step="16"><session peerid="[^"]*"/><answer rc="(-?\d+)"/></msg>',
            answer,
        )
        assert found or not answer, answer
        return found[1] if found else ""

    def lock_patiently(self, name: str) -> None:
        """Lock it exclusively, as long as that takes."""
        if self.lock(name) != "0":
            assert '<answer rc="0"/>' in self._read()

    def unlock(self, name: str) -> None:
        """Release it."""
        self._say(f'<msg level="3" verb="2" step="8"><resource name="{_base64(name)}" rollback="0" /></msg>')

    def _say(self, message: str) -> None:
        with suppress(ConnectionError):  # we shall read nothing then
            self._connection.sendall((_DECLARATION + message).encode())

    def _read(self) -> str:
        data = b""
        while not data.endswith(b"</msg>"):
            try:
                more = self._connection.recv(1)
            except ConnectionError:
                more = b""
            if not more:
                break
            data += more
        return data.decode()

    def __enter__(self) -> FlomClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._connection.close()

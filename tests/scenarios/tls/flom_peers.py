"""
The other end of TLS as FLoM 1.7.2 is, written from its specification (5.3, 5.5, 9.2, 9.4).

It does everything in turn, and waits for it; it completes every handshake, and looks at certificates afterwards; it
sends one certificate, and ends TLS by ending the connection below it.
"""

from __future__ import annotations

import re
import socket
import struct
from base64 import b64decode, b64encode
from types import TracebackType
from typing import Any, Final

from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from flom.net.machine_id import unique_id
from tests.fakes.authority import Files
from tests.fakes.programs import PATIENCE

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8" ?>'
_NO_AUTO_CHAIN: Final = 8  # OpenSSL's SSL_MODE_NO_AUTO_CHAIN
_BUFFER_SIZE: Final = 511


class Secured:
    """
    A connection with its handshake done.

    @ivar problem: what is wrong with the other end's certificate, as OpenSSL's number; 0 if nothing is.
    @ivar common_name: the last one in it.
    """

    def __init__(self, connection: socket.socket, files: Files, *, is_server: bool) -> None:
        """
        @raise SSL.Error: the other end does not like us.
        """
        self.problem = 0
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_certificate_file(files.certificate)
        context.use_privatekey_file(files.key)
        context.load_verify_locations(files.authority)
        context.set_mode(_NO_AUTO_CHAIN)
        context.set_verify_depth(4)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._note)
        # not settimeout(), which would make it one that never waits
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(PATIENCE), 0))
        self._socket = connection
        self._tls = SSL.Connection(context, connection)
        if is_server:
            self._tls.set_accept_state()
        else:
            self._tls.set_connect_state()
        self._tls.do_handshake()
        certificate = self._tls.get_peer_certificate()
        assert certificate is not None
        names = certificate.to_cryptography().subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        self.common_name = names[-1].value

    def say(self, message: str) -> None:
        self._tls.sendall(f"{_DECLARATION}{message}".encode())

    def read(self) -> str:
        """
        Wait for the next message; nothing if there is none any more.

        @raise SSL.Error: the other end does not like us.
        """
        data = b""
        while not data.endswith(b"</msg>"):
            try:
                data += self._tls.recv(_BUFFER_SIZE)
            except SSL.ZeroReturnError:
                return ""
            except SSL.Error as e:
                if "unexpected eof" not in str(e).lower():
                    raise
                return ""
        return data.decode()

    def half_close(self, *, says_so: bool) -> None:
        """
        Send nothing more.

        @param says_so: whether to tell the other end's TLS first.
        """
        if says_so:
            self._tls.shutdown()
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()

    def _note(self, connection: Any, certificate: Any, error: int, depth: int, is_good: int) -> bool:
        if not is_good:
            self.problem = error
        return True


class Refusal(Exception):
    """A client or a daemon leaves, because of whom it talks to."""


class FlomClient:
    """A client with one lock to ask for; as a context manager, it is gone outside."""

    def __init__(self, port: int, files: Files) -> None:
        """
        @raise Refusal: the daemon's certificate is bad.
        @raise SSL.Error: the daemon does not like ours.
        """
        self._connection = Secured(socket.create_connection(("127.0.0.1", port)), files, is_server=False)
        if self._connection.problem:
            self._connection.close()
            raise Refusal(f"certificate problem {self._connection.problem}")

    def lock(self, name: str) -> str:
        """Ask for a simple resource exclusively; give the code of the first answer, nothing if there is none."""
        self._connection.say(
            f'<msg level="3" verb="1" step="8"><session peerid="{unique_id()}"/>'
            f'<resource name="{b64encode(name.encode()).decode()}" mode="5" wait="1" create="1" lifespan="0"/></msg>'
        )
        return _code(self._connection.read())

    def wait(self) -> str:
        """Return the code of the next answer."""
        return _code(self._connection.read())

    def unlock(self, name: str) -> None:
        encoded = b64encode(name.encode()).decode()
        self._connection.say(f'<msg level="3" verb="2" step="8"><resource name="{encoded}" rollback="0" /></msg>')

    def leave(self, *, says_so: bool) -> None:
        """Send nothing more, and wait until the daemon has closed the connection."""
        self._connection.half_close(says_so=says_so)
        assert self._connection.read() == ""

    def __enter__(self) -> FlomClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._connection.close()


class FlomDaemon:
    """
    A daemon that grants every lock; as a context manager, it is gone outside.

    @ivar port: where it listens.
    @ivar log: what has happened so far.
    """

    def __init__(
        self, files: Files, *, checks_peer_id: bool = False, says_so: bool = False, resets: bool = False
    ) -> None:
        """
        @param says_so: whether it tells a client's TLS before it closes a connection.
        @param resets: whether a connection ends by a reset, as if its host had started anew.
        """
        self._files = files
        self._checks_peer_id = checks_peer_id
        self._says_so = says_so
        self._resets = resets
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(PATIENCE)
        self.port: int = self._listening.getsockname()[1]
        self.log: list[str] = []

    def serve(self, clients: int) -> None:
        """Serve as many clients, one after the other, to their end."""
        for _ in range(clients):
            connection, _ = self._listening.accept()
            connection.setblocking(True)
            try:
                self._serve(connection)
            except SSL.Error as e:
                self.log.append(str(e))
            finally:
                if self._resets:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

    def _serve(self, socket: socket.socket) -> None:
        connection = Secured(socket, self._files, is_server=True)
        if connection.problem:
            self.log.append(f"certificate problem {connection.problem}")
        elif self._is_trusted(connection, first := connection.read()):
            self._grant(connection, first)
            while message := connection.read():
                self._note(message)
        if self._says_so:
            connection.half_close(says_so=True)

    def _is_trusted(self, connection: Secured, first: str) -> bool:
        peer_id = first.partition('peerid="')[2].partition('"')[0]
        if self._checks_peer_id and peer_id != connection.common_name:
            self.log.append("peer id mismatch")
            return False
        return True

    def _grant(self, connection: Secured, message: str) -> None:
        self._note(message)
        connection.say(f'<msg level="3" verb="1" step="16"><session peerid="{unique_id()}"/><answer rc="0"/></msg>')

    def _note(self, message: str) -> None:
        found = re.search('verb="(.)" .*<resource name="([^"]*)"', message)
        assert found, message
        self.log.append(f"{ {'1': 'lock', '2': 'unlock'}[found[1]] } {b64decode(found[2]).decode()}")

    def __enter__(self) -> FlomDaemon:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._listening.close()


def _code(answer: str) -> str:
    return answer.partition('rc="')[2].partition('"')[0]

"""
A daemon as FLoM 1.7.2 is one, as far as others on the network can tell, written from its specification (6.3, 5.3).

It answers every question for a daemon, and grants every lock that a client waits for or creates, so that it is seen who
relied on it. What FLoM's daemon would die of, or be deaf after (docs/compatibility.md, "A datagram can end the
daemon"), ends this one with a complaint.

Arguments: the group, an IPv6 address, and its port; certificate, key and authority if it is to speak TLS, which it ends
by the end of the stream below it. On stdout it says C{ready PORT}, and C{granted NAME} for each lock.
"""

from __future__ import annotations

import re
import socket
import socketserver
import ssl
import struct
import sys
from base64 import b64decode
from threading import Thread
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

DECLARATION = '<?xml version="1.0" encoding="UTF-8" ?>'
KNOWN_TAGS = {"msg", "session", "resource", "answer", "network", "shutdown"}
MAX_SIZE = 511


class Deadly(Exception):
    """A datagram that FLoM's daemon would not survive."""


def check_question(datagram: bytes) -> None:
    """
    Check that C{datagram} is a question for a daemon.

    @raise Deadly: it is not.
    """
    header: dict[str, str] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag == "msg":
            header.update(attributes)
        elif tag not in KNOWN_TAGS and attributes:
            raise Deadly(f"an unknown tag {tag} with attributes")

    parser = ParserCreate()
    parser.StartElementHandler = start
    try:
        parser.Parse(datagram, True)
    except ExpatError as e:
        raise Deadly(str(e)) from e
    if len(datagram) > MAX_SIZE:
        raise Deadly(f"{len(datagram)} bytes")
    if (header.get("level", "3"), header.get("verb"), header.get("step")) != ("3", "4", "8"):
        raise Deadly("no question")


class Granting(socketserver.StreamRequestHandler):
    """One client, which is given whatever it asks for."""

    def handle(self) -> None:
        data = b""
        while more := self.request.recv(4096):
            data += more
            while b"</msg>" in data:
                message, _, data = data.partition(b"</msg>")
                if b'verb="1"' in message:
                    self._grant(message)

    def _grant(self, message: bytes) -> None:
        found = re.search(rb'<resource name="([^"]*)"', message)
        assert found
        is_probe = b'wait="0"' in message and b'create="0"' in message
        if not is_probe:
            print("granted", b64decode(found[1]).decode(), flush=True)
        code = 5 if is_probe else 0
        answer = f'<msg level="3" verb="1" step="16"><session peerid="{"f" * 32}"/><answer rc="{code}"/></msg>'
        self.wfile.write((DECLARATION + answer).encode())


class Server(socketserver.ThreadingTCPServer):
    """Listens on any port of any address."""

    address_family = socket.AF_INET6
    daemon_threads = True
    request_queue_size = 100
    secured: ssl.SSLContext | None = None

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        return (self.secured.wrap_socket(connection, server_side=True) if self.secured else connection), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that has gone without a word."""


def main() -> None:
    group, port = sys.argv[1], int(sys.argv[2])
    server = Server(("::", 0), Granting)
    if len(sys.argv) > 3:
        certificate, key, authority = sys.argv[3:]
        server.secured = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority)
        server.secured.verify_mode = ssl.CERT_REQUIRED
        server.secured.load_cert_chain(certificate, key)
    asked = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    asked.bind(("::", port))
    membership = struct.pack("16sI", socket.inet_pton(socket.AF_INET6, group), 0)
    asked.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
    Thread(target=server.serve_forever, daemon=True).start()
    print("ready", server.server_address[1], flush=True)
    reply = f'<msg level="3" verb="4" step="16"><network address="" port="{server.server_address[1]}"/></msg>'
    while True:
        datagram, sender = asked.recvfrom(65536)
        try:
            check_question(datagram)
        except Deadly as e:
            sys.exit(f"{e}: {datagram!r} from {sender}")
        asked.sendto((DECLARATION + reply).encode(), sender)


if __name__ == "__main__":
    main()

"""
Every TCP connection is set up alike, IPv4 and IPv6, at both ends (docs/compatibility.md, "Keepalive",
"IPv6 connections have no keepalive").
"""

from __future__ import annotations

import socket
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IAddress

from flom.client.deferred.arbiter import RemoteArbiter
from flom.net.claim import claim_tcp
from flom.net.keepalive import DEFAULT_KEEPALIVE, Keepalive
from flom.reactor.ports import ClaimedEndpoint
from flom.server.arbiter import DeferredArbiter
from flom.server.connection import LockFactory, LockProtocol
from flom.server.options import ServerOptions

loop: Any = reactor

LONGEST = Keepalive(32767, 32767, 127)


class RememberingFactory(LockFactory):
    """A lock factory that knows the last protocol it has made."""

    last: LockProtocol

    def buildProtocol(self, addr: IAddress | None) -> LockProtocol:
        protocol = super().buildProtocol(addr)
        assert protocol is not None
        self.last = protocol
        return protocol


@pytest.mark.parametrize(
    ("host", "endpoint"), [("127.0.0.1", TCP4ClientEndpoint), ("::1", TCP6ClientEndpoint)], ids=["IPv4", "IPv6"]
)
@pytest.mark.parametrize("keepalive", [DEFAULT_KEEPALIVE, Keepalive(7, 3, 2), LONGEST])
@pytest_twisted.ensureDeferred
async def test_both_ends_have_no_delay_and_are_kept_alive(host: str, endpoint: Any, keepalive: Keepalive) -> None:
    factory = RememberingFactory(DeferredArbiter(loop), loop, ServerOptions(keepalive))
    claim = claim_tcp(host, 0)
    port_number = claim.socket.getsockname()[1]
    port = await ClaimedEndpoint(loop, claim).listen(factory)
    held = await RemoteArbiter(endpoint(loop, host, port_number), host, loop, keepalive).acquire("R1")
    ends = {
        factory.last.transport.getHandle(): keepalive.of_daemon,
        socket.socket(fileno=held.fileno()): keepalive,  # type: ignore[attr-defined]
    }
    for end, set_to in ends.items():
        tcp = socket.IPPROTO_TCP
        assert end.getsockopt(tcp, socket.TCP_NODELAY)
        assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert (
            Keepalive(
                end.getsockopt(tcp, socket.TCP_KEEPIDLE),
                end.getsockopt(tcp, socket.TCP_KEEPINTVL),
                end.getsockopt(tcp, socket.TCP_KEEPCNT),
            )
            == set_to
        )
        assert end.getsockopt(tcp, socket.TCP_USER_TIMEOUT) == min(set_to.patience * 1000, 2**31 - 1)
    end.detach()
    await held.release()
    await maybeDeferred(port.stopListening)

"""Ports on claimed addresses, and what may be accepted at them."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol

from flom.net.claim import Claim, claim_tcp, claim_unix
from flom.reactor.ports import ClaimedEndpoint, control_accepting, has_descriptor
from tests.fakes.reactors import MemoryReactor
from tests.fakes.results import now

loop: Any = reactor
FACTORY = Factory.forProtocol(Protocol)
FACTORY.noisy = False


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "sock")


@pytest.fixture
def listen() -> Iterator[Callable[[Claim], Any]]:
    """A function that listens on a claim; the ports are closed in the end."""
    ports: list[IListeningPort] = []

    def listen(claim: Claim) -> IListeningPort:
        ports.append(now(ClaimedEndpoint(loop, claim).listen(FACTORY)))
        return ports[-1]

    yield listen
    for port in ports:
        port.stopListening()


def test_a_unix_port_keeps_the_permissions_of_the_claim(path: str, listen: Callable[[Claim], Any]) -> None:
    port = listen(claim_unix(path, 0o600))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert os.fsdecode(port.getHost().name) == path


def test_a_tcp_port_has_the_address_of_the_claim(listen: Callable[[Claim], Any]) -> None:
    claim = claim_tcp("127.0.0.1", 0)
    address = claim.socket.getsockname()
    port = listen(claim)
    assert (port.getHost().host, port.getHost().port) == address


@pytest.mark.parametrize("is_borrowed", [False, True])
def test_only_our_own_socket_is_removed_in_the_end(
    path: str, listen: Callable[[Claim], Any], is_borrowed: bool
) -> None:
    with socket.socket(socket.AF_UNIX) as lender:
        lender.bind(path)
        port = listen(Claim(lender.dup(), is_borrowed=is_borrowed))
        port.connectionLost(None)
    assert os.path.exists(path) == is_borrowed


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_a_lender_goes_on_listening_in_the_end(
    path: str, listen: Callable[[Claim], Any], family: socket.AddressFamily
) -> None:
    """systemd starts the next daemon when a client connects."""
    with socket.socket(family) as lender, socket.socket(family) as client:
        lender.bind(path if family == socket.AF_UNIX else ("127.0.0.1", 0))
        lender.listen()
        listen(Claim(lender.dup(), is_borrowed=True)).connectionLost(None)
        client.connect(lender.getsockname())
        lender.accept()[0].close()


def test_a_socket_that_has_replaced_ours_is_not_removed(path: str, listen: Callable[[Claim], Any]) -> None:
    port = listen(claim_unix(path, 0o600))
    os.unlink(path)
    Path(path).touch()
    port.connectionLost(None)
    assert os.path.exists(path)


def test_only_as_many_connections_are_accepted_as_allowed(path: str, listen: Callable[[Claim], Any]) -> None:
    port = listen(claim_unix(path, 0o600))
    assert has_descriptor(port)
    accepts: list[Callable[[int], None]] = []
    made: list[object] = []

    class Refusing(Factory):
        def buildProtocol(self, addr: object) -> None:
            made.append(addr)

    control_accepting(port, accepts.append)
    port.factory = Refusing()
    clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for client in clients:
        client.connect(path)
    port.doRead()
    assert made == []
    accepts[0](2)
    assert len(made) == 2
    for client in clients:
        client.close()


def test_a_port_of_a_test_has_no_descriptor() -> None:
    assert not has_descriptor(MemoryReactor().listenTCP(0, FACTORY))

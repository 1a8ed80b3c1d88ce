"""What a connection is sent by, and how one side of it is closed, with TLS in between and without."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet import tcp, unix
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

from flom.reactor.transports import close_our_side, end_for_all, sender, underlying
from tests.fakes.connections import Transport, wrap


def test_below_tls_is_the_transport_that_sends_the_bytes() -> None:
    transport = Transport()
    assert underlying(transport) is transport
    assert underlying(wrap(transport)) is transport
    assert underlying(wrap(wrap(transport))) is transport


def test_in_plain_text_our_side_alone_is_closed() -> None:
    transport = Transport()
    close_our_side(transport)
    assert (transport.half_closed, transport.disconnecting) == (True, False)


def test_under_tls_which_has_no_sides_the_connection_is_closed() -> None:
    transport = Transport()
    close_our_side(wrap(transport))
    assert (transport.half_closed, transport.disconnecting) == (False, True)


# what is sent at once


class Connection:
    """
    A real connection of a daemon, whose reactor turns when the test wants it to.

    @ivar transport: our end.
    @ivar peer: the other one.
    """

    def __init__(self, kind: str) -> None:
        self._reactor = MemoryReactorClock()
        if kind == "unix":
            ours, self.peer = socket.socketpair()
        else:
            with socket.create_server(("127.0.0.1", 0)) as listening:
                self.peer = socket.create_connection(listening.getsockname())
                ours, _ = listening.accept()
        ours.setblocking(False)
        self.peer.setblocking(False)
        protocol = Protocol()
        port: Any = None  # it is not used
        self.transport: Any
        if kind == "unix":
            self.transport = unix.Server(ours, protocol, None, port, 0, self._reactor)
        else:
            self.transport = tcp.Server(ours, protocol, ours.getpeername(), port, 0, self._reactor)
        protocol.makeConnection(self.transport)

    @property
    def is_waiting(self) -> bool:
        """Whether something is left to the reactor."""
        return self.transport in self._reactor.writers

    @property
    def is_reading(self) -> bool:
        """Whether the reactor waits for something to read."""
        return self.transport in self._reactor.readers

    def received(self) -> bytes:
        """Return what the other end was sent and has not read yet."""
        parts = []
        try:
            while data := self.peer.recv(1 << 16):
                parts.append(data)
        except BlockingIOError:
            pass
        return b"".join(parts)

    def turn(self) -> None:
        """Run the reactor until it has written once."""
        why = self.transport.doWrite()
        if why:
            self._reactor.removeWriter(self.transport)
            self.transport.connectionLost(Failure(why))

    def received_in_the_end(self) -> bytes:
        """Return all that the other end receives until the reactor has nothing to do."""
        data = self.received()
        while self.is_waiting:
            self.turn()
            data += self.received()
        return data

    def close(self) -> None:
        self.peer.close()
        if self.transport.connected:
            self.transport.connectionLost(Failure(ConnectionDone()))


@pytest.fixture(params=["unix", "tcp"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    connection = Connection(request.param)
    yield connection
    connection.close()


BIG = bytes(range(256)) * (1 << 16)
"""More than the kernel takes at once."""


def test_what_the_kernel_takes_is_sent_without_the_reactor(connection: Connection) -> None:
    send = sender(connection.transport)
    send(b"first ")
    send(b"second")
    assert not connection.is_waiting
    assert connection.received_in_the_end() == b"first second"


def test_a_reset_that_sending_finds_is_not_taken_for_an_end_in_good_order() -> None:
    """The kernel tells of it once: reading finds the end of the stream after that."""
    connection = Connection("tcp")
    connection.transport.startReading()
    connection.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.peer.close()
    sender(connection.transport)(b"granted")
    assert not connection.is_reading
    assert connection.is_waiting
    connection.turn()
    assert not connection.transport.connected


def test_what_the_kernel_does_not_take_is_left_to_the_reactor(connection: Connection) -> None:
    sender(connection.transport)(BIG)
    assert connection.is_waiting
    assert connection.received_in_the_end() == BIG


def test_what_comes_later_stays_behind_it(connection: Connection) -> None:
    send = sender(connection.transport)
    send(BIG)
    head = connection.received()  # there is room again
    send(b"second ")
    connection.turn()
    head += connection.received()
    send(b"third")
    assert head + connection.received_in_the_end() == BIG + b"second third"


def test_it_stays_behind_what_was_written_in_the_usual_way_too(connection: Connection) -> None:
    connection.transport.write(b"first ")
    sender(connection.transport)(b"second")
    assert connection.received() == b""
    assert connection.received_in_the_end() == b"first second"
    sender(connection.transport)(b" third")
    assert (connection.received(), connection.is_waiting) == (b" third", False)


def test_nothing_is_sent_at_once_by_a_connection_that_we_close(connection: Connection) -> None:
    connection.transport.loseConnection()
    sender(connection.transport)(b"late")
    assert connection.received() == b""


def test_our_side_is_closed_at_once_if_nothing_waits_to_be_sent(connection: Connection) -> None:
    close_our_side(connection.transport)
    assert (connection.is_waiting, connection.is_reading) == (False, True)
    connection.peer.setblocking(True)
    assert connection.peer.recv(1) == b""


def test_our_side_is_closed_behind_what_waits_to_be_sent(connection: Connection) -> None:
    connection.transport.write(b"first")
    close_our_side(connection.transport)
    assert connection.received() == b""
    connection.turn()
    connection.peer.setblocking(True)
    assert (connection.peer.recv(9), connection.peer.recv(1)) == (b"first", b"")


def test_nothing_is_sent_after_our_side_was_closed(connection: Connection) -> None:
    close_our_side(connection.transport)
    connection.turn()
    sender(connection.transport)(b"late")
    assert (connection.received(), connection.is_waiting) == (b"", False)


def test_a_peer_that_is_gone_is_found_by_the_reactor(connection: Connection) -> None:
    connection.peer.close()
    send = sender(connection.transport)
    while not connection.is_waiting:
        send(b"lost")  # TCP notices when the first answer comes back
    connection.turn()
    assert not connection.transport.connected


def test_nothing_is_sent_by_a_connection_that_was_thrown_away(connection: Connection) -> None:
    connection.transport.abortConnection()
    sender(connection.transport)(b"late")
    assert connection.received() == b""


def test_nothing_is_sent_by_a_connection_that_is_lost(connection: Connection) -> None:
    send = sender(connection.transport)
    connection.transport.connectionLost(Failure(ConnectionDone()))
    send(b"late")
    assert not connection.is_waiting


class Cipher(ProtocolWrapper):
    """Stands in for TLS."""

    def write(self, data: bytes) -> None:
        super().write(bytes(255 - byte for byte in data))


def test_under_tls_no_plain_text_is_sent(connection: Connection) -> None:
    wrapper = Cipher(WrappingFactory(Factory()), Protocol())
    wrapper.transport = connection.transport
    sender(wrapper)(b"secret")
    assert connection.received_in_the_end() == bytes(255 - byte for byte in b"secret")


# connections that a child process has inherited


def test_an_end_for_all_reaches_the_peer_while_a_child_has_the_connection(connection: Connection) -> None:
    """C{abortConnection} alone leaves the peer waiting as long as the child's descriptor is open."""
    with socket.socket(fileno=os.dup(connection.transport.fileno())):
        end_for_all(connection.transport)
        assert connection.peer.recv(1) == b""


def test_an_end_for_all_may_come_after_the_peer_s(connection: Connection) -> None:
    connection.transport.getHandle().shutdown(socket.SHUT_RDWR)
    connection.peer.close()
    end_for_all(connection.transport)


def test_an_end_for_all_of_what_has_ended_does_nothing(connection: Connection) -> None:
    connection.transport.connectionLost(Failure(ConnectionDone()))
    end_for_all(connection.transport)

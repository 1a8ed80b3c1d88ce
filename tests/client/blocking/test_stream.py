"""Bytes over a socket, without a reactor: every wait has an end."""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

from flom.client.blocking.stream import NEVER, Interrupted, Stream, note_signals
from flom.errors import LockTimeout


@pytest.fixture
def ends() -> Iterator[tuple[Stream, socket.socket]]:
    """A stream, and the socket at its other end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield Stream(ours), theirs


def test_bytes_come_as_they_arrive_until_the_end(ends: tuple[Stream, socket.socket]) -> None:
    stream, other = ends
    other.sendall(b"hello")
    assert stream.receive(NEVER) == b"hello"
    with pytest.raises(LockTimeout):
        stream.receive(monotonic() + 0.01)
    other.close()
    assert stream.receive(NEVER) == b""


def test_a_peer_that_does_not_read_is_not_waited_for_for_ever(ends: tuple[Stream, socket.socket]) -> None:
    stream, _ = ends
    with pytest.raises(LockTimeout):
        stream.send(bytes(10_000_000), monotonic() + 0.01)


def test_a_peer_that_has_gone_ends_what_is_sent_without_a_signal(ends: tuple[Stream, socket.socket]) -> None:
    stream, other = ends
    other.close()
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        with pytest.raises(OSError, match="Broken pipe"):
            stream.send(b"hello", NEVER)
    finally:
        signal.signal(signal.SIGPIPE, before)


def test_a_reset_that_is_told_to_a_sender_is_remembered() -> None:
    """The kernel tells of a reset once; after that, the end of the stream looks as if the peer had closed it."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as ours:
        ours.setblocking(False)
        stream = Stream(ours)
        other, _ = server.accept()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        other.close()
        with pytest.raises(ConnectionResetError):
            stream.send(b"hello", NEVER)
        assert stream.receive(NEVER) == b""
        assert stream.is_broken


def test_a_side_is_closed_by_itself(ends: tuple[Stream, socket.socket]) -> None:
    stream, other = ends
    stream.shut_down(NEVER)
    assert other.recv(1) == b""
    other.sendall(b"late")
    assert stream.receive(NEVER) == b"late"


def test_a_signal_that_is_noted_ends_a_wait(ends: tuple[Stream, socket.socket]) -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with note_signals() as signals:
            os.kill(os.getpid(), signal.SIGUSR1)
            with pytest.raises(Interrupted):
                ends[0].receive(NEVER, signals)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_in_other_threads_none_is_noted() -> None:
    with ThreadPoolExecutor() as threads:
        assert threads.submit(lambda: note_signals().__enter__()).result() is None


def test_what_is_sent_after_an_end_in_good_order_does_not_make_it_a_reset() -> None:
    """What is sent first is answered by a reset, which the kernel tells to who sends again."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as ours:
        ours.setblocking(False)
        stream = Stream(ours)
        other, _ = server.accept()
        other.close()
        stream.send(b"hello", NEVER)
        with pytest.raises(BrokenPipeError):
            stream.send(b"hello", NEVER)
        assert not stream.is_broken
        assert stream.receive(NEVER) == b""

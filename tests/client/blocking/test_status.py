"""Asking a daemon what it holds; what of that a user sees is tested in tests/ctl."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from flom.client.blocking.status import NoStatus, StatusReader, open_status
from flom.client.blocking.stream import Stream
from flom.config import Config
from flom.core.protocol.messages import ManagementRefused
from flom.errors import DaemonLost, LockTimeout, RemoteProtocolError
from tests.fakes.daemon import Daemon
from tests.fakes.peers import SocketClient, SocketConversation


@pytest.fixture
def ends() -> Iterator[tuple[StatusReader, SocketConversation]]:
    """A reader, and a daemon that the test plays."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with StatusReader(Stream(ours), "the daemon") as reader, theirs:
        yield reader, SocketConversation(theirs)


def test_a_daemon_is_asked_as_often_as_one_likes(daemon: Daemon) -> None:
    with open_status(Config(socket_name=daemon.socket), print) as reader:
        assert reader.read().resources == ()
        with SocketClient(daemon.socket) as client:
            client.ask("R1")
            assert [resource.name for resource in reader.read().resources] == ["R1"]
            assert reader.read("R2").resources == ()


def test_a_refusal_is_explained(ends: tuple[StatusReader, SocketConversation]) -> None:
    reader, daemon = ends
    daemon.say(ManagementRefused())
    with pytest.raises(NoStatus, match="--status-for all"):
        reader.read()


def test_an_answer_that_is_late_is_read_before_the_next_question(ends: tuple[StatusReader, SocketConversation]) -> None:
    reader, daemon = ends
    with pytest.raises(LockTimeout):
        reader.read(timeout=0.01)
    daemon.say(ManagementRefused())
    with pytest.raises(NoStatus):
        reader.read()
    assert daemon.read() is not None  # the one question


def test_a_daemon_that_makes_no_sense(ends: tuple[StatusReader, SocketConversation]) -> None:
    reader, daemon = ends
    daemon.send(b"<msg>nonsense</msg>")
    with pytest.raises(RemoteProtocolError, match="the daemon: "):
        reader.read()


def test_a_daemon_that_goes_away(ends: tuple[StatusReader, SocketConversation]) -> None:
    reader, daemon = ends
    daemon.close()
    with pytest.raises(DaemonLost, match="the daemon closed the connection"):
        reader.read()

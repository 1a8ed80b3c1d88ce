"""
A daemon is ordered to end: it obeys or refuses, and has not obeyed while it still listens
(docs/compatibility.md, "Shutdown").
"""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from flom.client.blocking.connection import Conversation, connect
from flom.client.blocking.shutdown import shut_down
from flom.config import Config
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import MessageReader
from flom.core.protocol.messages import ManagementRefused, Message, Shutdown
from flom.errors import DaemonLost, DaemonUnreachable, ShutdownNotAllowed
from flom.net.machine_id import unique_id
from tests.fakes.connections import xml

REFUSAL = encode(ManagementRefused())


class Ordered:
    """
    A daemon that the test plays.

    @ivar heard: what it was told on the first connection.
    @ivar successor: what listens in its place as soon as it does not, if anything.
    """

    def __init__(self, path: Path) -> None:
        self.config = Config(socket_name=str(path))
        self.heard: list[Message] = []
        self.successor: socket.socket | None = None
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(path))
        self._listening.listen()
        self._thread = ThreadPoolExecutor(1)

    def play(self, *words: bytes, listens_for: float | None, hangs_up: bool = True) -> None:
        """
        Answer the first connection by C{words}.

        @param listens_for: seconds that others may connect afterwards; C{None} to go on listening.
        @param hangs_up: whether to close the first connection.
        """
        self._thread.submit(self._play, words, listens_for, hangs_up)

    def close(self) -> None:
        self._listening.close()
        self._thread.shutdown()

    def _play(self, words: tuple[bytes, ...], listens_for: float | None, hangs_up: bool) -> None:
        connected, _ = self._listening.accept()
        with connected:
            self.heard = list(MessageReader().feed(connected.recv(2**16)))
            for word in words:
                connected.sendall(word)
                sleep(0.002)
            if not hangs_up:
                connected.recv(1)
            if listens_for == 0:
                self._listening.close()
                if self.successor is not None:
                    os.unlink(str(self.config.socket_name))
                    self.successor.bind(str(self.config.socket_name))
                    self.successor.listen()
        if listens_for:
            sleep(listens_for)
            self._listening.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Ordered]:
    daemon = Ordered(tmp_path / "flom.sock")
    yield daemon
    daemon.close()


@pytest.mark.parametrize("immediate", [False, True])
def test_the_daemon_is_told_how_to_end_and_by_which_machine(daemon: Ordered, immediate: bool) -> None:
    daemon.play(listens_for=0)
    shut_down(daemon.config, immediate)
    assert daemon.heard == [Shutdown(immediate, unique_id())]


def test_it_may_need_a_moment_to_end(daemon: Ordered) -> None:
    daemon.play(listens_for=0.3)
    began = monotonic()
    shut_down(daemon.config, True)
    assert 0.3 <= monotonic() - began < 5.0


def test_a_daemon_that_listens_for_a_second_has_not_ended(daemon: Ordered) -> None:
    daemon.play(listens_for=None)
    began = monotonic()
    with pytest.raises(ShutdownNotAllowed, match=r"has closed the connection, but has not ended: it may want TLS"):
        shut_down(daemon.config, True)
    assert monotonic() - began >= 1.0


def test_a_daemon_whose_place_another_one_takes_at_once_has_ended(daemon: Ordered) -> None:
    """The C{flom-run} of a holder starts the next daemon within milliseconds."""
    with socket.socket(socket.AF_UNIX) as daemon.successor:
        daemon.play(listens_for=0)
        shut_down(daemon.config, True)


@pytest.mark.parametrize("hangs_up", [False, True])
@pytest.mark.parametrize("words", [[REFUSAL], [REFUSAL[i : i + 1] for i in range(len(REFUSAL))]], ids=["whole", "cut"])
def test_a_refusal(daemon: Ordered, words: list[bytes], hangs_up: bool) -> None:
    daemon.play(*words, listens_for=None, hangs_up=hangs_up)
    with pytest.raises(ShutdownNotAllowed, match=" refuses to end: "):
        shut_down(daemon.config, True)


def test_a_daemon_that_says_nothing_for_a_second_obeys(daemon: Ordered) -> None:
    """It ends when no client needs it any more."""
    daemon.play(listens_for=None, hangs_up=False)
    began = monotonic()
    shut_down(daemon.config, False)
    assert 1.0 <= monotonic() - began < 5.0


@pytest.mark.parametrize(
    "words", [b"hello</msg>", b"\x15\x03\x03\x00\x02", b"x" * 2000, xml(1, 16, '<answer rc="6"/>'), xml(3, 16)]
)
def test_other_words_are_no_refusal(daemon: Ordered, words: bytes) -> None:
    daemon.play(words, listens_for=0)
    shut_down(daemon.config, True)


def test_without_a_daemon_there_is_none_to_order(tmp_path: Path) -> None:
    with pytest.raises(DaemonUnreachable, match="no daemon is listening"):
        shut_down(Config(socket_name=str(tmp_path / "flom.sock")), True)


def test_a_connection_that_is_reset_before_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel knows of no peer then, so nothing can be said about whether it has ended."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def connect_and_lose(*args: Any, **options: Any) -> Conversation:
            conversation = connect(*args, **options)
            accepted, _ = listening.accept()
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()
            poll = select.poll()
            poll.register(conversation.stream.socket, select.POLLHUP)
            assert poll.poll(20_000)
            return conversation

        monkeypatch.setattr("flom.client.blocking.shutdown.connect", connect_and_lose)
        with pytest.raises(DaemonLost, match=f"^127.0.0.1:{port} has closed the connection before it could be ordered"):
            shut_down(Config(unicast_address="127.0.0.1", unicast_port=port), True)

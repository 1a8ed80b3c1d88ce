"""Asking a group over real sockets, without a reactor (docs/compatibility.md, "Discovery by the client")."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep

import pytest

from flom.client.blocking.discovery import Asker
from flom.client.blocking.stream import NEVER
from flom.core.group.addresses import Group
from flom.core.group.discovery import Search
from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Discover, Discovered, Role, Standing
from flom.errors import LockTimeout

LEADER = Discovered("", 40002, Standing("b" * 16, Role.LEADER, 1_700_000_000_000), "beta", "1")
STANDBY = Discovered("", 40004, Standing("0" * 16, Role.STANDBY, 1_600_000_000_000), "delta", "1")


class Answering:
    """A daemon of this host, at the port of its group, that answers each question with the next of its replies."""

    def __init__(self) -> None:
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self._udp.settimeout(10.0)
        self.group = Group("239.255.7.7", self._udp.getsockname()[1])
        self.asked: list[object] = []
        self._thread = ThreadPoolExecutor(1)

    def reply(self, *replies: Discovered | bytes | None) -> None:
        self._thread.submit(self._reply, replies)

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._udp.close()

    def _reply(self, replies: tuple[Discovered | bytes | None, ...]) -> None:
        for reply in replies:
            question, asker = self._udp.recvfrom(65536)
            self.asked.append(decode(question))
            if reply is not None:
                self._udp.sendto(reply if isinstance(reply, bytes) else encode(reply), asker)


@pytest.fixture
def daemon() -> Iterator[Answering]:
    daemon = Answering()
    yield daemon
    daemon.close()


def test_the_daemon_of_this_host_is_asked_and_its_answer_taken(daemon: Answering) -> None:
    daemon.reply(LEADER)
    said: list[str] = []
    search = Search(daemon.group, orphaned=True)
    with Asker(search, NEVER, said.append) as asker:
        search.ask(5.0)
        [found] = asker.finish()
    assert (found.host, found.port) == ("127.0.0.1", 40002)
    assert daemon.asked == [Discover(daemon.group.address, orphaned=True)]
    assert said[0].startswith("sending UDP multicast datagram to 239.255.7.7/")
    assert said[-1].startswith("reply from 127.0.0.1/")


def test_the_answer_of_one_that_is_alone_is_taken_at_once(daemon: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flom.core.group.discovery.SETTLE", 60.0)
    daemon.reply(LEADER.replace(alone=True))
    search = Search(daemon.group.replace(interface="lo"))  # there may be several others
    with Asker(search, monotonic() + 10.0, lambda line: None) as asker:
        search.ask(5.0)
        [found] = asker.finish()
    assert found.port == 40002


def test_it_is_asked_again_until_one_leads(daemon: Answering) -> None:
    daemon.reply(None, STANDBY, b"noise", LEADER)
    search = Search(daemon.group)
    with Asker(search, NEVER, lambda line: None) as asker:
        search.ask_often(4, 0.1)
        [found] = asker.finish()
    assert found.reply == LEADER
    assert [found.reply for found in search.found] == [LEADER, STANDBY]


def test_all_that_answer_are_collected(daemon: Answering) -> None:
    daemon.reply(STANDBY)
    search = Search(daemon.group, everyone=True)
    with Asker(search, NEVER, lambda line: None) as asker:
        search.collect(0.2)
        asker.finish()
        assert asker.socket.udp.getsockname()[1] > 0
    assert [found.reply for found in search.found] == [STANDBY]
    assert daemon.asked == [Discover(daemon.group.address, everyone=True)]


def test_silence_is_no_answer(daemon: Answering) -> None:
    search = Search(daemon.group)
    with Asker(search, NEVER, lambda line: None) as asker:
        search.ask(0.05)
        assert asker.finish() == []


def test_the_deadline_ends_the_asking(daemon: Answering) -> None:
    began = monotonic()
    search = Search(daemon.group)
    search.ask_often(10, 5.0)
    with Asker(search, began + 0.1, lambda line: None) as asker, pytest.raises(LockTimeout):
        asker.finish()
    assert 0.1 <= monotonic() - began < 2.0


def test_an_answer_counts_that_is_read_late(daemon: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may be busy for longer than the time between two questions."""

    def be_busy(*_: object) -> None:
        sleep(0.3)
        raise LockTimeout("too late")

    monkeypatch.setattr("flom.client.blocking.discovery.wait_for", be_busy)
    daemon.reply(LEADER)
    search = Search(daemon.group)
    with Asker(search, NEVER, lambda line: None) as asker:
        search.ask(0.2)
        [found] = asker.finish()
    assert found.reply == LEADER

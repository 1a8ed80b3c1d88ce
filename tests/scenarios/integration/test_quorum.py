"""Real daemons under a quorum, by an etcd in this process: who leads, and how soon the next one grants."""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from select import select
from time import monotonic, time

import pytest

from flom.client.blocking.status import open_status
from flom.config import Config
from flom.core.locks.handover import Estate
from flom.core.modes import LockMode
from flom.core.protocol.messages import HAS_SESSIONS, Answer, Lock, Ping
from flom.core.quorum.times import FAST
from flom.server.quorum.word import write_word
from flom.status.model import QuorumStatus
from tests.fakes.daemon import Daemon
from tests.fakes.etcd import FakeEtcd
from tests.fakes.peers import SocketConversation
from tests.fakes.programs import Programs, eventually

PLANNED = 0.5
"""Seconds that a planned takeover may take, to the next grant."""

NO_HOLDERS = Estate(0, [], [], []).write()


class Host:
    """
    A daemon, and the way to it.

    @ivar config: by which clients find it.
    """

    def __init__(self, path: Path, etcd: FakeEtcd) -> None:
        self.config = Config(socket_name=str(path), lifespan_ms=0)
        self.daemon = Daemon("--socket-name", str(path), "--quorum", str(etcd.address), "--fast")
        self._path = str(path)

    def connect(self) -> SocketConversation:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(self._path)
        return SocketConversation(connection)

    def ask(self, name: str, *, session: str = "", lifespan: float = 0.0) -> tuple[SocketConversation, Answer | None]:
        """Ask for C{name}, or go on with what C{session} holds of it; return the first answer."""
        client = self.connect()
        client.say(
            Lock(
                name,
                LockMode.EX,
                1,
                wait=not session,
                create=True,
                lifespan=lifespan,
                peer_id="0123",
                extended=HAS_SESSIONS,
                regains=bool(session),
                session=session,
            )
        )
        answer = client.read()
        assert answer is None or isinstance(answer, Answer)
        return client, answer

    def is_granted(self, name: str) -> bool:
        """Return whether C{name}, which no client holds, is granted at once."""
        client, answer = self.ask(name)
        client.close()
        return answer is not None and answer.code == 0

    @property
    def status(self) -> QuorumStatus:
        quorum = open_status(self.config, print).read().daemon.quorum
        assert quorum is not None
        return quorum


@pytest.fixture
def etcd() -> Iterator[FakeEtcd]:
    """An etcd in which a leader without holders has resigned."""
    with FakeEtcd(3) as etcd:
        etcd.put("/flom/word", write_word(NO_HOLDERS, time()))
        yield etcd


@pytest.fixture
def hosts(etcd: FakeEtcd, tmp_path: Path) -> Iterator[list[Host]]:
    """Two daemons; the first one leads."""
    with ExitStack() as stack:
        hosts = [Host(tmp_path / name, etcd) for name in ("a", "b")]
        for host in hosts:
            stack.enter_context(host.daemon)
            eventually(lambda: etcd.value("/flom/leader") is not None, "a leader")
        eventually(lambda: hosts[0].status.granting and hosts[1].status.leader, "a leader that both know")
        yield hosts


def test_what_is_held_goes_to_the_next_leader_at_once(hosts: list[Host], etcd: FakeEtcd) -> None:
    """When the leader is ended by SIGTERM."""
    first, second = hosts
    assert second.ask("free")[1] is None
    _, held = first.ask("R")
    assert held is not None
    assert held.terms.quorum
    _, number = first.ask("_s_n[9]", lifespan=60.0)
    assert number is not None
    assert number.element == "1"
    assert "/flom/sequences/_s_n[9]" in set(etcd.keys())
    began = monotonic()
    first.daemon.process.send_signal(signal.SIGTERM)
    eventually(lambda: second.is_granted("free"), "a grant of the next leader", interval=0.005)
    assert monotonic() - began < PLANNED
    back, again = second.ask("R", session=held.session)
    assert again is not None
    assert (again.code, again.token) == (0, held.token)
    back.say(Ping(8))
    assert back.read() == Ping(16)
    _, other = second.ask("S")
    assert other is not None
    assert other.token > held.token
    _, number = second.ask("_s_n[9]", lifespan=60.0)
    assert number is not None
    assert number.element == "2"
    leader = etcd.value("/flom/leader")
    assert leader is not None
    assert json.loads(leader)["leader"] == second.status.leader


def test_without_etcd_the_leader_grants_nothing_says_why_and_goes_on(hosts: list[Host], etcd: FakeEtcd) -> None:
    first, second = hosts
    _, held = first.ask("R")
    assert held is not None
    for member in etcd.members:
        member.is_hung = True
    eventually(lambda: not first.status.granting, "the end of the lease", FAST.lease + 2, interval=0.05)
    assert "etcd" in first.status.problem
    waiting = first.connect()
    waiting.say(Lock("S", LockMode.EX, 1, True, True, peer_id="0123", extended=HAS_SESSIONS))
    assert waiting.is_open()
    for member in etcd.members:
        member.is_hung = False
    eventually(lambda: first.status.granting or second.status.granting, "a leader", interval=0.05)
    leader = first if first.status.granting else second
    eventually(lambda: leader.is_granted("T"), "a grant")


LOOK = """
import sys
from select import select
from flom import lock
with lock("L") as held:
    print("held", flush=True)
    while not held.is_lost and not select([sys.stdin], [], [], 0.02)[0]:
        pass
    print("lost" if held.is_lost else "kept", flush=True)
"""
HEAR = """
import sys
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.internet.threads import deferToThread
from flom.client import connect
async def hold(reactor):
    locks = await connect(reactor)
    async with locks.acquire("T") as held:
        print("held", flush=True)
        held.lost.addCallback(lambda why: print("lost", flush=True))
        await deferToThread(sys.stdin.read)
react(lambda reactor: Deferred.fromCoroutine(hold(reactor)))
"""


AWAIT = """
import asyncio, sys
import flom.aio
async def hold():
    async with flom.aio.lock("A") as held:
        print("held", flush=True)
        await held.until_lost()
        print("lost", flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(hold())
"""


def test_programs_know_of_a_loss_before_another_leader_grants_their_locks(
    hosts: list[Host], programs: Programs, tmp_path: Path
) -> None:
    """Over UNIX sockets: until the leader is stopped, they are kept, as it is asked again and again."""
    first, second = hosts
    (tmp_path / ".flom").write_text(f"[Daemon]\nSocketName={first.config.socket_name}\nLifespan=0\n")
    environment = {"HOME": str(tmp_path)}
    holders = [
        programs.start_program(sys.executable, "-c", script, environment=environment) for script in (LOOK, HEAR, AWAIT)
    ]
    assert [holder.line() for holder in holders] == ["held"] * 3
    says = [holder.process.stdout for holder in holders if holder.process.stdout is not None]
    assert select(says, [], [], FAST.session + 0.5)[0] == []
    first.daemon.process.send_signal(signal.SIGSTOP)
    try:
        eventually(lambda: second.status.lease_left is not None, "another leader", interval=0.05)
        waiters = [second.ask(name)[0] for name in "LTA"]
        assert [waiter.read() is not None for waiter in waiters]  # grants
        assert select(says, [], [], 0.0)[0] == says
        assert [holder.line() for holder in holders] == ["lost"] * 3
    finally:
        first.daemon.process.send_signal(signal.SIGCONT)


def test_a_leader_that_was_stopped_grants_nothing_when_it_goes_on(hosts: list[Host]) -> None:
    first, second = hosts
    waiting = first.connect()
    first.daemon.process.send_signal(signal.SIGSTOP)
    waiting.say(Lock("R", LockMode.EX, 1, True, True, peer_id="0123", extended=HAS_SESSIONS))
    try:
        eventually(lambda: second.status.lease_left is not None, "another leader", interval=0.05)
    finally:
        first.daemon.process.send_signal(signal.SIGCONT)
    assert waiting.read() is None

"""Three hosts with an etcd member and a daemon on each, and what the tests ask of them."""

from __future__ import annotations

import json
import shutil
import signal
import socket
from base64 import b64encode
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Event
from typing import Any, Final

import pytest

from tests.fakes.programs import Running, eventually
from tests.scenarios.lan.network import GROUP, PORT, Lan, LanHost, Member, in_group

GATEWAY: Final = 2379
"""TCP port of etcd for its clients."""

PEERS: Final = 2380
"""TCP port of etcd for its members."""

PATIENCE: Final = 20.0
"""Seconds until what does not come true fails the test: etcd elects within 3 s, on a busy machine a little later."""

needs_etcd: Final = pytest.mark.skipif(
    shutil.which("etcd") is None, reason="needs the etcd program (Debian package etcd-server)"
)


class NoAnswer(Exception):
    """A member has not answered in time, or has answered by an error."""


class EtcdMember:
    """
    An etcd member on a host, which is started by L{start}.

    @ivar url: of its gateway, as all hosts know it.
    @ivar pid: its process id, after the first start.
    """

    def __init__(self, host: LanHost, folder: Path) -> None:
        """@param folder: for what it stores, and its log; on a disk that is quick, as etcd waits for it."""
        self.host = host
        self.url = f"http://{host.ipv4()}:{GATEWAY}"
        self._data = folder / f"{host.name}.etcd"
        self._log = folder / f"{host.name}.etcd.log"
        self._running: Running | None = None

    @property
    def pid(self) -> int:
        assert self._running is not None
        return self._running.pid

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._running is not None and self._running.process.poll() is None

    def start(self, members: Sequence[EtcdMember]) -> None:
        """Start it, for the first time or again, as one of C{members}."""
        peer = f"http://{self.host.ipv4()}:{PEERS}"
        cluster = ",".join(f"{each.host.name}=http://{each.host.ipv4()}:{PEERS}" for each in members)
        with self._log.open("a") as log:
            self._running = self.host.start(
                *("etcd", "--name", self.host.name, "--data-dir", str(self._data)),
                *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                *("--listen-client-urls", f"http://0.0.0.0:{GATEWAY}", "--advertise-client-urls", self.url),
                *("--initial-cluster", cluster, "--initial-cluster-state", "new"),
                *("--logger", "zap", "--log-outputs", "stderr", "--log-level", "error"),
                stdin=log,
                stdout=log,
                stderr=log,
                environment={"GOMAXPROCS": "1"},
            )

    def signal(self, number: int) -> None:
        assert self._running is not None
        self._running.signal(number)

    def kill(self) -> None:
        """Kill it, as a crash would, and wait for its end."""
        self.signal(signal.SIGKILL)
        assert self._running is not None
        self._running.wait()

    def ask(self, path: str, body: Mapping[str, object] | None = None, seconds: float = 2.0) -> dict[str, Any]:
        """
        Send C{body} to the gateway as a program of its host does, and return the answer.

        @param path: without the C{/v3/}.
        @raise NoAnswer: there is none within C{seconds}, or an error.
        """
        connection = HTTPConnection("127.0.0.1", GATEWAY, timeout=seconds)
        try:
            with self.host.inside():
                connection.sock = socket.create_connection(("127.0.0.1", GATEWAY), seconds)
            connection.request("POST", f"/v3/{path}", json.dumps(body or {}))
            answer = connection.getresponse()
            said = json.loads(answer.read())
        except (OSError, HTTPException, ValueError) as e:
            raise NoAnswer(f"{self.host.name}: {e!r}") from e
        finally:
            connection.close()
        if answer.status != 200:
            raise NoAnswer(f"{self.host.name}: {answer.status}, {said}")
        assert isinstance(said, dict)
        return said

    def leader(self) -> str:
        """Return the id of the member that leads, as far as this one knows; nothing if none does."""
        try:
            return str(self.ask("maintenance/status").get("leader", ""))
        except NoAnswer:
            return ""

    @property
    def leads(self) -> bool:
        """Whether it leads, as far as it knows."""
        try:
            said = self.ask("maintenance/status")
        except NoAnswer:
            return False
        return "leader" in said and said["leader"] == said["header"]["member_id"]

    def put(self, key: str, value: str) -> None:
        """Write a key, or raise L{NoAnswer}."""
        self.ask("kv/put", {"key": b64encode(key.encode()).decode(), "value": b64encode(value.encode()).decode()})

    def can_write(self) -> bool:
        """Return whether a write through it succeeds within 2 s."""
        try:
            self.put("scenario", "written")
        except NoAnswer:
            return False
        return True

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""


class Node:
    """
    A host of the quorum: its etcd member, its daemon, and options for commands there.

    @ivar daemon: the one that was started last, or C{None}.
    @ivar environment: of its daemon and its commands, besides the usual.
    @ivar is_awake: is clear while all of the host is frozen, and no command is to be started there.
    @ivar frozen: from when to when it was, in nanoseconds of the monotonic clock.
    """

    def __init__(self, host: LanHost, etcd: EtcdMember) -> None:
        self.host = host
        self.etcd = etcd
        self.daemon: Member | None = None
        self.environment: dict[str, str] = {}
        self.is_awake = Event()
        self.is_awake.set()
        self.frozen: list[tuple[int, int]] = []

    def __repr__(self) -> str:
        return self.host.name


class Quorum:
    """
    Three hosts of a network. L{start_etcd} and L{start_daemons} start what they are for.

    @ivar nodes: the hosts.
    @ivar group: the multicast group of the daemons, or nothing if clients are told the three addresses.
    """

    def __init__(self, lan: Lan, folder: Path, *, group: str = "", options: Sequence[str] = ()) -> None:
        """
        @param folder: for what etcd stores.
        @param options: of all daemons.
        """
        self.lan = lan
        self.group = group
        self._options = list(options)
        self.nodes = [Node(host, EtcdMember(host, folder)) for host in lan.add_hosts(3)]

    @property
    def members(self) -> list[EtcdMember]:
        return [node.etcd for node in self.nodes]

    @property
    def address(self) -> str:
        """What C{--quorum} of a daemon takes."""
        return "etcd:" + ",".join(member.url for member in self.members)

    @property
    def place(self) -> list[str]:
        """The options of C{flom-run} that name the daemons; it starts none."""
        if self.group:
            return in_group(self.group)
        return ["-a", ",".join(node.host.ipv4() for node in self.nodes), "-p", str(PORT), "-d", "0"]

    def start_etcd(self) -> None:
        """Start all three members, and wait until each can write."""
        for member in self.members:
            member.start(self.members)
        self.await_etcd()

    def await_etcd(self, members: Sequence[EtcdMember] | None = None, patience: float = PATIENCE) -> EtcdMember:
        """Wait until each of C{members}, by default all, can write; return the one that leads."""
        some = self.members if members is None else members

        def is_well() -> bool:
            return all(member.can_write() for member in some) and any(member.leads for member in some)

        eventually(is_well, f"etcd on {[member.host.name for member in some]}", patience, interval=0.05)
        return next(member for member in some if member.leads)

    def start_daemon(self, node: Node) -> Member:
        """Start the daemon of C{node}."""
        where = ["--group", self.group] if self.group else ["-a", "0.0.0.0", "--unicast-port", str(PORT)]
        words = [*where, "--quorum", self.address, *self._options]
        node.daemon = node.host.start_daemon(*words, environment=node.environment)
        return node.daemon

    def start_daemons(self, patience: float = PATIENCE) -> Node:
        """Start the daemon of each host, and wait until one leads; return its host."""
        for node in self.nodes:
            self.start_daemon(node)
        return self.await_leader(patience)

    def leading(self) -> list[Node]:
        """Return the hosts whose daemons lead, as far as these know: two at a time if one is cut off or stopped."""
        return [node for node in self.nodes if node.daemon is not None and node.daemon.leads]

    def await_leader(self, patience: float = PATIENCE) -> Node:
        """Wait until exactly one daemon leads; return its host."""
        eventually(lambda: len(self.leading()) == 1, "one leader", patience)
        return self.leading()[0]

    def others(self, node: Node) -> list[Node]:
        """Return the other two hosts."""
        return [other for other in self.nodes if other is not node]

    def logs(self) -> str:
        """Return what the etcd members have logged, the last of it."""
        return "\n".join(f"etcd of {node}:\n{node.etcd.log[-3000:]}" for node in self.nodes)


__all__ = ["GATEWAY", "GROUP", "PEERS", "EtcdMember", "NoAnswer", "Node", "Quorum", "needs_etcd"]

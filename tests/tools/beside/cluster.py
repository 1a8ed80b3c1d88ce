"""Three members of etcd on loopback, which can be killed, and a way to them that can be cut."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from tests.fakes.programs import free_port

PATIENCE: Final = 30.0  # seconds


class Cluster:
    """As a context manager, it is gone outside."""

    def __init__(self, etcd: str, directory: Path) -> None:
        """@param etcd: the program."""
        self._etcd = etcd
        self._directory = directory
        self._ports = [(free_port(), free_port()) for _ in range(3)]
        self._members: dict[int, subprocess.Popen[bytes]] = {}
        self.endpoints = [f"127.0.0.1:{client}" for client, _ in self._ports]

    def __enter__(self) -> Cluster:
        for number in range(3):
            self.start(number)
        self._await(lambda: self.leader() is not None)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for number in list(self._members):
            self.kill(number)

    def start(self, number: int) -> None:
        """Start the member C{number}, with what it has on disk."""
        client, peer = (f"http://127.0.0.1:{port}" for port in self._ports[number])
        everyone = ",".join(f"m{other}=http://127.0.0.1:{ports[1]}" for other, ports in enumerate(self._ports))
        words = [
            "--name",
            f"m{number}",
            "--data-dir",
            str(self._directory / f"m{number}"),
            "--listen-client-urls",
            client,
        ]
        words += ["--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        words += ["--initial-cluster", everyone, "--logger", "zap", "--log-level", "error"]
        log = (self._directory / f"m{number}.log").open("ab")
        self._members[number] = subprocess.Popen([self._etcd, *words], stdout=log, stderr=log)

    def kill(self, number: int) -> None:
        """Kill a member."""
        member = self._members.pop(number)
        member.kill()
        member.wait()

    def leader(self) -> int | None:
        """Return the member that leads, if one that is there says so."""
        for number in list(self._members):
            with suppress(OSError, ValueError):
                status = self._ask(number, "/v3/maintenance/status")
                for other in list(self._members):
                    with suppress(OSError, ValueError):
                        if self._ask(other, "/v3/maintenance/status")["header"]["member_id"] == status.get("leader"):
                            return other
        return None

    def await_leader(self) -> None:
        """Wait until there is a leader."""
        self._await(lambda: self.leader() is not None)

    def _ask(self, number: int, path: str) -> Any:
        request = urllib.request.Request(f"http://{self.endpoints[number]}{path}", b"{}")
        with urllib.request.urlopen(request, timeout=2) as answer:
            return json.load(answer)

    def _await(self, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < deadline, "etcd has no leader"
            time.sleep(0.1)


class Cable:
    """A way to an address that can be cut: then nothing comes through, and nothing is closed."""

    def __init__(self, address: str, at: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        """
        @param address: where it leads to.
        @param at: where it listens; port 0 for any.
        """
        host, _, port = address.partition(":")
        self._target = host, int(port)
        self._listening = socket.create_server(at)
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            near, _ = self._listening.accept()
            if not self.is_cut:
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()
            else:
                self._kept = near  # lest it be closed

    def _carry(self, near: socket.socket) -> None:
        with suppress(OSError), near, socket.create_connection(self._target) as far:
            other = {near: far, far: near}
            while True:
                for ready in _readable(near, far):
                    if self.is_cut:
                        time.sleep(0.05)
                    elif data := ready.recv(65536):
                        other[ready].sendall(data)
                    else:
                        return


def _readable(*ends: socket.socket) -> Iterator[socket.socket]:
    yield from select.select(ends, [], [])[0]

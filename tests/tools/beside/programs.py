"""The programs that are compared: how each runs a command under a lock, by etcd."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from tests.fakes.daemon import BIN, FLOM_RUN
from tests.fakes.programs import free_port
from tests.tools.beside.cluster import Cable, Cluster

TTL: Final = 3
"""Seconds of the lease by which C{etcdctl lock} holds; our daemons have the same by default."""

DAEMONS: Final = 3


class Program(Protocol):
    """
    One of them, beside a cluster; as a context manager, it is gone outside.

    @ivar cables: what the first holder reaches the lock by.
    """

    name: str
    cables: list[Cable]

    def __enter__(self) -> Program: ...

    def __exit__(self, *_: object) -> None: ...

    def words(self, *, by_cables: bool) -> list[str]:
        """Return the words that come before a command."""
        ...


class Etcdctl:
    """C{etcdctl lock}: each client has a lease of its own."""

    def __init__(self, path: Path, cluster: Cluster, directory: Path) -> None:
        self.name = f"etcdctl lock --ttl {TTL}"
        self._path = str(path / "etcdctl")
        self._cluster = cluster
        self.cables = [Cable(endpoint) for endpoint in cluster.endpoints]

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def words(self, *, by_cables: bool) -> list[str]:
        endpoints = [cable.address for cable in self.cables] if by_cables else self._cluster.endpoints
        return [self._path, "--endpoints", ",".join(endpoints), "lock", "--ttl", str(TTL), "R", "--"]


class FlomRun:
    """C{flom-run} with three daemons under a quorum."""

    def __init__(self, path: Path, cluster: Cluster, directory: Path) -> None:
        self.name = "flom-run, three daemons with --quorum"
        self._port = free_port()
        quorum = f"etcd:{','.join(f'http://{endpoint}' for endpoint in cluster.endpoints)}"
        self._hosts = [f"127.0.1.{number + 1}" for number in range(DAEMONS)]
        through = [f"127.0.2.{number + 1}" for number in range(DAEMONS)]
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        for host in self._hosts:
            words = ["-n", "--pidfile=", "flom", "-a", host, "-p", str(self._port), "--quorum", quorum]
            words += ["--state", str(directory / f"state-{host}")]
            log = (directory / f"log-{host}").open("wb")
            self._daemons[host] = subprocess.Popen([str(BIN / "twistd"), *words], stdout=log, stderr=log, cwd=directory)
        self.cables = [
            Cable(f"{host}:{self._port}", (address, self._port))
            for host, address in zip(self._hosts, through, strict=True)
        ]
        self._through = through

    def __enter__(self) -> Program:
        deadline = time.monotonic() + 60
        words = self.words(by_cables=False)
        while subprocess.run([*words, "true"], capture_output=True).returncode:
            assert time.monotonic() < deadline, "no daemon leads"
            time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        for daemon in self._daemons.values():
            with suppress(ProcessLookupError):
                daemon.send_signal(signal.SIGKILL)
            daemon.wait()

    def words(self, *, by_cables: bool) -> list[str]:
        hosts = self._through if by_cables else self._hosts
        return [sys.executable, FLOM_RUN, "-d", "0", "-a", ",".join(hosts), "-p", str(self._port), "-r", "R", "--"]

    def leader(self) -> subprocess.Popen[bytes]:
        """Return the daemon that leads."""
        for host, daemon in self._daemons.items():
            words = [str(BIN / "flomctl"), "status", "-a", host, "-p", str(self._port)]
            with suppress(subprocess.TimeoutExpired):
                told = subprocess.run(words, capture_output=True, text=True, timeout=5).stdout
                if ", leader, " in told:
                    return daemon
        raise AssertionError("no daemon leads")

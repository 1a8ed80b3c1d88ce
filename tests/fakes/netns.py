"""Hosts of our own: network namespaces, for tests that need more than loopback."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Any, Final

import pytest

_CLONE_NEWNET: Final = 0x40000000  # setns(2); os.setns has come with Python 3.12


def _why_not() -> str | None:
    """Return why there can be no network namespaces here."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    probe = f"flomprobe{os.getpid()}"
    try:
        made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    except FileNotFoundError:
        return "needs the ip program (Debian package iproute2)"
    if made.returncode:
        return f"no network namespaces here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", probe], check=True)
    return None


def _needs_program(name: str, package: str) -> pytest.MarkDecorator:
    """Make the mark of tests that need a program."""
    return pytest.mark.skipif(shutil.which(name) is None, reason=f"needs the {name} program (Debian package {package})")


WHY_NO_NETWORK_NAMESPACES: Final = _why_not()

needs_network_namespaces: Final = pytest.mark.skipif(
    WHY_NO_NETWORK_NAMESPACES is not None, reason=str(WHY_NO_NETWORK_NAMESPACES)
)
needs_nft: Final = _needs_program("nft", "nftables")
needs_pgrep: Final = _needs_program("pgrep", "procps")


class Host:
    """A network namespace with a name of its own; it is gone outside the context."""

    def __init__(self, name: str) -> None:
        self.name = f"{name}{os.getpid()}"

    def __enter__(self) -> Host:
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        # addresses are usable at once instead of after the detection of duplicates
        self.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad", check=True)
        self.ip("link", "set", "lo", "up")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], check=True)

    def add_interface(self, *addresses: str) -> None:
        """Add C{eth0}, with these addresses and the length of their prefixes."""
        self.ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
        self.ip("link", "set", "eth1", "up")
        self.ip("link", "set", "eth0", "up")
        for address in addresses:
            self.ip("addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))

    def ip(self, *words: str) -> None:
        """Run C{ip} on this host."""
        subprocess.run(["ip", "-n", self.name, *words], check=True)

    def words(self, *command: str) -> list[str]:
        """Return the words that run a command on this host, in one process."""
        return ["ip", "netns", "exec", self.name, *command]

    def run(
        self, *command: str, check: bool = False, stderr: int | IO[str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on this host; it ends within a minute."""
        return subprocess.run(
            self.words(*command), check=check, stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=60
        )

    def pids(self) -> list[int]:
        """Return the processes of this host, without zombies."""
        listed = subprocess.run(["ip", "netns", "pids", self.name], check=True, capture_output=True, text=True)
        return [int(word) for word in listed.stdout.split()]

    def interface(self, name: str = "eth0") -> dict[str, Any]:
        """Return what C{ip -json addr} knows of an interface."""
        listed = subprocess.run(
            ["ip", "-n", self.name, "-json", "addr", "show", name], check=True, capture_output=True, text=True
        )
        [interface] = json.loads(listed.stdout)
        assert isinstance(interface, dict)
        return interface

    def link_local(self, name: str = "eth0") -> str:
        """Return the link-local IPv6 address of an interface."""
        [address] = [info["local"] for info in self.interface(name)["addr_info"] if info["scope"] == "link"]
        return str(address)

    def open_socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        """Make a socket on this host; it stays there, whichever thread uses it."""

        with self.inside():
            return socket.socket(family, kind)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Move the current thread to this host; the sockets that it makes stay there."""
        with open("/proc/thread-self/ns/net") as outside, open(f"/run/netns/{self.name}") as inside:
            _enter(inside)
            try:
                yield
            finally:
                _enter(outside)


def _enter(namespace: IO[str]) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")

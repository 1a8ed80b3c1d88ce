"""Hosts of our own: network namespaces, for tests that need more than loopback."""

from __future__ import annotations

import os
import subprocess
from types import TracebackType
from typing import IO, Final

import pytest


def _why_not() -> str | None:
    """Tell why there can be no network namespaces here."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    try:
        made = subprocess.run(["ip", "netns", "add", "flomprobe"], capture_output=True, text=True)
    except FileNotFoundError:
        return "needs the ip program (Debian package iproute2)"
    if made.returncode:
        return f"no network namespaces here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", "flomprobe"], check=True)
    return None


WHY_NO_NETWORK_NAMESPACES: Final = _why_not()

needs_network_namespaces: Final = pytest.mark.skipif(
    WHY_NO_NETWORK_NAMESPACES is not None, reason=str(WHY_NO_NETWORK_NAMESPACES)
)


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
        """Give it C{eth0}, with these addresses and the length of their prefixes."""
        self.ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
        self.ip("link", "set", "eth1", "up")
        self.ip("link", "set", "eth0", "up")
        for address in addresses:
            self.ip("addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))

    def ip(self, *words: str) -> None:
        """Run C{ip} on this host."""
        subprocess.run(["ip", "-n", self.name, *words], check=True)

    def run(
        self, *command: str, check: bool = False, stderr: int | IO[str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on this host; it ends within a minute."""
        return subprocess.run(
            ["ip", "netns", "exec", self.name, *command],
            check=check,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=60,
        )

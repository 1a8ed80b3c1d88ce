"""C{twistd flom --group}: why it does not start is said in one line."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.fakes.daemon import BIN
from tests.fakes.netns import Host, needs_network_namespaces

GROUPS = ["ff02::1", "239.1.1.1"]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A host with an interface."""
    with Host("flomserve") as host:
        host.add_interface("192.0.2.10/24")
        yield host


def complaint(host: Host, *words: str) -> str:
    """Return the line that a daemon on C{host} leaves when it does not start."""
    done = subprocess.run(
        host.words(str(BIN / "twistd"), "-n", "--pidfile=", "flom", *words), capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("twistd flom: ")
    return line


@needs_network_namespaces
@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--group", "192.0.2.1"], ("multicast-address", "'192.0.2.1'")),
        (["--group", "ff02::1", "--interface", "nosuch0"], ("network-interface", "'nosuch0'")),
        (["--group", "ff02::1", "--port", "70000"], ("port", "'70000'")),
        (["--group", "ff02::1", "--discovery-ttl", "300"], ("discovery-ttl", "'300'")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_no_group_keeps_it_from_starting(host: Host, words: list[str], named: tuple[str, ...]) -> None:
    line = complaint(host, *words)
    for word in named:
        assert word in line


@needs_network_namespaces
@pytest.mark.parametrize("group", GROUPS)
def test_without_an_interface_it_does_not_start(group: str) -> None:
    with Host("flomlone") as lonely:
        line = complaint(lonely, "--group", group)
    assert f"{group}: no network interface is up and able to do multicast" in line


@needs_network_namespaces
def test_without_ipv6_it_does_not_start() -> None:
    with Host("flomold") as outdated:
        outdated.add_interface()
        outdated.run("sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1", check=True)
        line = complaint(outdated, "--group", "ff02::1")
    assert "ff02::1" in line
    assert "IPv6" in line


@needs_network_namespaces
@pytest.mark.parametrize("group", GROUPS)
def test_a_port_that_another_program_does_not_share_keeps_it_from_starting(host: Host, group: str) -> None:
    family = socket.AF_INET6 if ":" in group else socket.AF_INET
    with host.open_socket(family, socket.SOCK_DGRAM) as other:
        other.bind(("", 28015))
        line = complaint(host, "--group", group)
    assert "28015" in line
    assert "in use" in line

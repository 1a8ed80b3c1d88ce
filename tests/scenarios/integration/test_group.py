"""C{twistd flom --group}: what it waits for, and why it does not start, is said in one line."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest

from flom.text import host_port
from tests.fakes.daemon import BIN, FLOM_RUN
from tests.fakes.netns import Host, needs_network_namespaces, needs_nft
from tests.fakes.programs import Programs, Running

TWISTD = [str(BIN / "twistd"), "-n", "--pidfile=", "flom"]

FLOM = str(BIN / "flom")

GROUPS = ["ff02::1", "239.1.1.1"]


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A host with an interface."""
    with Host("flomserve") as host:
        host.add_interface("192.0.2.10/24")
        yield host


def complaint(host: Host, *words: str) -> str:
    """Return the line that a daemon on C{host} leaves when it does not start."""
    done = subprocess.run(host.words(*TWISTD, *words), capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("twistd flom: ")
    return line


@needs_network_namespaces
@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--group", "192.0.2.1"], ("multicast-address", "'192.0.2.1'")),
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
@needs_nft
def test_a_group_of_lo_alone_needs_no_multicast(programs: Programs) -> None:
    with Host("flomalone") as alone:
        alone.run("nft", "add", "table", "inet", "no_multicast", check=True)
        output = "{ type filter hook output priority 0; }"
        alone.run("nft", "add", "chain", "inet", "no_multicast", "out", output, check=True)
        alone.run("nft", "add", "rule", "inet", "no_multicast", "out", "ip6", "daddr", "ff00::/8", "drop", check=True)
        words = alone.words(FLOM, "-n", "lo", "-a", "::1", "-A", "ff01::1")
        holder = programs.start_program(*words, "-d", "-1", "--", "sh", "-c", "echo held; read line")
        assert holder.line() == "held"
        busy = programs.start_program(*words, "-d", "0", "-o", "0", "--", "true").finish()
        assert busy.returncode == 98
        holder.say("")
        assert holder.finish().returncode == 0


def until(daemon: Running, text: str) -> None:
    """Wait for a line of the log that has C{text} in it."""
    while text not in daemon.line():
        pass


@needs_network_namespaces
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ([], "no network interface is up and able to do multicast"),
        (["--interface", "eth0"], "network-interface: 'eth0' is not up and able to do multicast"),
        (["-a", "192.0.2.10"], "no network interface is up and able to do multicast"),
        (["-a", "fd00:1::10"], "no network interface is up and able to do multicast"),
    ],
    ids=["any", "a named one", "an IPv4 address", "an IPv6 address"],
)
def test_before_the_network_is_up_it_waits_for_it(
    programs: Programs, group: str, words: list[str], missing: str
) -> None:
    with Host("flomlone") as lonely:
        lonely.run("sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1", check=True)
        daemon = programs.start_program(*lonely.words(*TWISTD, "--group", group, *words))
        until(daemon, f"waiting: {group}: {missing}")
        lonely.add_interface()
        lonely.ip("addr", "add", "192.0.2.10/24", "dev", "eth0")
        lonely.run("sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=0", check=True)
        lonely.ip("addr", "add", "fd00:1::10/64", "dev", "eth0", "nodad")
        until(daemon, "leading ")
        client = programs.start_program(*lonely.words(FLOM_RUN, "-A", group, "-d", "0", "--", "echo", "ran"))
        assert client.finish().stdout == "ran\n"
        daemon.signal(signal.SIGTERM)
        complaints = daemon.finish().stderr
        address = host_port(words[1], 28015) if "-a" in words else ""
        assert complaints == (
            f"twistd flom: warning: {address}: cannot assign requested address: waiting for it to come\n"
            if address
            else ""
        )


@needs_network_namespaces
@pytest.mark.parametrize("group", GROUPS)
def test_a_port_that_another_program_does_not_share_keeps_it_from_starting(host: Host, group: str) -> None:
    family = socket.AF_INET6 if ":" in group else socket.AF_INET
    with host.open_socket(family, socket.SOCK_DGRAM) as other:
        other.bind(("", 28015))
        line = complaint(host, "--group", group)
    assert "28015" in line
    assert "in use" in line

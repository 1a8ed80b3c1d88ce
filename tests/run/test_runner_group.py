"""
C{flom-run} looks for its daemon in a multicast group, and says in one line why it finds none
(docs/compatibility.md, "Exit statuses", "Discovery by the client").
"""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Iterator

import pytest

from tests.fakes.daemon import FLOM_RUN
from tests.fakes.netns import Host, needs_network_namespaces
from tests.fakes.programs import Programs, assert_refused, eventually

GROUPS = ["ff02::1", "239.1.1.1"]
QUICKLY = ["-D", "1", "-I", "100"]
COMMAND = ["--", "echo", "ran"]

each_group = pytest.mark.parametrize("group", GROUPS)
each_lifespan = pytest.mark.parametrize("lifespan", ["0", "300"], ids=["with a daemon", "without"])


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """A host with an interface."""
    with Host("flomask") as host:
        host.add_interface("192.0.2.10/24", "fd00:1::10/64")
        yield host


@pytest.fixture(scope="module")
def lonely() -> Iterator[Host]:
    """A host without any."""
    with Host("flomlone") as host:
        yield host


@pytest.fixture(scope="module")
def outdated() -> Iterator[Host]:
    """A host without IPv6."""
    with Host("flomold") as host:
        host.add_interface("192.0.2.10/24")
        host.run("sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1", check=True)
        yield host


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["-A", "192.0.2.1"], ("multicast-address", "'192.0.2.1'", "not a multicast address")),
        (["-A", "fe80::1%lo"], ("multicast-address", "'fe80::1%lo'", "not a multicast address")),
        (["-A", "no.such.invalid"], ("multicast-address", "'no.such.invalid'", "not a multicast address")),
        (["-A", "ff02::1", "-n", "nosuch0"], ("flom-run: network-interface: this host has no 'nosuch0', but ", "lo")),
        (["-A", "ff02::1%nosuch0"], ("flom-run: network-interface: this host has no 'nosuch0', but ", "lo")),
    ],
    ids=lambda value: " ".join(value[1::2]) if isinstance(value, list) else "",
)
def test_what_is_no_group_gives_99(programs: Programs, words: list[str], named: tuple[str, ...]) -> None:
    assert_refused(programs.run(*words, *COMMAND), 99, *named)
    assert programs.daemons() == []


@needs_network_namespaces
@each_group
def test_without_a_daemon_and_a_lifespan_it_gives_99(programs: Programs, host: Host, group: str) -> None:
    done = programs.start_program(*host.words(FLOM_RUN, "-A", group, "-d", "0", *QUICKLY, *COMMAND)).finish()
    assert_refused(done, 99, "flom-run: ", group, "28015", "daemon-lifespan 0")
    assert programs.daemons() == []


@needs_network_namespaces
def test_it_asks_as_often_and_as_long_as_it_is_told(programs: Programs, host: Host) -> None:
    began = time.monotonic()
    words = ["-A", "ff02::1", "-d", "0", "-D", "4", "-I", "250"]
    assert programs.start_program(*host.words(FLOM_RUN, *words, *COMMAND)).finish().returncode == 99
    assert time.monotonic() - began >= 1.0


@needs_network_namespaces
@each_group
@each_lifespan
def test_without_an_interface_it_gives_99(programs: Programs, lonely: Host, group: str, lifespan: str) -> None:
    words = ["-A", group, "-d", lifespan, *QUICKLY]
    done = programs.start_program(*lonely.words(FLOM_RUN, *words, *COMMAND)).finish()
    assert_refused(done, 99, group, "no network interface is up and able to do multicast")
    assert programs.daemons() == []


@needs_network_namespaces
@each_lifespan
def test_without_ipv6_it_gives_99(programs: Programs, outdated: Host, lifespan: str) -> None:
    words = ["-A", "ff02::1", "-d", lifespan, *QUICKLY]
    done = programs.start_program(*outdated.words(FLOM_RUN, *words, *COMMAND)).finish()
    assert_refused(done, 99, "ff02::1", "IPv6", "eth0")
    assert programs.daemons() == []


@needs_network_namespaces
def test_without_ipv6_an_ipv4_group_is_no_problem(programs: Programs, outdated: Host) -> None:
    done = programs.start_program(*outdated.words(FLOM_RUN, "-A", "239.1.1.1", "-d", "300", *COMMAND)).finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


@needs_network_namespaces
@each_group
def test_a_port_that_another_program_does_not_share_gives_99(programs: Programs, host: Host, group: str) -> None:
    family = socket.AF_INET6 if ":" in group else socket.AF_INET
    with host.open_socket(family, socket.SOCK_DGRAM) as other:
        other.bind(("", 28015))
        done = programs.start_program(*host.words(FLOM_RUN, "-A", group, "-d", "300", *COMMAND)).finish()
    assert_refused(done, 99, group, "28015", "in use")
    eventually(lambda: programs.daemons() == [], "the end of a daemon that was started in vain")


@needs_network_namespaces
def test_a_port_that_another_program_shares_is_no_problem(programs: Programs, host: Host) -> None:
    with host.open_socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("", 28015))
        words = ["-A", "ff02::1234", "-d", "300"]
        done = programs.start_program(*host.words(FLOM_RUN, *words, *COMMAND)).finish()
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


@pytest.fixture
def noise(host: Host) -> Iterator[socket.socket]:
    """A program that has joined the group C{ff02::5} as a daemon would, and leaves its answers to the test."""
    with host.inside(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as noise:
        noise.settimeout(20.0)
        noise.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        noise.bind(("", 28015))
        index = socket.if_nametoindex("eth0")
        request = socket.inet_pton(socket.AF_INET6, "ff02::5") + index.to_bytes(4, "little")
        noise.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        yield noise


@needs_network_namespaces
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"hello",
        b"x" * 60000,
        b'<msg level="3" verb="4" step="16"/>',
        b'<msg level="3" verb="4" step="16"><network port="1"/></msg>',
        b'<msg level="2" verb="4" step="16"><network address="" port="1"/></msg>',
        b'<msg level="3" verb="1" step="16"><answer rc="0"/></msg>',
    ],
    ids=lambda answer: repr(answer[:60]),
)
def test_an_answer_that_is_none_is_passed_over(
    programs: Programs, host: Host, noise: socket.socket, answer: bytes
) -> None:
    words = ["-A", "ff02::5", "-n", "eth0", "-d", "0", "-D", "1", "-I", "500"]
    running = programs.start_program(*host.words(FLOM_RUN, *words, *COMMAND))
    _, asker = noise.recvfrom(1024)
    noise.sendto(answer, asker)
    assert_refused(running.finish(), 99, "flom-run: ", "no daemon answers")


@needs_network_namespaces
def test_verbose_tells_what_is_asked_and_what_is_answered(programs: Programs, host: Host, noise: socket.socket) -> None:
    words = ["-V", "-A", "ff02::5", "-n", "eth0", "-d", "0", "-D", "1", "-I", "500"]
    running = programs.start_program(*host.words(FLOM_RUN, *words, *COMMAND))
    question, asker = noise.recvfrom(1024)
    answer = '<msg level="3" verb="4" step="16"><network address="" port="1"/></msg>'
    noise.sendto(answer.encode(), asker)
    lines = running.finish().stdout.splitlines()
    asked = " ".join(question.decode().split())
    assert f"sending UDP multicast datagram to ff02::5/28015 ('{asked}')" in lines
    assert any(re.fullmatch(rf"reply from fe80:[0-9a-f:]+%eth0/28015 is '{answer}'", line) for line in lines)


@needs_network_namespaces
def test_verbose_tells_that_nobody_answers(programs: Programs, host: Host) -> None:
    words = ["-V", "-A", "ff02::6", "-n", "eth0", "-d", "0", *QUICKLY]
    done = programs.start_program(*host.words(FLOM_RUN, *words, *COMMAND)).finish()
    assert done.stdout.splitlines()[-1] == "no reply from ff02::6/28015"
    assert done.returncode == 99


@needs_network_namespaces
@pytest.mark.parametrize("address", ["", "fe80::1"], ids=["refused", "not answered"])
def test_an_answer_that_leads_nowhere_gives_99(
    programs: Programs, host: Host, noise: socket.socket, address: str
) -> None:
    words = ["-A", "ff02::5", "-n", "eth0", "-d", "0", "-D", "1", "-I", "500"]
    running = programs.start_program(*host.words(FLOM_RUN, *words, *COMMAND))
    answer = f'<msg level="3" verb="4" step="16"><network address="{address}" port="1"/></msg>'.encode()
    while running.process.poll() is None:
        readable, _, _ = select.select([noise], [], [], 0.1)
        if readable:
            _, asker = noise.recvfrom(1024)
            noise.sendto(answer, asker)
    assert_refused(running.finish(), 99, "flom-run: ", "answers, but cannot be connected to")

"""
Who is at the other end, and whether that may end the daemon (docs/compatibility.md, "Any client may end the daemon").
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from flom.server.peer import Credentials, Peer, credentials, describe, is_trusted
from tests.fakes.connections import wrap


class Handle:
    """A UNIX socket whose other end is a process of C{uid}."""

    family = socket.AF_UNIX

    def __init__(self, uid: int) -> None:
        self.uid = uid

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_PEERCRED)
        return struct.pack("3i", 4711, self.uid, 100)


class Transport:
    """A connection of which only the ends are known."""

    def __init__(self, peer: Any, host: Any = None, handle: Any = None) -> None:
        self.getPeer = lambda: peer
        self.getHost = lambda: host
        self.getHandle = lambda: handle


def tcp4(peer: str, host: str = "192.0.2.1") -> Transport:
    return Transport(IPv4Address("TCP", peer, 40000), IPv4Address("TCP", host, 28015))


def tcp6(peer: str, host: str = "2001:db8::1") -> Transport:
    return Transport(IPv6Address("TCP", peer, 40000), IPv6Address("TCP", host, 28015))


def unix(uid: int) -> Transport:
    return Transport(UNIXAddress(None), UNIXAddress(b"/flom"), Handle(uid))


STRANGER = os.geteuid() + 1


@pytest.mark.parametrize(
    ("transport", "may"),
    [
        (unix(0), True),
        (unix(os.geteuid()), True),
        (unix(STRANGER), False),
        (tcp4("127.0.0.1"), True),
        (tcp4("127.8.8.8"), True),
        (tcp4("192.0.2.1"), True),  # from this host to itself
        (tcp4("192.0.2.2"), False),
        (tcp6("::1"), True),
        (tcp6("::ffff:127.0.0.1"), True),
        (tcp6("2001:db8::1"), True),
        (tcp6("2001:db8::2"), False),
        (tcp6("fe80::2%eth0", "fe80::1%eth0"), False),
    ],
    ids=lambda value: value if isinstance(value, bool) else describe(value),
)
def test_the_daemons_user_root_and_a_trusted_host_may_end_it(transport: Transport, may: bool) -> None:
    assert is_trusted(transport, is_verified=False, trusts_host=True) is may


@pytest.mark.parametrize(
    ("transport", "may"),
    [
        (unix(os.geteuid()), True),
        (unix(STRANGER), False),
        (tcp4("127.0.0.1"), False),
        (tcp4("192.0.2.1"), False),  # from this host to itself
        (tcp6("::1"), False),
    ],
    ids=lambda value: value if isinstance(value, bool) else describe(value),
)
def test_where_the_host_is_not_trusted_tcp_does_not_tell_who_it_is(transport: Transport, may: bool) -> None:
    assert is_trusted(transport, is_verified=False, trusts_host=False) is may


@pytest.mark.parametrize(
    ("transport", "may"),
    [
        (tcp4("127.0.0.1"), True),
        (tcp4("192.0.2.2"), True),
        (tcp6("2001:db8::2"), True),
        (tcp6("fe80::2%eth0", "fe80::1%eth0"), True),
        (unix(os.geteuid()), True),
        (unix(STRANGER), False),  # there the kernel knows better
    ],
    ids=lambda value: value if isinstance(value, bool) else describe(value),
)
def test_over_tcp_a_certificate_will_do_from_everywhere(transport: Transport, may: bool) -> None:
    assert is_trusted(transport, is_verified=True, trusts_host=False) is may


def test_the_kernel_tells_who_is_at_the_other_end_of_a_unix_socket() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        plain = Transport(None, None, here)
        for transport in (plain, wrap(plain)):
            assert credentials(transport) == Credentials(os.getpid(), os.geteuid(), os.getegid())


def test_the_other_end_has_a_name_for_the_log() -> None:
    assert describe(tcp4("192.0.2.2")) == "192.0.2.2:40000"
    assert describe(tcp6("2001:db8::2")) == "[2001:db8::2]:40000"
    assert describe(unix(12)) == "pid 4711 of uid 12"


def test_a_process_of_another_pid_namespace_has_no_number() -> None:
    assert Credentials(0, 12, 12).name == "a process of uid 12"
    assert Peer("localhost/", pid=None, uid=12).name == "a process of uid 12"

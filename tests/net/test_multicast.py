"""Multicast groups: what names one, and which interfaces lead to it."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import flom.net.multicast
from flom.core.group.addresses import Group
from flom.errors import ConfigError
from flom.net.multicast import (
    NetworkInterface,
    NoMulticast,
    is_on_link,
    list_interfaces,
    local_addresses,
    make_group,
    open_group_socket,
    usable_interfaces,
)
from tests.fakes.netns import Host, needs_network_namespaces

GROUP6 = Group("ff02::1", 28015)


# what a user says


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ff02::1", "ff02::1"),
        ("FF05:0::A", "ff05::a"),
        ("239.1.1.1", "239.1.1.1"),
        ("::ffff:239.1.1.1", "239.1.1.1"),
        ("::ffff:ef01:101", "239.1.1.1"),
    ],
)
def test_a_group_is_told_by_an_address(text: str, address: str) -> None:
    group = make_group(text, 28015, ttl=3)
    assert group == Group(address, 28015, "", 3)
    assert group.is_ipv6 == (":" in address)


def test_a_name_will_do_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(name: str, *_: Any, **__: Any) -> list[Any]:
        assert name == "locks.example.org"
        return [(socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("ff05::17", 0, 0, 0))]

    monkeypatch.setattr("_socket.getaddrinfo", resolve)
    assert make_group("locks.example.org", 28015) == Group("ff05::17", 28015)


@pytest.mark.parametrize(("text", "interface"), [("ff02::1%lo", ""), ("ff02::1", "lo"), ("ff02::1%lo", "lo")])
def test_a_zone_is_an_interface(text: str, interface: str) -> None:
    assert make_group(text, 28015, interface) == Group("ff02::1", 28015, "lo")


def test_an_interface_that_is_named_comes_before_a_zone() -> None:
    assert make_group("ff02::1%nosuch0", 28015, "lo").interface == "lo"


@pytest.mark.parametrize(
    "text",
    ["192.0.2.1", "255.255.255.255", "fe80::1%lo", "::", "::ffff:192.0.2.1", "no.such.invalid", "", "a b", "x" * 300],
)
def test_what_is_no_multicast_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        make_group(text, 28015)
    assert str(raised.value) == f"multicast-address: '{text}' is not a multicast address"


@pytest.mark.parametrize(
    ("text", "interface"), [("ff02::1", "nosuch0"), ("ff02::1%nosuch0", ""), ("239.1.1.1", "nosuch0")]
)
def test_an_interface_that_is_not_there_is_refused_by_name(text: str, interface: str) -> None:
    with pytest.raises(ConfigError, match=r"network-interface: this host has no 'nosuch0', but .*lo"):
        make_group(text, 28015, interface)


# interfaces


def test_every_host_has_a_loopback_interface() -> None:
    [loopback] = list_interfaces("lo")
    assert (loopback.index, loopback.name) == (socket.if_nametoindex("lo"), "lo")
    assert loopback.is_loopback
    assert loopback in list_interfaces()
    assert list_interfaces("nosuch0") == []


UP, LOOPBACK, MULTICAST = 0x1, 0x8, 0x1000


@pytest.mark.parametrize(
    ("flags", "interface", "usable"),
    [
        ([UP | MULTICAST, UP | MULTICAST], "", ["if0", "if1"]),
        ([UP | MULTICAST, UP | MULTICAST], "if1", ["if1"]),
        ([UP | LOOPBACK, UP | MULTICAST], "", ["if1"]),
        ([MULTICAST, UP | MULTICAST], "", ["if1"]),
        ([UP | LOOPBACK | MULTICAST], "", ["if0"]),
    ],
)
def test_those_that_are_up_and_do_multicast_lead_to_a_group(
    monkeypatch: pytest.MonkeyPatch, flags: list[int], interface: str, usable: list[str]
) -> None:
    has_interfaces(monkeypatch, flags)
    assert [found.name for found in usable_interfaces(GROUP6.replace(interface=interface))] == usable


@pytest.mark.parametrize(
    ("flags", "interface", "why"),
    [
        ([UP | LOOPBACK, MULTICAST], "", "ff02::1: no network interface is up and able to do multicast"),
        ([], "", "ff02::1: no network interface is up and able to do multicast"),
        ([UP, UP | MULTICAST], "if0", "ff02::1: network-interface: 'if0' is not up and able to do multicast"),
        ([UP | MULTICAST], "if9", "ff02::1: network-interface: 'if9' is not up and able to do multicast"),
    ],
)
def test_if_there_is_none_that_is_said(
    monkeypatch: pytest.MonkeyPatch, flags: list[int], interface: str, why: str
) -> None:
    has_interfaces(monkeypatch, flags)
    with pytest.raises(NoMulticast) as raised:
        usable_interfaces(GROUP6.replace(interface=interface))
    assert str(raised.value) == why


def has_interfaces(monkeypatch: pytest.MonkeyPatch, flags: list[int]) -> None:
    """Simulate the interfaces C{if0}, C{if1} and so on, with these flags."""
    interfaces = [NetworkInterface(number + 1, f"if{number}", each) for number, each in enumerate(flags)]
    monkeypatch.setattr(
        flom.net.multicast, "list_interfaces", lambda only: [each for each in interfaces if only in ("", each.name)]
    )


def test_addresses_on_the_link_are_those_without_a_gateway(tmp_path: Path) -> None:
    table = tmp_path / "route"
    table.write_text(
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "eth0\t006433C6\t010200C0\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    assert is_on_link("192.0.2.77", str(table))
    assert not is_on_link("192.0.3.77", str(table))
    assert not is_on_link("198.51.100.7", str(table))
    assert not is_on_link("192.0.2.77", str(tmp_path / "none"))


# their addresses


@needs_network_namespaces
def test_every_interface_has_its_own_addresses() -> None:
    with Host("flomaddr") as host:
        host.add_interface("192.0.2.10/24", "192.0.2.11/24", "2001:db8::1/64")
        host.ip("addr", "add", "198.51.100.1/24", "dev", "eth1", "label", "eth1:vip")
        host_address = {name: host.link_local(name) for name in ("eth0", "eth1")}
        with host.inside():
            found = {name: set(map(str, addresses)) for name, addresses in local_addresses().items()}
    assert found == {
        "lo": {"127.0.0.1", "::1"},
        "eth0": {"192.0.2.10", "192.0.2.11", "2001:db8::1", host_address["eth0"]},
        "eth1": {"198.51.100.1", host_address["eth1"]},
    }


@needs_network_namespaces
def test_addresses_may_be_many() -> None:
    with Host("flomaddr") as host:
        host.run("sh", "-c", "for n in $(seq 100); do ip addr add 192.0.2.$n/32 dev lo; done", check=True)
        with host.inside():
            assert len(local_addresses()["lo"]) == 102  # and 127.0.0.1 and ::1


def test_without_ipv6_there_are_addresses_of_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(*_: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", not_found)
    assert all(address.version == 4 for addresses in local_addresses().values() for address in addresses)


def test_an_interface_that_has_gone_has_no_addresses() -> None:
    with closing(open_group_socket(GROUP6, is_member=False)) as group_socket:
        assert group_socket.asked_addresses == []  # nothing has come

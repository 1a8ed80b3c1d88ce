"""By which of its addresses a daemon is reached: one of the interface that joins it to the other host."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from flom.core.group.listening import Listening, source_for

ETH0 = [ip_address(address) for address in ("10.77.1.1", "192.0.2.1", "2001:db8::1", "fe80::1")]
LINK_ONLY = [ip_address(address) for address in ("10.77.1.1", "fe80::1")]
LOOPBACK = [ip_address(address) for address in ("127.0.0.1", "::1")]

DOCKER = "172.17.0.1"


def told(hosts: list[str], other: str, local: list[str] | None = None) -> str:
    """Return what another host is told by C{eth0}, or by an interface with other addresses."""
    addresses = ETH0 if local is None else [ip_address(address) for address in local]
    return Listening(28015, tuple((host, host) for host in hosts)).host_for(other, addresses)


@pytest.mark.parametrize(
    ("other", "hosts", "best"),
    [
        ("10.77.1.7", [DOCKER, "10.77.1.1"], "10.77.1.1"),
        ("10.77.1.7", ["2001:db8::1", "10.77.1.1"], "10.77.1.1"),
        ("10.77.1.7", [DOCKER, "2001:db8::1"], "2001:db8::1"),
        ("10.77.1.7", ["fe80::1", DOCKER], DOCKER),
        ("fe80::7%eth0", [DOCKER, "10.77.1.1"], "10.77.1.1"),
        ("fe80::7%eth0", ["fe80::2", "10.77.1.1", "fe80::1%eth0"], "fe80::1%eth0"),
        ("2001:db8::7", ["fe80::1%eth0", "10.77.1.1"], "10.77.1.1"),
        ("2001:db8::7", ["127.0.0.1", "::1", "fe80::1%eth0", DOCKER], DOCKER),
        ("10.77.1.7", ["::ffff:172.17.0.1", "::ffff:10.77.1.1"], "::ffff:10.77.1.1"),
        ("10.77.1.7", [DOCKER, "10.99.0.1"], DOCKER),
        ("ff02::1", ["fe80::2", "fe80::1"], "fe80::1"),
        ("ff05::1", ["fe80::1", "2001:db8::1"], "2001:db8::1"),
        ("239.1.1.1", [DOCKER, "10.77.1.1"], "10.77.1.1"),
    ],
)
def test_of_several_addresses_the_best_for_the_other_host_is_told(other: str, hosts: list[str], best: str) -> None:
    assert told(hosts, other) == best


@pytest.mark.parametrize(("other", "best"), [("10.77.1.7", "0.0.0.0"), ("fe80::7%eth0", "::"), ("2001:db8::7", "::")])
def test_every_address_is_better_than_one_of_another_interface(other: str, best: str) -> None:
    assert told([DOCKER, "0.0.0.0", "::"], other) == best
    assert told([DOCKER, "10.77.1.1", "fe80::1", "::"], "fe80::7%eth0") == "fe80::1"


def test_a_socket_of_ipv4_alone_is_no_answer_to_ipv6() -> None:
    assert told(["0.0.0.0", DOCKER], "fe80::7%eth0", ["fe80::1"]) == DOCKER


def test_over_ipv6_every_ipv4_address_is_the_one_of_the_interface() -> None:
    everywhere = Listening(28015, (("", "0.0.0.0"),))
    assert everywhere.host_for("fe80::7%eth0", LINK_ONLY) == "10.77.1.1"
    assert everywhere.host_for("10.77.1.7", LINK_ONLY) == ""
    assert everywhere.host_for("fe80::7%eth0", [ip_address("fe80::1")]) == ""


def test_a_link_local_address_is_told_where_the_interface_has_no_wider_one() -> None:
    for other in ("2001:db8::7", "ff05::1"):
        assert told(["10.77.1.1", "fe80::1"], other, ["10.77.1.1", "fe80::1"]) == "fe80::1"


def test_a_program_of_the_same_host_is_told_loopback() -> None:
    assert told(["10.77.1.1", "127.0.0.1"], "127.0.0.1", ["127.0.0.1", "::1"]) == "127.0.0.1"


def test_the_name_of_a_host_is_told_where_its_address_would_be() -> None:
    listening = Listening(28015, ((DOCKER, DOCKER), ("db.example.org", "10.77.1.1")))
    assert listening.host_for("10.77.1.7", ETH0) == "db.example.org"


def test_the_only_address_is_told_to_everybody() -> None:
    assert told([DOCKER], "10.77.1.7") == DOCKER


@pytest.mark.parametrize(
    ("other", "source"),
    [
        ("10.77.1.7", "10.77.1.1"),
        ("192.0.2.7", "192.0.2.1"),
        ("203.0.113.7", "192.0.2.1"),  # the more bits in common, the better
        ("fe80::7%eth0", "fe80::1"),
        ("2001:db8:1::7", "2001:db8::1"),
    ],
)
def test_the_source_is_the_nearest_address_of_its_kind(other: str, source: str) -> None:
    assert str(source_for(other, ETH0)) == source


def test_the_source_is_of_the_same_interface_above_all() -> None:
    assert str(source_for("2001:db8::7", LINK_ONLY)) == "fe80::1"
    assert str(source_for("::1", LOOPBACK)) == "::1"


def test_without_an_address_of_the_family_there_is_no_source() -> None:
    assert source_for("10.77.1.7", [ip_address("fe80::1")]) is None

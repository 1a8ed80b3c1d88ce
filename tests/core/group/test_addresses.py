"""Where a group meets, and which host a daemon of it means (docs/compatibility.md, "Discovery by the client")."""

from __future__ import annotations

import pytest

from flom.core.group.addresses import (
    Group,
    destination,
    is_for_link,
    is_link_local,
    is_loopback,
    may_be_from_link,
)

GROUP4, GROUP6 = Group("239.1.1.1", 28015), Group("ff02::1", 28015)


@pytest.mark.parametrize(
    ("group", "text"),
    [
        (GROUP4, "239.1.1.1:28015"),
        (GROUP6, "[ff02::1]:28015"),
        (GROUP6.replace(interface="eth0"), "[ff02::1]:28015 by eth0"),
    ],
)
def test_a_group_as_text(group: Group, text: str) -> None:
    assert str(group) == text


@pytest.mark.parametrize(
    ("address", "sender", "interface", "host"),
    [
        ("", "192.0.2.1", "", "192.0.2.1"),
        ("", "fe80::1%eth0", "", "fe80::1%eth0"),
        ("", "2001:db8::1", "eth0", "2001:db8::1"),
        ("db.example.org", "fe80::1%eth0", "", "db.example.org"),
        ("192.0.2.9", "192.0.2.1", "eth0", "192.0.2.9"),
        ("2001:db8::9", "fe80::1%eth0", "eth0", "2001:db8::9"),
        ("fe80::9", "fe80::1%eth0", "", "fe80::9%eth0"),
        ("fe80::9", "fe80::1%eth0", "eth1", "fe80::9%eth0"),
        ("fe80::9", "2001:db8::1", "eth1", "fe80::9%eth1"),
        ("fe80::9", "2001:db8::1", "", "fe80::9"),
        ("fe80::9%eth1", "fe80::1%eth0", "", "fe80::9%eth1"),
    ],
)
def test_an_answer_leads_to_a_host(address: str, sender: str, interface: str, host: str) -> None:
    group = GROUP6.replace(interface=interface)
    assert destination(address, (sender, 28015), group) == host


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("fe80::1", True),
        ("febf::1", True),
        ("fe80::1%eth0", False),
        ("2001:db8::1", False),
        ("::1", False),
        ("169.254.0.1", False),
        ("fe80.example.org", False),
        ("", False),
    ],
)
def test_a_link_local_address_needs_a_zone(host: str, expected: bool) -> None:
    assert is_link_local(host) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.0.2.1", False),
        ("::ffff:192.0.2.1", False),
        ("fe80::1%lo", False),
    ],
)
def test_a_loopback_address(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("group", "host"),
    [
        (GROUP4, ("127.0.0.1", 28015)),
        (GROUP6, ("::1", 28015)),
        (GROUP6.replace(interface="eth0"), None),
        (GROUP6.replace(interface="lo"), ("::1", 28015)),
    ],
)
def test_this_host_is_asked_too_unless_one_interface_is_named(group: Group, host: object) -> None:
    assert group.own_host == host


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("ff02::1", True),
        ("ff12::7", True),
        ("ff01::1", True),
        ("ff05::1", False),
        ("ff0e::1", False),
        ("224.0.0.1", True),
        ("224.0.1.1", False),
        ("239.1.2.3", False),
    ],
)
def test_a_group_of_the_link_is_one_that_no_router_passes_on(address: str, is_one: bool) -> None:
    assert is_for_link(Group(address, 28015)) is is_one


@pytest.mark.parametrize(
    ("sender", "sent_to", "hop_limit", "may_be"),
    [
        ("fe80::7%eth0", "fe80::1", 64, True),
        ("2001:db8::7", "ff02::1", 1, True),
        ("2001:db8::7", "2001:db8::1", 255, True),
        ("2001:db8::7", "2001:db8::1", 254, False),
        ("2001:db8::7", "2001:db8::1", 64, False),
        ("::1", "::1", 64, True),
        ("192.0.2.7", "224.0.0.1", 1, True),
        ("192.0.2.7", "192.0.2.1", 64, False),
        ("192.0.2.7", "192.0.2.1", 255, True),
        ("127.0.0.1", "127.0.0.1", 64, True),
    ],
)
def test_what_has_passed_a_router_is_told_from_what_has_not(
    sender: str, sent_to: str, hop_limit: int, may_be: bool
) -> None:
    assert may_be_from_link(sender, sent_to, hop_limit) is may_be

"""Where the quorum is, as --quorum has it."""

from __future__ import annotations

import pytest

from flom.errors import ConfigError
from flom.server.quorum.address import QuorumAddress, parse_quorum


def test_members_and_a_prefix() -> None:
    address = parse_quorum("etcd:https://h1:2379,https://h2:4001,https://[fd00::3]/flom/db/")
    assert address == QuorumAddress(("https://h1:2379", "https://h2:4001", "https://[fd00::3]:2379"), "/flom/db")
    assert address.is_secured
    assert address.key("leader") == "/flom/db/leader"
    assert parse_quorum(str(address)) == address


def test_the_port_and_the_prefix_may_be_left_out_and_what_is_twice_is_once() -> None:
    address = parse_quorum("etcd:http://h1,http://h1:2379/")
    assert address == QuorumAddress(("http://h1:2379",), "/flom")
    assert not address.is_secured


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "does not begin with etcd:"),
        ("http://h1", "does not begin with etcd:"),
        ("zookeeper:h1", "does not begin with etcd:"),
        ("etcd:", "'' is no address"),
        ("etcd:h1:2379", "'h1:2379' is no address"),
        ("etcd:ftp://h1", "'ftp://h1' is no address"),
        ("etcd:http://", "'http://' is no address"),
        ("etcd:http://h1,", "'' is no address"),
        ("etcd:http://h1:x", "'http://h1:x' is no address"),
        ("etcd:http://h1:99999", "'http://h1:99999' is no address"),
        ("etcd:http://h1:0", "has a port that is none"),
        ("etcd:http://[fd00", "'http://[fd00' is no address"),
        ("etcd:http://h1/a,http://h2/a", "the prefix comes once, after the last address, not after http://h1/a"),
        ("etcd:http://h1,https://h2", "all addresses are of http, or all of https"),
        ("etcd:http://user:word@h1", "--quorum-user and --quorum-password-file"),
        ("etcd:http://h1/a?b", "has more than an address and a prefix"),
        ("etcd:http://h1/a b", "neither spaces nor control characters"),
        (f"etcd:http://h1/{'a' * 200}", "a prefix has at most 200 characters"),
    ],
)
def test_what_is_no_address_is_told_in_one_line(text: str, why: str) -> None:
    with pytest.raises(ConfigError) as e:
        parse_quorum(text)
    assert str(e.value).startswith(f"quorum: '{text}': ")
    assert why in str(e.value)
    assert "\n" not in str(e.value)

"""Where the configuration wants the daemon (docs/compatibility.md, "Ways to the daemon")."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flom.client.addresses import check_owner, daemon_host, peer_of
from flom.config import Config
from flom.errors import DaemonUnreachable


@pytest.mark.parametrize(
    ("address", "interface", "host"),
    [
        ("lockhost", "", "lockhost"),
        ("lockhost", "eth0", "lockhost"),
        ("fe80::1", "eth0", "fe80::1%eth0"),
        ("fe80::1%eth1", "", "fe80::1%eth1"),
        ("2001:db8::1", "eth0", "2001:db8::1"),
    ],
)
def test_a_link_local_host_has_the_interface_that_leads_there(address: str, interface: str, host: str) -> None:
    assert daemon_host(Config(unicast_address=address, network_interface=interface)) == host


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (Config(unicast_address="::1", unicast_port=5), "[::1]:5"),
        (Config(unicast_address="lockhost", multicast_address="ff02::1"), "lockhost:28015"),
        (Config(multicast_address="ff02::1"), "the daemon of [ff02::1]:28015"),
        (Config(socket_name="/tmp/a"), "/tmp/a"),
    ],
    ids=["address", "address in a group", "group", "socket"],
)
def test_a_daemon_is_named_to_the_user(config: Config, name: str) -> None:
    assert peer_of(config) == name


def test_a_socket_of_the_user_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "socket").touch()
    check_owner(str(tmp_path / "socket"))
    check_owner(str(tmp_path / "nothing is there"))


def test_a_link_in_the_place_of_the_default_socket_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("socket")
    with pytest.raises(DaemonUnreachable, match=f"link: it belongs to uid {os.getuid()}; choose another"):
        check_owner(str(tmp_path / "link"))


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give a file away")
def test_a_socket_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "socket").touch()
    os.chown(tmp_path / "socket", 65534, 65534)
    with pytest.raises(DaemonUnreachable, match="socket: it belongs to uid 65534; choose another with --socket-name"):
        check_owner(str(tmp_path / "socket"))

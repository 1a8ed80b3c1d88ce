"""IPv6 addresses that cannot be used yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from flom.net.tentative import has_tentative_address, lacks_address

TABLE = """
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000001 02 40 00 {usual}     eth0
fe800000000000000000000000000001 03 40 20 {other}     eth1
""".lstrip()


@pytest.mark.parametrize(
    ("other", "interface", "is_tentative"),
    [
        ("80", "", False),
        ("c0", "", True),  # tentative, and permanent as all that are not from a router
        ("c0", "eth1", True),
        ("c0", "eth0", False),
        ("c8", "", False),  # another host has it
    ],
)
def test_an_address_that_is_being_checked(tmp_path: Path, other: str, interface: str, is_tentative: bool) -> None:
    table = tmp_path / "if_inet6"
    table.write_text(TABLE.format(usual="80", other=other))
    assert has_tentative_address(interface, str(table)) == is_tentative


def test_without_ipv6_there_is_none(tmp_path: Path) -> None:
    assert not has_tentative_address("", str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("interface", "is_disabled", "lacks"),
    [
        ("", "0", True),
        ("eth2", "0", True),
        ("eth2", "1", False),
        ("eth1", "0", False),
        ("", "1", False),
        ("eth9", "0", False),
    ],
)
def test_an_interface_that_has_just_come_up(tmp_path: Path, interface: str, is_disabled: str, lacks: bool) -> None:
    """C{eth2} has no address yet, and there is no C{eth9}."""
    table = tmp_path / "if_inet6"
    table.write_text(TABLE.format(usual="80", other="80"))
    for name in ("all", "lo", "eth0", "eth1", "eth2"):
        settings = tmp_path / "ipv6" / "conf" / name
        settings.mkdir(parents=True)
        (settings / "disable_ipv6").write_text(f"{is_disabled if name == 'eth2' else 0}\n")
    assert lacks_address(interface, str(table), str(tmp_path)) == lacks

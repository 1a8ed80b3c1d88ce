"""The service that reserves addresses: as long as the daemon runs, and some seconds more, at most, after a good end."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.task import Clock
from twisted.logger import LogEvent

from flom.net import holding
from flom.net.reservation import Reserved, tcp_reservations, unix_reservations
from flom.server.reservation import RESTART, ReservationService
from tests.fakes.logs import warnings


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "PLACE", str(tmp_path))


def service(path: Path, clock: Clock, *, has_tcp: bool = True) -> ReservationService:
    hosts = [UNIXAddress(bytes(path)), *([IPv4Address("TCP", "127.0.0.1", 28015)] if has_tcp else [])]
    return ReservationService(clock, hosts, 40.0)


def test_all_addresses_are_reserved_while_it_runs(tmp_path: Path) -> None:
    path, clock = tmp_path / "s", Clock()
    running = service(path, clock)
    running.privilegedStartService()
    running.startService()
    for found in unix_reservations(str(path), is_private=True), tcp_reservations("127.0.0.1", 28015):
        assert [each.addresses for each in found] == [{f"unix:{path}", "tcp:127.0.0.1:28015"}]
        assert 40 < found[0].left < 50.01
    running.stopService()
    assert unix_reservations(str(path), is_private=True) == tcp_reservations("127.0.0.1", 28015) == []
    assert clock.getDelayedCalls() == []


def test_a_file_that_was_removed_is_there_again_after_a_quarter(tmp_path: Path) -> None:
    path, clock = tmp_path / "s", Clock()
    running = service(path, clock)
    running.startService()
    (tmp_path / "s.reserved").unlink()
    clock.advance(10.0)
    assert len(unix_reservations(str(path), is_private=True)) == 1
    running.stopService()


def test_the_same_daemon_takes_its_place_and_no_smaller_one(tmp_path: Path) -> None:
    killed = service(tmp_path / "s", Clock())
    killed.startService()
    with pytest.raises(Reserved):
        service(tmp_path / "s", Clock(), has_tcp=False).privilegedStartService()
    service(tmp_path / "s", Clock()).privilegedStartService()


def test_where_nothing_can_be_written_it_says_so_once(tmp_path: Path, log: list[LogEvent]) -> None:
    clock = Clock()
    running = service(tmp_path / "none" / "s", clock)
    running.startService()
    clock.advance(10.0)
    [line] = warnings(log)
    assert f"{tmp_path}/none/s.reserved: no such file or directory" in line
    running.stopService()


def test_if_it_may_be_about_to_start_again_it_is_waited_for_a_little(tmp_path: Path) -> None:
    path, clock = tmp_path / "s", Clock()
    running = ReservationService(clock, [UNIXAddress(bytes(path))], 40.0, lambda: True)
    running.startService()
    running.stopService()
    [found] = unix_reservations(str(path), is_private=True)
    assert RESTART - 1 < found.left < RESTART + 0.01
    service(path, clock, has_tcp=False).privilegedStartService()

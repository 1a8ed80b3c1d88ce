"""Reservations: what a file says, who may have written it, when it ends, and whom it keeps out."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flom.net import holding, reservation
from flom.net.reservation import (
    Entry,
    Reserved,
    check_free,
    remove,
    tcp_file,
    tcp_reservations,
    unix_address,
    unix_file,
    unix_reservations,
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "flom.sock")


@pytest.fixture
def entry(path: str) -> Iterator[Entry]:
    entry = Entry(unix_file(path), 0o644)
    entry.write([unix_address(path)], 30.0)
    yield entry
    entry.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for reservations of TCP addresses that is of this test alone."""
    monkeypatch.setattr(holding, "PLACE", str(tmp_path))
    return tmp_path


def test_it_says_to_whom_the_address_belongs_and_for_how_long(entry: Entry, path: str) -> None:
    [found] = unix_reservations(path, is_private=True)
    assert found.addresses == {unix_address(path)}
    assert (found.seconds, found.uid) == (30.0, os.geteuid())
    assert 29 < found.left <= 30.001  # the end is written in whole milliseconds
    assert stat.S_IMODE(os.stat(entry.file).st_mode) == 0o644


def test_it_ends(path: str) -> None:
    entry = Entry(unix_file(path), 0o644)
    entry.write([unix_address(path)], 0.01)
    time.sleep(0.02)
    [found] = unix_reservations(path, is_private=True)
    assert found.left < 0
    remove(found)
    assert unix_reservations(path, is_private=True) == []
    entry.close()


def test_one_that_holds_is_not_removed_by_others(entry: Entry, path: str) -> None:
    [found] = unix_reservations(path, is_private=True)
    remove(found)
    assert os.path.exists(entry.file)


def test_it_is_withdrawn(entry: Entry, path: str) -> None:
    entry.withdraw()
    assert not os.path.exists(entry.file)
    entry.withdraw()


def test_it_is_made_anew_if_it_was_removed(entry: Entry, path: str) -> None:
    os.unlink(entry.file)
    entry.write([unix_address(path)], 30.0)
    assert len(unix_reservations(path, is_private=True)) == 1


def test_after_a_boot_it_counts_from_there(entry: Entry, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reservation, "_boot_id", lambda: "another")
    for uptime, left in (10.0, 20.0), (50.0, -20.0):
        monkeypatch.setattr(reservation, "monotonic", lambda uptime=uptime: uptime)
        [found] = unix_reservations(path, is_private=True)
        assert found.left == left


@pytest.mark.parametrize("text", ["", "flom-reservation 2\nb\n1\n1\n", "flom-reservation 1\nb\nnan\n1\n", "\0" * 99])
def test_what_is_no_reservation_says_nothing(path: str, text: str) -> None:
    Path(unix_file(path)).write_text(text)
    assert unix_reservations(path, is_private=False) == []


def test_no_file_holds_for_longer_than_the_bound(entry: Entry, path: str) -> None:
    entry.write([unix_address(path)], 1e9)
    [found] = unix_reservations(path, is_private=True)
    assert found.left <= 2 * reservation.MOST


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_only_a_file_says_anything(path: str, tmp_path: Path, kind: str) -> None:
    if kind == "link":
        os.symlink(tmp_path / "elsewhere", unix_file(path))
    elif kind == "pipe":
        os.mkfifo(unix_file(path))
    else:
        os.mkdir(unix_file(path))
    assert unix_reservations(path, is_private=False) == []
    with pytest.raises(OSError, match=r"reserved|file"):
        Entry(unix_file(path), 0o644).write([], 1.0)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="files of another user need root")
def test_a_file_of_another_user_says_nothing_about_a_private_socket(entry: Entry, path: str) -> None:
    os.chown(entry.file, 12345, 12345)
    assert unix_reservations(path, is_private=True) == []
    assert len(unix_reservations(path, is_private=False)) == 1


@pytest.mark.parametrize(
    ("reserved", "host", "is_found"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "localhost", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("0.0.0.0", "127.0.0.2", True),
        ("::", "127.0.0.1", True),
        ("127.0.0.1", "", True),
        ("::1", "::1", True),
        ("::1", "127.0.0.1", False),
    ],
)
def test_a_tcp_address_is_reserved_where_it_would_be_taken(
    place: Path, reserved: str, host: str, is_found: bool
) -> None:
    Entry(tcp_file(reserved, 28015), 0o644).write(["tcp"], 30.0)
    assert (len(tcp_reservations(host, 28015)) == 1) == is_found
    assert tcp_reservations(host, 28016) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="files of another user need root")
def test_only_root_reserves_a_port_of_root(place: Path) -> None:
    for port, is_found in (80, False), (28015, True):
        Entry(tcp_file("127.0.0.1", port), 0o644).write(["tcp"], 30.0)
        os.chown(tcp_file("127.0.0.1", port), 12345, 12345)
        assert (len(tcp_reservations("127.0.0.1", port)) == 1) == is_found


def test_only_a_daemon_with_all_the_addresses_takes_its_place(path: str) -> None:
    Entry(unix_file(path), 0o644).write(["unix:a", "tcp:b"], 30.0)
    found = unix_reservations(path, is_private=False)
    check_free(found, ["unix:a", "tcp:b", "tcp:c"])
    with pytest.raises(Reserved, match="tcp:b, unix:a belong to another daemon"):
        check_free(found, ["unix:a"])

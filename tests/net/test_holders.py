"""Holders files: locked by a daemon and its holders, and removed when the last of them has gone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from flom.net import holding as holding_module
from flom.net.holders import OLD, HoldersFile, find_others, new_start, old_files, remove_if_free
from flom.net.holding import DaemonGone, Holding, file_of, files_for
from tests.fakes.programs import command_line_of, eventually


@pytest.fixture
def file(tmp_path: Path) -> str:
    return file_of(str(tmp_path / "s"), new_start())


def test_a_daemon_that_lives_keeps_its_file(file: str) -> None:
    daemon = HoldersFile(file, 0o644)
    assert not remove_if_free(file)
    daemon.close(removes=False)
    assert remove_if_free(file)
    assert not os.path.exists(file)


def test_a_holder_keeps_the_file_of_a_daemon_that_has_gone(file: str) -> None:
    daemon = HoldersFile(file, 0o644)
    holding = Holding(file)
    daemon.close(removes=True)
    assert not remove_if_free(file)
    holding.release()
    assert remove_if_free(file)


def test_a_daemon_that_ends_with_no_holder_removes_its_file(file: str) -> None:
    HoldersFile(file, 0o644).close(removes=True)
    assert not os.path.exists(file)


def test_a_command_that_has_inherited_it_keeps_the_file(file: str) -> None:
    HoldersFile(file, 0o644).close(removes=False)
    holding = Holding(file)
    with subprocess.Popen(["sleep", "60"], pass_fds=[holding.fileno()]) as command:
        holding.close()
        assert not remove_if_free(file)
        command.kill()
    assert remove_if_free(file)


def test_a_release_counts_for_those_that_have_inherited_it(file: str) -> None:
    HoldersFile(file, 0o644).close(removes=False)
    holding = Holding(file)
    inherited = os.dup(holding.fileno())
    holding.release()
    assert remove_if_free(file)
    os.close(inherited)


def test_it_is_too_late_for_a_file_that_the_next_daemon_has_removed(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    HoldersFile(file, 0o644).close(removes=False)
    opened = os.open(file, os.O_RDONLY)
    assert remove_if_free(file)
    monkeypatch.setattr(os, "open", lambda *_: opened)
    with pytest.raises(DaemonGone):
        Holding(file)
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(opened)


def test_a_removed_file_is_made_anew_for_those_that_have_locked_it(file: str) -> None:
    daemon = HoldersFile(file, 0o640)
    early = Holding(file)
    assert daemon.is_there()
    os.unlink(file)
    assert not daemon.is_there()
    daemon.renew()
    assert daemon.is_there()
    assert os.stat(file).st_mode & 0o777 == 0o640
    late = Holding(file)
    os.unlink(file)
    daemon.renew()
    daemon.close(removes=True)
    late.release()
    assert not remove_if_free(file)  # because of the early one, two files ago
    early.release()
    eventually(lambda: remove_if_free(file), "the end of the process that stands in")


def test_one_process_stands_in_however_often_the_file_is_removed(file: str) -> None:
    daemon = HoldersFile(file, 0o600)
    holding = Holding(file)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        os.unlink(file)
        daemon.renew()
    assert len(os.listdir("/proc/self/fd")) == before + 1

    def stand_ins() -> int:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        return sum("stand_in.py" in command_line_of(int(child)) for child in children)

    eventually(lambda: stand_ins() == 1, "one process that stands in")  # the kernel shows its words a moment later
    holding.release()

    def has_ended() -> bool:
        daemon.note_end_of_holders()
        return len(os.listdir("/proc/self/fd")) == before - 1

    eventually(has_ended, "the end of the process that stands in")
    daemon.close(removes=True)
    assert not os.path.exists(file)


def test_without_holders_no_process_stands_in(file: str) -> None:
    daemon = HoldersFile(file, 0o600)
    os.unlink(file)
    daemon.renew()
    assert daemon._stand_in is None
    daemon.close(removes=True)
    assert not os.path.exists(file)


def test_another_file_in_its_place_is_left_there(file: str) -> None:
    daemon = HoldersFile(file, 0o600)
    os.unlink(file)
    Path(file).write_text("another")
    assert not daemon.is_there()
    with pytest.raises(FileExistsError):
        daemon.renew()
    os.unlink(file)
    daemon.renew()
    daemon.close(removes=True)


def test_its_permissions_are_as_wanted_whatever_the_umask(file: str) -> None:
    before = os.umask(0o777)
    try:
        daemon = HoldersFile(file, 0o644)
    finally:
        os.umask(before)
    assert os.stat(file).st_mode & 0o777 == 0o644
    daemon.close(removes=True)


def test_neither_end_follows_a_link(tmp_path: Path, file: str) -> None:
    (tmp_path / "target").touch()
    os.symlink(tmp_path / "target", file)
    with pytest.raises(OSError, match="symbolic link"):
        Holding(file)
    with pytest.raises(FileExistsError):
        HoldersFile(file, 0o644)
    assert find_others(str(tmp_path / "s"), is_private=False) == []


def test_the_files_beside_a_socket_are_found(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    files = sorted(file_of(address, "0123456789abcdef") for address in (path, f"{path}2"))
    daemons = [HoldersFile(file, 0o644) for file in files]
    assert find_others(path.encode(), is_private=True) == files[:1]
    for daemon in daemons:
        daemon.close(removes=True)


@pytest.mark.parametrize(
    ("former", "address", "is_found"),
    [
        (("127.0.0.1", 28015), ("127.0.0.1", 28015), True),
        (("0.0.0.0", 28015), ("127.0.0.1", 28015), True),
        (("127.0.0.1", 28015), ("0.0.0.0", 28015), True),
        (("::1", 28015, 0, 0), ("::1", 28015, 0, 0), True),
        (("::", 28015, 0, 0), ("127.0.0.1", 28015), True),
        (("::", 28015, 0, 0), ("::1", 28015, 0, 0), True),
        (("0.0.0.0", 28015), ("::1", 28015, 0, 0), False),
        (("127.0.0.1", 28015), ("127.0.0.2", 28015), False),
        (("127.0.0.1", 28015), ("127.0.0.1", 8015), False),
        (("127.0.0.1", 28015), ("127.0.0.1", 2801), False),
        ("\0flom-user/7", b"\0flom-user/7", True),
        ("\0flom-user/7", b"\0flom-user/77", False),
    ],
)
def test_the_files_of_other_addresses_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, former: object, address: object, is_found: bool
) -> None:
    monkeypatch.setattr(holding_module, "PLACE", str(tmp_path))
    file = file_of(former, "0123456789abcdef")
    daemon = HoldersFile(file, 0o644)
    assert find_others(address, is_private=False) == ([file] if is_found else [])
    daemon.close(removes=True)


def test_a_client_looks_where_a_daemon_has_its_file() -> None:
    start = "0123456789abcdef"
    assert file_of(("127.0.0.1", 28015), start) in files_for(("127.0.0.1", 28015), "127.0.0.1:28015", start)
    assert file_of(("0.0.0.0", 28015), start) in files_for(("127.0.0.1", 28015), "127.0.0.1:28015", start)
    assert file_of(("::", 28015, 0, 0), start) in files_for(("::1", 28015, 0, 0), "[::1]:28015", start)
    assert file_of(("127.0.0.1", 28015), start) in files_for(("::ffff:127.0.0.1", 28015, 0, 0), "lockhost:28015", start)
    assert files_for(b"\0flom-user/7", "/tmp/flom-root", start) == [file_of("\0flom-user/7", start)]
    assert files_for("/run/flom", "/mnt/run/flom", start) == [
        "/mnt/run/flom.holders-0123456789abcdef",
        "/run/flom.holders-0123456789abcdef",
    ]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files of TCP addresses are."""
    monkeypatch.setattr(holding_module, "PLACE", str(tmp_path))
    return tmp_path


def test_old_files_of_other_namespaces_are_found(place: Path) -> None:
    now = 10_000_000.0
    start = new_start()
    names = {
        f"flom-6edd000000000000-127.0.0.1-28015.holders-{start}": OLD + 1,
        f"flom-0-@flom-user.0.holders-{start}": OLD + 1,
        f"flom-0-::-28015.holders-{start}": OLD - 1,
        f"flom-0-::-28016.holders-{start}.py": OLD + 1,
        "flom-0-::-28015.reserved": OLD + 1,
        f"other-127.0.0.1-1.holders-{start}": OLD + 1,
    }
    for name, age in names.items():
        (place / name).touch()
        os.utime(place / name, (now - age, now - age))
    directory, file = place / f"flom-1-::-1.holders-{start}", place / f"flom-2-::-1.holders-{start}"
    directory.mkdir()
    file.write_text("it is used for something else")
    for each in directory, file:
        os.utime(each, (0, 0))
    assert sorted(old_files(now)) == sorted(str(place / name) for name in [*names][:2])


def test_where_there_is_no_place_for_files_there_is_no_old_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding_module, "PLACE", str(place / "nowhere"))
    assert list(old_files(0.0)) == []

"""What is mounted where, and where nothing can be mounted."""

from __future__ import annotations

from pathlib import Path

import pytest

from flom.vfs.mounts import _unescape, type_of_mount, why_not


def test_the_type_of_a_mount_is_the_kernel_s() -> None:
    assert type_of_mount("/proc") == "proc"


def test_a_directory_without_a_mount_has_no_type(tmp_path: Path) -> None:
    assert type_of_mount(str(tmp_path)) is None


def test_a_path_with_blanks_is_found_in_the_list_of_mounts() -> None:
    assert _unescape(rb"/mnt/a\040b\134c") == b"/mnt/a b\\c"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("file", "it is no directory"),
        ("full", "it is not empty"),
        ("missing", "no such file or directory"),
        ("/proc", "something is mounted there already"),
    ],
)
def test_why_nothing_can_be_mounted(tmp_path: Path, place: str, why: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full" / "inner").mkdir(parents=True)
    assert why_not(str(tmp_path / place)) == why

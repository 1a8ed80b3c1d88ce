"""The words that users read."""

from __future__ import annotations

import time

import pytest

from flom.status.model import LockStatus
from flom.status.wording import spell_beside, spell_client, spell_moment, spell_seconds, spell_wish


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0.9, "0 s"), (59.9, "59 s"), (60, "1 min"), (7199, "1 h"), (86_400, "1 d"), (172_800, "2 d")],
)
def test_seconds_are_spelled_in_one_whole_unit(seconds: float, text: str) -> None:
    assert spell_seconds(seconds) == text


def test_a_moment_is_spelled_in_the_local_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC-2")  # POSIX: two hours east
        time.tzset()
        assert spell_moment(1_000_000_000.9) == "2001-09-09 03:46:40"
    time.tzset()


@pytest.mark.parametrize(
    ("pid", "uid", "text"),
    [
        (4711, 0, "pid 4711 (uid 0)"),
        (4711, None, "pid 4711"),
        (None, 0, "a process (uid 0)"),
        (None, None, "192.0.2.7/40000"),
    ],
)
def test_a_client_goes_by_its_process_or_its_address(pid: int | None, uid: int | None, text: str) -> None:
    lock = LockStatus(1, "192.0.2.7/40000", None, pid, uid, "R1", "EX", None, None, 0.0)
    assert spell_client(lock) == text


def test_a_client_whose_connection_is_broken_is_in_grace() -> None:
    lock = LockStatus(1, "192.0.2.7/40000", None, None, None, "R1", "EX", None, None, 0.0, "root", in_grace=True)
    assert spell_client(lock) == "192.0.2.7/40000 (root, in grace)"


def test_what_a_client_tells_of_itself_is_shown_beside_that() -> None:
    lock = LockStatus(1, "192.0.2.7/40000", None, 4711, 0, "R1", "EX", None, None, 0.0)
    assert spell_client(lock.replace(user="root", command="backup")) == "pid 4711 (root, backup)"
    assert spell_client(lock.replace(command="backup")) == "pid 4711 (uid 0, backup)"
    assert spell_client(lock.replace(pid=None, uid=None, user="root")) == "192.0.2.7/40000 (root)"


def test_what_else_is_wanted_at_once_is_named() -> None:
    lock = LockStatus(1, "", None, None, None, "R1", "EX", None, None, 0.0)
    assert spell_beside(lock) == ""
    assert spell_beside(lock.replace(beside=("a", "/c/d"))) == " at once with a, /c/d"


@pytest.mark.parametrize(
    ("mode", "quantity", "element", "text"),
    [("EX", None, None, "EX"), (None, 0, None, "0"), (None, None, "red", "red"), (None, None, None, "")],
)
def test_a_wish_is_a_mode_a_quantity_or_an_element(
    mode: str | None, quantity: int | None, element: str | None, text: str
) -> None:
    assert spell_wish(LockStatus(1, "", None, None, None, "R1", mode, quantity, element, 0.0)) == text

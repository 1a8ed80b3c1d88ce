"""Which locks of two daemons exclude each other, and what each learns of the other's."""

from __future__ import annotations

import pytest

from flom.core.effects import Granted, Instant
from flom.core.locks.overlap import Digests, contested, list_held, read_held
from flom.core.locks.table import LockTable
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.requests import LockRequest, SessionId
from flom.errors import RemoteProtocolError

NOW = Instant(1.0, 1_800_000_000.0)
SALT = b"agreed"


def table(*locks: str) -> LockTable:
    """Return a table in which session N has the Nth lock: its name, and its mode or its quantity."""
    made = LockTable(lambda format, wall: format)
    for number, lock in enumerate(locks, start=1):
        name, _, how = lock.partition(" ")
        mode = LockMode[how] if how.isalpha() else LockMode.EX
        request = LockRequest(SessionId(number), parse_name(name), mode, int(how) if how.isdigit() else 1, wait=False)
        [effect] = made.request(request, NOW)
        assert isinstance(effect, Granted)
    return made


def sessions(here: LockTable, there: LockTable) -> list[int]:
    """Return the sessions of C{here} whose locks those of C{there} exclude."""
    held = read_held(list_held(there.view(), Digests(SALT)))
    return [lock.request.session for lock in contested(here.view(), held, Digests(SALT))]


@pytest.mark.parametrize(
    ("here", "there", "told"),
    [
        (["R"], ["R"], [1]),
        (["R"], ["Q"], []),
        (["R"], [], []),
        (["R PR", "R PR"], ["R PR"], []),
        (["R PR", "R CR"], ["R PW"], [1]),
        (["R NL"], ["R EX"], []),
        (["R EX", "Q EX"], ["Q EX", "P EX"], [2]),
        (["R[5] 2", "R[5] 0"], ["R[5] 3"], []),
        (["R[5] 2", "R[5] 1", "R[5] 0"], ["R[5] 3"], [1, 2]),
        (["R[5] 5"], ["R[5] 0"], []),
        (["R[5] 5"], ["R[6] 5"], []),
        (["/a/b/c"], ["/a/b/c"], [1]),
        (["/a/b/c"], ["/a/b"], [1]),
        (["/a/b"], ["/a/b/c"], [1]),
        (["/a/b/c"], ["/a/b/d"], []),
        (["/a/b"], ["/a/bc"], []),
        (["/a/b PR", "/a/c EX"], ["/a CR"], [2]),
        (["/a/b"], ["/z/b"], []),
        (["a.b.c", "a.b.c"], ["a.b.c"], [1]),
        (["a.b.c"], ["a.b.d"], []),
        (["_s_q[5]", "_s_q[5]"], ["_s_q[5]"], [1]),
        (["_s_q[1]"], ["_s_q[1]"], [1]),
        (["_S_q[3]", "_S_q[3]"], ["_S_q[3]", "_S_q[3]"], [1, 2]),
    ],
)
def test_those_are_told_who_exclude_each_other(here: list[str], there: list[str], told: list[int]) -> None:
    assert sessions(table(*here), table(*there)) == told


def test_waiters_are_neither_compared_nor_told() -> None:
    here = table("R")
    here.request(LockRequest(SessionId(7), parse_name("R")), NOW)
    assert sessions(here, table("R")) == [1]


def test_a_lock_that_is_known_is_listed_once_though_it_is_released() -> None:
    here = table("R", "Q")
    known = [resource.holders[0] for resource in here.view().resources]
    whole = list_held(here.view(), Digests(SALT))
    assert list_held(here.view(), Digests(SALT), known) == whole
    here.drop(SessionId(1), NOW)
    assert read_held(list_held(here.view(), Digests(SALT), known)) == read_held(whole)


def test_a_list_says_nothing_by_another_salt() -> None:
    held = read_held(list_held(table("R").view(), Digests(b"other")))
    assert contested(table("R").view(), held, Digests(SALT)) == []


def test_a_list_has_no_names() -> None:
    written = list_held(table("secretname", "/secret/node", "secret.element").view(), Digests(SALT))
    assert b"secret" not in written


@pytest.mark.parametrize(
    "data", [b"", b"{}x", b"[1]", b"[[]]", b'[["a",[],9,1,""]]', b'[["a",1,5,1,""]]', b"\xff", b"[" * 100_000]
)
def test_what_is_no_list_blames_the_daemon(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="no list"):
        read_held(data)

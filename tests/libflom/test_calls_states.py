"""
The states of a handle: what may be called in each, and what it becomes (docs/compatibility.md, "Library: states").
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flom
from flom import (
    FLOM_HANDLE_STATE_CLEANED,
    FLOM_HANDLE_STATE_CONNECTED,
    FLOM_HANDLE_STATE_DISCONNECTED,
    FLOM_HANDLE_STATE_INIT,
    FLOM_HANDLE_STATE_LOCKED,
    FLOM_RC_API_INVALID_SEQUENCE,
    FLOM_RC_CONNECT_ERROR,
    FLOM_RC_LOCK_BUSY,
    FLOM_RC_NULL_OBJECT,
    FLOM_RC_OK,
    FLOM_RC_RESOURCE_IS_NOT_TRANSACTIONAL,
    flom_handle_clean,
    flom_handle_delete,
    flom_handle_get_locked_element,
    flom_handle_init,
    flom_handle_lock,
    flom_handle_new,
    flom_handle_set_resource_timeout,
    flom_handle_set_socket_name,
    flom_handle_t,
    flom_handle_unlock,
)
from tests.fakes.peers import SocketClient, is_locked
from tests.libflom.conftest import MakeHandle

ZEROED = 0
INIT = FLOM_HANDLE_STATE_INIT
CONNECTED = FLOM_HANDLE_STATE_CONNECTED
LOCKED = FLOM_HANDLE_STATE_LOCKED
DISCONNECTED = FLOM_HANDLE_STATE_DISCONNECTED
CLEANED = FLOM_HANDLE_STATE_CLEANED
NO = FLOM_RC_API_INVALID_SEQUENCE

MakeIn = Callable[[int], flom_handle_t]


@pytest.fixture
def make_in(make: MakeHandle, address: str, resource: str) -> MakeIn:
    """Makes a handle and brings it into a state, by what a program would do."""

    def make_in(state: int) -> flom_handle_t:
        if state == ZEROED:
            return flom_handle_t()
        handle = make(resource, address)
        if state == CONNECTED:
            flom_handle_set_resource_timeout(handle, 0)
            with SocketClient(address) as holder:
                holder.ask(resource)
                assert flom_handle_lock(handle) == FLOM_RC_LOCK_BUSY
        if state in (LOCKED, DISCONNECTED):
            assert flom_handle_lock(handle) == FLOM_RC_OK
        if state == DISCONNECTED:
            assert flom_handle_unlock(handle) == FLOM_RC_OK
        if state == CLEANED:
            assert flom_handle_clean(handle) == FLOM_RC_OK
        assert handle.state == state
        return handle

    return make_in


@pytest.mark.parametrize(
    ("call", "state", "code", "becomes"),
    [
        ("init", ZEROED, FLOM_RC_OK, INIT),
        ("init", INIT, FLOM_RC_OK, INIT),
        ("init", CONNECTED, FLOM_RC_OK, INIT),
        ("init", LOCKED, FLOM_RC_OK, INIT),
        ("init", DISCONNECTED, FLOM_RC_OK, INIT),
        ("init", CLEANED, FLOM_RC_OK, INIT),
        ("lock", ZEROED, NO, ZEROED),
        ("lock", INIT, FLOM_RC_OK, LOCKED),
        ("lock", CONNECTED, FLOM_RC_OK, LOCKED),
        ("lock", LOCKED, NO, LOCKED),
        ("lock", DISCONNECTED, FLOM_RC_OK, LOCKED),
        ("lock", CLEANED, NO, CLEANED),
        ("unlock", ZEROED, NO, ZEROED),
        ("unlock", INIT, NO, INIT),
        ("unlock", CONNECTED, FLOM_RC_OK, DISCONNECTED),
        ("unlock", LOCKED, FLOM_RC_OK, DISCONNECTED),
        ("unlock", DISCONNECTED, NO, DISCONNECTED),
        ("unlock", CLEANED, NO, CLEANED),
        ("unlock_rollback", ZEROED, NO, ZEROED),
        ("unlock_rollback", INIT, NO, INIT),
        ("unlock_rollback", CONNECTED, FLOM_RC_RESOURCE_IS_NOT_TRANSACTIONAL, DISCONNECTED),
        ("unlock_rollback", LOCKED, FLOM_RC_RESOURCE_IS_NOT_TRANSACTIONAL, DISCONNECTED),
        ("unlock_rollback", DISCONNECTED, NO, DISCONNECTED),
        ("unlock_rollback", CLEANED, NO, CLEANED),
        ("clean", ZEROED, NO, ZEROED),
        ("clean", INIT, FLOM_RC_OK, CLEANED),
        ("clean", CONNECTED, NO, CONNECTED),
        ("clean", LOCKED, FLOM_RC_OK, CLEANED),
        ("clean", DISCONNECTED, FLOM_RC_OK, CLEANED),
        ("clean", CLEANED, NO, CLEANED),
        ("delete", ZEROED, None, CLEANED),
        ("delete", INIT, None, CLEANED),
        ("delete", CONNECTED, None, CLEANED),
        ("delete", LOCKED, None, CLEANED),
        ("delete", DISCONNECTED, None, CLEANED),
        ("delete", CLEANED, None, CLEANED),
    ],
)
def test_every_call_in_every_state(
    make_in: MakeIn, address: str, resource: str, call: str, state: int, code: int | None, becomes: int
) -> None:
    handle = make_in(state)
    given = getattr(flom, f"flom_handle_{call}")(handle)
    assert (given, handle.state) == (code, becomes)
    assert type(given) is type(code)
    assert is_locked(address, resource) == (becomes == LOCKED)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("init", FLOM_RC_NULL_OBJECT),
        ("lock", FLOM_RC_NULL_OBJECT),
        ("unlock", FLOM_RC_NULL_OBJECT),
        ("unlock_rollback", FLOM_RC_NULL_OBJECT),
        ("clean", FLOM_RC_NULL_OBJECT),
        ("delete", None),
    ],
)
def test_every_call_of_no_handle(call: str, code: int | None) -> None:
    assert getattr(flom, f"flom_handle_{call}")(None) == code


@pytest.mark.parametrize("call", ["init", "lock", "unlock", "unlock_rollback", "clean", "delete", "get_locked_element"])
@pytest.mark.parametrize("wrong", ["handle", 0, b""])
def test_every_call_of_what_is_no_handle(call: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"in method 'flom_handle_{call}', argument 1 of type 'flom_handle_t"):
        getattr(flom, f"flom_handle_{call}")(wrong)


def test_the_element_of_no_handle_is_an_error_in_python() -> None:
    none: Any = None
    with pytest.raises(TypeError):
        flom_handle_get_locked_element(none)


@pytest.mark.parametrize("wrong", ["0", None, 0.0])
def test_only_a_number_has_a_text(wrong: Any) -> None:
    with pytest.raises(TypeError, match="in method 'flom_strerror', argument 1 of type 'int'"):
        flom.flom_strerror(wrong)


def test_a_handle_begins_as_zeroed_memory() -> None:
    handle = flom_handle_t()
    assert (handle.state, handle.conn, handle.config, handle.locked_element) == (0, None, None, None)
    assert handle.thisown is True


def test_a_handle_that_was_made_for_us_can_be_used_at_once() -> None:
    handle = flom_handle_new()
    assert handle is not None
    assert (handle.state, handle.conn, handle.locked_element, handle.thisown) == (INIT, None, None, False)


def test_one_handle_does_for_many_locks(make_in: MakeIn, address: str, resource: str) -> None:
    handle = make_in(INIT)
    for _ in range(5):
        assert flom_handle_lock(handle) == FLOM_RC_OK
        assert flom_handle_unlock(handle) == FLOM_RC_OK
    assert flom_handle_clean(handle) == FLOM_RC_OK
    assert flom_handle_init(handle) == FLOM_RC_OK


@pytest.mark.parametrize("state", [INIT, CONNECTED, DISCONNECTED])
def test_without_a_daemon_a_handle_stays_as_it_is(make_in: MakeIn, tmp_path: Path, state: int) -> None:
    handle = make_in(state)
    handle.state = INIT
    flom_handle_set_socket_name(handle, str(tmp_path / "nowhere"))
    handle.state = state
    assert flom_handle_lock(handle) == FLOM_RC_CONNECT_ERROR
    assert handle.state == state


def test_a_deleted_handle_can_be_deleted_again(make_in: MakeIn) -> None:
    handle = make_in(LOCKED)
    for _ in range(2):
        flom_handle_delete(handle)

"""
The twenty properties: what they are at first, when they can be set, and to what
(docs/compatibility.md, "Library: properties").
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import flom
from flom import (
    FLOM_HANDLE_STATE_CLEANED,
    FLOM_HANDLE_STATE_CONNECTED,
    FLOM_HANDLE_STATE_DISCONNECTED,
    FLOM_HANDLE_STATE_INIT,
    FLOM_HANDLE_STATE_LOCKED,
    FLOM_LOCK_MODE_INVALID,
    FLOM_LOCK_MODE_N,
    FLOM_RC_API_IMMUTABLE_HANDLE,
    FLOM_RC_BUFFER_OVERFLOW,
    FLOM_RC_INVALID_IPV6_NETWORK_INTERFACE,
    FLOM_RC_INVALID_PROPERTY_VALUE,
    FLOM_RC_INVALID_RESOURCE_NAME,
    FLOM_RC_NULL_OBJECT,
    FLOM_RC_OK,
    FLOM_RC_REALPATH_ERROR,
    flom_handle_clean,
    flom_handle_t,
)
from flom.config import default_socket
from flom.net.multicast import has_ipv6_address
from flom.trace import stop_trace
from tests.libflom.conftest import MakeHandle

INIT, DISCONNECTED = FLOM_HANDLE_STATE_INIT, FLOM_HANDLE_STATE_DISCONNECTED
FREE = {INIT, DISCONNECTED}
UNLOCKED = FREE | {FLOM_HANDLE_STATE_CONNECTED}
STATES = {0, *UNLOCKED, FLOM_HANDLE_STATE_LOCKED, FLOM_HANDLE_STATE_CLEANED}
HERE = __file__


class Row(NamedTuple):
    """
    What is expected of a property.

    @ivar example: a value that it is kept as, other than the default.
    """

    name: str
    default: object
    example: object
    states: set[int]


ROWS = [
    Row("discovery_attempts", 2, 3, FREE),
    Row("discovery_timeout", 500, 250, FREE),
    Row("discovery_ttl", 1, 4, FREE),
    Row("lock_mode", 5, 3, UNLOCKED),
    Row("multicast_address", None, "239.255.0.1", FREE),
    Row("multicast_port", 28015, 28016, FREE),
    Row("network_interface", None, "lo", FREE),
    Row("resource_create", 1, 0, FREE),
    Row("resource_idle_lifespan", 0, 1000, UNLOCKED),
    Row("resource_name", "_RESOURCE", "R1", UNLOCKED),
    Row("resource_quantity", 1, 3, UNLOCKED),
    Row("resource_timeout", -1, 100, UNLOCKED),
    Row("socket_name", default_socket(), "/run/flom.sock", FREE),
    Row("tls_certificate", None, HERE, FREE),
    Row("tls_private_key", None, HERE, FREE),
    Row("tls_ca_certificate", None, HERE, FREE),
    Row("tls_check_peer_id", 0, 1, FREE),
    Row("trace_filename", None, "/dev/null", STATES),
    Row("unicast_address", None, "127.0.0.1", FREE),
    Row("unicast_port", 28015, 28016, FREE),
]
by_row = pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])


def get(handle: Any, name: str) -> Any:
    return getattr(flom, f"flom_handle_get_{name}")(handle)


def put(handle: Any, name: str, value: object) -> int:
    code = getattr(flom, f"flom_handle_set_{name}")(handle, value)
    assert type(code) is int
    return code


@pytest.fixture
def handle(make: MakeHandle) -> flom_handle_t:
    return make()


@pytest.fixture(autouse=True)
def no_trace_afterwards() -> Iterator[None]:
    yield
    stop_trace()


@by_row
def test_at_first_it_has_its_default(handle: flom_handle_t, row: Row) -> None:
    assert get(handle, row.name) == row.default


@by_row
def test_it_is_what_it_was_set_to(handle: flom_handle_t, row: Row) -> None:
    assert put(handle, row.name, row.example) == FLOM_RC_OK
    assert get(handle, row.name) == row.example
    assert type(get(handle, row.name)) is type(row.example)


@by_row
def test_it_is_the_handle_s_own(make: MakeHandle, row: Row) -> None:
    handle, other = make(), make()
    put(handle, row.name, row.example)
    assert get(other, row.name) == row.default
    assert get(make(), row.name) == row.default


@by_row
@pytest.mark.parametrize("state", sorted(STATES))
def test_it_can_be_set_in_some_states(handle: flom_handle_t, row: Row, state: int) -> None:
    handle.state = state
    code = put(handle, row.name, row.example)
    if state in row.states:
        assert (code, get(handle, row.name)) == (FLOM_RC_OK, row.example)
    else:
        assert (code, get(handle, row.name)) == (FLOM_RC_API_IMMUTABLE_HANDLE, row.default)


@by_row
def test_a_handle_that_was_cleaned_or_never_used_has_the_defaults(handle: flom_handle_t, row: Row) -> None:
    put(handle, row.name, row.example)
    flom_handle_clean(handle)
    assert get(handle, row.name) == row.default
    if row.name != "socket_name":  # which one that is, is known only when the files have been read
        assert get(flom_handle_t(), row.name) == row.default


@by_row
def test_of_no_handle_it_cannot_be_set_or_read(row: Row) -> None:
    assert put(None, row.name, row.example) == FLOM_RC_NULL_OBJECT
    with pytest.raises(TypeError, match=f"in method 'flom_handle_get_{row.name}', argument 1"):
        get(None, row.name)


@by_row
def test_what_is_no_handle_is_an_error_in_python(row: Row) -> None:
    for function in (lambda: put("handle", row.name, row.example), lambda: get("handle", row.name)):
        with pytest.raises(TypeError, match=f"_{row.name}', argument 1 of type 'flom_handle_t"):
            function()


@by_row
def test_a_value_of_another_type_is_an_error_in_python(handle: flom_handle_t, row: Row) -> None:
    is_text = isinstance(row.example, str)
    wrong: list[object] = [b"R1", 1, 1.5] if is_text else ["1", b"1", 1.5, None]
    for value in wrong:
        with pytest.raises(TypeError, match=f"in method 'flom_handle_set_{row.name}', argument 2 of type '"):
            put(handle, row.name, value)
    assert get(handle, row.name) == row.default


@by_row
def test_a_text_can_be_taken_away(handle: flom_handle_t, row: Row) -> None:
    if isinstance(row.example, str) and row.name != "resource_name":
        put(handle, row.name, row.example)
        assert put(handle, row.name, None) == FLOM_RC_OK
        assert get(handle, row.name) is None


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("discovery_attempts", -3, 3),
        ("discovery_attempts", 0, 1),
        ("discovery_timeout", -250, 250),
        ("discovery_ttl", -4, 4),
        ("discovery_ttl", 0, 1),
        ("multicast_port", -28016, 28016),
        ("unicast_port", -28016, 28016),
        ("resource_quantity", -3, 3),
        ("resource_idle_lifespan", -1000, 1000),
        ("resource_timeout", -500, -500),
        ("resource_timeout", 0, 0),
        ("resource_create", 7, 7),
        ("resource_create", True, 1),
        ("tls_check_peer_id", True, 1),
        ("lock_mode", True, 1),
        ("resource_name", "/a/b c", "/a/b c"),
        ("resource_name", "/Öl", "/Öl"),
        ("socket_name", "s" * 107, "s" * 107),
    ],
)
def test_a_value_is_kept_as_flom_keeps_it(handle: flom_handle_t, name: str, value: object, kept: object) -> None:
    assert put(handle, name, value) == FLOM_RC_OK
    assert get(handle, name) == kept
    assert type(get(handle, name)) is type(kept)


@pytest.mark.parametrize("name", ["resource_quantity", "resource_idle_lifespan"])
def test_some_zeros_have_no_effect(handle: flom_handle_t, name: str) -> None:
    put(handle, name, 7)
    assert put(handle, name, 0) == FLOM_RC_OK
    assert get(handle, name) == 7


@pytest.mark.parametrize("mode", [-1, FLOM_LOCK_MODE_N, FLOM_LOCK_MODE_INVALID, 99])
def test_what_is_no_lock_mode_is_refused(handle: flom_handle_t, mode: int) -> None:
    assert put(handle, "lock_mode", mode) == FLOM_RC_INVALID_PROPERTY_VALUE
    assert get(handle, "lock_mode") == 5


@pytest.mark.parametrize("text", ["", "1R", "a b", "_RESOURCE", "R\0", "/a\nb", "/\ud800", "A[1].b", None])
def test_what_names_no_resource_is_refused(handle: flom_handle_t, text: str | None) -> None:
    put(handle, "resource_name", "R1")
    assert put(handle, "resource_name", text) == FLOM_RC_INVALID_RESOURCE_NAME
    assert get(handle, "resource_name") == "R1"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("network_interface", "nosuch0", FLOM_RC_INVALID_IPV6_NETWORK_INTERFACE),
        ("network_interface", "", FLOM_RC_INVALID_IPV6_NETWORK_INTERFACE),
        ("socket_name", "s" * 108, FLOM_RC_BUFFER_OVERFLOW),
        ("socket_name", "ö" * 54, FLOM_RC_BUFFER_OVERFLOW),
        ("socket_name", "s\0", FLOM_RC_INVALID_PROPERTY_VALUE),
        ("unicast_address", "\ud800", FLOM_RC_INVALID_PROPERTY_VALUE),
        ("tls_certificate", "/no/such/file", FLOM_RC_REALPATH_ERROR),
        ("tls_private_key", "", FLOM_RC_REALPATH_ERROR),
        ("tls_ca_certificate", "\0", FLOM_RC_REALPATH_ERROR),
        ("unicast_port", 0, FLOM_RC_INVALID_PROPERTY_VALUE),
        ("unicast_port", 65536, FLOM_RC_INVALID_PROPERTY_VALUE),
        ("multicast_port", -70000, FLOM_RC_INVALID_PROPERTY_VALUE),
        ("discovery_timeout", 0, FLOM_RC_INVALID_PROPERTY_VALUE),
        ("discovery_ttl", 256, FLOM_RC_INVALID_PROPERTY_VALUE),
        ("resource_timeout", 2**31, FLOM_RC_INVALID_PROPERTY_VALUE),
        ("resource_quantity", 2**31, FLOM_RC_INVALID_PROPERTY_VALUE),
        ("resource_create", -(2**40), FLOM_RC_INVALID_PROPERTY_VALUE),
    ],
)
def test_what_cannot_be_used_is_refused(handle: flom_handle_t, name: str, value: object, code: int) -> None:
    before = get(handle, name)
    assert put(handle, name, value) == code
    assert get(handle, name) == before


def test_an_interface_must_have_an_ipv6_address(handle: flom_handle_t) -> None:
    code = FLOM_RC_OK if has_ipv6_address("lo") else FLOM_RC_INVALID_IPV6_NETWORK_INTERFACE
    assert put(handle, "network_interface", "lo") == code


@pytest.mark.parametrize("name", ["socket_name", "unicast_address", "multicast_address"])
def test_one_kind_of_address_takes_the_others_away(handle: flom_handle_t, name: str) -> None:
    names = {"socket_name", "unicast_address", "multicast_address"}
    for other in (*sorted(names - {name}), name):
        assert put(handle, other, "somewhere") == FLOM_RC_OK
    assert {each: get(handle, each) for each in names if get(handle, each)} == {name: "somewhere"}
    assert put(handle, name, None) == FLOM_RC_OK
    assert [get(handle, each) for each in names] == [None, None, None]


def test_to_take_an_address_away_leaves_the_others_alone(handle: flom_handle_t) -> None:
    put(handle, "socket_name", "here")
    put(handle, "unicast_address", None)
    assert get(handle, "socket_name") == "here"


def test_a_tls_file_is_kept_in_full_and_without_links(
    handle: flom_handle_t, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    assert put(handle, "tls_certificate", "link") == FLOM_RC_OK
    assert get(handle, "tls_certificate") == str(tmp_path.resolve() / "real")


def test_the_files_of_a_handle_do_not_depend_on_another_one(make: MakeHandle, tmp_path: Path) -> None:
    certificate = tmp_path / "certificate"
    certificate.touch()
    (tmp_path / ".flom").write_text(f"[TLS]\nTlsCertificate={certificate}\n")
    with pytest.warns(UserWarning, match="TLS is not used"):
        first = make()
    second = make()
    flom.flom_handle_delete(first)
    assert get(second, "tls_certificate") == str(certificate)


def test_the_trace_of_the_process_goes_where_it_was_told_last(
    make: MakeHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOM_TRACE_MASK", "8")
    first, second = tmp_path / "first", tmp_path / "second"
    one, other = make(), make("R1", str(tmp_path / "nowhere"))
    assert put(one, "trace_filename", str(first)) == FLOM_RC_OK
    assert put(other, "trace_filename", str(second)) == FLOM_RC_OK
    flom.flom_handle_lock(other)
    assert first.read_text() == ""
    assert "client: " in second.read_text()


def test_a_trace_file_that_cannot_be_made_is_no_error(handle: flom_handle_t) -> None:
    with pytest.warns(UserWarning, match="cannot trace to '/no/such/file'"):
        assert put(handle, "trace_filename", "/no/such/file") == FLOM_RC_OK
    assert get(handle, "trace_filename") == "/no/such/file"

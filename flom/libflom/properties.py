"""
The twenty properties of a handle (docs/compatibility.md, "Library: properties"): a getter and a setter for each.

The values live in a L{Config}, in which the empty string stands for C's null pointer.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any, Final, TypeVar

from flom.codes import ReturnCode
from flom.config import Config
from flom.config.parsers import MAX_SOCKET_NAME, Ignored, absolute_within, read_file, within
from flom.core.modes import LockMode
from flom.core.names import DEFAULT_NAME, parse_name
from flom.errors import InvalidName
from flom.libflom.constants import (
    FLOM_HANDLE_STATE_CLEANED,
    FLOM_HANDLE_STATE_CONNECTED,
    FLOM_HANDLE_STATE_DISCONNECTED,
    FLOM_HANDLE_STATE_INIT,
    FLOM_HANDLE_STATE_LOCKED,
)
from flom.libflom.handle import config_of, flom_handle_t, is_given, wrong_type
from flom.trace import start_trace

_Getter = Callable[[flom_handle_t], Any]
_NumberPair = tuple[Callable[[flom_handle_t], int], Callable[["flom_handle_t | None", int], int]]
_TextPair = tuple[Callable[[flom_handle_t], "str | None"], Callable[["flom_handle_t | None", "str | None"], int]]
_Check = Callable[[Any], Any]
"""Takes a value of the right type and returns it as it is kept, or raises Ignored, _Refused or ValueError."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Refused(Exception):
    """A value is none for its property; its argument is the code that says so."""


# the states in which a property can be set
_FREE: Final = frozenset({FLOM_HANDLE_STATE_INIT, FLOM_HANDLE_STATE_DISCONNECTED})
_UNLOCKED: Final = _FREE | {FLOM_HANDLE_STATE_CONNECTED}
_ANY: Final = _UNLOCKED | {0, FLOM_HANDLE_STATE_LOCKED, FLOM_HANDLE_STATE_CLEANED}

_INT: Final = within(-(2**31), 2**31 - 1)

_ADDRESSES: Final = ("socket_name", "unicast_address", "multicast_address")
"""A daemon is looked for in one kind of place: to set one of these clears the others."""


def _number(
    name: str, field: str = "", states: frozenset[int] = _FREE, check: _Check = _INT, type_name: str = "int"
) -> _NumberPair:
    """
    Return the getter and the setter of a number.

    @param field: of L{Config}; by default C{name}.
    @param states: those in which it can be set.
    @param type_name: in C, for errors.
    """
    field = field or name
    return _getter(name, field, int), _setter(name, type_name, int, field, states, check)


def _text(
    name: str, check: _Check, field: str = "", states: frozenset[int] = _FREE, *, is_optional: bool = True
) -> _TextPair:
    """Return the getter and the setter of a text, as L{_number} does; C{None} is kept unless it is not optional."""
    field = field or name

    def check_given(text: str | None) -> Any:
        return "" if is_optional and text is None else check(text)

    types = (str, type(None))
    get = _getter(name, field, lambda text: text or None)
    return get, _setter(name, "char const *", types, field, states, check_given)


def _getter(name: str, field: str, show: Callable[[Any], Any]) -> _Getter:
    function = f"flom_handle_get_{name}"

    def get(handle: flom_handle_t) -> Any:
        if not is_given(handle, function):
            raise wrong_type(function, 1, "flom_handle_t const *")
        return show(getattr(config_of(handle), field))

    return _named(function, f"Return the property C{{{name}}} of C{{handle}} (docs/reference/libflom.md).", get)


def _setter(
    name: str, type_name: str, types: Any, field: str, states: frozenset[int], check: _Check
) -> Callable[[flom_handle_t | None, Any], int]:
    function = f"flom_handle_set_{name}"

    def assign(handle: flom_handle_t | None, value: Any) -> int:
        if not isinstance(value, types):
            raise wrong_type(function, 2, type_name)
        if not is_given(handle, function):
            return int(ReturnCode.NULL_OBJECT)
        if handle.state not in states:
            return int(ReturnCode.API_IMMUTABLE_HANDLE)
        try:
            _set(handle, field, check(value))
        except Ignored:
            pass
        except _Refused as e:
            return int(e.args[0])
        except ValueError:
            return int(ReturnCode.INVALID_PROPERTY_VALUE)
        return int(ReturnCode.OK)

    return _named(function, f"Set the property C{{{name}}} of C{{handle}} (docs/reference/libflom.md).", assign)


def _set(handle: flom_handle_t, field: str, value: Any) -> None:
    changes = {field: value}
    if value and field in _ADDRESSES:
        changes = dict.fromkeys(_ADDRESSES, "") | changes
    config: Config = config_of(handle).replace(**changes)
    if handle.config is not None:
        handle.config = config
    if field == "command_trace_file":  # the trace is the whole process's
        start_trace(value, config.append_trace_file, os.environ, warnings.warn)


def _named(name: str, what: str, function: _Function) -> _Function:
    function.__name__ = function.__qualname__ = name
    function.__module__ = "flom"
    function.__doc__ = what
    return function


def _at_least_one(limit: int) -> Callable[[int], int]:
    """Return a check that drops a sign, and replaces 0 by 1."""
    check = absolute_within(0, limit)
    return lambda value: check(value) or 1


def _unless_zero(value: int) -> int:
    if value == 0:
        raise Ignored("0 has no effect")
    return absolute_within(1, 2**31 - 1)(value)


def _resource_name(text: str | None) -> str:
    try:
        name = parse_name(_words(text or "")).text
    except (InvalidName, ValueError):
        name = DEFAULT_NAME
    if name == DEFAULT_NAME:
        raise _Refused(ReturnCode.INVALID_RESOURCE_NAME)
    return name


def _words(text: str) -> str:
    """Refuse a text that C cannot be given: there, a NUL would end it."""
    if "\0" in text:
        raise ValueError(text)
    os.fsencode(text)
    return text


def _socket_name(text: str) -> str:
    if len(os.fsencode(_words(text))) > MAX_SOCKET_NAME:
        raise _Refused(ReturnCode.BUFFER_OVERFLOW)
    return text


def _interface(text: str) -> str:
    from flom.net.multicast import has_ipv6_address  # its import is slow, and few need it

    if not has_ipv6_address(text):
        raise _Refused(ReturnCode.INVALID_IPV6_NETWORK_INTERFACE)
    return text


def _file(text: str) -> str:
    try:
        return read_file(text)
    except (OSError, ValueError):
        raise _Refused(ReturnCode.REALPATH_ERROR) from None


_PORT: Final = absolute_within(1, 65535)
_TIMEOUT: Final = absolute_within(1, 3_600_000)

flom_handle_get_discovery_attempts, flom_handle_set_discovery_attempts = _number(
    "discovery_attempts", check=_at_least_one(2**31 - 1)
)
flom_handle_get_discovery_timeout, flom_handle_set_discovery_timeout = _number(
    "discovery_timeout", "discovery_timeout_ms", check=_TIMEOUT
)
flom_handle_get_discovery_ttl, flom_handle_set_discovery_ttl = _number("discovery_ttl", check=_at_least_one(255))
flom_handle_get_lock_mode, flom_handle_set_lock_mode = _number(
    "lock_mode", states=_UNLOCKED, check=LockMode, type_name="flom_lock_mode_t"
)
flom_handle_get_multicast_address, flom_handle_set_multicast_address = _text("multicast_address", _words)
flom_handle_get_multicast_port, flom_handle_set_multicast_port = _number("multicast_port", check=_PORT)
flom_handle_get_network_interface, flom_handle_set_network_interface = _text("network_interface", _interface)
flom_handle_get_resource_create, flom_handle_set_resource_create = _number("resource_create", "create")
flom_handle_get_resource_idle_lifespan, flom_handle_set_resource_idle_lifespan = _number(
    "resource_idle_lifespan", "idle_lifespan_ms", _UNLOCKED, _unless_zero
)
flom_handle_get_resource_name, flom_handle_set_resource_name = _text(
    "resource_name", _resource_name, states=_UNLOCKED, is_optional=False
)
flom_handle_get_resource_quantity, flom_handle_set_resource_quantity = _number(
    "resource_quantity", "quantity", _UNLOCKED, _unless_zero
)
flom_handle_get_resource_timeout, flom_handle_set_resource_timeout = _number(
    "resource_timeout", "timeout_ms", _UNLOCKED
)
flom_handle_get_socket_name, flom_handle_set_socket_name = _text("socket_name", _socket_name)
flom_handle_get_tls_certificate, flom_handle_set_tls_certificate = _text("tls_certificate", _file)
flom_handle_get_tls_private_key, flom_handle_set_tls_private_key = _text("tls_private_key", _file)
flom_handle_get_tls_ca_certificate, flom_handle_set_tls_ca_certificate = _text("tls_ca_certificate", _file)
flom_handle_get_tls_check_peer_id, flom_handle_set_tls_check_peer_id = _number("tls_check_peer_id")
flom_handle_get_trace_filename, flom_handle_set_trace_filename = _text(
    "trace_filename", lambda text: text or "", "command_trace_file", _ANY
)
flom_handle_get_unicast_address, flom_handle_set_unicast_address = _text("unicast_address", _words)
flom_handle_get_unicast_port, flom_handle_set_unicast_port = _number("unicast_port", check=_PORT)

"""
The twenty properties of a handle (docs/compatibility.md, "Library: properties").

A row of L{PROPERTIES} says what one is; its getter and its setter are made from that. The values live in a
L{Config}, in which the empty string stands for C's null pointer.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar

from flom.codes import ReturnCode
from flom.config import Config
from flom.config.parsers import MAX_SOCKET_NAME, Ignored, absolute_within, read_file, within
from flom.core.modes import LockMode
from flom.core.names import DEFAULT_NAME, parse_name
from flom.errors import InvalidName
from flom.libflom.constants import HandleState
from flom.libflom.handle import config_of, flom_handle_t, is_given, wrong_type
from flom.trace import start_trace


class Kind(Enum):
    """What the values of a property are; the text is the type's name in C, for errors."""

    NUMBER = "int"
    MODE = "flom_lock_mode_t"
    TEXT = "char const *"


class _Refused(Exception):
    """
    A value is none for its property.

    @ivar code: says so.
    """

    def __init__(self, code: ReturnCode) -> None:
        super().__init__(code.text)
        self.code = code


_FREE: Final[frozenset[int]] = frozenset({HandleState.INIT, HandleState.DISCONNECTED})
_UNLOCKED: Final[frozenset[int]] = _FREE | {HandleState.CONNECTED}
_ANY: Final[frozenset[int]] = frozenset({0, *HandleState})

_INT: Final = within(-(2**31), 2**31 - 1)

_ADDRESSES: Final = ("socket_name", "unicast_address", "multicast_address")
"""A daemon is looked for in one kind of place: to set one of these clears the others."""


@dataclass(frozen=True, slots=True)
class Property:
    """
    One property.

    @ivar name: what its getter and setter are named after.
    @ivar field: of L{Config}.
    @ivar states: those in which it can be set.
    @ivar check: takes a value of the right type and gives it as it is kept. It may raise L{Ignored}, L{_Refused}, or
        L{ValueError} for what is out of range.
    """

    name: str
    field: str
    kind: Kind
    states: frozenset[int]
    check: Callable[[Any], Any]


def _number(name: str, field: str, states: frozenset[int], check: Callable[[int], int] = _INT) -> Property:
    return Property(name, field, Kind.NUMBER, states, check)


def _text(name: str, check: Callable[[str], str]) -> Property:
    """A text that need not be there."""
    return Property(name, name, Kind.TEXT, _FREE, lambda text: "" if text is None else check(text))


def _at_least_one(limit: int) -> Callable[[int], int]:
    """Make what drops a sign, and takes 0 for 1."""
    check = absolute_within(0, limit)
    return lambda value: check(value) or 1


def _unless_zero(value: int) -> int:
    """Drop a sign; 0 has no effect."""
    if value == 0:
        raise Ignored("0 has no effect")
    return absolute_within(1, 2**31 - 1)(value)


def _resource_name(text: str | None) -> str:
    try:
        name = parse_name(_words(text or ""))
    except (InvalidName, ValueError):
        raise _Refused(ReturnCode.INVALID_RESOURCE_NAME) from None
    if name.text == DEFAULT_NAME:
        raise _Refused(ReturnCode.INVALID_RESOURCE_NAME)
    return name.text


def _words(text: str) -> str:
    """Refuse what C cannot be given: there, a NUL would end it."""
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

PROPERTIES: Final = (
    _number("discovery_attempts", "discovery_attempts", _FREE, _at_least_one(2**31 - 1)),
    _number("discovery_timeout", "discovery_timeout_ms", _FREE, absolute_within(1, 3_600_000)),
    _number("discovery_ttl", "discovery_ttl", _FREE, _at_least_one(255)),
    Property("lock_mode", "lock_mode", Kind.MODE, _UNLOCKED, LockMode),
    _text("multicast_address", _words),
    _number("multicast_port", "multicast_port", _FREE, _PORT),
    _text("network_interface", _interface),
    _number("resource_create", "create", _FREE),
    _number("resource_idle_lifespan", "idle_lifespan_ms", _UNLOCKED, _unless_zero),
    Property("resource_name", "resource_name", Kind.TEXT, _UNLOCKED, _resource_name),
    _number("resource_quantity", "quantity", _UNLOCKED, _unless_zero),
    _number("resource_timeout", "timeout_ms", _UNLOCKED),
    _text("socket_name", _socket_name),
    _text("tls_certificate", _file),
    _text("tls_private_key", _file),
    _text("tls_ca_certificate", _file),
    _number("tls_check_peer_id", "tls_check_peer_id", _FREE),
    Property("trace_filename", "command_trace_file", Kind.TEXT, _ANY, lambda text: text or ""),
    _text("unicast_address", _words),
    _number("unicast_port", "unicast_port", _FREE, _PORT),
)

Value = int | str | None


def getter(row: Property) -> Callable[[flom_handle_t], Value]:
    """Make the function that gives the property C{row} of a handle."""
    function = f"flom_handle_get_{row.name}"

    def get(handle: flom_handle_t) -> Value:
        if not is_given(handle, function):
            raise wrong_type(function, 1, "flom_handle_t const *")
        value = getattr(config_of(handle), row.field)
        return (value or None) if row.kind is Kind.TEXT else int(value)

    return _named(function, f"Give the property C{{{row.name}}} of C{{handle}} (docs/libflom.md).", get)


def setter(row: Property) -> Callable[[flom_handle_t | None, Value], int]:
    """Make the function that sets the property C{row} of a handle, and gives a return code."""
    function = f"flom_handle_set_{row.name}"
    types: Any = (str, type(None)) if row.kind is Kind.TEXT else int

    def assign(handle: flom_handle_t | None, value: Value) -> int:
        if not isinstance(value, types):
            raise wrong_type(function, 2, row.kind.value)
        return int(_set(handle, row, value) if is_given(handle, function) else ReturnCode.NULL_OBJECT)

    return _named(function, f"Set the property C{{{row.name}}} of C{{handle}} (docs/libflom.md).", assign)


def _set(handle: flom_handle_t, row: Property, value: Value) -> ReturnCode:
    if handle.state not in row.states:
        return ReturnCode.API_IMMUTABLE_HANDLE
    try:
        kept = row.check(value)
    except Ignored:
        return ReturnCode.OK
    except _Refused as e:
        return e.code
    except ValueError:
        return ReturnCode.INVALID_PROPERTY_VALUE
    changes = {row.field: kept}
    if kept and row.field in _ADDRESSES:
        changes = dict.fromkeys(_ADDRESSES, "") | changes
    config: Config = config_of(handle).replace(**changes)
    if handle.config is not None:
        handle.config = config
    if row.field == "command_trace_file":  # the trace is the whole process's
        start_trace(kept, config.append_trace_file, os.environ, warnings.warn)
    return ReturnCode.OK


_Function = TypeVar("_Function", bound=Callable[..., Any])


def _named(name: str, what: str, function: _Function) -> _Function:
    function.__name__ = function.__qualname__ = name
    function.__module__ = "flom"
    function.__doc__ = what
    return function


ACCESSORS: Final = {function.__name__: function for row in PROPERTIES for function in (getter(row), setter(row))}
"""Getters and setters, by name."""

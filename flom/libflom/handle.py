"""
What a handle is, and what it is made from: the configuration of the process
(docs/compatibility.md, "Library: set-up", "Library: states").
"""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, TypeGuard

from flom.config import Config, load
from flom.errors import ConfigError
from flom.text import one_line
from flom.trace import start_trace

if TYPE_CHECKING:
    from flom.client.blocking.connection import Conversation
    from flom.client.blocking.keeper import Keeper


class flom_handle_t:
    """
    One lock, or none yet. C{flom_handle_init} makes it ready for use, unless it comes from C{flom_handle_new}.

    Two threads must not use one at the same time.

    """

    def __init__(self) -> None:
        self.state = 0  # a FLOM_HANDLE_STATE_...; 0 before flom_handle_init
        self.conn: Conversation | None = None  # the connection on which the lock was granted, while it is held
        self.keeper: Keeper | None = None  # what keeps the lock in a group
        self.config: Config | None = None  # the properties; each handle has its own
        self.locked_element: str | None = None
        self.token: int | None = None  # of the lock (docs/explanation/tokens.md); FLoM has no such thing
        self.thisown = True  # whether flom_handle_t() has made it; it is there because SWIG has it


def is_given(handle: object, function: str) -> TypeGuard[flom_handle_t]:
    """Return whether C{handle}, the first argument of C{function}, is one; C{TypeError} is raised if it is not None."""
    if handle is not None and not isinstance(handle, flom_handle_t):
        raise wrong_type(function, 1, "flom_handle_t *")
    return handle is not None


def wrong_type(function: str, argument: int, type_name: str) -> TypeError:
    """Return the error for a wrong argument, in SWIG's words."""
    return TypeError(f"in method '{function}', argument {argument} of type '{type_name}'")


_defaults: Config | None = None


def defaults() -> Config:
    """
    Return the properties that a new handle has; the first call reads the configuration files.

    @raise ConfigError: the files make no sense; the next call reads them again.
    """
    global _defaults
    if _defaults is None:
        try:
            config = load(None, os.environ, warnings.warn, as_flom=True)
            config.check_transport()
            config.check_tls()
        except ConfigError as e:
            for line in e.on_stdout:
                with suppress(OSError, ValueError):  # stdout may be closed
                    print(one_line(line), flush=True)
            raise
        if config.is_tls_halved:
            warnings.warn(f"TLS is not used, it needs {' and '.join(config.missing_tls_files)} too", stacklevel=1)
        if not config.unicast_address and not config.multicast_address:
            config = config.replace(socket_name=config.socket_path)
        start_trace(config.command_trace_file, config.append_trace_file, os.environ, warnings.warn)
        _defaults = config.replace(lifespan_ms=0)  # no daemon is ever started from here
    return _defaults


def config_of(handle: flom_handle_t) -> Config:
    """
    Return the properties of C{handle}; without any, those that it would have if it were new
    (docs/compatibility.md, "Library: properties").
    """
    if handle.config is not None:
        return handle.config
    return Config() if _defaults is None else _defaults

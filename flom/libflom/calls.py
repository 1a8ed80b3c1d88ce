"""The functions that make handles, lock with them and end them (docs/compatibility.md, "Library: states")."""

from __future__ import annotations

import errno
import warnings
from typing import Final

from flom.client.blocking.acquire import Acquirer, Hooks, request_of
from flom.client.blocking.connection import Conversation, Interrupted
from flom.client.blocking.keeper import Keeper, keep
from flom.codes import Outcome, ReturnCode
from flom.config import Config, default_socket
from flom.core.names import parse_name
from flom.errors import (
    ConfigError,
    DaemonLost,
    DaemonUnreachable,
    FlomError,
    LocalProtocolError,
    LockRefused,
    LockTimeout,
    Misuse,
    RemoteProtocolError,
    TlsError,
)
from flom.job.sender import signed
from flom.libflom.constants import (
    FLOM_HANDLE_STATE_CLEANED,
    FLOM_HANDLE_STATE_CONNECTED,
    FLOM_HANDLE_STATE_DISCONNECTED,
    FLOM_HANDLE_STATE_INIT,
    FLOM_HANDLE_STATE_LOCKED,
)
from flom.libflom.handle import defaults, flom_handle_t, is_given, wrong_type
from flom.trace import tracer

_trace = tracer("client")

_LOCKABLE: Final = frozenset({FLOM_HANDLE_STATE_INIT, FLOM_HANDLE_STATE_CONNECTED, FLOM_HANDLE_STATE_DISCONNECTED})
_UNLOCKABLE: Final = frozenset({FLOM_HANDLE_STATE_LOCKED, FLOM_HANDLE_STATE_CONNECTED})
_CLEANABLE: Final = frozenset({FLOM_HANDLE_STATE_INIT, FLOM_HANDLE_STATE_DISCONNECTED})

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_TEXTS: Final = {int(code): code.text for code in ReturnCode} | {
    int(Outcome.DEADLOCK): "WARNING: to wait for the lock would be to wait for ever: a deadlock",
}
"""FLoM's texts, and ours for the code of a deadlock, which FLoM does not have."""

_held: Final[set[Conversation | Keeper]] = set()
"""
What is locked. A lock lasts until it is released or the process ends, as with FLoM, even if the program has forgotten
its handle.
"""


def flom_strerror(ret_cod: int) -> str:
    """Return the text of the return code C{ret_cod}."""
    if not isinstance(ret_cod, int):
        raise wrong_type("flom_strerror", 1, "int")
    return _TEXTS.get(ret_cod, "ERROR: unknown error")


def flom_handle_init(handle: flom_handle_t | None) -> int:
    """Make C{handle} ready for use, with the properties of the configuration files; return a return code."""
    if not is_given(handle, "flom_handle_init"):
        return int(ReturnCode.NULL_OBJECT)
    try:
        config = defaults()
    except ConfigError as e:
        _trace.debug("flom_handle_init: %d (%s)", e.code, e)
        return int(e.code)
    _disconnect(handle)  # FLoM would keep the lock, without a handle for it
    handle.config = config
    handle.state = FLOM_HANDLE_STATE_INIT
    return int(ReturnCode.OK)


def flom_handle_new() -> flom_handle_t | None:
    """Return a handle that is ready for use; C{None} if the configuration files make no sense."""
    handle = flom_handle_t()
    handle.thisown = False
    return handle if flom_handle_init(handle) == ReturnCode.OK else None


def flom_handle_clean(handle: flom_handle_t | None) -> int:
    """End the use of C{handle}, and release its lock; return a return code."""
    if not is_given(handle, "flom_handle_clean"):
        return int(ReturnCode.NULL_OBJECT)
    if handle.state == FLOM_HANDLE_STATE_LOCKED:
        code = _disconnect(handle)
        if code is not ReturnCode.OK:
            return int(code)
    if handle.state not in _CLEANABLE:
        return int(ReturnCode.API_INVALID_SEQUENCE)
    flom_handle_delete(handle)
    return int(ReturnCode.OK)


def flom_handle_delete(handle: flom_handle_t | None) -> None:
    """End the use of C{handle} in any state, and release its lock."""
    if is_given(handle, "flom_handle_delete"):
        _disconnect(handle)
        handle.config = None
        handle.state = FLOM_HANDLE_STATE_CLEANED


def flom_handle_lock(handle: flom_handle_t | None) -> int:
    """Lock the resource that C{handle} names; return a return code. What a signal's handler raises ends the wait."""
    if not is_given(handle, "flom_handle_lock"):
        return int(ReturnCode.NULL_OBJECT)
    if handle.state not in _LOCKABLE or handle.config is None:
        return int(ReturnCode.API_INVALID_SEQUENCE)
    try:
        return _lock(handle, handle.config)
    except FlomError as e:
        return int(_code_of(e, handle.config))
    except OSError as e:
        if e.errno not in _EXHAUSTED:
            raise
        return int(ReturnCode.SOCKET_ERROR)


def flom_handle_unlock(handle: flom_handle_t | None) -> int:
    """Release the lock of C{handle}, and disconnect it; return a return code."""
    if not is_given(handle, "flom_handle_unlock"):
        return int(ReturnCode.NULL_OBJECT)
    if handle.state not in _UNLOCKABLE:
        return int(ReturnCode.API_INVALID_SEQUENCE)
    return int(_disconnect(handle))


def flom_handle_unlock_rollback(handle: flom_handle_t | None) -> int:
    """Do as L{flom_handle_unlock}, and put the value of a transactional sequence back for the next holder."""
    if not is_given(handle, "flom_handle_unlock_rollback"):
        return int(ReturnCode.NULL_OBJECT)
    if handle.state not in _UNLOCKABLE or handle.config is None:
        return int(ReturnCode.API_INVALID_SEQUENCE)
    code = _disconnect(handle, rollback=True)
    if code is ReturnCode.OK and not parse_name(handle.config.resource_name).transactional:
        code = ReturnCode.RESOURCE_IS_NOT_TRANSACTIONAL
    return int(code)


def flom_handle_get_locked_element(handle: flom_handle_t) -> str | None:
    """Return the element of a set, the number of a sequence or the timestamp that is locked; C{None} without any."""
    if not is_given(handle, "flom_handle_get_locked_element"):
        raise wrong_type("flom_handle_get_locked_element", 1, "flom_handle_t const *")
    return handle.locked_element


def _lock(handle: flom_handle_t, config: Config) -> int:
    """
    Connect and lock; return a return code.

    A failure after connecting leaves C{handle} in the state CONNECTED, as FLoM does; but the connection is closed, so
    that nothing is granted over it later (docs/compatibility.md,
    "After busy, a handle acts on its first resource", "After a timeout the request stays queued").

    @raise FlomError: for L{_code_of}.
    """
    if not (config.socket_name or config.unicast_address or config.multicast_address):
        return int(ReturnCode.INTERNAL_ERROR)
    if config.socket_name == default_socket():
        # so that it is not used if another user has made it (docs/compatibility.md,
        # "The default socket has a name that can be guessed")
        config = config.replace(socket_name="")
    timeout = config.timeout_ms / 1000 if config.timeout_ms > 0 else None
    hooks = _HandleHooks(handle, config)
    acquirer = Acquirer(config, hooks, timeout, may_start=False, interrupts=True)
    try:
        request = signed(request_of(config))
        handle.conn, granted = acquirer.acquire(request)
        handle.locked_element, handle.token = granted.element, granted.token
        hooks.is_held = True
        handle.keeper = keep(acquirer, request, handle.conn)
    except LockRefused as e:
        return int(e.outcome)
    except BaseException:
        acquirer.give_up()
        raise
    _held.add(handle.keeper or handle.conn)
    handle.state = FLOM_HANDLE_STATE_LOCKED
    return int(ReturnCode.OK)


class _HandleHooks(Hooks):
    def __init__(self, handle: flom_handle_t, config: Config) -> None:
        self._handle = handle
        self._config = config
        self.is_held = False  # what is asked for from then on is a reclaim

    def warn(self, text: str) -> None:
        warnings.warn(text, stacklevel=2)

    def asks(self, conversation: Conversation) -> None:
        if not self.is_held:
            self._handle.state = FLOM_HANDLE_STATE_CONNECTED
        if self._config.tls_check_peer_id and not self._config.is_tls:
            raise TlsError(ReturnCode.NO_TLS_CONNECTION, f"{conversation.peer}: no peer id can be checked without TLS")


def _disconnect(handle: flom_handle_t, *, rollback: bool = False) -> ReturnCode:
    """
    Release the lock of C{handle}, if it has one. Even if that fails, it is disconnected afterwards
    (docs/compatibility.md, "A handle stays locked when its daemon has died").
    """
    conversation, handle.conn = handle.conn, None
    keeper, handle.keeper = handle.keeper, None
    handle.state = FLOM_HANDLE_STATE_DISCONNECTED
    handle.locked_element = handle.token = None
    if conversation is None or handle.config is None:
        return ReturnCode.OK
    _held.discard(keeper or conversation)
    try:
        if keeper is not None:
            conversation = keeper.end()
        conversation.unlock(handle.config.resource_name, rollback)
    except FlomError as e:
        return _code_of(e, handle.config)
    finally:
        conversation.close()
        if keeper is not None:
            keeper.abandon()
    return ReturnCode.OK


def _code_of(error: FlomError, config: Config) -> ReturnCode:
    """Return FLoM's code for C{error}, which has ended a request with C{config}."""
    _trace.debug("%s", error)
    match error:
        case DaemonUnreachable() | DaemonLost() | RemoteProtocolError() | TlsError() | ConfigError():
            return error.code
        case LockTimeout():
            return ReturnCode.NETWORK_TIMEOUT
        case Interrupted():
            return ReturnCode.POLL_ERROR if config.timeout_ms > 0 else ReturnCode.RECV_ERROR
        case LocalProtocolError():
            return ReturnCode.CONTAINER_FULL
        case Misuse():
            return ReturnCode.SEND_ERROR  # the connection is our parent's, and closed here
        case _:
            return ReturnCode.SENDTO_ERROR  # to the group

"""The functions that make handles, lock with them and end them (docs/compatibility.md, "Library: states")."""

from __future__ import annotations

import errno
import time
import warnings
from typing import Final

from flom.client.blocking.connection import Conversation, Interrupted, connect
from flom.client.blocking.dial import prepare
from flom.client.retry import Patience
from flom.codes import Outcome, ReturnCode
from flom.config import Config, default_socket
from flom.core.names import SequenceName, parse_name
from flom.core.protocol.messages import Answer, Lock, Unlock
from flom.core.requests import ANSWER_TIMEOUT
from flom.errors import (
    ConfigError,
    DaemonLost,
    DaemonUnreachable,
    FlomError,
    LocalProtocolError,
    LockTimeout,
    Misuse,
    RemoteProtocolError,
    TlsError,
)
from flom.libflom.constants import HandleState
from flom.libflom.handle import defaults, flom_handle_t, is_given, wrong_type
from flom.net.machine_id import unique_id
from flom.trace import tracer

_trace = tracer("client")

_LOCKABLE: Final[frozenset[int]] = frozenset({HandleState.INIT, HandleState.CONNECTED, HandleState.DISCONNECTED})
_UNLOCKABLE: Final[frozenset[int]] = frozenset({HandleState.LOCKED, HandleState.CONNECTED})
_CLEANABLE: Final[frozenset[int]] = frozenset({HandleState.INIT, HandleState.DISCONNECTED})

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_TEXTS: Final = {int(code): code.text for code in ReturnCode}

_held: Final[set[Conversation]] = set()
"""
What is locked. A lock lasts until it is given back or the process ends, even if nobody has its handle any more: who
forgets that is safe, as with FLoM.
"""


def flom_strerror(ret_cod: int) -> str:
    """Tell what the return code C{ret_cod} means."""
    if not isinstance(ret_cod, int):
        raise wrong_type("flom_strerror", 1, "int")
    return _TEXTS.get(ret_cod, "ERROR: unknown error")


def flom_handle_init(handle: flom_handle_t | None) -> int:
    """Make C{handle} ready for use, with the properties that the configuration files say; give a return code."""
    if not is_given(handle, "flom_handle_init"):
        return int(ReturnCode.NULL_OBJECT)
    try:
        config = defaults()
    except ConfigError as e:
        _trace.debug("flom_handle_init: %d (%s)", e.code, e)
        return int(e.code)
    _disconnect(handle)  # if it was locked, FLoM would leave the lock to nobody
    handle.config = config
    handle.state = int(HandleState.INIT)
    return int(ReturnCode.OK)


def flom_handle_new() -> flom_handle_t | None:
    """Make a handle that is ready for use; C{None} if the configuration files make no sense."""
    handle = flom_handle_t()
    handle.thisown = False
    return handle if flom_handle_init(handle) == ReturnCode.OK else None


def flom_handle_clean(handle: flom_handle_t | None) -> int:
    """End the use of C{handle}, and give back what it has locked; give a return code."""
    if not is_given(handle, "flom_handle_clean"):
        return int(ReturnCode.NULL_OBJECT)
    if handle.state == HandleState.LOCKED:
        code = _disconnect(handle)
        if code is not ReturnCode.OK:
            return int(code)
    if handle.state not in _CLEANABLE:
        return int(ReturnCode.API_INVALID_SEQUENCE)
    _clear(handle)
    return int(ReturnCode.OK)


def flom_handle_delete(handle: flom_handle_t | None) -> None:
    """End the use of C{handle} whatever its state is, and give back what it has locked."""
    if is_given(handle, "flom_handle_delete"):
        _disconnect(handle)
        _clear(handle)


def flom_handle_lock(handle: flom_handle_t | None) -> int:
    """
    Lock the resource that C{handle} names; give a return code.

    What the handler of a signal raises meanwhile goes through to the caller, and the request is forgotten.
    """
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
    """Give back what C{handle} has locked, and disconnect it; give a return code."""
    if not is_given(handle, "flom_handle_unlock"):
        return int(ReturnCode.NULL_OBJECT)
    if handle.state not in _UNLOCKABLE:
        return int(ReturnCode.API_INVALID_SEQUENCE)
    return int(_disconnect(handle))


def flom_handle_unlock_rollback(handle: flom_handle_t | None) -> int:
    """Do as L{flom_handle_unlock}, and let another one have the value of a transactional sequence again."""
    if not is_given(handle, "flom_handle_unlock_rollback"):
        return int(ReturnCode.NULL_OBJECT)
    if handle.state not in _UNLOCKABLE or handle.config is None:
        return int(ReturnCode.API_INVALID_SEQUENCE)
    code = _disconnect(handle, rollback=True)
    name = parse_name(handle.config.resource_name)
    if code is ReturnCode.OK and not (isinstance(name, SequenceName) and name.transactional):
        code = ReturnCode.RESOURCE_IS_NOT_TRANSACTIONAL
    return int(code)


def flom_handle_get_locked_element(handle: flom_handle_t) -> str | None:
    """Give the element of a set, the number of a sequence or the timestamp that is locked; C{None} without any."""
    if not is_given(handle, "flom_handle_get_locked_element"):
        raise wrong_type("flom_handle_get_locked_element", 1, "flom_handle_t const *")
    return handle.locked_element


def _lock(handle: flom_handle_t, config: Config) -> int:
    """
    Connect and lock; give a return code.

    What fails after connecting leaves C{handle} connected by FLoM's rules; but there is no connection any more on which
    something could be granted behind its back (docs/compatibility.md,
    "After busy, a handle acts on its first resource", "After a timeout the request stays queued").

    @raise FlomError: for L{_code_of}.
    """
    if not (config.socket_name or config.unicast_address or config.multicast_address):
        return int(ReturnCode.INTERNAL_ERROR)
    conversation, answer = _ask(handle, config)
    if answer.code != Outcome.GRANTED:
        conversation.close()
        return int(Outcome(answer.code))  # type: ignore[arg-type]  # there is one in every answer that we get
    _held.add(conversation)
    handle.conn = conversation
    handle.locked_element = answer.element
    handle.state = int(HandleState.LOCKED)
    return int(ReturnCode.OK)


def _ask(handle: flom_handle_t, config: Config) -> tuple[Conversation, Answer]:
    """Give the daemon's decision; ask once more if it ended at the moment when we were connected, without a word."""
    prepare(config)
    deadline = None if config.timeout_ms < 0 else time.monotonic() + (config.timeout_ms / 1000 or ANSWER_TIMEOUT)
    message = Lock(
        config.resource_name,
        config.lock_mode,
        config.quantity,
        wait=config.timeout_ms != 0,
        create=bool(config.create),
        lifespan=config.idle_lifespan_ms / 1000,
        peer_id=unique_id(),
    )
    if config.socket_name == default_socket():
        # so that it is not used if somebody else has made it (docs/compatibility.md,
        # "The default socket has a name that can be guessed")
        config = config.replace(socket_name="")
    before, patience = handle.state, Patience(is_in_pool=False)
    while True:
        handle.state = before
        conversation = connect(config, deadline=deadline, warn=warnings.warn)
        handle.state = int(HandleState.CONNECTED)
        if config.tls_check_peer_id and not config.is_tls:
            conversation.close()
            raise TlsError(ReturnCode.NO_TLS_CONNECTION, f"{conversation.peer}: no peer id can be checked without TLS")
        try:
            return conversation, conversation.lock(message, deadline, interrupts=True)
        except DaemonLost as e:
            patience.bear(e, answered=conversation.answered)


def _disconnect(handle: flom_handle_t, *, rollback: bool = False) -> ReturnCode:
    """
    Give back what C{handle} has locked, if it has. Whatever comes of it, it is disconnected afterwards
    (docs/compatibility.md, "A handle stays locked when its daemon has died").
    """
    conversation, handle.conn = handle.conn, None
    handle.state = int(HandleState.DISCONNECTED)
    handle.locked_element = None
    if conversation is None or handle.config is None:
        return ReturnCode.OK
    _held.discard(conversation)
    try:
        conversation.unlock(Unlock(handle.config.resource_name, rollback))
    except FlomError as e:
        return _code_of(e, handle.config)
    finally:
        conversation.close()
    return ReturnCode.OK


def _clear(handle: flom_handle_t) -> None:
    handle.config = None
    handle.state = int(HandleState.CLEANED)


def _code_of(error: FlomError, config: Config) -> ReturnCode:
    """Give FLoM's code for C{error}, by which has ended what was asked for with C{config}."""
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

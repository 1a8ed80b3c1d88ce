"""Ordering a daemon to end, without a reactor (docs/compatibility.md, "Shutdown")."""

from __future__ import annotations

from time import monotonic, sleep

from flom.client.blocking.connection import connect
from flom.client.blocking.dial import is_listening
from flom.core.protocol.connection import ClientConnection
from flom.core.protocol.messages import HandedOver, ManagementRefused, RevokeAnswer
from flom.errors import DaemonLost, FlomError, LockTimeout, RemoteProtocolError, ShutdownNotAllowed
from flom.lean import socket
from flom.net.listeners import find_listeners
from flom.net.machine_id import unique_id
from flom.text import reason
from flom.trace import tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from flom.client.blocking.stream import Stream
    from flom.config import Config

_REFUSAL_TIMEOUT: Final = 1.0  # seconds; a daemon that obeys need not say anything
_HANDOVER_TIMEOUT: Final = 25.0  # seconds; three standbys take less, even if each of them is silent
_RELEASE_TIMEOUT: Final = 10.0  # seconds
_END_CHECKS: Final = 10
_END_CHECK_INTERVAL: Final = 0.1  # seconds

_trace = tracer("client")


def shut_down(
    config: Config,
    immediate: bool,
    *,
    warn: Callable[[str], None] = _trace.debug,
    say: Callable[[str], None] = _trace.debug,
) -> None:
    """
    Order the daemon that C{config} means to end; none is started for that.

    @param immediate: at once, even if locks are held; otherwise as soon as no client needs it any more.
    @param warn: called with each warning for the user.
    @param say: called with each line about the search for the daemon of a group.
    @raise ShutdownNotAllowed: it refuses, or still listens although it has closed the connection.
    @raise flom.errors.DaemonUnreachable: there is none.
    @raise DaemonLost: the connection was reset before the order could be sent.
    @raise FlomError: see L{connect}.
    """
    conversation = connect(config, warn=warn, say=say)
    peer, stream = conversation.peer, conversation.stream
    try:
        family = stream.socket.family
        listens_at = _address_of(stream, peer)
        address: Any = config.socket_path if config.socket_name else listens_at
        listeners = find_listeners(listens_at) if family == socket.AF_UNIX else frozenset()
        has_closed = _order(stream, immediate, peer)
    except FlomError:
        raise
    except OSError:
        has_closed = True  # it has gone by itself
    finally:
        conversation.close()
    if not has_closed:
        return  # it ends when no client needs it any more
    for _ in range(_END_CHECKS):  # in a group, another daemon may lead by now: it is this one that is looked for
        if not is_listening(family, address):
            return
        if listeners and not listeners & find_listeners(listens_at):
            return  # what listens there is the next one, which a holder of a lock has started
        sleep(_END_CHECK_INTERVAL)
    raise ShutdownNotAllowed(
        f"{peer} has closed the connection, but has not ended: it may want TLS, or stand by for another daemon"
    )


def order_drain(config: Config, warn: Callable[[str], None]) -> None:
    """
    Order the daemon that C{config} means, one of ours, to grant nothing more, and to end when nothing is held.

    @raise ShutdownNotAllowed: it refuses.
    @raise FlomError: see L{shut_down}.
    """
    conversation = connect(config, warn=warn)
    try:
        _order(conversation.stream, False, conversation.peer, drain=True)
    except FlomError:
        raise
    except OSError:
        pass  # it has gone by itself
    finally:
        conversation.close()


def order_handover(config: Config, warn: Callable[[str], None]) -> HandedOver:
    """
    Order the daemon that C{config} means, one of ours that leads a group, to hand over to a standby; return its answer.

    @raise ShutdownNotAllowed: it refuses to obey.
    @raise DaemonLost: it has not said how it ended.
    @raise FlomError: see L{shut_down}.
    """
    conversation = connect(config, warn=warn)
    peer, stream = conversation.peer, conversation.stream
    connection = ClientConnection()
    try:
        stream.send(connection.shut_down(False, unique_id(), handover=True), monotonic() + _REFUSAL_TIMEOUT)
        deadline = monotonic() + _HANDOVER_TIMEOUT
        while data := stream.receive(deadline):
            for event in connection.receive(data):
                if isinstance(event, ManagementRefused):
                    raise _not_allowed(peer, "hand over")
                if isinstance(event, HandedOver):
                    return event
        raise DaemonLost(f"{peer} has closed the connection, and not said whether it has handed over")
    except LockTimeout:
        raise DaemonLost(f"{peer} has not said within {_HANDOVER_TIMEOUT:g} s whether it has handed over") from None
    except FlomError:
        raise
    except OSError as e:
        raise DaemonLost(f"{peer} has gone, and not said whether it has handed over: {reason(e)}") from None
    finally:
        conversation.close()


def order_release(config: Config, name: str, number: int, warn: Callable[[str], None]) -> str:
    """
    Order the daemon that C{config} means, one of ours, to end a lock that another client holds.

    @param name: see L{flom.core.protocol.messages.Revoke}, as for C{number}.
    @return: why that cannot be; the empty string if it is done.
    @raise ShutdownNotAllowed: it refuses to obey.
    @raise DaemonLost: it has not answered, as one of an older version does not.
    @raise FlomError: see L{shut_down}.
    """
    from flom.job.sender import user_name

    conversation = connect(config, warn=warn)
    peer, stream = conversation.peer, conversation.stream
    connection = ClientConnection()
    try:
        deadline = monotonic() + _RELEASE_TIMEOUT
        stream.send(connection.revoke(name, number, unique_id(), user_name()), deadline)
        while data := stream.receive(deadline):
            for event in connection.receive(data):
                if isinstance(event, ManagementRefused):
                    raise _not_allowed(peer, "release what another client holds")
                if isinstance(event, RevokeAnswer):
                    return event.why
    except FlomError:
        raise
    except OSError:
        pass
    finally:
        conversation.close()
    raise DaemonLost(f"{peer} has closed the connection, and not answered")


def _not_allowed(peer: str, what: str) -> ShutdownNotAllowed:
    return ShutdownNotAllowed(
        f"{peer} refuses to {what}: it obeys its own user and root over a UNIX socket, clients with a TLS certificate, "
        "with --allow-local-shutdown its host and with --allow-remote-shutdown everybody; one that is part of another "
        "program obeys that program alone"
    )


def _address_of(stream: Stream, peer: str) -> Any:
    """Return where the daemon listens; raise L{DaemonLost} if the connection has been reset already."""
    try:
        return stream.socket.getpeername()
    except OSError:
        raise DaemonLost(f"{peer} has closed the connection before it could be ordered to end") from None


def _order(stream: Stream, immediate: bool, peer: str, *, drain: bool = False) -> bool:
    """Send the order; return whether the daemon has closed the connection, as one that ends at once or drains does."""
    connection = ClientConnection()
    deadline = monotonic() + _REFUSAL_TIMEOUT
    try:
        try:
            stream.send(connection.shut_down(immediate, unique_id(), drain=drain), deadline)
        except FlomError:
            raise
        except OSError:
            pass  # it has gone; it may have said why
        while data := stream.receive(deadline):
            try:
                is_refused = any(isinstance(event, ManagementRefused) for event in connection.receive(data))
            except RemoteProtocolError:
                continue
            if is_refused:
                raise _not_allowed(peer, "drain" if drain else "end")
    except LockTimeout:
        return False
    return True

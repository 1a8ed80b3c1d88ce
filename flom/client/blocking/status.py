"""Asking a daemon what it holds, without a reactor (docs/reference/protocol.md)."""

from __future__ import annotations

import os
from time import monotonic

from flom.client.blocking.connection import connect
from flom.client.blocking.stream import Stream
from flom.config import Config
from flom.core.modes import LockMode
from flom.core.names import DEFAULT_NAME
from flom.core.protocol.connection import ClientConnection
from flom.core.protocol.events import Event, StatusReceived
from flom.core.protocol.messages import STATUS_PROBE, Lock
from flom.errors import DaemonLost, FlomError, RemoteProtocolError
from flom.net.machine_id import unique_id
from flom.status.json import from_json
from flom.status.model import Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

TIMEOUT: Final = 10.0  # seconds that a daemon has for its status


class NoStatus(FlomError):
    """A daemon does not show what it holds: it cannot, or we must not see it."""


class StatusReader:
    """Asks a daemon what it holds, any number of times over one connection; C{peer} names the daemon in errors."""

    def __init__(self, stream: Stream, peer: str, connection: ClientConnection | None = None) -> None:
        """
        @param stream: leads to a daemon that is known to be ours; one of FLoM's would die of the question
            (docs/compatibility.md, "A bad first message ends the daemon").
        @param connection: what was said on it before, if anything.
        """
        self.peer = peer
        self._stream = stream
        self._connection = connection or ClientConnection()
        self._is_owed = False  # an answer; after waiting for it in vain, one may ask again
        self._events: list[Event] = []

    def read(self, name: str | None = None, timeout: float = TIMEOUT) -> Status:
        """
        Ask what the daemon holds.

        @param name: of the only resource to ask for; C{None} for all.
        @param timeout: seconds.
        @raise NoStatus: we must not see it.
        @raise flom.errors.DaemonLost: the daemon has gone.
        @raise flom.errors.LockTimeout: it says nothing.
        @raise RemoteProtocolError: it says what is no status.
        """
        deadline = monotonic() + timeout
        if self._is_owed:
            self._receive_status(deadline)  # the answer that was too late for its question
        data = self._connection.request_status(name, unique_id())
        try:
            self._stream.send(data, deadline)
        except FlomError:
            raise
        except OSError:
            raise self._stream.why_ended(self.peer, answered=True) from None
        self._is_owed = True
        return self._receive_status(deadline)

    def close(self) -> None:
        """End the connection."""
        self._stream.socket.close()

    def __enter__(self) -> StatusReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive_status(self, deadline: float) -> Status:
        while not self._events:
            data = self._stream.receive(deadline)
            if not data:
                raise self._stream.why_ended(self.peer, answered=True)
            try:
                self._events.extend(self._connection.receive(data))
            except RemoteProtocolError as e:
                raise RemoteProtocolError(f"{self.peer}: {e}") from None
        self._is_owed = False
        event = self._events.pop(0)
        if isinstance(event, StatusReceived):
            return from_json(event.data)
        raise NoStatus(
            f"{self.peer} does not show what it holds: only root, its own user, and over TCP clients of its host or "
            "with a TLS certificate may see that, unless it runs with --status-for all"
        )


def open_status(config: Config, warn: Callable[[str], None], timeout: float = TIMEOUT) -> StatusReader:
    """
    Connect to the daemon that C{config} means, to see what it holds; none is started. Of several hosts, it is the one
    that leads, or else the first that answers.

    @param warn: called with each warning for the user.
    @param timeout: seconds for connecting.
    @raise NoStatus: it is a daemon of FLoM's, which has nothing of the kind.
    @raise FlomError: see L{connect} and L{flom.client.blocking.connection.Conversation.lock}.
    """
    if config.has_several_hosts:
        return _open_one_of(config, warn, timeout)
    deadline = monotonic() + timeout
    conversation = connect(config, deadline=deadline, warn=warn)
    try:
        # that a daemon is ours, and not FLoM's, shows in an exchange that harms neither: a resource that does not
        # exist is asked for, without making it or waiting for it
        probe = f"{STATUS_PROBE}{os.urandom(8).hex()}"
        conversation.lock(Lock(probe, LockMode.NL, extended=True), deadline)
        if not conversation.connection.is_extended:
            raise NoStatus(f"{conversation.peer} is a daemon of FLoM's, which cannot tell what it holds")
    except BaseException:
        conversation.close()
        raise
    return StatusReader(conversation.stream, conversation.peer, conversation.connection)


def _open_one_of(config: Config, warn: Callable[[str], None], timeout: float) -> StatusReader:
    """See L{open_status}; if no host answers, what is wrong with the last one is raised."""
    found: StatusReader | None = None
    problem: FlomError = DaemonLost("no daemon has answered")
    for host in config.unicast_addresses:
        reader: StatusReader | None = None
        try:
            reader = open_status(config.replace(unicast_address=host), warn, timeout)
            if reader.read(DEFAULT_NAME, timeout).daemon.role == "leader":
                if found is not None:
                    found.close()
                return reader
        except FlomError as e:
            problem = e
            if reader is not None:
                reader.close()
            continue
        if found is None:
            found = reader
        else:
            reader.close()
    if found is None:
        raise problem
    return found

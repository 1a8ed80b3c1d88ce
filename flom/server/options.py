"""How a daemon serves its clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flom.net.keepalive import DEFAULT_KEEPALIVE, Keepalive
from flom.server.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from flom.core.protocol.messages import Shutdown
    from flom.tls.context import Tls


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """
    The options of a daemon for all its clients.

    @ivar tls: this end of TLS; C{None} for plain text.
    @ivar on_shutdown: called when a client that has the right orders the daemon to end, with its order; C{None}: no
        client has the right.
    @ivar allow_remote_shutdown: whether every client has it.
    @ivar allow_local_shutdown: whether every client of this host has it, over TCP too.
    @ivar status_for_all: whether every client may see what is held.
    @ivar limits: what clients may use at most; the arbiter, which enforces those of waiters, resources and locks, needs
        the same.
    @ivar sessions_are_required: whether a client over TCP has to have a session, and to say goodbye: if its connection
        ends without that, it is broken.
    """

    keepalive: Keepalive = DEFAULT_KEEPALIVE
    tls: Tls | None = None
    on_shutdown: Callable[[Shutdown], None] | None = None
    allow_remote_shutdown: bool = False
    allow_local_shutdown: bool = False
    status_for_all: bool = False
    limits: Limits = DEFAULT_LIMITS
    sessions_are_required: bool = False


DEFAULT_OPTIONS: Final = ServerOptions()
"""Plain text, and no way to end the daemon."""

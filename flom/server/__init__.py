"""
The daemon: it carries the core's decisions out.

A program that grants locks itself makes a L{DeferredArbiter}, and by L{build_daemon} a service that gives clients locks
of the same arbiter. C{__all__} has what such programs may use; docs/howto/programming.md, "Embedding", says how.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from flom.core.group.timing import Timing
from flom.interfaces import IReactor
from flom.net.claim import OPEN, PRIVATE, claim_tcp, claim_unix
from flom.net.keepalive import Keepalive
from flom.reactor.clock import make_monotonic
from flom.reactor.ports import ClaimedEndpoint
from flom.server.arbiter import DeferredArbiter
from flom.server.limits import Limits
from flom.server.options import ServerOptions
from flom.server.service import build_daemon
from flom.server.state import Epochs, StateDirectory, StateError

if TYPE_CHECKING:
    from flom.core.group.addresses import Group
    from flom.server.group.service import Membership
    from flom.tls.context import Tls

__all__ = [
    "OPEN",
    "PRIVATE",
    "ClaimedEndpoint",
    "DeferredArbiter",
    "Epochs",
    "Group",
    "IReactor",
    "Keepalive",
    "Limits",
    "Membership",
    "ServerOptions",
    "StateDirectory",
    "StateError",
    "Timing",
    "Tls",
    "build_daemon",
    "claim_tcp",
    "claim_unix",
    "make_monotonic",
]

_IMPORTED_LATE = {
    "Group": "flom.core.group.addresses",
    "Membership": "flom.server.group.service",
    "Tls": "flom.tls.context",
}


def __getattr__(name: str) -> Any:
    """Import what only daemons with a group or TLS need, when it is asked for."""
    if name not in _IMPORTED_LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_IMPORTED_LATE[name]), name)

"""
The client finds a daemon and speaks with it.

C{__all__} names what programs on Twisted and scripts may use, as docs/howto/programming.md says; C{flom.lock} itself
is in L{flom.client.blocking.lock}.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from flom.acquisition import Acquisition, Held
    from flom.client.deferred.arbiter import RemoteArbiter
    from flom.client.deferred.asyncio import holding
    from flom.client.deferred.connect import connect
    from flom.client.deferred.spawn import Child
    from flom.config import Config
    from flom.core.modes import LockMode
    from flom.errors import (
        AlreadyDone,
        CannotWait,
        Closed,
        ConfigError,
        DaemonLost,
        DaemonUnreachable,
        FlomError,
        InvalidName,
        InvalidRequest,
        LocalProtocolError,
        LockBusy,
        LockContested,
        LockDeadlock,
        LockImpossible,
        LockOverdue,
        LockRefused,
        LockRevoked,
        LockTimeout,
        Misuse,
        NoProcess,
        ProtocolError,
        RemoteProtocolError,
        StandingBy,
        TlsError,
        Unsupported,
        ValueNotKept,
    )
    from flom.interfaces import IArbiter, IHeld, IReactor
    from flom.job.words import CannotExecute
    from flom.reactor.clock import make_monotonic

__all__ = ["Child", "Config", "LockMode", "RemoteArbiter", "connect", "holding", "make_monotonic"]
__all__ += ["Acquisition", "Held", "IArbiter", "IHeld", "IReactor"]  # for annotations
__all__ += ["CannotExecute", "CannotWait", "Closed", "ConfigError", "DaemonLost", "DaemonUnreachable", "FlomError"]
__all__ += ["InvalidName", "InvalidRequest", "LocalProtocolError", "LockBusy", "LockContested", "LockDeadlock"]
__all__ += [
    "LockImpossible",
    "LockOverdue",
    "LockRefused",
    "LockRevoked",
    "LockTimeout",
    "Misuse",
    "NoProcess",
    "ProtocolError",
]
__all__ += ["RemoteProtocolError", "StandingBy", "TlsError", "Unsupported"]
__all__ += ["AlreadyDone", "ValueNotKept"]

_MODULES = {
    "Acquisition": "flom.acquisition",
    "CannotExecute": "flom.job.words",
    "Child": "flom.client.deferred.spawn",
    "Config": "flom.config",
    "Held": "flom.acquisition",
    "IArbiter": "flom.interfaces",
    "IHeld": "flom.interfaces",
    "IReactor": "flom.interfaces",
    "LockMode": "flom.core.modes",
    "RemoteArbiter": "flom.client.deferred.arbiter",
    "connect": "flom.client.deferred.connect",
    "holding": "flom.client.deferred.asyncio",
    "make_monotonic": "flom.reactor.clock",
}
"""Where the names of L{__all__} are that are not in L{flom.errors}."""


def __getattr__(name: str) -> Any:
    """Import a name of L{__all__} when it is asked for: scripts need not wait for Twisted."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES.get(name, "flom.errors")), name)

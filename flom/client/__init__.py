"""
The client finds a daemon and speaks with it.

L{connect} is for Twisted programs; C{flom.lock} is for scripts (L{flom.client.blocking.lock}).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flom.client.deferred.connect import connect as connect


def __getattr__(name: str) -> Any:
    """Import L{connect} when it is asked for: scripts need not wait for Twisted."""
    if name != "connect":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from flom.client.deferred.connect import connect

    return connect

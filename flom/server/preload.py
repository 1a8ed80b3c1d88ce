"""
Imports ahead of need: what a daemon imports at its first status, for example, may be gone or of another version by
then, because the installation was replaced under it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from flom.trace import tracer

if TYPE_CHECKING:
    from collections.abc import Sequence

DELAY: Final = 4.0
"""Seconds after the start: the first clients have been served, and a daemon for one short command has ended after 3."""

PAUSE: Final = 0.05
"""Seconds from one module to the next, in which clients are served."""

ALWAYS: Final = (
    "ipaddress",
    "flom.core.group.addresses",
    "pyexpat",
    "json",
    "flom.status.model",
    "flom.status.json",
    "flom.core.values",
    "flom.server.values",
    "hmac",
    "flom.core.handles",
    "flom.core.holds",
    "flom.server.holds",
    "flom.server.holding",
    "twisted.internet.threads",
    "flom.server.snapshot",
    "tokenize",  # this and the next: by the standard library, to log an exception
    "textwrap",
)
"""Modules that a daemon imports when it needs them. Each comes after those that it imports: a step takes 1 to 4 ms."""

IN_GROUP: Final = ("_blake2", "_hashlib", "hashlib", "flom.core.locks.overlap")
"""Those of a daemon in a group; one of them loads OpenSSL, which takes 10 ms."""

WITH_TLS: Final = ("flom.tls.verdicts",)

_trace = tracer("daemon")


class PreloadService(Service):
    """Imports modules one by one, while the daemon serves its clients."""

    def __init__(self, clock: IReactorTime, names: Sequence[str]) -> None:
        self._clock = clock
        self._names = list(names)
        self._next: IDelayedCall | None = None

    def startService(self) -> None:
        super().startService()
        self._next = self._clock.callLater(DELAY, self._import)

    def stopService(self) -> None:
        super().stopService()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _import(self) -> None:
        self._next = None
        if not self._names:
            _trace.debug("all that may be needed is imported")
            return
        name = self._names.pop(0)
        try:
            import_module(name)
        except ImportError as e:  # of another version of Python's own; what needs it will say so
            _trace.debug("%s cannot be imported: %s", name, e)
        self._next = self._clock.callLater(PAUSE, self._import)

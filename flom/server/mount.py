"""The view of what a daemon holds as a file system: a process of its own, started and ended with the daemon."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service

from flom.server.arbiter import DeferredArbiter
from flom.server.status import Census


class MountService(Service):
    """Runs L{flom.vfs} for as long as the daemon runs."""

    def __init__(self, reactor: Any, directory: str, arbiter: DeferredArbiter, census: Census) -> None:
        """
        @param directory: where to mount; an absolute path.
        """

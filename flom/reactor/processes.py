"""Noticing the end of a child process under every reactor, however that was started."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.interfaces import IReactor


@implementer(IReadDescriptor)
class ExitWatch:
    """
    Reaps a child process of C{reactor.spawnProcess} when it has ended.

    The reactor does that itself where it handles SIGCHLD: not with C{installSignalHandlers=False}, as on a running
    asyncio loop.
    """

    def __init__(self, reactor: IReactor, process: Any) -> None:
        """Watch C{process}, a L{twisted.internet.process.Process}."""
        self._reactor = reactor
        self._process = process
        self._descriptor = -1
        if process.pid is None or not IReactorFDSet.providedBy(reactor):
            return
        try:
            self._descriptor = os.pidfd_open(process.pid)
        except (AttributeError, OSError):
            return  # Linux before 5.3, a seccomp that forbids it, or no descriptor left: SIGCHLD has to do
        reactor.addReader(self)

    def stop(self) -> None:
        """Watch no longer, which is due when the process has been reaped."""
        if self._descriptor >= 0:
            self._reactor.removeReader(self)
            os.close(self._descriptor)
            self._descriptor = -1

    def fileno(self) -> int:
        """See L{IReadDescriptor}."""
        return self._descriptor

    def doRead(self) -> None:
        """See L{IReadDescriptor}."""
        self._process.reapProcess()
        self.stop()

    def connectionLost(self, reason: Failure) -> None:
        """See L{IReadDescriptor}."""
        self.stop()

    def logPrefix(self) -> str:
        """See L{twisted.internet.interfaces.ILoggingContext}."""
        return type(self).__name__

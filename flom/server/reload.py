"""Reading anew what can be read anew while a daemon runs: at SIGHUP, the files for TLS."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger

from flom.errors import TlsError

if TYPE_CHECKING:
    from flom.tls.context import Tls


def _at_once(read: Callable[[], None]) -> None:
    read()


class ReloadService(Service):
    """
    Reads certificate, key and authorities again at SIGHUP, for connections to come.

    If one of the files cannot be used, a line of the log says so, and those of before stay in use. Nothing else is read
    again: other settings need a new start, which ends no lock of a command on this host.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorFromThreads,
        tls: Tls | None,
        around: Callable[[Callable[[], None]], None] = _at_once,
    ) -> None:
        """
        @param tls: this end of TLS; C{None} for plain text.
        @param around: calls the function that it is given, and may say so before and after.
        """
        self._reactor = reactor
        self._tls = tls
        self._around = around

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup may have it ignored
            signal.signal(signal.SIGHUP, self._hear)

    def _hear(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self.reload)  # a handler may come in the middle of anything

    def reload(self) -> None:
        """Read the files again."""
        self._around(self._read)

    def _read(self) -> None:
        if self._tls is None:
            self._log.info("reloaded: this daemon has no TLS files; other settings need a new start")
            return
        try:
            self._tls.reload()
        except TlsError as e:
            self._log.error("not reloaded, the files of before stay in use: {why}", why=str(e))
        else:
            self._log.info("reloaded: new connections use the TLS files as they are now")

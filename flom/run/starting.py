"""
Starts a daemon for a program without a reactor (L{flom.client.blocking.launch}).

The options are those of C{flom-run} that say where the daemon is and how it is to be; no file is read. When the daemon
is ready we say so on stdout, and stay connected to it until our stdin ends: otherwise one with a short lifespan might
be gone before the program is connected.
"""

from __future__ import annotations

import select
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ReactorNotRunning
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from flom.codes import ExitStatus
from flom.config import Config, override
from flom.errors import FlomError
from flom.job.command_line import parse
from flom.net.multicast import group_of
from flom.run.daemonize import StartingEndpoint
from flom.run.output import complain, tell, warn

if TYPE_CHECKING:
    from flom.run.electing import ElectingEndpoint

_PATIENCE: Final = 60.0  # seconds until the program should be connected itself


def main(words: Sequence[str]) -> int:
    """
    Start a daemon.

    @param words: the options.
    @return: the status to exit with.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whoever has started us had them wait
    try:
        config = override(Config(), parse(words).options, warn)
    except FlomError as e:
        complain(str(e))
        return ExitStatus.ERROR

    from twisted.internet import reactor as the_reactor

    reactor: Any = the_reactor
    status = ExitStatus.OK

    def begin() -> None:
        if select.select([0], [], [], 0)[0]:
            stop()
        else:
            _Lifeline(reactor, stop).startReading()
            Deferred.fromCoroutine(start(reactor, config)).addCallbacks(ready, fail)

    def ready(_: object) -> None:
        tell("ready")
        reactor.callLater(_PATIENCE, stop)

    def fail(failure: Failure) -> None:
        nonlocal status
        complain(str(failure.value) if failure.check(FlomError) else f"internal error: {failure.value!r}")
        status = ExitStatus.ERROR
        stop()

    def stop() -> None:
        with suppress(ReactorNotRunning):
            reactor.stop()

    reactor.callWhenRunning(begin)
    reactor.run()
    return status


async def start(reactor: Any, config: Config) -> Protocol:
    """
    See that there is a daemon where C{config} wants it, by connecting to it.

    @return: the connection.
    @raise FlomError: there is none, and none can be started.
    """
    connected: Protocol = await connectProtocol(_make_endpoint(reactor, config), Protocol())
    return connected


def _make_endpoint(reactor: Any, config: Config) -> StartingEndpoint | ElectingEndpoint:
    if not config.multicast_address:
        return StartingEndpoint(reactor, config, nullcontext, _ignore, _ignore)

    from flom.run.electing import ElectingEndpoint  # the others need not wait for its import

    return ElectingEndpoint(reactor, config, group_of(config), nullcontext, _ignore, warn, _ignore)


def _ignore(*_: object) -> None:
    """Take what nobody wants to know."""


class _Lifeline(FileDescriptor):
    """Our stdin; it ends when the program does not need us any more, or is no more."""

    def __init__(self, reactor: Any, ended: Callable[[], None]) -> None:
        super().__init__(reactor)
        self._ended = ended

    def fileno(self) -> int:
        return 0

    def doRead(self) -> None:
        self.stopReading()
        self._ended()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

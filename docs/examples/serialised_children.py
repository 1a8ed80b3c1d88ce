"""
A web application that runs commands, one at a time for each of its pages, however many hosts it runs on.

Usage: serialised_children.py ENDPOINT [SECONDS]. It prints its URL. A request for /reports/NAME runs a command under the
lock /reports/NAME of the daemon at ENDPOINT, and answers with what the command writes. Meanwhile
C{flom-run -r /reports/NAME -- CMD} waits, and so do requests to other processes of this application. If the application
is killed, the lock lives as long as the command.
"""

import signal
import sys
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import react
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from flom.client import FlomError, RemoteArbiter, connect

SECONDS = "0.2"  # that a report takes
REPORT = ["sh", "-c", 'echo "$FLOM_RESOURCE begins"; sleep $1; echo "$FLOM_RESOURCE ends"', "report"]

log = Logger()


class Output(ProcessProtocol):
    """
    Sends a browser what a command writes.

    @ivar over: fires when there is nothing more.
    """

    def __init__(self, request: Request) -> None:
        self.over: Deferred[None] = Deferred()
        self._request = request

    def outReceived(self, data: bytes) -> None:
        self._request.write(data)

    def errReceived(self, data: bytes) -> None:
        log.warn("{data}", data=data)

    def processEnded(self, reason: Any) -> None:
        self.over.callback(None)


class Reports(Resource):
    """Its pages are what commands write."""

    isLeaf = True

    def __init__(self, locks: RemoteArbiter, seconds: str) -> None:
        super().__init__()
        self._locks = locks
        self._command = [*REPORT, seconds]

    def render_GET(self, request: Request) -> int:
        handling = Deferred.fromCoroutine(self._handle(request))
        request.notifyFinish().addErrback(lambda _: handling.cancel())  # the browser has gone
        handling.addErrback(lambda failure: failure.trap(CancelledError))
        handling.addErrback(lambda failure: log.failure("handling {request}", failure, request=request))
        return NOT_DONE_YET

    async def _handle(self, request: Request) -> None:
        output = Output(request)
        try:
            child = await self._locks.spawn(request.path.decode(), self._command, protocol=output, timeout=10)
        except FlomError as e:  # there is no lock, or no such command
            request.setResponseCode(503)
            request.write(f"{e}\n".encode())
            request.finish()
            return
        try:
            await output.over
        except CancelledError:
            child.signal(signal.SIGTERM)
            raise
        status = await child.exited
        request.write(f"status {status}\n".encode())
        request.finish()


async def main(reactor: Any, where: str, seconds: str = SECONDS) -> None:
    async with await connect(reactor, where) as locks:
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(Reports(locks, seconds)))
        print(f"http://127.0.0.1:{port.getHost().port}/reports/", flush=True)
        await Deferred()


react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))

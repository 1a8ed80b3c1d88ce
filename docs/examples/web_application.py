"""
A web application that serialises its handlers, and lets commands of this host have the same locks.

Usage: web_application.py SOCKET. It prints its URL. While a request for /stock/bolts is being handled,
C{flom-run -s SOCKET -r /stock/bolts -- CMD} waits, and the other way round.
"""

import sys
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import deferLater, react
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from flom.client import FlomError
from flom.server import PRIVATE, ClaimedEndpoint, DeferredArbiter, build_daemon, claim_unix, make_monotonic

log = Logger()


class Stock(Resource):
    """Counts how often each of its pages was asked for, one request for a page at a time."""

    isLeaf = True

    def __init__(self, reactor: Any, locks: DeferredArbiter) -> None:
        super().__init__()
        self._reactor = reactor
        self._locks = locks
        self._counts: dict[str, int] = {}

    def render_GET(self, request: Request) -> int:
        handling = Deferred.fromCoroutine(self._handle(request))
        request.notifyFinish().addErrback(lambda _: handling.cancel())  # the browser has gone: leave the queue
        handling.addErrback(lambda failure: failure.trap(CancelledError))
        handling.addErrback(lambda failure: log.failure("handling {request}", failure, request=request))
        return NOT_DONE_YET

    async def _handle(self, request: Request) -> None:
        page = request.path.decode()
        try:
            async with self._locks.acquire(page, timeout=10):
                count = self._counts.get(page, 0)
                await deferLater(self._reactor, 0.01)  # whatever must not be done twice at once
                self._counts[page] = count + 1
        except FlomError as e:
            request.setResponseCode(503)
            request.write(f"{e}\n".encode())
        else:
            request.write(f"{page}: {count + 1}\n".encode())
        request.finish()


async def main(reactor: Any, path: str) -> None:
    make_monotonic(reactor)
    arbiter = DeferredArbiter(reactor)
    daemon = build_daemon(reactor, arbiter, [ClaimedEndpoint(reactor, claim_unix(path, PRIVATE))])
    daemon.privilegedStartService()
    daemon.startService()
    reactor.addSystemEventTrigger("before", "shutdown", daemon.stopService)
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(Stock(reactor, arbiter)))
    print(f"http://127.0.0.1:{port.getHost().port}/stock/bolts", flush=True)
    await Deferred()


react(lambda reactor: Deferred.fromCoroutine(main(reactor, sys.argv[1])))

"""
What the daemon is compared with: bare Twisted, which answers lock messages with constant bytes.

It reads nothing but which messages there are. With C{--slots 0} every lock is granted at once, by the one answer that
a free lock gets: the strict control, which says half as much as a daemon must where clients wait. With more slots, so
many hold at a time, the next are told to wait, and get a second constant answer in their turn: what handing over costs
at least.
"""

from __future__ import annotations

import argparse
import re
from collections import deque
from typing import Any, Final

from twisted.internet import reactor as _reactor
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from flom.codes import Outcome
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Answer

READY: Final = "ready"
"""The line that tells that it is listening."""

LOCK: Final = b'verb="1"'
_KIND: Final = re.compile(rb'verb="(.)"')
_BACKLOG: Final = 4096  # as the daemon

_PEER_ID: Final = "0" * 32
GRANTED: Final = encode(Answer(16, Outcome.GRANTED, peer_id=_PEER_ID))
QUEUED: Final = encode(Answer(16, Outcome.QUEUED, peer_id=_PEER_ID))
GRANTED_LATER: Final = encode(Answer(24, Outcome.GRANTED))

reactor: Any = _reactor


class StrictControl(Protocol):
    """Grants whatever is asked for."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        if locks := data.count(LOCK):
            self.transport.write(GRANTED * locks)


class HandOverControl(Protocol):
    """Grants to so many at a time, in the order of arrival."""

    transport: Any

    def __init__(self, queue: HandOverFactory) -> None:
        self._queue = queue
        self._holds = False

    def connectionMade(self) -> None:
        if hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(True)  # a grant must not wait until "queued" is acknowledged

    def dataReceived(self, data: bytes) -> None:
        for kind in _KIND.findall(data):
            if kind != b"1":
                self._release()
            elif self._queue.free:
                self._queue.free -= 1
                self._holds = True
                self.transport.write(GRANTED)
            else:
                self._queue.waiting.append(self)
                self.transport.write(QUEUED)

    def grant(self) -> None:
        """Make this the holder, in its turn."""
        self._holds = True
        self.transport.write(GRANTED_LATER)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self in self._queue.waiting:
            self._queue.waiting.remove(self)
        self._release()

    def _release(self) -> None:
        if not self._holds:
            return
        self._holds = False
        if self._queue.waiting:
            self._queue.waiting.popleft().grant()
        else:
            self._queue.free += 1


class HandOverFactory(Factory):
    """
    The one queue.

    @ivar free: how many more may hold.
    """

    noisy = False

    def __init__(self, slots: int) -> None:
        self.free = slots
        self.waiting: deque[HandOverControl] = deque()

    def buildProtocol(self, addr: IAddress | None) -> HandOverControl:
        return HandOverControl(self)


class StrictFactory(Factory):
    """Makes strict controls."""

    protocol = StrictControl
    noisy = False


def main() -> None:
    """Listen until it is ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.bench.control", description=__doc__)
    parser.add_argument("socket", help="path of the UNIX socket to listen on")
    parser.add_argument("port", type=int, help="TCP port on 127.0.0.1")
    parser.add_argument("--slots", type=int, default=0, help="how many may hold; 0: all, at once")
    options = parser.parse_args()
    factory = HandOverFactory(options.slots) if options.slots else StrictFactory()
    reactor.listenUNIX(options.socket, factory, backlog=_BACKLOG)
    reactor.listenTCP(options.port, factory, backlog=_BACKLOG, interface="127.0.0.1")
    reactor.callWhenRunning(print, READY, flush=True)
    reactor.run()


if __name__ == "__main__":
    main()

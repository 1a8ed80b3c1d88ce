"""A daemon that the test plays, towards a Twisted client that asks it for one lock over TCP."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.acquisition import Held
from flom.client.deferred.arbiter import RemoteArbiter
from flom.client.deferred.connection import LockClient
from flom.client.deferred.heartbeat import LossPolicy
from flom.codes import ReturnCode
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import MAX_ANSWER_SIZE, MessageReader
from flom.core.protocol.messages import Message, Ping
from flom.errors import DaemonUnreachable, FlomError
from tests.fakes.connections import TcpTransport, xml

SECRET = "0123456789abcdef" * 2
TIMEOUT = 10.0
PATIENCE = 8.5  # seconds of that
PONG = encode(Ping(16))


def granted(timeout: float = TIMEOUT, *, secret: str = SECRET, more: str = "") -> bytes:
    """Return the grant of a daemon that keeps what a client has for C{timeout} seconds."""
    attributes = f'extended="1" session="{secret}" timeout="{timeout * 1000:.0f}"{more}'
    return xml(1, 16, '<session peerid="x"/><answer rc="0"/>').replace(b'step="16"', f'step="16" {attributes}'.encode())


class PlayedConnection(TcpTransport):
    """
    The daemon's end of a connection, which the test plays.

    @ivar client: the client at the other end.
    """

    client: LockClient

    def say(self, data: bytes) -> None:
        self.client.dataReceived(data)

    def heard(self) -> list[Message]:
        """Return what has come since the last call."""
        data = self.value()
        self.clear()
        return list(MessageReader(MAX_ANSWER_SIZE).feed(data))

    def abortConnection(self) -> None:
        if not self.aborted:
            self.aborted = True
            self.client.connectionLost(Failure(ConnectionAborted()))

    def end(self) -> None:
        """Close the connection, in good order."""
        self.client.connectionLost(Failure(ConnectionDone()))


@implementer(IStreamClientEndpoint)
class PlayedDaemon:
    """
    A client that holds a lock since second 0.

    @ivar connections: those that there have been.
    @ivar held: the lock.
    @ivar lost: why it is lost, once it is.
    @ivar refused: what is raised by an attempt to connect; C{None} if there is a daemon.
    """

    def __init__(self, grant: bytes | None = None, policy: LossPolicy | None = None, **options: Any) -> None:
        self.clock = Clock()
        self.connections: list[PlayedConnection] = []
        self.refused: FlomError | None = None
        self.arbiter = RemoteArbiter(self, "the daemon", self.clock, keep=2.0, loss_policy=policy, **options)
        self.lost: list[FlomError] = []
        self.errors: list[Exception] = []
        self._held: list[Held] = []
        self.acquiring = self.arbiter.acquire("R").addCallbacks(self._held.append, self._note_error)
        self.connections[0].heard()
        if grant is not None:
            self.connections[0].say(grant)
        if self._held:
            self.held.lost.addCallback(self.lost.append)

    @property
    def held(self) -> Held:
        return self._held[0]

    @property
    def is_held(self) -> bool:
        return bool(self._held)

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        if self.refused is not None:
            return fail(self.refused)
        connection = PlayedConnection()
        connection.client = protocolFactory.buildProtocol(None)
        self.connections.append(connection)
        connection.client.makeConnection(connection)
        return succeed(connection.client)

    def pass_time(self, seconds: float) -> None:
        """Advance in small steps."""
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)

    def pass_time_answering(self, seconds: float) -> int:
        """Likewise, while the daemon answers at once; return how many pings there were."""
        pings = 0
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            asked = [message for message in self.connections[-1].heard() if isinstance(message, Ping)]
            pings += len(asked)
            for _ in asked:
                self.connections[-1].say(PONG)
        return pings

    def _note_error(self, failure: Failure) -> None:
        assert isinstance(failure.value, Exception)
        self.errors.append(failure.value)


REFUSED = DaemonUnreachable(ReturnCode.CONNECT_ERROR, "the daemon: no daemon is listening")
REFUSED.is_refused = True
SILENT = DaemonUnreachable(ReturnCode.CONNECT_ERROR, "the daemon: no route to host")

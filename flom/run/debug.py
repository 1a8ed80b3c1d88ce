"""
FLoM's debug features: one datagram or one TLS connection between two hosts, without a lock
(docs/compatibility.md, "Debug features").

Each needs its other half on the other host: C{ipv6.multicast.server} and C{ipv6.multicast.client}, C{tls.server} and
C{tls.client}.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import CannotListenError, ConnectError, DNSLookupError
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.client.addresses import daemon_host
from flom.client.retry import HANDSHAKE_TIMEOUT
from flom.codes import ExitStatus
from flom.config import Config
from flom.core.group.addresses import Sender
from flom.errors import DaemonLost, FlomError
from flom.net.claim import claim_tcp
from flom.net.machine_id import unique_id
from flom.net.multicast import group_of
from flom.reactor.endpoints import stream_endpoint
from flom.reactor.multicast_port import GroupPort
from flom.reactor.ports import ClaimedEndpoint
from flom.reactor.transports import tls_of
from flom.run.terminal import print_error, tell
from flom.text import one_line
from flom.tls.context import Tls

_END: Final = b"</msg>"
_MOST: Final = 1024  # bytes of the other end's id


async def try_feature(reactor: Any, name: str, config: Config) -> int:
    """
    Try the debug feature C{name}.

    @return: the status to exit with.
    """
    feature = _FEATURES.get(name.lower())
    if feature is None:
        print_error(f"debug-feature: '{name}' is none of {', '.join(_FEATURES)}")
        return ExitStatus.DEBUG_FAILED
    try:
        await feature(reactor, config)
    except TimeoutError:
        print_error(f"debug-feature: {name}: the other end says nothing")
    except (FlomError, CannotListenError, ConnectError, DNSLookupError, OSError, ValueError) as e:
        print_error(f"debug-feature: {name}: {e}")
    else:
        return ExitStatus.OK
    return ExitStatus.DEBUG_FAILED


class _Datagrams(DatagramProtocol):
    """Hands out what comes."""

    transport: Any

    def __init__(self) -> None:
        self.arrived: Deferred[tuple[bytes, Sender]] = Deferred()

    def datagramReceived(self, datagram: bytes, addr: Sender) -> None:
        if not self.arrived.called:
            self.arrived.callback((datagram, addr))


async def _serve_multicast(reactor: Any, config: Config) -> None:
    datagrams = _Datagrams()
    port = _open(reactor, config, datagrams, is_member=True)
    try:
        datagram, sender = await datagrams.arrived
        tell(one_line(f"Arrived datagram is '{datagram.decode(errors='replace')}'"))
        port.write(b"WELCOME", sender)
        tell("Sent datagram is 'WELCOME'")
    finally:
        port.stopListening()


async def _ask_multicast(reactor: Any, config: Config) -> None:
    datagrams = _Datagrams()
    port = _open(reactor, config, datagrams, is_member=False)
    try:
        port.tell(b"HELLO")
        tell("Sent datagram is 'HELLO'")
        datagram, _ = await datagrams.arrived.addTimeout(config.discovery_time, reactor)
        tell(one_line(f"Arrived datagram is '{datagram.decode(errors='replace')}'"))
    finally:
        port.stopListening()


def _open(reactor: Any, config: Config, datagrams: _Datagrams, *, is_member: bool) -> GroupPort:
    if not config.multicast_address:
        raise FlomError("it needs --multicast-address")
    port = GroupPort(group_of(config), datagrams, reactor, is_member=is_member)
    port.startListening()
    if is_member:
        port.join()
    return port


@implementer(IHandshakeListener)
class _Exchange(Protocol):
    """
    Tells the other end our unique id, and hears its.

    Whoever connects to a server and goes before TLS is there does not count.
    """

    transport: Any

    def __init__(self, tls: Tls, over: Deferred[str], *, is_server: bool) -> None:
        """
        @param over: fires when the first connection has ended, with what the other end said, or with why it did not.
        """
        self._tls = tls
        self._over = over
        self._is_server = is_server
        self._heard = b""
        self._outcome: str | FlomError | None = None
        self._is_secured = False

    def handshakeCompleted(self) -> None:
        """See L{IHandshakeListener.handshakeCompleted}."""
        self._is_secured = True
        self.transport.write(unique_id().encode() + _END)

    def dataReceived(self, data: bytes) -> None:
        self._heard += data
        if self._outcome is not None or (_END not in self._heard and len(self._heard) < _MOST):
            return
        peer_id = self._heard.partition(_END)[0].decode(errors="replace")
        try:
            self._tls.check_peer_id(self.transport, peer_id)
        except FlomError as e:
            self._outcome = e
        else:
            self._outcome = peer_id
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._over.called:
            return
        if isinstance(self._outcome, str):
            self._over.callback(self._outcome)
            return
        why = self._outcome or self._tls.why_lost(self.transport, reason, is_secured=self._is_secured)
        if why or self._is_secured or not self._is_server:
            self._over.errback(why or DaemonLost(f"the other end has closed the connection: {reason.value}"))


async def _serve_tls(reactor: Any, config: Config) -> None:
    tls = _tls(config)
    over: Deferred[str] = Deferred()
    factory = Factory.forProtocol(lambda: _Exchange(tls, over, is_server=True))
    factory.noisy = False
    claim = claim_tcp(daemon_host(config), config.unicast_port)
    port = await ClaimedEndpoint(reactor, claim).listen(tls.secure_server(factory, reactor))
    try:
        tell(one_line(f"Arrived unique id is '{await over}'"))
    finally:
        port.stopListening()


async def _ask_tls(reactor: Any, config: Config) -> None:
    tls = _tls(config)
    over: Deferred[str] = Deferred()
    endpoint = stream_endpoint(reactor, daemon_host(config), config.unicast_port)
    await connectProtocol(tls.secure_client(endpoint), _Exchange(tls, over, is_server=False))
    tell(one_line(f"Arrived unique id is '{await over.addTimeout(HANDSHAKE_TIMEOUT, reactor)}'"))


def _tls(config: Config) -> Tls:
    tls = tls_of(config)
    if not config.unicast_address or tls is None:
        raise FlomError(f"it needs {', '.join(['unicast-address', *config.missing_tls_files])}")
    return tls


_FEATURES: Final[dict[str, Callable[[Any, Config], Awaitable[None]]]] = {
    "ipv6.multicast.server": _serve_multicast,
    "ipv6.multicast.client": _ask_multicast,
    "tls.server": _serve_tls,
    "tls.client": _ask_tls,
}

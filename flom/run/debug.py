"""
FLoM's debug features: one datagram or one TLS connection between two hosts, without a lock
(docs/compatibility.md, "Debug features").

Each needs its other half on the other host: C{ipv6.multicast.server} and C{ipv6.multicast.client}, C{tls.server} and
C{tls.client}.
"""

from __future__ import annotations

import socket
from queue import SimpleQueue
from select import POLLIN
from threading import Thread
from time import monotonic

from flom.client.addresses import daemon_host
from flom.client.blocking.dial import connect_to_host
from flom.client.blocking.stream import NEVER, wait_for
from flom.client.blocking.tls import SecureStream, TlsEnd
from flom.client.retry import CLOSE_TIMEOUT, HANDSHAKE_TIMEOUT
from flom.codes import ExitStatus
from flom.errors import DaemonLost, FlomError, LockTimeout
from flom.net.claim import claim_tcp
from flom.net.machine_id import unique_id
from flom.net.multicast import GroupSocket, group_of, open_group_socket
from flom.run.terminal import print_error, tell
from flom.text import one_line, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.config import Config
    from flom.core.group.addresses import Sender

_END: Final = b"</msg>"
_MOST: Final = 1024  # bytes of the other end's id
_LONGEST: Final = 65_536  # bytes of a datagram
_OTHER: Final = "the other end"
_ASK_AGAIN: Final = 0.1  # seconds
_SERVER_START: Final = 2.0  # seconds that the other half has for its start


def try_feature(name: str, config: Config) -> int:
    """Try the debug feature C{name}, and return the status to exit with."""
    feature = _FEATURES.get(name.lower())
    if feature is None:
        print_error(f"debug-feature: '{name}' is none of {', '.join(_FEATURES)}")
        return ExitStatus.DEBUG_FAILED
    try:
        feature(config)
        return ExitStatus.OK
    except LockTimeout:
        why = f"{_OTHER} says nothing"
    except OSError as e:
        why = reason(e)
    except (FlomError, ValueError) as e:
        why = str(e).removeprefix(f"{_OTHER}: ")
    print_error(f"debug-feature: {name}: {why}")
    return ExitStatus.DEBUG_FAILED


def _serve_multicast(config: Config) -> None:
    group_socket = _open(config, is_member=True)
    try:
        group_socket.join()
        datagram, sender = _receive(group_socket, NEVER)
        tell(one_line(f"Arrived datagram is '{datagram.decode(errors='replace')}'"))
        group_socket.send_to(b"WELCOME", sender)
        tell("Sent datagram is 'WELCOME'")
    finally:
        group_socket.close()


def _ask_multicast(config: Config) -> None:
    """Ask again and again, because the other half may have been started at the same moment; say so once."""
    group_socket = _open(config, is_member=False)
    deadline = monotonic() + config.discovery_time + _SERVER_START
    try:
        group_socket.tell(b"HELLO")
        tell("Sent datagram is 'HELLO'")
        while True:
            try:
                datagram, _ = _receive(group_socket, min(deadline, monotonic() + _ASK_AGAIN))
                break
            except LockTimeout:
                if monotonic() >= deadline:
                    raise
            group_socket.tell(b"HELLO")
        tell(one_line(f"Arrived datagram is '{datagram.decode(errors='replace')}'"))
    finally:
        group_socket.close()


def _open(config: Config, *, is_member: bool) -> GroupSocket:
    if not config.multicast_address:
        raise FlomError("it needs --multicast-address")
    return open_group_socket(group_of(config), is_member=is_member)


def _receive(group_socket: GroupSocket, deadline: float) -> tuple[bytes, Sender]:
    """Wait for a datagram; L{LockTimeout} is raised at C{deadline}."""
    while True:
        wait_for(group_socket.udp, POLLIN, deadline)
        try:
            arrived = group_socket.receive(_LONGEST)
        except OSError:
            continue
        if arrived is not None:
            return arrived


def _serve_tls(config: Config) -> None:
    """Exchange ids with the first client that gets as far as TLS; each has a thread, so that none holds up others."""
    tls = _tls(config, is_server=True)
    claim = claim_tcp(daemon_host(config), config.unicast_port)
    listening = claim.accepting()
    outcomes: SimpleQueue[str | FlomError] = SimpleQueue()

    def serve(connected: socket.socket) -> None:
        try:
            outcomes.put(_exchange(connected, tls))
        except (DaemonLost, LockTimeout):
            pass  # it went away, or was silent, before TLS was there
        except FlomError as e:
            outcomes.put(e)

    def accept() -> None:
        while True:
            try:
                connected, _ = listening.accept()
            except OSError:
                return  # closed
            Thread(target=serve, args=(connected,), daemon=True).start()

    try:
        Thread(target=accept, daemon=True).start()
        outcome = outcomes.get()
    finally:
        listening.shutdown(socket.SHUT_RDWR)  # to close it would not end the thread's accept()
        claim.close()
    if isinstance(outcome, FlomError):
        raise outcome
    tell(one_line(f"Arrived unique id is '{outcome}'"))


def _ask_tls(config: Config) -> None:
    tls = _tls(config, is_server=False)
    connected = connect_to_host(daemon_host(config), config.unicast_port, "", NEVER, HANDSHAKE_TIMEOUT)
    tell(one_line(f"Arrived unique id is '{_exchange(connected, tls)}'"))


def _exchange(connected: socket.socket, tls: TlsEnd) -> str:
    """
    Send our unique id, and return that of the other end.

    @raise DaemonLost: it has closed the connection.
    @raise LockTimeout: it says nothing for L{HANDSHAKE_TIMEOUT} seconds.
    @raise flom.errors.TlsError: one of the two ends does not trust the other.
    """
    deadline = monotonic() + HANDSHAKE_TIMEOUT
    heard = b""
    with connected:
        connected.setblocking(False)
        stream = SecureStream(connected, tls, _OTHER)
        stream.shake_hands(deadline)
        stream.send(unique_id().encode() + _END, deadline)
        while _END not in heard and len(heard) < _MOST:
            data = stream.receive(deadline)
            if not data:
                raise FlomError(f"{_OTHER} has closed the connection, and sent no unique id")
            heard += data
        peer_id = heard.partition(_END)[0].decode(errors="replace")
        try:
            stream.check_peer_id(peer_id)
        finally:
            _close(stream)
    return peer_id


def _close(stream: SecureStream) -> None:
    """End the connection in order, so that the other end can read what it was sent."""
    deadline = monotonic() + CLOSE_TIMEOUT
    try:
        stream.shut_down(deadline)
        while stream.receive(deadline):
            pass
    except (OSError, FlomError):
        pass


def _tls(config: Config, *, is_server: bool) -> TlsEnd:
    if not (config.unicast_address and config.is_tls):
        raise FlomError(f"it needs {', '.join(['unicast-address', *config.missing_tls_files])}")
    return TlsEnd(config, is_server=is_server)


_FEATURES: Final = {
    "ipv6.multicast.server": _serve_multicast,
    "ipv6.multicast.client": _ask_multicast,
    "tls.server": _serve_tls,
    "tls.client": _ask_tls,
}

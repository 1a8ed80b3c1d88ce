"""
The client's end of a connection, without a reactor: one resource is asked for, held and given back (spec 5.5).

Nothing here starts a daemon or asks again; see L{flom.client.blocking} for what a script wants. Twisted is imported
for TLS, for groups and for C{network-interface} only.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from importlib import import_module
from select import POLLOUT
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

from flom.client.endings import CLOSE_TIMEOUT, while_waiting
from flom.client.forking import close_socket, open_socket
from flom.client.places import ASK_AGAIN, CROWD_RETRY, check_owner, daemon_host, peer_of
from flom.client.stream import NEVER, Stream, signals_noted, wait_for
from flom.client.stream import Interrupted as Interrupted  # which its users find here
from flom.config import Config
from flom.core.messages import Answer, Lock, Unlock
from flom.core.session import ClientSession
from flom.core.wire import MAX_ANSWER_SIZE, MessageReader, encode
from flom.errors import (
    DaemonLost,
    DaemonUnreachable,
    FlomError,
    LockTimeout,
    Misuse,
    Outcome,
    RemoteProtocolError,
    ReturnCode,
    reason,
    spell,
)
from flom.identity import unique_id
from flom.keepalive import Keepalive
from flom.trace import tracer

if TYPE_CHECKING:
    from flom.client.discovery import Answer as Found
    from flom.multicast import Group
    from flom.tls import Tls

_CONNECT_TIMEOUT: Final = 30.0  # seconds for one address, whose host may have nothing to say to us
_FOUND_TIMEOUT: Final = 5.0  # seconds for connecting to a daemon that has just answered
_MOST_TRIED: Final = 3  # of those who answer: anybody can

_trace = tracer("client")
_msg = tracer("msg")


class NoDaemon(DaemonUnreachable):
    """There is just no daemon there, so that starting one may help (spec 7.1)."""


def prepare(config: Config) -> None:
    """Import what L{connect} will want, which may take longer than there is time until a deadline."""
    if config.network_interface:
        import_module("flom.multicast")
    if config.multicast_address:
        import_module("flom.client.search")
    if config.is_tls:
        import_module("flom.client.secure_stream")


def connect(
    config: Config, *, deadline: float | None = None, warn: Callable[[str], None] = _trace.debug
) -> Conversation:
    """
    Connect to the daemon that C{config} means; none is started.

    To look up the name of a host may take longer than C{deadline}; nothing else does.

    @param deadline: a time of C{time.monotonic}; C{None} if it does not matter how long it takes.
    @param warn: told what the user should know.
    @raise DaemonUnreachable: there is none, or it cannot be talked to.
    @raise DaemonLost: it went away during the TLS handshake.
    @raise flom.errors.TlsError: a file for TLS cannot be used, or one of the two ends does not trust the other.
    @raise flom.errors.ConfigError: there is no such group or network interface.
    @raise flom.multicast.NoMulticast: nothing can be sent to the group.
    @raise LockTimeout: it is C{deadline}.
    """
    tls = None
    if config.is_tls:
        from flom.transports import tls_of

        tls = tls_of(config)
    limit = NEVER if deadline is None else deadline
    keepalive: Keepalive | None = config.keepalive
    waiting = keepalive
    try:
        if config.unicast_address:
            connected, peer = _connect_tcp(config, limit)
        elif config.multicast_address:
            connected, peer = _connect_to_leader(config, limit, warn)
        else:
            connected, peer = _connect_unix(config, limit)
            keepalive = None
        try:
            if keepalive is not None:
                waiting = while_waiting(keepalive) if config.multicast_address else keepalive
                with suppress(OSError):  # it is gone already, as we shall see
                    waiting.tune(connected)
            _trace.debug("connected to %s", peer)
            stream = Stream(connected) if tls is None else _secure(connected, tls, peer, limit)
            return Conversation(stream, peer, None if waiting is keepalive else keepalive)
        except BaseException:
            close_socket(connected)
            raise
    except LockTimeout:
        raise LockTimeout(f"{peer_of(config)}: not connected in time") from None


class Conversation:
    """
    A connection to a daemon, for one resource (spec 5.6).

    It belongs to the process that has made it; in a forked child, it is closed.

    @ivar peer: names the daemon in errors.
    @ivar answered: whether the daemon has said anything.
    @ivar stream: the bytes of it.
    """

    def __init__(self, stream: Stream, peer: str, keepalive: Keepalive | None = None) -> None:
        """
        @param keepalive: when the daemon is to be probed once the lock is held; C{None} to leave that as it is.
        """
        self.peer = peer
        self.answered = False
        self.stream = stream
        self._keepalive = keepalive
        self._reader = MessageReader(MAX_ANSWER_SIZE)
        self._session = ClientSession()
        self._is_lost = False

    def lock(self, message: Lock, deadline: float | None = None, interrupts: bool = False) -> Answer:
        """
        Ask for a resource, and wait for the daemon's decision.

        Whatever is raised, KeyboardInterrupt for example, the connection is closed before, so that the daemon forgets
        the request.

        @param message: our unique id is added if it has none.
        @param deadline: a time of C{time.monotonic}; C{None} to wait as long as it takes.
        @param interrupts: whether a signal ends the wait if it has a handler in Python, whatever that has done; in
            other threads than the main one, none does.
        @return: what grants the lock or refuses it.
        @raise LockTimeout: it is C{deadline}.
        @raise DaemonLost: the daemon has gone.
        @raise Interrupted: a signal came; only with C{interrupts}.
        @raise RemoteProtocolError: the daemon has said what is no answer.
        @raise flom.errors.LocalProtocolError: C{message} is too long, or must not be sent now.
        @raise flom.errors.TlsError: one of the two ends does not trust the other.
        """
        try:
            self._check_open()
            with signals_noted() if interrupts else nullcontext() as signals:
                answer = self._ask(message, NEVER if deadline is None else deadline, signals)
            if answer.code == Outcome.GRANTED and self._keepalive is not None:
                with suppress(OSError):
                    self._keepalive.tune(self.stream.socket)
            return answer
        except BaseException:
            self.close()
            raise

    def unlock(self, message: Unlock) -> None:
        """
        Give the lock back, wait until the daemon has taken it, at most L{CLOSE_TIMEOUT}, and close the connection.

        @raise DaemonLost: the daemon was gone before.
        @raise flom.errors.LocalProtocolError: there is no lock to give back; nothing has happened.
        """
        self._check_open()
        self._session.send(message)
        deadline = monotonic() + CLOSE_TIMEOUT
        try:
            if self.is_lost:
                raise ConnectionResetError
            data = encode(message)
            _msg.debug("to %s: %r", self.peer, data)
            self.stream.send(data, deadline)
            with suppress(OSError):  # it has gone now, perhaps because of what we have just said
                self.stream.shut_down(deadline)
            while self.stream.receive(deadline):
                pass
        except OSError:
            raise DaemonLost(f"{self.peer} closed the connection", ReturnCode.SEND_ERROR) from None
        except LockTimeout:
            _trace.debug("%s does not close the connection", self.peer)
        except FlomError as e:
            _trace.debug("connection to %s has ended: %s", self.peer, e)
        finally:
            self.close()

    def close(self) -> None:
        """End the conversation, if it has not ended; the daemon forgets whatever was asked or held."""
        close_socket(self.stream.socket)

    def fileno(self) -> int:
        """Give the descriptor of the connection, -1 if it is closed: whoever has it open keeps the lock."""
        return self.stream.socket.fileno()

    @property
    def is_lost(self) -> bool:
        """Whether the daemon has closed the connection, as far as it was open; to find out takes no time."""
        if not self._is_lost and self.fileno() >= 0:
            try:
                while self.stream.receive(0.0):
                    _trace.debug("%s says what it must not", self.peer)  # to close would be to give up the lock
                self._is_lost = True
            except LockTimeout:
                pass  # it has nothing to say
            except FlomError as e:
                _trace.debug("connection to %s has ended: %s", self.peer, e)
                self._is_lost = True
        return self._is_lost

    def _ask(self, message: Lock, deadline: float, signals: socket.socket | None) -> Answer:
        if message.peer_id is None:
            message = replace(message, peer_id=unique_id())
        data = encode(message)
        self._session.send(message)
        _msg.debug("to %s: %r", self.peer, data)
        try:
            try:
                self.stream.send(data, deadline)
            except OSError as e:  # it has gone; it may have said why
                if e.errno is None:
                    raise  # what the handler of a signal has raised just then
            while True:
                if (answer := self._hear(self.stream.receive(deadline, signals))) is not None:
                    return answer
        except LockTimeout:
            raise LockTimeout(f"{message.name} at {self.peer}: not granted in time") from None
        except Interrupted:
            raise Interrupted(f"{message.name} at {self.peer}: interrupted by a signal") from None
        except RemoteProtocolError as e:
            raise RemoteProtocolError(f"{self.peer}: {e}", code=e.code) from None

    def _hear(self, data: bytes) -> Answer | None:
        """Take what the daemon has said; give its decision, if that is one."""
        if not data:
            raise self.stream.why_ended(self.peer, answered=self.answered)
        self.answered = True
        _msg.debug("from %s: %r", self.peer, data)
        for message in self._reader.feed(data):
            answer = self._session.receive(message)
            assert isinstance(answer, Answer)  # there is nothing else that could be due
            if answer.step == 16:
                self.stream.check_peer_id(answer.peer_id)
            if answer.code not in (Outcome.QUEUED, Outcome.AWAITING_CREATION):
                return answer  # what may follow it has no meaning
        return None

    def _check_open(self) -> None:
        if self.fileno() < 0:
            raise Misuse(f"{self.peer}: this connection is closed, or another process's")


def _connect_unix(config: Config, deadline: float) -> tuple[socket.socket, str]:
    path = config.socket_path
    if not config.socket_name:
        check_owner(path)
    while True:
        try:
            return _connect(socket.AF_UNIX, path, deadline), path
        except (OSError, ValueError) as e:
            number = getattr(e, "errno", None)
            if number == errno.EAGAIN:  # more connections are waiting than the kernel keeps for the daemon
                _pause(CROWD_RETRY, deadline)
            elif number in (errno.ENOENT, errno.ECONNREFUSED):
                raise NoDaemon(ReturnCode.CONNECT_ERROR, f"{path}: no daemon is listening") from e
            else:
                why = reason(e) if isinstance(e, OSError) else str(e)
                raise DaemonUnreachable(ReturnCode.CONNECT_ERROR, f"{path}: {why}") from e


def _connect_tcp(config: Config, deadline: float) -> tuple[socket.socket, str]:
    host, port, interface = daemon_host(config), config.unicast_port, config.network_interface
    peer = spell(host, port)
    if interface:
        from flom.multicast import check_interface, has_ipv6_address

        check_interface(interface)
        if not has_ipv6_address(interface):
            interface = ""  # without, FLoM does not heed it either (spec 1.2)
    if interface:
        peer = f"{peer} by {interface}"
    try:
        return _connect_to_host(host, port, interface, deadline, _CONNECT_TIMEOUT), peer
    except (socket.gaierror, ValueError) as e:  # the latter: what cannot be a name
        raise DaemonUnreachable(ReturnCode.GETADDRINFO_ERROR, f"{config.unicast_address}: no such host") from e
    except OSError as e:
        raise NoDaemon(ReturnCode.CONNECT_ERROR, f"{peer}: no daemon is listening: {reason(e)}") from e


def _connect_to_host(host: str, port: int, interface: str, deadline: float, patience: float) -> socket.socket:
    """
    Connect to the first address of C{host} that can be connected to.

    @param interface: over IPv6 alone, and to link-local addresses by this one; the empty string if it does not matter.
    @param patience: seconds for each address.
    """
    family = socket.AF_INET6 if interface else socket.AF_UNSPEC
    address: Any
    problem = OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
    for found, _, _, _, address in socket.getaddrinfo(host, port, family, socket.SOCK_STREAM):
        if interface and _is_link_local(address):
            address = (address[0], address[1], 0, socket.if_nametoindex(interface))
        limit = monotonic() + patience
        try:
            return _connect(found, address, min(deadline, limit))
        except LockTimeout:
            if deadline < limit:
                raise
            problem = OSError(errno.ETIMEDOUT, f"no answer within {patience:g} s")
        except OSError as e:
            problem = e
    raise problem


def _is_link_local(address: tuple[Any, ...]) -> bool:
    from flom.multicast import is_link_local

    return is_link_local(str(address[0]))


def _connect(family: int, address: Any, deadline: float) -> socket.socket:
    connecting = open_socket(family, socket.SOCK_STREAM)
    try:
        try:
            connecting.connect(address)
        except BlockingIOError as e:
            if e.errno != errno.EINPROGRESS:
                raise
            wait_for(connecting, POLLOUT, deadline)
            if problem := connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(problem, os.strerror(problem)) from None
    except BaseException:
        close_socket(connecting)
        raise
    return connecting


def _connect_to_leader(config: Config, deadline: float, warn: Callable[[str], None]) -> tuple[socket.socket, str]:
    """Ask the group for its daemon, and connect to it; again, if it has gone since it answered."""
    from flom.multicast import group_of

    group, timing = group_of(config), config.timing
    give_up = monotonic() + timing.patience + timing.campaign
    while True:
        found = _find(group, config, deadline, warn)
        try:
            return _connect_to_first(found, deadline)
        except DaemonUnreachable:
            if monotonic() > give_up:
                raise
        _pause(ASK_AGAIN, deadline)


def _find(group: Group, config: Config, deadline: float, warn: Callable[[str], None]) -> list[Found]:
    from flom.client.discovery import choice_warning
    from flom.client.search import Search

    with Search(group, deadline, _trace.debug) as search:
        found = search.ask_often(config.discovery_attempts, config.discovery_timeout_ms / 1000)
    if not found:
        raise search.problem or NoDaemon(ReturnCode.CONNECT_ERROR, f"no daemon answers in {group}")
    if warning := choice_warning(found, group):
        warn(warning)
    return found


def _connect_to_first(found: list[Found], deadline: float) -> tuple[socket.socket, str]:
    problems = []
    for answer in found[:_MOST_TRIED]:
        try:
            return _connect_to_host(answer.host, answer.port, "", deadline, _FOUND_TIMEOUT), answer.peer
        except (OSError, ValueError) as e:
            why = reason(e) if isinstance(e, OSError) else str(e)
            problems.append(f"{answer.peer} answers, but cannot be connected to: {why}")
            _trace.debug("%s", problems[-1])
    raise DaemonUnreachable(ReturnCode.CONNECT_ERROR, problems[0])


def _secure(connected: socket.socket, tls: Tls, peer: str, deadline: float) -> Stream:
    from flom.client.secure_stream import SecureStream

    stream = SecureStream(connected, tls, peer)
    stream.shake_hands(deadline)
    return stream


def _pause(seconds: float, deadline: float) -> None:
    """Let some time pass, unless it is C{deadline}."""
    left = deadline - monotonic()
    if left <= 0:
        raise LockTimeout("too late")
    sleep(min(seconds, left))

"""
The way to the daemon, without a reactor: a socket that is connected to it
(docs/compatibility.md, "Ways to the daemon", "TCP connections").

Twisted is imported for groups and for C{network-interface} only.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from select import POLLOUT
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flom.client.addresses import CROWD_RETRY, check_owner, daemon_host, peer_of
from flom.client.blocking.fork_safety import close_socket, open_socket
from flom.client.blocking.stream import NEVER, wait_for
from flom.client.retry import while_waiting
from flom.codes import ReturnCode
from flom.config import Config
from flom.core.group.discovery import ASK_AGAIN
from flom.errors import DaemonUnreachable, LockTimeout
from flom.net.keepalive import Keepalive
from flom.text import host_port, reason
from flom.trace import tracer

if TYPE_CHECKING:
    from flom.client.deferred.discovery import Answer as Found
    from flom.core.group.addresses import Group

_CONNECT_TIMEOUT: Final = 30.0  # seconds for one address, whose host may have nothing to say to us
_FOUND_TIMEOUT: Final = 5.0  # seconds for connecting to a daemon that has just answered
_MOST_TRIED: Final = 3  # of those who answer: anybody can

_trace = tracer("client")


class NoDaemon(DaemonUnreachable):
    """There is just no daemon there, so that starting one may help (docs/compatibility.md, "Who starts a daemon")."""


class Reached(NamedTuple):
    """
    A connection to a daemon, on which nothing was said yet.

    @ivar peer: names the daemon in errors.
    @ivar keepalive: when the daemon is to be probed once the lock is held; C{None} to leave that as it is.
    """

    socket: socket.socket
    peer: str
    keepalive: Keepalive | None


def prepare(config: Config) -> None:
    """Import what L{reach}, or TLS, will want, which may take longer than there is time until a deadline."""
    if config.network_interface:
        import_module("flom.net.multicast")
    if config.multicast_address:
        import_module("flom.client.blocking.discovery")
    if config.is_tls:
        import_module("flom.client.blocking.tls")


def reach(config: Config, *, deadline: float | None = None, warn: Callable[[str], None] = _trace.debug) -> Reached:
    """
    Connect to the daemon that C{config} means; none is started.

    To look up the name of a host may take longer than C{deadline}; nothing else does.

    @param deadline: a time of C{time.monotonic}; C{None} if it does not matter how long it takes.
    @param warn: told what the user should know.
    @raise DaemonUnreachable: there is none, or it cannot be talked to.
    @raise flom.errors.ConfigError: there is no such group or network interface.
    @raise flom.net.multicast.NoMulticast: nothing can be sent to the group.
    @raise LockTimeout: it is C{deadline}.
    """
    limit = NEVER if deadline is None else deadline
    try:
        if config.unicast_address:
            connected, peer = _connect_tcp(config, limit)
        elif config.multicast_address:
            connected, peer = _connect_to_leader(config, limit, warn)
        else:
            connected, peer = _connect_unix(config, limit)
    except LockTimeout:
        raise too_late(config) from None
    _trace.debug("connected to %s", peer)
    if not (config.unicast_address or config.multicast_address):
        return Reached(connected, peer, None)
    keepalive = config.keepalive
    waiting = while_waiting(keepalive) if config.multicast_address else keepalive
    with suppress(OSError):  # it is gone already, as we shall see
        waiting.tune(connected)
    return Reached(connected, peer, None if waiting is keepalive else keepalive)


def too_late(config: Config) -> LockTimeout:
    """Make the error that tells that there was no time to connect."""
    return LockTimeout(f"{peer_of(config)}: not connected in time")


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
    peer = host_port(host, port)
    if interface:
        from flom.net.multicast import check_interface, has_ipv6_address

        check_interface(interface)
        if not has_ipv6_address(interface):
            interface = ""  # without, FLoM does not heed it either (docs/compatibility.md, "Options")
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
    from flom.core.group.addresses import is_link_local

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
    from flom.net.multicast import group_of

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
    from flom.client.blocking.discovery import Search
    from flom.client.deferred.discovery import choice_warning

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


def _pause(seconds: float, deadline: float) -> None:
    """Let some time pass, unless it is C{deadline}."""
    left = deadline - monotonic()
    if left <= 0:
        raise LockTimeout("too late")
    sleep(min(seconds, left))

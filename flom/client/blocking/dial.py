"""
The way to the daemon, without a reactor: a socket that is connected to it
(docs/compatibility.md, "Ways to the daemon", "TCP connections").
"""

from __future__ import annotations

import errno
import os
from select import POLLOUT
from time import monotonic

from flom.client.addresses import CROWD_RETRY, check_owner, daemon_host, is_private
from flom.client.blocking import stream
from flom.client.blocking.fork_safety import close_socket, open_socket
from flom.client.blocking.stream import NEVER, sleep, wait_for
from flom.client.retry import in_group
from flom.codes import ReturnCode
from flom.config import Config, private_sockets
from flom.errors import DaemonUnreachable, FlomError, LockTimeout
from flom.lean import socket
from flom.text import host_port, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from flom.core.group.addresses import Group
    from flom.core.group.discovery import FoundDaemon
    from flom.net.keepalive import Keepalive

_CONNECT_TIMEOUT: Final = 30.0  # seconds for one address, whose host may not answer at all


class NoDaemon(DaemonUnreachable):
    """
    There is no daemon there, so that starting one may help (docs/compatibility.md, "Who starts a daemon").

    @ivar is_by_quorum: true if there are daemons that stand by, and a quorum decides which of them leads: none is to be
        started beside them.
    """

    is_by_quorum = False


class Seek:
    """
    Which daemon of a group is sought; where there is no group, it makes no difference.

    @cvar ANY: the one of the unicast address, if one is configured, or else the one that leads.
    @cvar BEFORE_START: the same; the caller has one elected if none answers within L{QUIET} seconds.
    @cvar STARTED: the one that was elected then, on this host or on another.
    @cvar A_SUCCESSOR: the one that takes over from a daemon that we were connected to.
    @cvar TO_RECLAIM: the same, from a daemon that we held a lock of.
    """

    ANY: Final = 0
    BEFORE_START: Final = 1
    STARTED: Final = 2
    A_SUCCESSOR: Final = 3
    TO_RECLAIM: Final = 4


def prepare(config: Config) -> None:
    """Import what L{reach} and TLS will need, as that may take longer than there is time until a deadline."""
    if config.network_interface:
        import flom.net.multicast
    if config.multicast_address:
        import flom.client.blocking.discovery
    if config.is_tls:
        import flom.client.blocking.tls  # noqa: F401


def reach(
    config: Config,
    seek: int,
    deadline: float,
    warn: Callable[[str], None],
    say: Callable[[str], None],
    holder: int,
) -> tuple[socket.socket, str]:
    """
    Connect to a daemon; L{flom.client.blocking.connection.connect} has the parameters, and raises the same errors.

    @return: the connection, and the name of its peer.
    """
    path, keepalive = config.socket_path, config.keepalive
    if config.multicast_address:
        connected, peer = _connect_to_group(config, seek, deadline, warn, say, holder)
        _tune(connected, in_group(keepalive, config.timing))
        return connected, peer
    if config.unicast_address:
        connected, peer = _connect_tcp(config, deadline)
        _tune(connected, keepalive)
        return connected, peer
    return (_connect_unix if config.socket_name else _connect_private)(path, deadline), path


def _tune(connected: socket.socket, keepalive: Keepalive) -> None:
    try:
        keepalive.tune(connected)
    except OSError:
        pass  # the daemon has gone already, as the first message will find


def _connect_private(path: str, deadline: float) -> socket.socket:
    """Connect to the user's daemon by the first way that leads to it; C{path} is the one that FLoM's daemon has too."""
    while True:
        is_crowded = False
        for address in private_sockets():
            try:
                if address == path:
                    check_owner(path)
                connected = _connect(socket.AF_UNIX, address, deadline)
            except LockTimeout:
                raise
            except (OSError, ValueError) as e:  # DaemonUnreachable is an OSError
                problem = e
                is_crowded = is_crowded or _is_crowd(e)
                continue
            if address == path or is_private(connected):
                return connected
            close_socket(connected)  # another user has taken the name
        if not is_crowded:  # and if FLoM's place cannot be used, a daemon may be started at the others
            raise NoDaemon(ReturnCode.CONNECT_ERROR, str(_unreachable(path, problem))) from problem
        pause(CROWD_RETRY, deadline)


def _connect_unix(path: str, deadline: float) -> socket.socket:
    while True:
        try:
            return _connect(socket.AF_UNIX, path, deadline)
        except LockTimeout:
            raise
        except (OSError, ValueError) as e:
            if not _is_crowd(e):
                raise _unreachable(path, e) from e
        pause(CROWD_RETRY, deadline)


def _is_crowd(error: Exception) -> bool:
    """Return whether more connections are waiting than the kernel keeps for the daemon."""
    return getattr(error, "errno", None) == errno.EAGAIN


def _unreachable(path: str, error: Exception) -> DaemonUnreachable:
    if isinstance(error, DaemonUnreachable):
        return error
    if getattr(error, "errno", None) in (errno.ENOENT, errno.ECONNREFUSED):
        return NoDaemon(ReturnCode.CONNECT_ERROR, f"{path}: no daemon is listening")
    return DaemonUnreachable(ReturnCode.CONNECT_ERROR, f"{path}: {reason(error)}")


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
        return connect_to_host(host, port, interface, deadline, _CONNECT_TIMEOUT), peer
    except (socket.gaierror, ValueError) as e:  # the latter: what cannot be a name
        raise DaemonUnreachable(ReturnCode.GETADDRINFO_ERROR, f"{config.unicast_address}: no such host") from e
    except FlomError:
        raise
    except OSError as e:
        missing = NoDaemon(ReturnCode.CONNECT_ERROR, f"{peer}: no daemon is listening: {reason(e)}")
        missing.is_refused = e.errno == errno.ECONNREFUSED
        raise missing from e


def connect_to_host(host: str, port: int, interface: str, deadline: float, timeout: float) -> socket.socket:
    """
    Connect to the first address of C{host} that can be connected to.

    @param interface: over IPv6 alone, and to link-local addresses by this one; the empty string if it does not matter.
    @param timeout: seconds for each address at most.
    """
    family = socket.AF_INET6 if interface else socket.AF_UNSPEC
    if interface:
        from flom.core.group.addresses import is_link_local
    address: Any
    problem = OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
    found = _look_up(host, port, family, deadline)
    for tried, (its_family, _, _, _, address) in enumerate(found):
        if interface and is_link_local(str(address[0])):
            address = (address[0], address[1], 0, socket.if_nametoindex(interface))
        share = min(timeout, (deadline - monotonic()) / (len(found) - tried))  # others may be connected to
        try:
            return _connect(its_family, address, monotonic() + share)
        except LockTimeout:
            if monotonic() >= deadline:
                raise
            problem = OSError(errno.ETIMEDOUT, f"no answer within {share:.3g} s")
        except OSError as e:
            problem = e
    raise problem


def _look_up(host: str, port: int, family: int, deadline: float) -> list[Any]:
    """Return what C{getaddrinfo} finds, with a thread if a name server may have to be waited for until C{deadline}."""
    name = host.encode() if host.isascii() else host  # what is bytes is looked up without a codec of 4 ms

    def look_up(flags: int = 0) -> list[Any]:
        return socket.getaddrinfo(name, port, family, socket.SOCK_STREAM, 0, flags)

    if deadline == NEVER and stream.running_task is None:
        return look_up()
    try:
        return look_up(socket.AI_NUMERICHOST)
    except socket.gaierror:
        from flom.client.blocking.lookup import look_up_by  # an address needs no import

        return look_up_by(deadline, host, look_up)


def is_listening(family: int, address: Any) -> bool:
    """Return whether a daemon takes connections, as far as that shows; C{address} is as C{socket.connect} wants it."""
    try:
        close_socket(_connect(family, address, monotonic() + _CONNECT_TIMEOUT))
    except BlockingIOError:
        return True  # more connections are waiting than the kernel keeps for it
    except (OSError, LockTimeout):
        return False
    return True


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


def _connect_to_group(
    config: Config,
    seek: int,
    deadline: float,
    warn: Callable[[str], None],
    say: Callable[[str], None],
    holder: int,
) -> tuple[socket.socket, str]:
    """Connect to the daemon that leads the group, after the one of the unicast address if that is to be tried."""
    from flom.core.group.discovery import ASK_AGAIN, choice_warning, takeover_time

    group = _group_of(config, deadline)
    give_up = monotonic() + takeover_time(config.timing)
    tries_unicast = bool(config.unicast_address) and seek not in (Seek.A_SUCCESSOR, Seek.TO_RECLAIM)
    while True:
        if tries_unicast:
            try:
                return _connect_tcp(config, deadline)
            except DaemonUnreachable as e:
                if seek == Seek.ANY:
                    raise
                say(str(e))
        leaders = _find_patiently(group, config, seek, deadline, say, holder)
        if warning := choice_warning(leaders, group):
            warn(warning)
        say(f"{group} is led by {leaders[0]}")
        try:
            return connect_to_first(leaders, deadline, say)
        except DaemonUnreachable:
            if monotonic() > give_up:
                raise
        pause(ASK_AGAIN, deadline)  # it has ended since it answered


def _group_of(config: Config, deadline: float) -> Group:
    """Return the group, whose address may be a name that has to be looked up until C{deadline}."""
    from flom.net.multicast import group_of

    if deadline == NEVER and stream.running_task is None:
        return group_of(config)

    from flom.client.blocking.lookup import look_up_by

    return look_up_by(deadline, config.multicast_address, lambda: group_of(config))


def _find_patiently(
    group: Group, config: Config, seek: int, deadline: float, say: Callable[[str], None], holder: int
) -> list[FoundDaemon]:
    """Return what L{_find} does, but wait for an address of this host without which nothing can be sent."""
    from flom.net.multicast import NoMulticast

    wait = None
    while True:
        try:
            return _find(group, config, seek, deadline, say, holder)
        except NoMulticast as e:
            if seek not in (Seek.ANY, Seek.BEFORE_START):
                raise  # a client that looks for a successor asks again anyway, and its lease does not wait

            from flom.net.tentative import LOOK_AGAIN, AddressWait, describe_wait

            wait = wait or AddressWait(group, monotonic())
            if not wait.may_try_again(monotonic()):
                raise
            say(describe_wait(e))
            while wait.goes_on(monotonic()):
                pause(LOOK_AGAIN, deadline)


def _find(
    group: Group, config: Config, seek: int, deadline: float, say: Callable[[str], None], holder: int
) -> list[FoundDaemon]:
    from flom.client.blocking.discovery import Asker
    from flom.core.group.discovery import QUIET, Search

    search = Search(group, orphaned=seek == Seek.TO_RECLAIM, holder=holder)
    if seek in (Seek.A_SUCCESSOR, Seek.TO_RECLAIM):
        search.ask_successor(config.timing)
    elif seek == Seek.BEFORE_START:
        search.ask(QUIET)
    else:
        search.ask_often(config.discovery_attempts, config.discovery_timeout_ms / 1000)
    with Asker(search, deadline, say) as asker:
        leaders = asker.finish()
    if not leaders:
        if any(daemon.standing.quorum for daemon in search.found):
            waiting = NoDaemon(ReturnCode.CONNECT_ERROR, f"no daemon leads {group} by its quorum")
            waiting.is_by_quorum = True
            raise waiting
        say(f"no reply from {group.address}/{group.port}")
        raise asker.problem or NoDaemon(ReturnCode.CONNECT_ERROR, f"no daemon answers in {group}")
    return leaders


def connect_to_first(
    leaders: list[FoundDaemon], deadline: float, say: Callable[[str], None]
) -> tuple[socket.socket, str]:
    """
    Connect to the first of C{leaders} that can be connected to.

    @param say: called with a line about each that cannot.
    @return: the connection, and the name of its peer.
    @raise DaemonUnreachable: there is none.
    @raise LockTimeout: it is C{deadline}.
    """
    from flom.core.group.discovery import CONNECT_TIMEOUT, MOST_TRIED

    problems = []
    for daemon in leaders[:MOST_TRIED]:
        try:
            return connect_to_host(daemon.host, daemon.port, "", deadline, CONNECT_TIMEOUT), daemon.peer
        except FlomError:
            raise
        except (OSError, ValueError) as e:
            problems.append(f"{daemon.peer} answers, but cannot be connected to: {reason(e)}")
            say(problems[-1])
    raise DaemonUnreachable(ReturnCode.CONNECT_ERROR, problems[0])


def pause(seconds: float, deadline: float) -> None:
    """Sleep for C{seconds}, or until it is C{deadline}; L{LockTimeout} is raised if it is that already."""
    left = deadline - monotonic()
    if left <= 0:
        raise LockTimeout("too late")
    sleep(min(seconds, left))

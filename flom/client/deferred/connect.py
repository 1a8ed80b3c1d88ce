"""Connecting a Twisted program to its daemon."""

from __future__ import annotations

import os
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, clientFromString
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import Logger

from flom.client.deferred.arbiter import RemoteArbiter
from flom.client.deferred.endpoints import DaemonEndpoint, GroupEndpoint, daemon_endpoint
from flom.client.deferred.heartbeat import LossPolicy
from flom.client.deferred.leaders import LeadersEndpoint
from flom.client.retry import in_group
from flom.config import Config, load
from flom.config.parsers import read_socket_name
from flom.errors import ConfigError, InvalidRequest
from flom.interfaces import IReactor
from flom.reactor.endpoints import has_impossible_port, path_of
from flom.reactor.transports import tls_of
from flom.text import one_line

KEEP: Final = 2.0
"""Seconds that a connection is kept for the next lock of its resource."""

_log = Logger()


def connect(
    reactor: IReactor, where: str | Config | IStreamClientEndpoint | None = None, *, group: str | None = None
) -> Deferred[RemoteArbiter]:
    """
    Find the daemon, and return a client for any number of its locks, held at once or one after another.

    No daemon is started. If it goes away and comes back, or another one of its group takes over, the client finds it.

    @param where: a Twisted client endpoint or its description, such as C{"unix:/run/flom.sock"} or
        C{"tcp:lockhost:28015"}; or a L{Config}, whose settings of connections count. Without it and without
        C{group}, it is what the files say that C{flom-run} reads, or else the socket of the user.
    @param group: a multicast group, such as C{"ff02::1"}.
    @return: fires when a daemon takes connections; with L{flom.errors.ConfigError} if this names no place, with
        L{flom.errors.DaemonUnreachable} if no daemon is there, with L{flom.errors.TlsError} if a file for TLS cannot be
        used. Whether both ends trust each other shows with the first lock.
    """
    return Deferred.fromCoroutine(_connect(reactor, where, group))


async def _connect(
    reactor: IReactor, where: str | Config | IStreamClientEndpoint | None, group: str | None
) -> RemoteArbiter:
    if group is not None:
        if not isinstance(group, str) or not group:
            raise InvalidRequest(f"group {group!r} is no address")
        if where is not None:
            raise InvalidRequest(f"{where!r} and group {group!r}: the daemon is to be looked for in one of them")
        where = Config(multicast_address=group)
    if where is None:
        where = load(None, os.environ, lambda text: _log.warn("{text}", text=text))
    client = _client_by_config(reactor, where) if isinstance(where, Config) else _client_by_endpoint(reactor, where)
    await client.probe()
    return client


def _client_by_config(reactor: IReactor, config: Config) -> RemoteArbiter:
    config.check_transport()
    config.check_tls()
    tls = tls_of(config)
    is_strict = config.lost_signal is not None
    loss_policy = LossPolicy(
        is_in_group=bool(config.multicast_address), is_strict=is_strict, time_to_end=config.time_to_end
    )
    if config.multicast_address:
        group = GroupEndpoint(reactor, config)
        keepalive = in_group(config.keepalive, config.timing)
        return RemoteArbiter(
            group,
            group.peer,
            reactor,
            keepalive,
            tls=tls,
            keep=KEEP,
            forget=group.forget,
            successor=group.successor,
            loss_policy=loss_policy,
        )
    if config.has_several_hosts:
        hosts = LeadersEndpoint(reactor, config)
        return RemoteArbiter(
            hosts,
            hosts.peer,
            reactor,
            config.keepalive,
            tls=tls,
            keep=KEEP,
            forget=hosts.forget,
            loss_policy=loss_policy,
            hosts=len(hosts),
        )
    place = daemon_endpoint(reactor, config)
    return RemoteArbiter(place, place.peer, reactor, config.keepalive, tls=tls, keep=KEEP, loss_policy=loss_policy)


def _client_by_endpoint(reactor: IReactor, where: str | IStreamClientEndpoint) -> RemoteArbiter:
    if isinstance(where, str):
        try:
            endpoint = clientFromString(reactor, where)
        except (ValueError, TypeError, LookupError) as e:
            raise ConfigError(f"{where!r} is no client endpoint: {e}") from None
        if has_impossible_port(endpoint):
            raise ConfigError(f"{where!r} is no client endpoint: there is no such port")
    elif IStreamClientEndpoint.providedBy(where):
        endpoint = where
    else:
        raise InvalidRequest(f"{where!r} is neither an endpoint nor a Config")
    if isinstance(endpoint, UNIXClientEndpoint):
        read_socket_name(path_of(endpoint))  # Twisted would try again and again with one that is too long
    peer = one_line(str(where))
    host = "" if isinstance(endpoint, UNIXClientEndpoint) else peer
    return RemoteArbiter(DaemonEndpoint(reactor, endpoint.connect, peer, host), peer, reactor, keep=KEEP)

"""
Where the daemon is, according to the configuration, and the rules for that place
(docs/compatibility.md, "Ways to the daemon", "TCP connections").
"""

from __future__ import annotations

import os
import stat
import sys

from flom.codes import ReturnCode
from flom.config import Config
from flom.errors import DaemonUnreachable
from flom.lean import socket
from flom.text import host_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

CROWD_RETRY: Final = 0.02  # seconds, when more connections wait than the kernel keeps for the daemon


def daemon_host(config: Config) -> str:
    """
    Return the TCP host of the daemon, with the interface that leads there if it is a link-local address
    (docs/compatibility.md, "The scope of an interface may be that of no link").
    """
    host, interface = config.unicast_address, config.network_interface
    if not interface:
        return host

    from flom.core.group.addresses import is_link_local

    return f"{host}%{interface}" if is_link_local(host) else host


def peer_of(config: Config) -> str:
    """Return what errors call the daemon that C{config} means."""
    if config.unicast_address:
        return host_port(daemon_host(config), config.unicast_port)
    if config.multicast_address:
        return f"the daemon of {host_port(config.multicast_address, config.multicast_port)}"
    return config.socket_path


def several_without_quorum(peer: str, hosts: str) -> str:
    """Return what is wrong if C{peer}, one of several C{hosts}, has granted a lock, and does not lead by a quorum."""
    return (
        f"unicast-address: {peer} does not lead by a quorum, so that another one of '{hosts}' might grant the same "
        "lock: name one host"
    )


def is_private(connected: socket.socket) -> bool:
    """Return whether what listens at the other end of a UNIX socket belongs to this user or to root."""
    peer = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # pid, uid, gid
    return int.from_bytes(peer[4:8], sys.byteorder) in (0, os.getuid())


def check_owner(path: str) -> None:
    """
    Raise L{DaemonUnreachable} unless the default socket was made by this user or by root
    (docs/compatibility.md, "The default socket has a name that can be guessed").
    """
    try:
        found = os.lstat(path)
    except OSError:
        return
    if found.st_uid not in (0, os.getuid()) or stat.S_ISLNK(found.st_mode):
        raise DaemonUnreachable(
            ReturnCode.CONNECT_ERROR, f"{path}: it belongs to uid {found.st_uid}; choose another with --socket-name"
        )

"""What C{flomctl doctor} finds out about one daemon: on a socket, or at an address."""

from __future__ import annotations

import errno
import os
import pwd
import socket
import stat
from collections.abc import Iterator
from typing import Any, Final

from flom._version import __version__
from flom.client.blocking.status import NoStatus, open_status
from flom.config import Config, private_sockets
from flom.ctl.finding import Finding, Verdict
from flom.ctl.output import print_warning
from flom.errors import FlomError
from flom.status.model import Status
from flom.status.wording import spell_seconds
from flom.text import host_port, reason

_PATIENCE: Final = 3.0
"""Seconds that each connection has, and each answer."""

_CONNECTION: Final = "connection to"

_UNIT_SOCKET: Final = "/run/flom/flom.sock"
"""Where flom.socket, our unit of systemd, has its daemon listen; no client looks there without being told."""

_GREEN, _YELLOW, _RED = Verdict.OK, Verdict.WARNING, Verdict.FAILED


def examine_place(config: Config) -> Iterator[Finding]:
    """Look at all that a client of the daemon that C{config} means needs; several hosts are looked at one by one."""
    if config.has_several_hosts:
        for host in config.unicast_addresses:
            yield from examine_place(config.replace(unicast_address=host))
        return
    if config.unicast_address:
        findings = [*_check_address(config)]
    else:
        paths = [config.socket_path] if config.socket_name else [*private_sockets()]
        findings = [finding for path in paths for finding in _check_socket(path)]
    can_connect = any(finding.check.startswith(_CONNECTION) and finding.verdict is _GREEN for finding in findings)
    for finding in findings:  # one that listens is enough
        is_only_odd = can_connect and finding.verdict is _RED
        yield finding._replace(verdict=_YELLOW) if is_only_odd else finding
    if can_connect:
        yield from _check_daemon(config)
    elif not (config.unicast_address or config.socket_name) and os.path.exists(_UNIT_SOCKET):
        why = "is there, but is not where commands look here: say so by -s, FLOM_SOCKET or /etc/flom.conf"
        yield Finding(_YELLOW, f"socket {_UNIT_SOCKET}", why)


def _check_socket(path: str) -> Iterator[Finding]:
    """Look at the socket C{path}, and whether a process listens there."""
    is_abstract = path.startswith(("@", "\0"))
    shown = f"@{path[1:]}" if is_abstract else path
    what = f"socket {shown}"
    if not is_abstract:
        try:
            found = os.stat(path)
        except FileNotFoundError:
            folder = os.path.dirname(path)
            why = "there is no such file: no daemon has been started there, or it has ended"
            if not os.path.isdir(folder):
                why = f"there is no directory {folder}"
            yield Finding(_RED, what, why)
            return
        except OSError as e:
            yield Finding(_RED, what, f"{_user(os.geteuid())} cannot look at it: {reason(e)}")
            return
        if not stat.S_ISSOCK(found.st_mode):
            yield Finding(_RED, what, "that is no socket, but another kind of file")
            return
        rights = f"of {_user(found.st_uid)}, mode {stat.S_IMODE(found.st_mode):04o}"
        if not os.access(path, os.W_OK):
            yield Finding(
                _RED, what, f"{_user(os.geteuid())} must not write to it, which connecting takes: it is {rights}"
            )
            return
        yield Finding(_GREEN, what, rights)
    address = b"\0" + os.fsencode(path[1:]) if is_abstract else path
    yield _check_connection(socket.AF_UNIX, address, shown)


def _check_address(config: Config) -> Iterator[Finding]:
    """Look up the host, and see at which of its addresses a process listens."""
    host, port = config.unicast_address, config.unicast_port
    what = f"host {host}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as e:
        yield Finding(_RED, what, f"its name leads to no address: {reason(e) if isinstance(e, OSError) else e}")
        return
    addresses = dict.fromkeys((family, address) for family, _, _, _, address in found)
    names = ", ".join(str(address[0]) for _, address in addresses)
    yield Finding(_GREEN, what, f"{names}, port {port}")
    for family, address in addresses:
        yield _check_connection(family, address, host_port(*address[:2]))


def _check_connection(family: int, address: Any, shown: str) -> Finding:
    what = f"{_CONNECTION} {shown}"
    with socket.socket(family, socket.SOCK_STREAM) as connecting:
        connecting.settimeout(_PATIENCE)
        try:
            connecting.connect(address)
        except OSError as e:
            return Finding(
                _RED, what, _why_not(e, is_local=family == socket.AF_UNIX, is_abstract=shown.startswith("@"))
            )
    return Finding(_GREEN, what, "a process listens")


def _why_not(error: OSError, *, is_local: bool, is_abstract: bool) -> str:
    if isinstance(error, TimeoutError):
        return (
            f"no answer within {_PATIENCE:g} s: is the host up, and the right one? Or a firewall drops TCP to that port"
        )
    if is_local and error.errno == errno.ECONNREFUSED:
        return "no process listens" + ("" if is_abstract else ": the daemon has gone. The next one replaces the socket")
    if error.errno == errno.ECONNREFUSED:
        return "refused: no process listens there, or a firewall says so; is the port (-p) right?"
    if error.errno == errno.EAGAIN:
        return "too many connections wait for the daemon, which does not take them: does it hang?"
    return reason(error)


def _check_daemon(config: Config) -> Iterator[Finding]:
    """Talk to the daemon as a client does, and see whether it grants locks."""
    try:
        with open_status(config, print_warning, _PATIENCE) as reader:
            status = reader.read(timeout=_PATIENCE)
    except NoStatus as e:
        yield Finding(_YELLOW, "daemon", f"it answers, but more is not known: {e}")
        return
    except (FlomError, OSError) as e:
        yield Finding(_RED, "daemon", f"{e}")
        return
    version = status.daemon.version
    about = f"version {version}, process {status.daemon.pid} on {status.daemon.host}"
    if version != __version__:
        yield Finding(_YELLOW, "daemon", f"{about}; flomctl here has version {__version__}")
    else:
        yield Finding(_GREEN, "daemon", f"{about}, up {spell_seconds(status.daemon.up)}")
    yield from _check_status(status)


def _check_status(status: Status) -> Iterator[Finding]:
    daemon = status.daemon
    if daemon.quorum is not None and daemon.quorum.problem:
        yield Finding(_RED, "quorum", f"no lock is granted: {daemon.quorum.problem}")
    if daemon.draining:
        yield Finding(_YELLOW, "state", "it drains: nothing more is granted")
    if daemon.grace_left is not None:
        yield Finding(_YELLOW, "state", f"it serves only former holders, for {daemon.grace_left:.0f} s")
    if daemon.state_problem:
        yield Finding(_YELLOW, "state directory", daemon.state_problem)
    if status.deadlocks:
        yield Finding(_YELLOW, "deadlocks", f"{len(status.deadlocks)}: see flomctl deadlocks")
    held = sum(len(resource.holders) for resource in status.resources)
    waited_for = sum(len(resource.waiters) for resource in status.resources)
    yield Finding(_GREEN, "locks", f"{held} held, {waited_for} waited for")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"

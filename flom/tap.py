"""The door of C{twistd flom}: its options, and the daemon they describe."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from twisted.application.service import MultiService
from twisted.internet.endpoints import AdoptedStreamServerEndpoint, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.python import usage

from flom import __version__
from flom.config import MAX_SOCKET_NAME, default_socket, read_c_int
from flom.core.election import DEFAULT_TIMING, Timing
from flom.core.messages import Role
from flom.errors import FlomError
from flom.keepalive import DEFAULT_KEEPALIVE, Keepalive
from flom.multicast import make_group
from flom.server.arbiter import DeferredArbiter, system_instant
from flom.server.listening import OPEN, PRIVATE, Claim, ClaimedEndpoint, claim_tcp, claim_unix, from_descriptors
from flom.server.membership import Membership
from flom.server.seat import inherit_seat
from flom.server.service import make_daemon


def _number(option: str, low: int, high: int) -> Callable[[str], int]:
    """Make what reads the value of C{option}."""

    def read(text: str) -> int:
        try:
            value = read_c_int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise usage.UsageError(f"{option}: '{text}' is not a number from {low} to {high}")
        return value

    read.coerceDoc = f"From {low} to {high}."  # type: ignore[attr-defined]
    return read


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


class Options(usage.Options):
    """What can be said after C{twistd flom}."""

    synopsis = "[options]"
    longdesc = (
        "Runs the lock daemon. --listen, --socket-name and --unicast-address may be given more than once; without "
        "any of them, and without --group, it listens on a UNIX socket of your own."
    )

    optParameters = [
        ["unicast-port", "p", 28015, "TCP port for every --unicast-address", _number("unicast-port", 1, 65535)],
        [
            "daemon-lifespan",
            "d",
            -1,
            "end after so many milliseconds without a client; -1: never",
            _number("daemon-lifespan", -(2**31), 2**31 - 1),
        ],
        ["group", "A", None, "be a daemon of this multicast group: lead it, or stand by for whoever leads"],
        ["port", "P", 28015, "UDP port of the group", _number("port", 1, 65535)],
        ["interface", "n", "", "network interface that leads to the group; by default all that can do multicast"],
        ["discovery-ttl", None, 1, "routers, less one, that announcements may pass", _number("discovery-ttl", 1, 255)],
        [
            "heartbeat",
            None,
            _milliseconds(DEFAULT_TIMING.heartbeat),
            "milliseconds between two announcements of the leader",
            _number("heartbeat", 10, 60_000),
        ],
        [
            "leader-timeout",
            None,
            _milliseconds(DEFAULT_TIMING.patience),
            "milliseconds of silence after which the leader is taken for dead",
            _number("leader-timeout", 20, 3_600_000),
        ],
        [
            "election-time",
            None,
            _milliseconds(DEFAULT_TIMING.campaign),
            "milliseconds without an objection after which a candidate leads",
            _number("election-time", 100, 60_000),
        ],
        [
            "tcp-keepalive-time",
            None,
            DEFAULT_KEEPALIVE.time,
            "seconds of silence before a probe",
            _number("tcp-keepalive-time", 1, 32767),
        ],
        [
            "tcp-keepalive-intvl",
            None,
            DEFAULT_KEEPALIVE.interval,
            "seconds between probes",
            _number("tcp-keepalive-intvl", 1, 32767),
        ],
        [
            "tcp-keepalive-probes",
            None,
            DEFAULT_KEEPALIVE.probes,
            "probes before a peer is dead",
            _number("tcp-keepalive-probes", 1, 127),
        ],
        ["inherit", None, None, "internal: descriptors of a socket and its lock file, from flom-run"],
        ["told", None, None, "internal: the host to tell clients, where flom-run has claimed the address"],
        ["seat", None, None, "internal: descriptors of the seat of this host in the group, from flom-run"],
        ["candidate", None, None, "internal: descriptor of a socket to flom-run, which stands for election"],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []
        self["socket-name"] = []
        self["unicast-address"] = []

    def opt_listen(self, description: str) -> None:
        """Listen on this Twisted endpoint, such as tcp:28015:interface=127.0.0.1 or systemd:domain=UNIX:index=0."""
        self["listen"].append(description)

    def opt_socket_name(self, path: str) -> None:
        """Listen on this UNIX socket."""
        full = os.path.abspath(path)  # twistd may change its directory
        if not path or len(os.fsencode(full)) > MAX_SOCKET_NAME:
            raise usage.UsageError(f"socket-name: '{path}' is empty or, in full, longer than {MAX_SOCKET_NAME} bytes")
        self["socket-name"].append(full)

    opt_s = opt_socket_name

    def opt_unicast_address(self, host: str) -> None:
        """Listen on this host name or address, IPv4 or IPv6."""
        self["unicast-address"].append(host)

    opt_a = opt_unicast_address

    def opt_version(self) -> NoReturn:
        """Show the version and exit."""
        print(f"flom {__version__}")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Read C{options}; what is wrong with them ends the program with one line."""
        try:
            super().parseOptions(options)
        except usage.UsageError as e:
            raise SystemExit(f"twistd flom: {e}") from None

    def postOptions(self) -> None:
        if self["daemon-lifespan"] == 0:
            raise usage.UsageError("daemon-lifespan: 0 would be no daemon; -1 is for ever")
        if self["leader-timeout"] < 2 * self["heartbeat"]:
            raise usage.UsageError(
                f"leader-timeout: {self['leader-timeout']} is less than two heartbeats of {self['heartbeat']}"
            )


class _Daemon(MultiService):
    """
    The service that twistd starts.

    It says in one line why it cannot start, is found by C{pgrep flom}, ignores SIGHUP as FLoM's daemon does (spec 7.2),
    and takes as many connections as the system lets it.
    """

    def __init__(self, name: str) -> None:
        """
        @param name: what to be called at first.
        """
        super().__init__()
        self._name_at_first = name
        self._made_by = os.getpid()

    def privilegedStartService(self) -> None:
        _be_called(self._name_at_first)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        try:
            super().privilegedStartService()
        except (CannotListenError, FlomError, OSError, OverflowError, ValueError) as e:
            if os.getpid() != self._made_by:
                raise  # twistd has forked: it hands the error to the process that the user waits for
            print(f"twistd flom: {e}", file=sys.__stderr__)  # twistd logs what is written to sys.stderr by now
            raise SystemExit(1) from None


def makeService(options: Options) -> MultiService:
    """Make what twistd runs."""
    from twisted.internet import reactor

    return makeDaemon(options, reactor)


def makeDaemon(options: Options, reactor: Any) -> MultiService:
    """
    Make the daemon that C{options} describe; it has its sockets already.

    @raise SystemExit: it cannot have them.
    """
    daemon = _Daemon("flom" if options["group"] is None else "flom-candidate")
    try:
        claims = _claims(options)
        endpoints = [ClaimedEndpoint(reactor, claim) for claim in claims] + _endpoints(options, reactor)
        membership = _membership(options, endpoints, reactor)
    except FlomError as e:
        raise SystemExit(f"twistd flom: {e}") from None
    lifespan = options["daemon-lifespan"]
    make_daemon(
        reactor,
        DeferredArbiter(reactor, system_instant),
        endpoints,
        lifespan=lifespan / 1000 if lifespan > 0 else None,
        keepalive=Keepalive(
            options["tcp-keepalive-time"], options["tcp-keepalive-intvl"], options["tcp-keepalive-probes"]
        ),
        membership=membership,
    ).setServiceParent(daemon)
    return daemon


def _claims(options: Options) -> list[Claim]:
    claims = []
    if options["inherit"] is not None:
        try:
            claims.append(from_descriptors(*map(int, options["inherit"].split(","))))
        except (ValueError, TypeError, OSError):
            raise SystemExit(f"twistd flom: inherit: '{options['inherit']}' is no socket") from None
    for path in options["socket-name"]:
        claims.append(claim_unix(path, OPEN))
    v6_only = "0.0.0.0" in options["unicast-address"]  # or else "::" would want that too
    for host in options["unicast-address"]:
        claims.append(claim_tcp(host, options["unicast-port"], v6_only=v6_only))
    if not claims and not options["listen"] and options["group"] is None:
        claims.append(claim_unix(default_socket(), PRIVATE))
    return claims


def _endpoints(options: Options, reactor: Any) -> list[IStreamServerEndpoint]:
    endpoints = []
    for description in options["listen"]:
        try:
            endpoint = serverFromString(reactor, description)
        except (ValueError, TypeError, LookupError) as e:
            raise SystemExit(f"twistd flom: listen: '{description}' is no endpoint: {e}") from None
        if isinstance(endpoint, AdoptedStreamServerEndpoint) and endpoint.addressFamily == socket.AF_UNIX:
            # systemd's; Twisted would open it to everybody, and remove it in the end
            endpoint = ClaimedEndpoint(reactor, Claim(socket.socket(fileno=endpoint.fileno), is_borrowed=True))
        endpoints.append(endpoint)
    return endpoints


def _membership(options: Options, endpoints: list[IStreamServerEndpoint], reactor: Any) -> Membership | None:
    """
    Tell what to be in which group.

    Without a unicast address, that takes a port of every address of this host.
    """
    if options["group"] is None:
        return None
    group = make_group(options["group"], options["port"], options["interface"], options["discovery-ttl"])
    timing = Timing(options["heartbeat"] / 1000, options["leader-timeout"] / 1000, options["election-time"] / 1000)
    addresses = options["unicast-address"]
    if options["told"] is not None:
        told = (options["told"], options["unicast-port"])
    elif addresses:
        told = (addresses[0], options["unicast-port"])
    else:
        claim = claim_tcp("::" if group.is_ipv6 else "0.0.0.0", 0)
        endpoints.append(ClaimedEndpoint(reactor, claim))
        told = ("", claim.socket.getsockname()[1])
    if told[0] in ("0.0.0.0", "::"):
        told = ("", told[1])
    told = (told[0].partition("%")[0], told[1])  # the zone is ours alone (spec 6.3)
    if options["candidate"] is None:
        return Membership(group, told, timing, on_role=_be_called_by_role)
    try:
        seat = inherit_seat(group, map(int, (options["seat"] or "").split(",")))
        candidate = socket.socket(fileno=int(options["candidate"]))
        candidate.set_inheritable(False)
    except (ValueError, OSError):
        given = f"seat: '{options['seat']}', candidate: '{options['candidate']}'"
        raise SystemExit(f"twistd flom: {given}: not the sockets of a flom-run") from None
    return Membership(group, told, timing, seat, candidate, stands_by=False, on_role=_be_called_by_role)


def _be_called(name: str) -> None:
    """Have C{pgrep} find this process by C{name}, of which the kernel keeps 15 bytes."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name)


def _be_called_by_role(role: Role) -> None:
    """Let C{pgrep -l flom} tell who leads."""
    _be_called("flom" if role is Role.LEADER else f"flom-{role.value}")

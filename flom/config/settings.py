"""
The one list of everything that can be set.

A row of L{SETTINGS} says under which names a setting goes, how its value is read from an option and from a file, and
which programs take it; L{Config} holds the values.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from flom.config.parsers import (
    SIGNAL_NAMES,
    absolute_within,
    quantity_of_option,
    read_bool,
    read_c_int,
    read_decimal,
    read_directory,
    read_file,
    read_mode,
    read_name,
    read_signals,
    read_socket_name,
    read_status_for,
    told_on_stdout,
    within,
)
from flom.core.modes import LockMode
from flom.core.names import DEFAULT_NAME
from flom.errors import ConfigError
from flom.net.keepalive import DEFAULT_KEEPALIVE, Keepalive

if TYPE_CHECKING:
    from flom.core.group.election import Timing


@dataclass(frozen=True, slots=True)
class Config:
    """
    What a user has decided, in the units of the files: milliseconds, but for keepalive's seconds.

    @ivar ignored_signals: numbers, 1 to 31.
    @ivar socket_name: a path, or the empty string for the socket of the user.
    @ivar lifespan_ms: of a daemon that has to be started: below 0 for ever, 0 to start none.
    @ivar max_connections: 0 for no limit, here and in the other limits that are numbers.
    @ivar listen: Twisted's descriptions of endpoints.
    """

    daemon_trace_file: str = ""
    command_trace_file: str = ""
    append_trace_file: bool = False
    verbose: bool = False
    resource_name: str = DEFAULT_NAME
    timeout_ms: int = -1
    quantity: int = 1
    lock_mode: LockMode = LockMode.EX
    create: bool = True
    idle_lifespan_ms: int = 0
    socket_name: str = ""
    lifespan_ms: int = 5000
    unicast_address: str = ""
    unicast_port: int = 28015
    multicast_address: str = ""
    multicast_port: int = 28015
    mount_point: str = ""
    ignored_signals: tuple[int, ...] = ()
    network_interface: str = ""
    discovery_attempts: int = 2
    discovery_timeout_ms: int = 500
    discovery_ttl: int = 1
    keepalive_time: int = DEFAULT_KEEPALIVE.time
    keepalive_interval: int = DEFAULT_KEEPALIVE.interval
    keepalive_probes: int = DEFAULT_KEEPALIVE.probes
    tls_certificate: str = ""
    tls_private_key: str = ""
    tls_ca_certificate: str = ""
    tls_check_peer_id: bool = False
    close: bool = False
    allow_remote_shutdown: bool = False
    heartbeat_ms: int = 400
    leader_timeout_ms: int = 1750
    election_time_ms: int = 500
    max_connections: int = 50_000
    max_connections_per_peer: int = 20_000
    max_waiters: int = 50_000
    max_resources: int = 1_000_000
    max_locks_per_connection: int = 1_000
    max_message_size: int = 511
    message_timeout_ms: int = 30_000
    unread_timeout_ms: int = 30_000
    listen: tuple[str, ...] = ()
    http: str = ""
    status_for: str = "trusted"
    log_grants: bool = False

    @property
    def socket_path(self) -> str:
        """The UNIX socket to use, absolute, because a daemon lives in another directory."""
        return os.path.abspath(self.socket_name) if self.socket_name else default_socket()

    @property
    def keepalive(self) -> Keepalive:
        """The three keepalive settings as one value."""
        return Keepalive(self.keepalive_time, self.keepalive_interval, self.keepalive_probes)

    @property
    def discovery_time(self) -> float:
        """Seconds of silence in a group after which there is no daemon in it."""
        return self.discovery_attempts * self.discovery_timeout_ms / 1000

    @property
    def timeout(self) -> float | None:
        """Seconds to wait for the lock; C{None} for as long as it takes."""
        return None if self.timeout_ms < 0 else self.timeout_ms / 1000

    @property
    def timing(self) -> Timing:
        """The three settings of elections as one value."""
        from flom.core.group.election import Timing  # most commands need not wait for its import

        return Timing(self.heartbeat_ms / 1000, self.leader_timeout_ms / 1000, self.election_time_ms / 1000)

    @property
    def missing_tls_files(self) -> list[str]:
        """
        The options that would have to be given for TLS, which takes all three files
        (docs/compatibility.md, "When TLS is used").
        """
        files = {
            "tls-certificate": self.tls_certificate,
            "tls-private-key": self.tls_private_key,
            "tls-ca-certificate": self.tls_ca_certificate,
        }
        return [option for option, path in files.items() if not path]

    @property
    def is_tls(self) -> bool:
        """Whether connections are encrypted."""
        return not self.missing_tls_files

    @property
    def is_tls_halved(self) -> bool:
        """Whether some of the files for TLS are given, but not all: then it is not used."""
        return 0 < len(self.missing_tls_files) < 3

    def check_transport(self) -> None:
        """
        Check that the daemon is to be looked for in one kind of place (docs/compatibility.md, "Order of actions").

        @raise ConfigError: it is not, or a relative path is too long in full.
        """
        read_socket_name(self.socket_path)  # in full it is longer than what was given
        for option, address in (
            ("unicast-address", self.unicast_address),
            ("multicast-address", self.multicast_address),
        ):
            if self.socket_name and address:
                raise _contradiction(
                    f"socket-name '{self.socket_name}' and {option} '{address}' exclude each other",
                    "ERROR: flom can not be configured for local (UNIX socket) and network (TCP-UDP/IP) communication "
                    "at the same time.",
                )

    def check_tls(self) -> None:
        """
        Check that a peer's id is compared with something.

        @raise ConfigError: it is not.
        """
        if self.tls_check_peer_id and not self.is_tls:
            raise _contradiction(
                f"tls-check-peer-id needs {' and '.join(self.missing_tls_files)} too",
                "ERROR: TLS check peer id can not be specified without full TLS configuration.",
            )

    def check_election(self) -> None:
        """
        Check that a leader is not taken for dead because of one lost announcement.

        @raise ConfigError: it is.
        """
        if self.leader_timeout_ms < 2 * self.heartbeat_ms:
            raise ConfigError(
                f"leader-timeout: '{self.leader_timeout_ms}' is an invalid value, less than two heartbeats of "
                f"{self.heartbeat_ms}"
            )


def _contradiction(why: str, flom_says: str) -> ConfigError:
    return ConfigError(f"Configuration is not valid, cannot go on! {why}", on_stdout=[flom_says])


RUNNER: Final = "flom-run"
DAEMON: Final = "twistd flom"


@dataclass(frozen=True, slots=True)
class Setting:
    """
    One thing that can be set.

    @ivar field: of L{Config}.
    @ivar short: the option's letter, or the empty string.
    @ivar long: the option's long name.
    @ivar place: group and key in a file.
    @ivar from_option: reads the text of an option; C{None} for a flag.
    @ivar from_file: reads the text of a file.
    @ivar programs: which ones take it as an option.
    @ivar accumulates: whether an option that is given again adds to its value.
    """

    field: str
    short: str
    long: str
    place: tuple[str, str]
    help: str
    from_option: Callable[[str], Any] | None
    from_file: Callable[[str], Any]
    programs: tuple[str, ...]
    accumulates: bool = False

    def show(self, config: Config) -> str:
        """Write the line of C{--verbose} for this setting (docs/compatibility.md, "Verbose output")."""
        value = getattr(config, self.field)
        if self.field == "ignored_signals":
            value = ";".join(SIGNAL_NAMES[number - 1] for number in sorted(set(value)))
        elif isinstance(value, tuple):
            value = ";".join(value)
        shown = f"'{value}'" if isinstance(value, str) else f"{value:d}"
        return f"[{self.place[0]}]/{self.place[1]}={shown}"

    def as_option(self, config: Config) -> list[str]:
        """Write the words that give this setting to another program; none if it has its default."""
        value = getattr(config, self.field)
        if value == getattr(Config(), self.field):
            return []
        if self.from_option is None:
            return [f"--{self.long}"]
        return [f"--{self.long}", ("no", "yes")[value] if isinstance(value, bool) else str(value)]


Names = tuple[str, str, str, str]
"""Letter, long name, group and key."""


def _setting(
    field: str,
    names: Names,
    help: str,
    from_option: Callable[[str], Any] | None,
    from_file: Callable[[str], Any],
    programs: tuple[str, ...],
    accumulates: bool = False,
) -> Setting:
    short, long, group, key = names
    return Setting(field, short, long, (group, key), help, from_option, from_file, programs, accumulates)


def _integer(
    field: str,
    names: Names,
    help: str,
    *programs: str,
    check: Callable[[int], int] = int,
    check_in_file: Callable[[int], int] | None = None,
) -> Setting:
    """A setting that is an integer, read one way from an option and another from a file."""

    def from_option(text: str) -> int:
        try:
            return check(read_c_int(text))
        except ValueError:
            raise ConfigError(f"option parsing failed: {names[1]}: '{text}' is an invalid value") from None

    def from_file(text: str) -> int:
        return (check_in_file or check)(read_decimal(text))

    return _setting(field, names, help, from_option, from_file, programs)


def _text(field: str, names: Names, help: str, *programs: str, check: Callable[[str], Any] = str) -> Setting:
    """A setting that is read alike from options and files."""
    return _setting(field, names, help, check, check, programs)


def _flag(field: str, names: Names, help: str, *programs: str) -> Setting:
    """A setting that an option can switch on, and a file also off."""
    return _setting(field, names, help, None, read_bool, programs)


_PORT: Final = absolute_within(1, 65535)
_SECONDS: Final = absolute_within(1, 32767)  # what the kernel takes
_COUNT: Final = within(0, 2**31 - 1)
_LIMITED_MS: Final = within(10, 3_600_000)

SETTINGS: Final = (  # in the order of --verbose (docs/compatibility.md, "Verbose output"), then our own
    _text(
        "daemon_trace_file",
        ("t", "daemon-trace-file", "Trace", "DaemonTraceFile"),
        "file for the trace of the daemon; FLOM_TRACE_MASK selects what is traced",
        *(RUNNER, DAEMON),
    ),
    _text(
        "command_trace_file",
        ("T", "command-trace-file", "Trace", "CommandTraceFile"),
        "file for the trace of this command",
        RUNNER,
    ),
    _text(
        "append_trace_file",
        ("", "append-trace-file", "Trace", "AppendTraceFile"),
        "yes or no: whether to add to trace files instead of replacing them",
        *(RUNNER, DAEMON),
        check=read_bool,
    ),
    _flag("verbose", ("V", "verbose", "Trace", "Verbose"), "tell what is being done", RUNNER),
    _text(
        "resource_name",
        ("r", "resource-name", "Resource", "Name"),
        "name of the resource to lock",
        RUNNER,
        check=read_name,
    ),
    _integer(
        "timeout_ms",
        ("o", "resource-timeout", "Resource", "Timeout"),
        "milliseconds to wait for the lock; -1: as long as it takes, 0: do not wait",
        RUNNER,
    ),
    _integer(
        "quantity",
        ("q", "resource-quantity", "Resource", "Quantity"),
        "units to take of a numeric resource",
        RUNNER,
        check=quantity_of_option,
        check_in_file=lambda quantity: within(0, 2**31 - 1)(abs(quantity)) or 1,
    ),
    _text(
        "lock_mode",
        ("l", "lock-mode", "Resource", "LockMode"),
        "NL, CR, CW, PR, PW or EX, for simple and hierarchical resources",
        RUNNER,
        check=read_mode,
    ),
    _text(
        "create",
        ("e", "resource-create", "Resource", "Create"),
        "yes or no: whether to create a resource that does not exist",
        RUNNER,
        check=told_on_stdout("resource-create", read_bool),
    ),
    _integer(
        "idle_lifespan_ms",
        ("i", "resource-idle-lifespan", "Resource", "IdleLifespan"),
        "milliseconds to remember the resource while nobody uses it, if this creates it",
        RUNNER,
        check=abs,
    ),
    _text(
        "socket_name",
        ("s", "socket-name", "Daemon", "SocketName"),
        "path of the daemon's UNIX socket; the default is one of your own",
        *(RUNNER, DAEMON),
        check=read_socket_name,
    ),
    _integer(
        "lifespan_ms",
        ("d", "daemon-lifespan", "Daemon", "Lifespan"),
        "milliseconds of idleness after which the daemon ends; -1: never, 0: start none",
        *(RUNNER, DAEMON),
    ),
    _text(
        "unicast_address",
        ("a", "unicast-address", "Daemon", "UnicastAddress"),
        "host of the daemon, a name or an address",
        *(RUNNER, DAEMON),
    ),
    _integer(
        "unicast_port",
        ("p", "unicast-port", "Daemon", "UnicastPort"),
        "TCP port of the daemon",
        *(RUNNER, DAEMON),
        check=_PORT,
    ),
    _text(
        "multicast_address",
        ("A", "multicast-address", "Daemon", "MulticastAddress"),
        "multicast group, IPv4 or IPv6, in which the daemon is found, or elected if there is none",
        *(RUNNER, DAEMON),
    ),
    _integer(
        "multicast_port",
        ("P", "multicast-port", "Daemon", "MulticastPort"),
        "UDP port of the group",
        *(RUNNER, DAEMON),
        check=_PORT,
    ),
    _text(
        "mount_point",
        ("m", "mount-point-vfs", "Daemon", "MountPointVFS"),
        "empty directory for a view of what the daemon holds, as a file system",
        *(RUNNER, DAEMON),
        check=read_directory,
    ),
    _setting(
        "ignored_signals",
        ("", "ignore-signal", "Monitor", "IgnoredSignals"),
        "a signal, by name or number, that is not passed on to the command; may be repeated",
        read_signals,
        read_signals,
        (RUNNER,),
        accumulates=True,
    ),
    _text(
        "network_interface",
        ("n", "network-interface", "Network", "NetworkInterface"),
        "interface to reach the group or a link-local IPv6 address by; for -a, only IPv6 is used then",
        *(RUNNER, DAEMON),
    ),
    _integer(
        "discovery_attempts",
        ("D", "discovery-attempts", "Network", "DiscoveryAttempts"),
        "how often to ask the group",
        RUNNER,
        check=lambda attempts: abs(attempts) or 1,
    ),
    _integer(
        "discovery_timeout_ms",
        ("I", "discovery-timeout", "Network", "DiscoveryTimeout"),
        "milliseconds to wait for an answer, each time",
        RUNNER,
        check=absolute_within(1, 3_600_000),
    ),
    _integer(
        "discovery_ttl",
        ("", "discovery-ttl", "Network", "DiscoveryTTL"),
        "routers, less one, that a datagram may pass",
        *(RUNNER, DAEMON),
        check=lambda ttl: within(1, 255)(abs(ttl) or 1),
    ),
    _integer(
        "keepalive_time",
        ("", "tcp-keepalive-time", "Network", "TcpKeepaliveTime"),
        "seconds of silence before a peer is probed",
        *(RUNNER, DAEMON),
        check=_SECONDS,
    ),
    _integer(
        "keepalive_interval",
        ("", "tcp-keepalive-intvl", "Network", "TcpKeepaliveIntvl"),
        "seconds between probes",
        *(RUNNER, DAEMON),
        check=_SECONDS,
    ),
    _integer(
        "keepalive_probes",
        ("", "tcp-keepalive-probes", "Network", "TcpKeepaliveProbes"),
        "unanswered probes after which the peer is taken for dead",
        *(RUNNER, DAEMON),
        check=absolute_within(1, 127),
    ),
    _text(
        "tls_certificate",
        ("", "tls-certificate", "TLS", "TlsCertificate"),
        "PEM file with our certificate; TLS is used if all three files are given",
        *(RUNNER, DAEMON),
        check=read_file,
    ),
    _text(
        "tls_private_key",
        ("", "tls-private-key", "TLS", "TlsPrivateKey"),
        "PEM file with its private key",
        *(RUNNER, DAEMON),
        check=read_file,
    ),
    _text(
        "tls_ca_certificate",
        ("", "tls-ca-certificate", "TLS", "TlsCaCertificate"),
        "PEM file with the certificate of the authority that must have signed the peer's",
        *(RUNNER, DAEMON),
        check=read_file,
    ),
    _text(
        "tls_check_peer_id",
        ("", "tls-check-peer-id", "TLS", "TlsCheckPeerId"),
        "yes or no: whether the peer's unique id must be the common name of its certificate",
        *(RUNNER, DAEMON),
        check=told_on_stdout("tls-check-peer-id", read_bool),
    ),
    _flag(
        "close",
        ("", "close", "Command", "Close"),
        "do not let the command inherit the connection, which keeps the lock if this program is killed",
        RUNNER,
    ),
    _flag(
        "allow_remote_shutdown",
        ("", "allow-remote-shutdown", "Daemon", "AllowRemoteShutdown"),
        "let everybody who can connect end the daemon",
        *(RUNNER, DAEMON),
    ),
    _integer(
        "heartbeat_ms",
        ("", "heartbeat", "Daemon", "Heartbeat"),
        "milliseconds between two announcements of a group's leader",
        *(RUNNER, DAEMON),
        check=within(10, 60_000),
    ),
    _integer(
        "leader_timeout_ms",
        ("", "leader-timeout", "Daemon", "LeaderTimeout"),
        "milliseconds of silence after which the leader is taken for dead",
        *(RUNNER, DAEMON),
        check=within(20, 3_600_000),
    ),
    _integer(
        "election_time_ms",
        ("", "election-time", "Daemon", "ElectionTime"),
        "milliseconds without an objection after which a candidate leads",
        *(RUNNER, DAEMON),
        check=within(100, 60_000),
    ),
    _integer(
        "max_connections",
        ("", "max-connections", "Limits", "MaxConnections"),
        "connections in all, beyond which the daemon closes new ones; 0: no limit",
        *(RUNNER, DAEMON),
        check=_COUNT,
    ),
    _integer(
        "max_connections_per_peer",
        ("", "max-connections-per-peer", "Limits", "MaxConnectionsPerPeer"),
        "the same for one IP address, or one user over UNIX sockets; 0: no limit",
        *(RUNNER, DAEMON),
        check=_COUNT,
    ),
    _integer(
        "max_waiters",
        ("", "max-waiters", "Limits", "MaxWaiters"),
        "waiters for one resource, beyond which nobody may wait for it; 0: no limit",
        *(RUNNER, DAEMON),
        check=_COUNT,
    ),
    _integer(
        "max_resources",
        ("", "max-resources", "Limits", "MaxResources"),
        "resources, beyond which no other is created; 0: no limit",
        *(RUNNER, DAEMON),
        check=_COUNT,
    ),
    _integer(
        "max_locks_per_connection",
        ("", "max-locks-per-connection", "Limits", "MaxLocksPerConnection"),
        "locks of one connection, beyond which it gets no other; 0: no limit",
        *(RUNNER, DAEMON),
        check=_COUNT,
    ),
    _integer(
        "max_message_size",
        ("", "max-message-size", "Limits", "MaxMessageSize"),
        "bytes of the longest message that the daemon takes",
        *(RUNNER, DAEMON),
        check=within(511, 65536),
    ),
    _integer(
        "message_timeout_ms",
        ("", "message-timeout", "Limits", "MessageTimeout"),
        "milliseconds that a client has for its first message, and to end one that it has begun",
        *(RUNNER, DAEMON),
        check=_LIMITED_MS,
    ),
    _integer(
        "unread_timeout_ms",
        ("", "unread-timeout", "Limits", "UnreadTimeout"),
        "milliseconds after which a client is sent away that does not read its answers",
        *(RUNNER, DAEMON),
        check=_LIMITED_MS,
    ),
    _setting(
        "listen",
        ("", "listen", "Daemon", "Listen"),
        "Twisted endpoint to listen on, such as tcp:28015:interface=127.0.0.1 or systemd:domain=UNIX:index=0",
        lambda text: (text,),
        lambda text: tuple(filter(None, text.split(";"))),
        (DAEMON,),
        accumulates=True,
    ),
    _text(
        "http",
        ("", "http", "Daemon", "Http"),
        "Twisted endpoint for a web page, metrics and health, such as tcp:9180:interface=127.0.0.1; off without",
        DAEMON,
    ),
    _text(
        "status_for",
        ("", "status-for", "Daemon", "StatusFor"),
        "all or trusted: who may see what the daemon holds; trusted are those who may end it",
        DAEMON,
        check=read_status_for,
    ),
    _flag(
        "log_grants",
        ("", "log-grants", "Daemon", "LogGrants"),
        "log every grant and release, too",
        DAEMON,
    ),
)


def default_socket() -> str:
    """
    Give the socket of the user who runs this: FLoM's own rule, so that both find each other
    (docs/compatibility.md, "Default address").
    """
    try:
        login = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        login = "nobody"
    return f"/tmp/flom-{login}"

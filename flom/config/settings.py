"""
The one list of everything that can be set, and L{Config}, which holds the values.

Each row of L{Config} is one setting: its type and default, its option, its place in a file, its help.
"""

from __future__ import annotations

import os
import pwd

from flom.codes import ExitStatus
from flom.config.parsers import (
    SIGNAL_NAMES,
    Ignored,
    Unclear,
    absolute,
    absolute_within,
    lost_signal,
    quantity_of_option,
    read_bool,
    read_c_int,
    read_decimal,
    read_directory,
    read_duration,
    read_file,
    read_filled,
    read_hosts,
    read_limits,
    read_log_format,
    read_mode,
    read_mode_name,
    read_name,
    read_nested,
    read_notify,
    read_number,
    read_on_lost,
    read_sessions,
    read_signal_names,
    read_signals,
    read_socket_name,
    read_status_for,
    read_timeout,
    read_type,
    read_yes_or_no,
    refused_on_stdout,
    split_hosts,
    wanted_by,
    within,
)
from flom.core.group.timing import DEFAULT_TIMING, Timing
from flom.core.modes import EX
from flom.core.names import DEFAULT_NAME, parse_name
from flom.core.protocol.framing import MAX_MESSAGE_SIZE
from flom.core.value import dataclass_transform
from flom.errors import ConfigError
from flom.net.keepalive import DEFAULT_KEEPALIVE, Keepalive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Final

    from typing_extensions import Self

    from flom.core.modes import LockMode
    from flom.core.protocol.messages import Wishes

    _List = tuple[Any, ...]
    _ReadList = Callable[[str], _List]
    _CheckInt = Callable[[int], int]

RUNNER: Final = "flom-run"
DAEMON: Final = "twistd flom"


class Setting:
    """
    One thing that can be set: a row of L{Config}, and the attribute that reads its value.

    @ivar field: its name in L{Config}.
    @ivar default: its value if nothing sets it.
    @ivar short: the option's letter, or the empty string.
    @ivar long: the option's long name.
    @ivar place: group and key in a file.
    @ivar help: of the option, for C{--help}.
    @ivar from_option: reads the text of an option; C{None} for a flag.
    @ivar from_flom: reads the text of an option of C{flom}, as FLoM does.
    @ivar from_file: reads the text of a file.
    @ivar programs: which ones take it as an option.
    @ivar accumulates: whether an option that is given again adds to its value.
    """

    __slots__ = (
        *("field", "default", "short", "long", "place", "help"),
        *("from_option", "from_flom", "from_file", "programs", "accumulates"),
    )

    def __init__(
        self,
        option: str,
        place: str,
        default: Any,
        help: str,
        from_option: Callable[[str], Any] | None,
        from_file: Callable[[str], Any],
        program: str = "",
        *,
        accumulates: bool = False,
        field: str = "",
        from_flom: Callable[[str], Any] | None = None,
    ) -> None:
        """
        @param option: C{"-o, --option"} or C{"--option"}.
        @param place: C{"[Group] Key"}.
        @param program: the only one that takes it as an option; all do by default.
        """
        self.field = field
        self.default = default
        self.short = option[1] if option[1] != "-" else ""
        self.long = option[option.index("--") + 2 :]
        group, _, key = place.partition("] ")
        self.place = (group[1:], key)
        self.help = help
        self.from_option = from_option
        self.from_flom = from_flom or from_option
        self.from_file = from_file
        self.programs = (program,) if program else (RUNNER, DAEMON)
        self.accumulates = accumulates

    def __set_name__(self, owner: type, field: str) -> None:
        self.field = field

    def __get__(self, config: _Values | None, owner: type) -> Any:
        return self if config is None else config._given.get(self.field, self.default)

    def __set__(self, config: _Values, value: object) -> None:
        raise AttributeError(f"{self.field}: a Config does not change; its replace() makes another one")

    def show(self, config: Config) -> str:
        """Return the line of C{--verbose} for this setting (docs/compatibility.md, "Verbose output")."""
        value = self.__get__(config, Config)
        if self.field == "ignored_signals":
            value = ";".join(SIGNAL_NAMES[number - 1] for number in sorted(set(value)))
        elif isinstance(value, tuple):
            value = ";".join(value)
        shown = f"'{value}'" if isinstance(value, str) else f"{value:d}"
        return f"[{self.place[0]}]/{self.place[1]}={shown}"

    def as_option(self, config: Config) -> list[str]:
        """Return the words that pass this setting on to another program; none if it has its default."""
        value = self.__get__(config, Config)
        if value == self.default:
            return []
        if self.from_option is None:
            return [f"--{self.long}"]
        return [f"--{self.long}", ("no", "yes")[value] if isinstance(value, bool) else str(value)]


_FLOCK: Final = {
    "-c": "--shell",
    "--command": "--shell",
    "-e": "the default",
    "--exclusive": "the default",
    "-F": "not possible",
    "--no-fork": "not possible",
    "-n": "-o 0",
    "--nb": "-o 0",
    "--nonblock": "-o 0",
    "-o": "--close",
    "-s": "-l PR",
    "--shared": "-l PR",
    "-u": "not needed",
    "--unlock": "not needed",
    "-w": "--timeout",
    "--wait": "--timeout",
    "-x": "the default",
}
"""What says to C{flom-run} what options of flock(1) say that mean nothing, or something else, here."""


def flock_hint(option: str) -> str:
    """Return what ends a message about C{option}, with its dashes, which may have been meant as that of flock(1)."""
    return f"; flock's {option} is {_FLOCK[option]} here" if option in _FLOCK else ""


# Makers of rows. Each returns a Setting, and says Any, so that a row can state the type of its value.


def _text(
    option: str,
    place: str,
    *,
    default: Any,
    check: Callable[[str], Any] = str,
    check_option: Callable[[str], Any] | None = None,
    program: str = "",
    help: str,
) -> Any:
    """Return a setting that C{check} reads from files and from options of C{flom}, and if need be of our programs."""
    return Setting(option, place, default, help, check_option or check, check, program, from_flom=check)


def _flag(option: str, place: str, *, default: bool, program: str = "", help: str) -> Any:
    """Return a setting that an option can switch on, and a file also off."""
    return Setting(option, place, default, help, None, read_bool, program)


def _integer(
    option: str,
    place: str,
    *,
    default: int,
    check: _CheckInt = int,
    check_in_file: _CheckInt | None = None,
    unit: str = "",
    program: str = "",
    help: str,
) -> Any:
    """
    Return a setting that is an integer, read one way from an option and another from a file.

    @param unit: C{ms} or C{s} if it is a duration.
    """

    def from_option(text: str) -> int:
        """Read a number; one that FLoM would take for another, such as -3 for 3 or 0 for 1, is none."""
        value = read_duration(text, unit) if unit else read_number(text)
        if unit == "s":
            value, rest = divmod(value, 1000)
            if rest:
                raise Unclear("it is no whole number of seconds")
        try:
            checked = check(value)
        except Ignored:
            checked = None
        if checked != value:
            raise Unclear("it is too small")
        return value

    def from_flom(text: str) -> int:
        try:
            return check(read_c_int(text))
        except ValueError:
            why = f"{row.long}: '{text}' is an invalid value"
            raise ConfigError(why, flom_line=f"option parsing failed: {why}") from None

    check_file = check_in_file or check
    row = Setting(
        *(option, place, default, help, from_option, lambda text: check_file(read_decimal(text)), program),
        from_flom=from_flom,
    )
    return row


def _list(
    option: str,
    place: str,
    *,
    default: _List,
    from_option: _ReadList,
    from_file: _ReadList,
    from_flom: _ReadList | None = None,
    program: str,
    help: str,
) -> Any:
    """Return a setting that has several values; an option that is given again adds to them."""
    return Setting(
        *(option, place, default, help, from_option, from_file, program), accumulates=True, from_flom=from_flom
    )


_PORT: Final = absolute_within(1, 65535)
_MOST_KEEPALIVE: Final = {"time": 32767, "intvl": 32767, "probes": 127}  # what the kernel takes, from 1 on
_COUNT: Final = within(0, 2**31 - 1)
_LIMITED_MS: Final = within(10, 3_600_000)


@dataclass_transform(frozen_default=True, field_specifiers=(_text, _flag, _integer, _list))  # to mypy
class _Values:
    """Values of settings, which are the attributes of a subclass; what is not given has its default."""

    __slots__ = ("_given",)

    def __init__(self, **values: object) -> None:
        self._given: dict[str, object] = {}  # by field; none is the default
        for field, value in values.items():
            setting = getattr(type(self), field, None)
            if not isinstance(setting, Setting):
                raise TypeError(f"there is no setting {field!r}")
            if value != setting.default:
                self._given[field] = value

    def replace(self, **changes: object) -> Self:
        """Return the same with other values for some fields."""
        return type(self)(**{**self._given, **changes})

    def __eq__(self, other: object) -> bool:
        return self._given == other._given if isinstance(other, _Values) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._given.items()))

    def __repr__(self) -> str:
        given = ", ".join(f"{field}={value!r}" for field, value in self._given.items())
        return f"{type(self).__name__}({given})"


class Config(_Values):
    """
    The values of all settings, in the units of the files: milliseconds; seconds for keepalive.

    A value: L{replace} makes another one. The rows stand in the order of C{--verbose}
    (docs/compatibility.md, "Verbose output"), those that FLoM does not have at the end.

    @ivar ignored_signals: numbers, 1 to 31.
    @ivar socket_name: a path, or the empty string for the socket of the user.
    @ivar max_connections: 0 for no limit, here and in the other limits that are numbers.
    """

    __slots__ = ()

    # fmt: off
    daemon_trace_file: str = _text("-t, --daemon-trace-file", "[Trace] DaemonTraceFile", default="",
        check_option=read_filled,
        help="file for the trace of the daemon; FLOM_TRACE_MASK selects what is traced")
    command_trace_file: str = _text("-T, --command-trace-file", "[Trace] CommandTraceFile", default="", program=RUNNER,
        check_option=read_filled,
        help="file for the trace of this command")
    append_trace_file: bool = _text("--append-trace-file", "[Trace] AppendTraceFile", default=False, check=read_bool,
        check_option=read_yes_or_no,
        help="yes or no: whether to add to trace files instead of replacing them")
    verbose: bool = _flag("-V, --verbose", "[Trace] Verbose", default=False, program=RUNNER,
        help="print what is waited for, and at the end how it went; with flom, the configuration instead of the latter")
    resource_name: str = _text("-r, --resource-name", "[Resource] Name", default=DEFAULT_NAME, program=RUNNER,
        check=read_name, help="name of the resource to lock")
    timeout_ms: int = _integer("-o, --resource-timeout", "[Resource] Timeout", unit="ms", default=-1, program=RUNNER,
        help="milliseconds, or 5s, 2m, to wait for the lock at most; -1: no limit, 0: do not wait")
    quantity: int = _integer("-q, --resource-quantity", "[Resource] Quantity", default=1, program=RUNNER,
        check=quantity_of_option, check_in_file=lambda quantity: within(0, 2**31 - 1)(abs(quantity)) or 1,
        help="units to take of a numeric resource")
    lock_mode: LockMode = _text("-l, --lock-mode", "[Resource] LockMode", default=EX, program=RUNNER, check=read_mode,
        check_option=read_mode_name,
        help="NL, CR, CW, PR, PW or EX, for simple and hierarchical resources")
    create: bool = _text("-e, --resource-create", "[Resource] Create", default=True, program=RUNNER,
        check=refused_on_stdout("resource-create", read_bool), check_option=read_yes_or_no,
        help="yes or no: whether to create a resource that does not exist")
    idle_lifespan_ms: int = _integer("-i, --resource-idle-lifespan", "[Resource] IdleLifespan", unit="ms", default=0,
        program=RUNNER, check=abs,
        help="milliseconds to remember the resource while no client uses it, if this creates it")
    socket_name: str = _text("-s, --socket-name", "[Daemon] SocketName", default="", check=read_socket_name,
        help="UNIX socket of the daemon; default: /tmp/flom-LOGIN")
    lifespan_ms: int = _integer("-d, --daemon-lifespan", "[Daemon] Lifespan", unit="ms", default=5000,
        help="idle milliseconds after which the daemon ends; -1: never, 0: start none")
    unicast_address: str = _text("-a, --unicast-address", "[Daemon] UnicastAddress", default="", check=read_hosts,
        help="host of the daemon, a name or an address; h1,h2,h3: the one of these that leads by a quorum")
    unicast_port: int = _integer("-p, --unicast-port", "[Daemon] UnicastPort", default=28015, check=_PORT,
        help="TCP port of the daemon")
    multicast_address: str = _text("-A, --multicast-address", "[Daemon] MulticastAddress", default="",
        help="multicast group, IPv4 or IPv6, in which the daemon is found, or elected if there is none")
    multicast_port: int = _integer("-P, --multicast-port", "[Daemon] MulticastPort", default=28015, check=_PORT,
        help="UDP port of the group")
    mount_point: str = _text("-m, --mount-point-vfs", "[Daemon] MountPointVFS", default="", check=read_directory,
        help="empty directory where the daemon shows what it holds, as a file system")
    ignored_signals: tuple[int, ...] = _list("--ignore-signal", "[Monitor] IgnoredSignals", default=(), program=RUNNER,
        from_option=read_signal_names, from_file=read_signals, from_flom=read_signals,
        help="a signal, by name or number, that is not passed on to the command; may be repeated")
    network_interface: str = _text("-n, --network-interface", "[Network] NetworkInterface", default="",
        help="network interface for the group or for a link-local IPv6 address; with it, -a looks up IPv6 only")
    discovery_attempts: int = _integer("-D, --discovery-attempts", "[Network] DiscoveryAttempts", default=2,
        program=RUNNER, check=lambda attempts: abs(attempts) or 1, help="how often to ask the group")
    discovery_timeout_ms: int = _integer("-I, --discovery-timeout", "[Network] DiscoveryTimeout", unit="ms",
        default=500, program=RUNNER, check=absolute_within(1, 3_600_000),
        help="milliseconds to wait for an answer, each time")
    discovery_ttl: int = _integer("--discovery-ttl", "[Network] DiscoveryTTL", default=1,
        check=lambda ttl: within(1, 255)(abs(ttl) or 1), help="IP TTL of datagrams; 1: no router passes them on")
    keepalive_time: int = _integer("--tcp-keepalive-time", "[Network] TcpKeepaliveTime",
        unit="s", default=DEFAULT_KEEPALIVE.time, check=abs, help="seconds of silence before a TCP peer is probed")
    keepalive_interval: int = _integer("--tcp-keepalive-intvl", "[Network] TcpKeepaliveIntvl",
        unit="s", default=DEFAULT_KEEPALIVE.interval, check=abs, help="seconds between probes")
    keepalive_probes: int = _integer("--tcp-keepalive-probes", "[Network] TcpKeepaliveProbes",
        default=DEFAULT_KEEPALIVE.probes, check=abs,
        help="unanswered probes after which the peer is considered dead")
    tls_certificate: str = _text("--tls-certificate", "[TLS] TlsCertificate", default="", check=read_file,
        help="PEM file with our certificate; TLS is used if all three files are given")
    tls_private_key: str = _text("--tls-private-key", "[TLS] TlsPrivateKey", default="", check=read_file,
        help="PEM file with its private key")
    tls_ca_certificate: str = _text("--tls-ca-certificate", "[TLS] TlsCaCertificate", default="", check=read_file,
        help="PEM file with the certificate of the authority that must have signed the peer's")
    tls_check_peer_id: bool = _text("--tls-check-peer-id", "[TLS] TlsCheckPeerId", default=False,
        check=refused_on_stdout("tls-check-peer-id", read_bool), check_option=read_yes_or_no,
        help="yes or no: whether the peer's unique id must be the common name of its certificate")
    close: bool = _flag("--close", "[Command] Close", default=False, program=RUNNER,
        help="do not pass the connection on to the command: the lock ends with this program, if that is killed")
    keep_place: bool = _flag("--keep-place", "[Command] KeepPlace", default=False, program=RUNNER,
        help="stay in the queue while this program is stopped (Ctrl-Z); a lock may be granted to it then")
    allow_remote_shutdown: bool = _flag("--allow-remote-shutdown", "[Daemon] AllowRemoteShutdown", default=False,
        help="let every client that can connect end the daemon")
    allow_local_shutdown: bool = _flag("--allow-local-shutdown", "[Daemon] AllowLocalShutdown", default=False,
        help="let every user of the daemon's host end it over TCP")
    heartbeat_ms: int = _integer("--heartbeat", "[Daemon] Heartbeat",
        unit="ms", default=round(DEFAULT_TIMING.heartbeat * 1000), check=within(10, 60_000),
        help="milliseconds between two announcements of a group's leader")
    leader_timeout_ms: int = _integer("--leader-timeout", "[Daemon] LeaderTimeout",
        unit="ms", default=round(DEFAULT_TIMING.patience * 1000),
        check=within(20, 3_600_000), help="milliseconds of silence after which the leader is considered dead")
    election_time_ms: int = _integer("--election-time", "[Daemon] ElectionTime",
        unit="ms", default=round(DEFAULT_TIMING.campaign * 1000),
        check=within(100, 60_000), help="milliseconds without an objection after which a candidate leads")
    group_key: str = _text("--group-key", "[Daemon] GroupKey", default="", check_option=read_filled,
        help="file with a secret that the daemons and clients of a group share; without it, none can pose as one")
    group_key_required: bool = _flag("--group-key-required", "[Daemon] GroupKeyRequired", default=False,
        help="do not believe FLoM's daemons and clients either, which have no key")
    max_connections: int = _integer("--max-connections", "[Limits] MaxConnections", default=50_000, check=_COUNT,
        help="connections in all, beyond which the daemon closes new ones; 0: no limit")
    max_connections_per_peer: int = _integer("--max-connections-per-peer", "[Limits] MaxConnectionsPerPeer",
        default=20_000, check=_COUNT, help="the same for one IP address, or one user over UNIX sockets; 0: no limit")
    max_waiters: int = _integer("--max-waiters", "[Limits] MaxWaiters", default=50_000, check=_COUNT,
        help="waiters for one resource, beyond which requests are refused instead of queued; 0: no limit")
    max_resources: int = _integer("--max-resources", "[Limits] MaxResources", default=1_000_000, check=_COUNT,
        help="resources, beyond which no other is created; 0: no limit")
    max_locks_per_connection: int = _integer("--max-locks-per-connection", "[Limits] MaxLocksPerConnection",
        default=1_000, check=_COUNT, help="locks of one connection, beyond which it gets no other; 0: no limit")
    max_overtaking: int = _integer("--max-overtaking", "[Limits] MaxOvertaking", default=16, check=_COUNT,
        help="later requests that may go before one for several locks, beyond which they wait for it; 0: no limit")
    max_message_size: int = _integer("--max-message-size", "[Limits] MaxMessageSize",
        default=MAX_MESSAGE_SIZE, check=within(MAX_MESSAGE_SIZE, 65536),
        help="bytes of the longest message that the daemon accepts")
    message_timeout_ms: int = _integer("--message-timeout", "[Limits] MessageTimeout", unit="ms", default=30_000,
        check=_LIMITED_MS,
        help="milliseconds that a client has for its first message, and to end one that it has begun")
    unread_timeout_ms: int = _integer("--unread-timeout", "[Limits] UnreadTimeout", unit="ms", default=30_000,
        check=_LIMITED_MS, help="milliseconds after which a client is disconnected that does not read its answers")
    session_timeout_ms: int = _integer("--session-timeout", "[Limits] SessionTimeout", unit="ms", default=10_000,
        check=within(0, 3_600_000),
        help="milliseconds for which locks are kept whose connection is broken, or daemon killed; 0: not at all")
    sessions: str = _text("--sessions", "[Limits] Sessions", default="optional", check=read_sessions,
        help="required: a TCP connection that ends without a goodbye, as by a proxy, keeps its locks; optional: not")
    hold_limits: str = _text("--max-hold", "[Limits] MaxHold", default="", check=read_limits, program=DAEMON,
        help="time for which a lock may be held, such as 10m; or for resources by name: 'backup*=1h,10m'; the first "
        "that fits counts")
    lock_delays: str = _text("--lock-delay", "[Limits] LockDelay", default="", check=read_limits, program=DAEMON,
        help="time for which no client is granted what a holder has lost, such as 30s, or by name as for --max-hold")
    conflict_exit_code: int = _integer("-E, --conflict-exit-code", "[Command] ConflictExitCode",
        default=int(ExitStatus.BUSY), check=within(0, 255), program=RUNNER,
        help="status if the resource is locked, or the timeout has run out; with 0, nothing is said")
    on_lost: str = _text("--on-lost", "[Command] OnLost", default="", check=read_on_lost, program=RUNNER,
        help="what the command gets if its lock is lost: warn, terminate, kill or signal:NAME; by default warn, "
        "under a quorum terminate")
    kill_after_ms: int = _text("--kill-after", "[Command] KillAfter", default=-1, program=RUNNER,
        check=lambda text: within(-1, 2**31 - 1)(read_decimal(text)), check_option=read_timeout,
        help="seconds from the SIGTERM of --on-lost terminate to SIGKILL; by default 2.5 at most")
    history: str = _text("--history", "[Command] History", default="", check_option=read_filled, program=RUNNER,
        help="file to append events of lock and command to, for flomctl check")
    status_file: str = _text("--status-file", "[Command] StatusFile", default="", check_option=read_filled,
        program=RUNNER, help="file to write to, as one line of JSON, how it went and whose the status is")
    quiet: bool = _flag("-Q, --quiet", "[Command] Quiet", default=False, program=RUNNER,
        help="write nothing about the lock: the status says how it went")
    resource_type: str = _text("--type", "[Resource] Type", default="", check=read_type, program=RUNNER,
        help="simple, numeric, set, hierarchical, sequence or timestamp: refuse a resource of another type")
    nested: str = _text("--nested", "[Resource] Nested", default="refuse", check=read_nested, program=RUNNER,
        help="refuse, share or wait: what to do about a lock that a flom-run holds that this one runs under")
    max_hold_ms: int = _text("--max-hold", "[Resource] MaxHold", default=0, program=RUNNER,
        check=lambda text: within(0, 2**31 - 1)(read_decimal(text)), check_option=read_timeout,
        help="seconds, or 10m, for which the lock may be held: then the daemon ends it; 0: any")
    lock_delay_ms: int = _text("--lock-delay", "[Resource] LockDelay", default=-1, program=RUNNER,
        check=lambda text: within(-1, 2**31 - 1)(read_decimal(text)), check_option=read_timeout,
        help="seconds, or 2m, for which no client is granted the lock if it is lost; by default, as the daemon says")
    notify_wanted: str = _text("--notify-wanted", "[Command] NotifyWanted", default="", check=read_notify,
        program=RUNNER,
        help="signal that the command gets when others begin to wait because of its lock, or fd:N, fd: a line to read "
        "from its descriptor N, or that of FLOM_WANTED_FD")
    listen: tuple[str, ...] = _list("--listen", "[Daemon] Listen", default=(), program=DAEMON,
        from_option=lambda text: (text,), from_file=lambda text: tuple(filter(None, text.split(";"))),
        help="Twisted endpoint to listen on, such as tcp:28015:interface=127.0.0.1 or systemd:index=0")
    http: str = _text("--http", "[Daemon] Http", default="", program=DAEMON,
        help="Twisted endpoint for a web page, metrics and health, such as tcp:9180:interface=127.0.0.1; off without")
    status_for: str = _text("--status-for", "[Daemon] StatusFor", default="trusted", program=DAEMON,
        check=read_status_for,
        help="all or trusted: who may see what the daemon holds; trusted: its user, its host, certificates")
    reservation_ms: int = _integer("--reservation", "[Daemon] Reservation", unit="ms", default=60_000, program=DAEMON,
        check=within(0, 3_600_000),
        help="milliseconds for which commands wait for this daemon if it was killed, and start no other; 0: not at all")
    state: str = _text("--state", "[Daemon] State", default="", check_option=read_filled, program=DAEMON,
        help="directory in which the daemon remembers what must not begin anew when it starts again")
    log_grants: bool = _flag("--log-grants", "[Daemon] LogGrants", default=False, program=DAEMON,
        help="log every grant and release")
    log_format: str = _text("--log-format", "[Daemon] LogFormat", default="", program=DAEMON, check=read_log_format,
        help="text, json or journal: how the log is written; by default text, under systemd with its priorities")
    quorum: str = _text("--quorum", "[Quorum] Quorum", default="", program=DAEMON,
        help="etcd:URL,URL,...[/PREFIX]: lead only while etcd says so; off without")
    quorum_certificate: str = _text("--quorum-cert", "[Quorum] Certificate", default="", check=read_file,
        program=DAEMON, help="PEM file with our certificate for etcd")
    quorum_private_key: str = _text("--quorum-key", "[Quorum] PrivateKey", default="", check=read_file, program=DAEMON,
        help="PEM file with its private key")
    quorum_ca: str = _text("--quorum-ca", "[Quorum] CaCertificate", default="", check=read_file, program=DAEMON,
        help="PEM file with the certificate of the authority that must have signed etcd's; by default, the system's")
    quorum_user: str = _text("--quorum-user", "[Quorum] User", default="", check_option=read_filled, program=DAEMON,
        help="our user at etcd; needs --quorum-password-file")
    quorum_password_file: str = _text("--quorum-password-file", "[Quorum] PasswordFile", default="", check=read_file,
        program=DAEMON, help="file with the password of that user, which others must not be able to read")
    quorum_lease_ms: int = _integer("--quorum-lease", "[Quorum] Lease", unit="ms", default=3000, program=DAEMON,
        check=within(2000, 60_000),
        help="milliseconds, whole seconds, after which etcd lets another daemon lead if it hears nothing of this one")
    quorum_margin_ms: int = _integer("--quorum-margin", "[Quorum] Margin", unit="ms", default=0, program=DAEMON,
        check=within(0, 60_000),
        help="milliseconds of the session-timeout for clocks of which one is faster; 0: a fifth, which is the least")
    fast: bool = _flag("--fast", "[Quorum] Fast", default=False, program=DAEMON,
        help="shorter times under a quorum: a takeover takes some 6 s instead of 10")
    # fmt: on

    @property
    def socket_path(self) -> str:
        """The UNIX socket to use, absolute, because a daemon lives in another directory."""
        return absolute("socket-name", self.socket_name) if self.socket_name else default_socket()

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
    def unicast_addresses(self) -> tuple[str, ...]:
        """The hosts of L{unicast_address}: more than one if the daemon is the one of them that leads."""
        return split_hosts(self.unicast_address)

    @property
    def has_several_hosts(self) -> bool:
        """Whether the daemon is the one of several hosts that leads."""
        return "," in self.unicast_address

    @property
    def lost_signal(self) -> int | None:
        """The signal that the command gets first if its lock is lost; C{None} if it is left alone."""
        return lost_signal(self.on_lost) if self.on_lost else None

    @property
    def wanted_by(self) -> tuple[str, int] | None:
        """How to tell the command that its lock is wanted: C{("signal", N)} or C{("fd", N)}; C{None} for not at all."""
        return wanted_by(self.notify_wanted) if self.notify_wanted else None

    @property
    def wishes(self) -> Wishes | None:
        """What is asked of the lock beyond what FLoM knows; C{None} for nothing."""
        if not self.max_hold_ms and self.lock_delay_ms < 0 and not self.notify_wanted:
            return None
        from flom.core.protocol.messages import Wishes  # now, because few wish anything

        delay = None if self.lock_delay_ms < 0 else self.lock_delay_ms / 1000
        return Wishes(max_hold=self.max_hold_ms / 1000, lock_delay=delay, wanted=bool(self.notify_wanted))

    def under_quorum(self) -> Self:
        """Return the same for a daemon that leads by a quorum: a command is ended unless C{on_lost} says otherwise."""
        return self if self.on_lost else self.replace(on_lost="terminate")

    @property
    def kill_after(self) -> float | None:
        """Seconds after that signal in which SIGKILL follows, if they have room; C{None} if it does not follow."""
        if self.on_lost != "terminate":
            return None
        from flom.core.lease import KILL_AFTER  # which few commands need

        return KILL_AFTER if self.kill_after_ms < 0 else self.kill_after_ms / 1000

    @property
    def time_to_end(self) -> float | None:
        """
        Seconds for which another client must not be granted a lock that was lost, because the command may still run;
        C{None} for some, as many as have room (L{flom.core.lease.times_within}).
        """
        return None if self.on_lost == "terminate" and self.kill_after_ms < 0 else self.kill_after or 0.0

    @property
    def sessions_are_required(self) -> bool:
        """Whether all clients over TCP have to have sessions, and to say goodbye."""
        return self.sessions == "required"

    @property
    def timing(self) -> Timing:
        """The three settings of elections as one value."""
        return Timing(self.heartbeat_ms / 1000, self.leader_timeout_ms / 1000, self.election_time_ms / 1000)

    @property
    def missing_tls_files(self) -> list[str]:
        """The options that would have to be given for TLS (docs/compatibility.md, "When TLS is used")."""
        options = ("tls-certificate", "tls-private-key", "tls-ca-certificate")
        return [option for option in options if not getattr(self, option.replace("-", "_"))]

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

        @raise ConfigError: it is not, or a relative path is too long in full, or leads nowhere; see L{check_keepalive}.
        """
        read_socket_name(self.socket_path)  # in full it is longer than what was given
        for option, address in ("unicast-address", self.unicast_address), ("multicast-address", self.multicast_address):
            if self.socket_name and address:
                raise _contradiction(
                    f"socket-name '{self.socket_name}' and {option} '{address}' exclude each other",
                    "ERROR: flom can not be configured for local (UNIX socket) and network (TCP-UDP/IP) communication "
                    "at the same time.",
                )
        if self.has_several_hosts and not all(self.unicast_addresses):
            raise ConfigError(f"unicast-address: '{self.unicast_address}': a host is missing beside a comma")
        if self.has_several_hosts and self.multicast_address:
            raise ConfigError(
                f"unicast-address: '{self.unicast_address}' are several hosts, for which there must be no group "
                f"(multicast-address '{self.multicast_address}')"
            )
        if self.unicast_address or self.multicast_address:
            self.check_keepalive()

    def check_one_host(self, why: str) -> None:
        """Raise L{ConfigError} if there are several hosts where one is needed, as C{why} says."""
        if self.has_several_hosts:
            raise ConfigError(f"unicast-address: '{self.unicast_address}' are several hosts, and {why}")

    def check_keepalive(self) -> None:
        """Raise L{ConfigError} if the kernel does not take the values of keepalive, which TCP alone has."""
        values = self.keepalive_time, self.keepalive_interval, self.keepalive_probes
        for (what, most), value in zip(_MOST_KEEPALIVE.items(), values, strict=True):
            if not 1 <= value <= most:
                raise ConfigError(f"tcp-keepalive-{what}: '{value}' is an invalid value, it is not from 1 to {most}")

    def check_tls(self) -> None:
        """Raise L{ConfigError} if a peer's id is to be checked, and there is no certificate to compare it with."""
        if self.tls_check_peer_id and not self.is_tls:
            raise _contradiction(
                f"tls-check-peer-id needs {' and '.join(self.missing_tls_files)} too",
                "ERROR: TLS check peer id can not be specified without full TLS configuration.",
            )

    def check_type(self) -> None:
        """Raise L{ConfigError} if the name of the resource is one of another type than what is meant."""
        name = parse_name(self.resource_name)
        if self.resource_type and self.resource_type != name.type_name:
            way_out = f"; '/{name.text}' is one lock" if name.type_name == "set" else ""
            raise ConfigError(f"type: '{name.text}' is of type {name.type_name}, not {self.resource_type}{way_out}")

    def check_sessions(self) -> None:
        """Raise L{ConfigError} if what is held by sessions is to be kept for no time."""
        if self.sessions_are_required and not self.session_timeout_ms:
            raise ConfigError("sessions: 'required' needs a session-timeout, which is 0")

    def check_quorum(self) -> None:
        """Raise L{ConfigError} if what belongs together for a quorum is given in part, or without one."""
        parts = {"quorum-cert": self.quorum_certificate, "quorum-key": self.quorum_private_key}
        login = {"quorum-user": self.quorum_user, "quorum-password-file": self.quorum_password_file}
        for pair in parts, login:
            if all(pair.values()) != any(pair.values()):
                given, missing = sorted(pair, key=lambda option: not pair[option])
                raise ConfigError(f"{given}: '{pair[given]}' needs {missing} too")
        for option, value in {**parts, "quorum-ca": self.quorum_ca, **login, "fast": self.fast and "yes"}.items():
            if value and not self.quorum:
                raise ConfigError(f"{option}: '{value}' needs quorum too")

    def check_election(self) -> None:
        """Raise L{ConfigError} if one lost announcement would make a leader seem dead."""
        if self.leader_timeout_ms < 2 * self.heartbeat_ms:
            raise ConfigError(
                f"leader-timeout: '{self.leader_timeout_ms}' is an invalid value, less than two heartbeats of "
                f"{self.heartbeat_ms}"
            )


def _contradiction(why: str, flom_says: str) -> ConfigError:
    return ConfigError(why, flom_line=f"Configuration is not valid, cannot go on! {why}", on_stdout=[flom_says])


SETTINGS: Final = tuple(row for row in vars(Config).values() if isinstance(row, Setting))


def default_socket() -> str:
    """
    Return the path of the current user's socket, by FLoM's rule, so that both programs find each other
    (docs/compatibility.md, "Default address").
    """
    try:
        login = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        login = "nobody"
    return f"/tmp/flom-{login}"


def runtime_socket() -> str:
    """
    Return the path of the current user's socket in the run-time directory; the empty string if there is none.

    Programs that cron starts are not told where that is.
    """
    user = os.getuid()
    for directory in (os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{user}"):
        try:
            if directory.startswith("/") and os.stat(directory).st_uid == user:
                return f"{directory}/flom"
        except (OSError, ValueError):
            pass
    return ""


def state_directory() -> str:
    """Return what C{state} is for a daemon that a command starts; the empty string if the user has no home."""
    home = os.environ.get("XDG_STATE_HOME", "")
    if not home.startswith("/"):
        if os.getuid() == 0:
            return "/var/lib/flom"
        user_home = os.path.expanduser("~")
        if user_home == "/" or not os.path.isdir(user_home):
            return ""
        home = os.path.join(user_home, ".local", "state")
    return os.path.join(home, "flom")


def private_sockets() -> Iterator[str]:
    """
    Yield the addresses of the current user's daemon where no place is configured; each leads to the same one.

    The first is abstract, that is, no file: a program sees it whatever its /tmp is, as long as it is in the same
    network namespace. It may be bound by another user, which is for the caller to check.
    """
    yield f"\0flom-user/{os.getuid()}"
    if path := runtime_socket():
        yield path
    yield default_socket()

"""
One frozen value out of defaults, configuration files and options (spec 1.2, 2).

L{SETTINGS} is the one list of everything that can be set: its row says how a value is read from an option and from a
file, and how C{--verbose} shows it. Later sources override earlier ones, setting by setting.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Callable, Iterable
from configparser import Error as KeyFileError
from configparser import RawConfigParser
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from flom.core.modes import LockMode
from flom.core.names import DEFAULT_NAME, parse_name
from flom.errors import ConfigError, InvalidName, ReturnCode, reason
from flom.keepalive import DEFAULT_KEEPALIVE, Keepalive

SYSTEM_FILE: Final = "/etc/flom.conf"
"""The file that is read first; then C{~/.flom}; then the one that C{-c} names."""

MAX_SOCKET_NAME: Final = 107
"""Bytes of the longest path of a UNIX socket."""


@dataclass(frozen=True, slots=True)
class Config:
    """
    What a user has decided, in the units of the files: milliseconds, but for keepalive's seconds.

    @ivar socket_name: a path, or the empty string for the socket of the user.
    @ivar lifespan_ms: of a daemon that has to be started: below 0 for ever, 0 to start none.
    """

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
    network_interface: str = ""
    discovery_attempts: int = 2
    discovery_timeout_ms: int = 500
    discovery_ttl: int = 1
    keepalive_time: int = DEFAULT_KEEPALIVE.time
    keepalive_interval: int = DEFAULT_KEEPALIVE.interval
    keepalive_probes: int = DEFAULT_KEEPALIVE.probes
    close: bool = False

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

    def check(self) -> None:
        """
        Check what no single setting can.

        @raise ConfigError: two settings contradict each other, or a relative path is too long in full.
        """
        if len(os.fsencode(self.socket_path)) > MAX_SOCKET_NAME:
            raise ConfigError(f"socket-name: '{self.socket_path}' is longer than {MAX_SOCKET_NAME} bytes")
        for option, address in (
            ("unicast-address", self.unicast_address),
            ("multicast-address", self.multicast_address),
        ):
            if self.socket_name and address:
                raise ConfigError(
                    "ERROR: flom can not be configured for local (UNIX socket) and network (TCP-UDP/IP) communication "
                    f"at the same time: socket-name {self.socket_name!r}, {option} {address!r}"
                )


@dataclass(frozen=True, slots=True)
class Setting:
    """
    One thing that can be set.

    @ivar field: of L{Config}.
    @ivar short: the option's letter, or the empty string.
    @ivar long: the option's long name.
    @ivar place: group and key in a file.
    @ivar from_option: reads the text of an option; C{None} for a flag.
    @ivar from_file: reads the text of a file. Both raise L{ValueError} or L{ConfigError} for what is no value.
    """

    field: str
    short: str
    long: str
    place: tuple[str, str]
    help: str
    from_option: Callable[[str], Any] | None
    from_file: Callable[[str], Any]

    def show(self, config: Config) -> str:
        """Write the line of C{--verbose} for this setting (spec 2.4)."""
        value = getattr(config, self.field)
        shown = f"'{value}'" if isinstance(value, str) else f"{value:d}"
        return f"[{self.place[0]}]/{self.place[1]}={shown}"


def read_bool(text: str) -> bool:
    """Find a yes or a no in C{text}, as FLoM does (spec 1.3)."""
    lowered = text.lower()
    for word, value in (("no", False), ("yes", True), ("n", False), ("y", True)):
        if word in lowered:
            return value
    raise ValueError(text)


def read_mode(text: str) -> LockMode:
    """Find a lock mode in C{text}, as FLoM does: the first of these that occurs (spec 1.3)."""
    lowered = text.lower()
    for long, mode in (
        ("nulllock", LockMode.NL),
        ("concurrentread", LockMode.CR),
        ("concurrentwrite", LockMode.CW),
        ("protectedwrite", LockMode.PW),
        ("protectedread", LockMode.PR),
        ("exclusive", LockMode.EX),
    ):
        if long in lowered or mode.name.lower() in lowered:
            return mode
    raise ValueError(text)


def read_c_int(text: str) -> int:
    """Read an integer as C's strtol does with base 0: C{0x} is hexadecimal, a leading 0 octal (spec 1.1)."""
    match = re.fullmatch(r"\s*([+-]?)(0[xX])?([0-9a-fA-F]+)", text)
    if match is None:
        raise ValueError(text)
    sign, hexadecimal, digits = match.groups()
    base = 16 if hexadecimal else 8 if digits.startswith("0") else 10
    return _in_32_bits(int(f"{sign}{digits}", base))


def read_decimal(text: str) -> int:
    """Read an integer of a file: decimal only (spec 2.3)."""
    if not re.fullmatch(r"\s*[+-]?[0-9]+\s*", text):
        raise ValueError(text)
    return _in_32_bits(int(text))


def read_name(text: str) -> str:
    """
    Check the name of a resource.

    @raise ConfigError: it is none, or the reserved one.
    """
    try:
        parse_name(text)
        if text == DEFAULT_NAME:
            raise ConfigError(
                f"flom_config_set_resource_name: ret_cod={ReturnCode.INVALID_RESOURCE_NAME} "
                f"(ERROR: '{text}' is a reserved resource name and can not be set by user)"
            )
    except InvalidName:
        raise ConfigError(
            f"flom_config_set_resource_name: ret_cod={ReturnCode.INVALID_RESOURCE_NAME} "
            f"(ERROR: '{text}' is not a valid name for a resource)"
        ) from None
    return text


def _in_32_bits(value: int) -> int:
    if not -(2**31) <= value < 2**31:
        raise ValueError(value)
    return value


def _within(low: int, high: int) -> Callable[[int], int]:
    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(value)
        return value

    return check


def _quantity(value: int) -> int:
    """Take 0 for 1, as FLoM does; it would ignore a negative one with a warning (D-31)."""
    return _within(0, 2**31 - 1)(value) or 1


def _socket_name(text: str) -> str:
    if len(os.fsencode(text)) > MAX_SOCKET_NAME:
        raise ValueError(text)
    return text


def _integer(
    field: str, short: str, long: str, place: tuple[str, str], help: str, check: Callable[[int], int] = int
) -> Setting:
    """A setting that is an integer, read one way from an option and another from a file."""
    return Setting(
        field, short, long, place, help, lambda text: check(read_c_int(text)), lambda text: check(read_decimal(text))
    )


def _text(
    field: str, short: str, long: str, place: tuple[str, str], help: str, check: Callable[[str], Any] = str
) -> Setting:
    """A setting that is read alike from options and files."""
    return Setting(field, short, long, place, help, check, check)


_SECONDS: Final = _within(1, 32767)  # what the kernel takes

SETTINGS: Final = (  # in the order of --verbose (spec 2.4), then our own
    Setting("verbose", "V", "verbose", ("Trace", "Verbose"), "tell what is being done", None, read_bool),
    _text("resource_name", "r", "resource-name", ("Resource", "Name"), "name of the resource to lock", read_name),
    _integer(
        "timeout_ms",
        "o",
        "resource-timeout",
        ("Resource", "Timeout"),
        "milliseconds to wait for the lock; -1: as long as it takes, 0: do not wait",
    ),
    _integer(
        "quantity",
        "q",
        "resource-quantity",
        ("Resource", "Quantity"),
        "units to take of a numeric resource",
        _quantity,
    ),
    _text(
        "lock_mode",
        "l",
        "lock-mode",
        ("Resource", "LockMode"),
        "NL, CR, CW, PR, PW or EX, for simple and hierarchical resources",
        read_mode,
    ),
    _text(
        "create",
        "e",
        "resource-create",
        ("Resource", "Create"),
        "yes or no: whether to create a resource that does not exist",
        read_bool,
    ),
    _integer(
        "idle_lifespan_ms",
        "i",
        "resource-idle-lifespan",
        ("Resource", "IdleLifespan"),
        "milliseconds to remember the resource while nobody uses it, if this creates it",
        abs,
    ),
    _text(
        "socket_name",
        "s",
        "socket-name",
        ("Daemon", "SocketName"),
        "path of the daemon's UNIX socket; the default is one of your own",
        _socket_name,
    ),
    _integer(
        "lifespan_ms",
        "d",
        "daemon-lifespan",
        ("Daemon", "Lifespan"),
        "milliseconds of idleness after which a daemon started by this ends; -1: never, 0: start none",
    ),
    _text("unicast_address", "a", "unicast-address", ("Daemon", "UnicastAddress"), "host of the daemon"),
    _integer(
        "unicast_port",
        "p",
        "unicast-port",
        ("Daemon", "UnicastPort"),
        "TCP port of the daemon",
        lambda port: _within(1, 65535)(abs(port)),
    ),
    _text(
        "multicast_address",
        "A",
        "multicast-address",
        ("Daemon", "MulticastAddress"),
        "multicast group, IPv4 or IPv6, to find the daemon in; without one, its hosts elect one",
    ),
    _integer(
        "multicast_port",
        "P",
        "multicast-port",
        ("Daemon", "MulticastPort"),
        "UDP port of the group",
        lambda port: _within(1, 65535)(abs(port)),
    ),
    _text(
        "network_interface",
        "n",
        "network-interface",
        ("Network", "NetworkInterface"),
        "interface to reach the group or a link-local IPv6 address by; for -a, only IPv6 is used then",
    ),
    _integer(
        "discovery_attempts",
        "D",
        "discovery-attempts",
        ("Network", "DiscoveryAttempts"),
        "how often to ask the group",
        lambda attempts: abs(attempts) or 1,
    ),
    _integer(
        "discovery_timeout_ms",
        "I",
        "discovery-timeout",
        ("Network", "DiscoveryTimeout"),
        "milliseconds to wait for an answer, each time",
        lambda ms: _within(1, 3_600_000)(abs(ms)),
    ),
    _integer(
        "discovery_ttl",
        "",
        "discovery-ttl",
        ("Network", "DiscoveryTTL"),
        "routers, less one, that a question may pass",
        lambda ttl: _within(1, 255)(abs(ttl) or 1),
    ),
    _integer(
        "keepalive_time",
        "",
        "tcp-keepalive-time",
        ("Network", "TcpKeepaliveTime"),
        "seconds of silence before a peer is probed",
        lambda seconds: _SECONDS(abs(seconds)),
    ),
    _integer(
        "keepalive_interval",
        "",
        "tcp-keepalive-intvl",
        ("Network", "TcpKeepaliveIntvl"),
        "seconds between probes",
        lambda seconds: _SECONDS(abs(seconds)),
    ),
    _integer(
        "keepalive_probes",
        "",
        "tcp-keepalive-probes",
        ("Network", "TcpKeepaliveProbes"),
        "unanswered probes after which the peer is taken for dead",
        lambda probes: _within(1, 127)(abs(probes)),
    ),
    Setting(
        "close",
        "",
        "close",
        ("Command", "Close"),
        "do not let the command inherit the connection, which keeps the lock if this program is killed",
        None,
        read_bool,
    ),
)

# FLoM's, and not here yet: to ignore them would lock somewhere else than the file says
_NOT_YET: Final = frozenset(
    {
        ("TLS", "TlsCertificate"),
        ("TLS", "TlsPrivateKey"),
        ("TLS", "TlsCaCertificate"),
    }
)


def default_socket() -> str:
    """Give the socket of the user who runs this: FLoM's own rule, so that both find each other (spec 2.5)."""
    try:
        login = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        login = "nobody"
    return f"/tmp/flom-{login}"


def load(config_file: str | None, environ: dict[str, str] | os._Environ[str]) -> Config:
    """
    Read the configuration files.

    The system's and the user's may be missing; C{config_file}, if given, may not.

    @raise ConfigError: a file cannot be read or has a bad value; the text names file, group and key.
    """
    config = Config()
    for path in _standard_files(environ):
        try:
            text = Path(path).read_text("utf-8", "replace")
        except OSError:
            continue
        config = merge(config, path, text)
    if config_file is not None:
        try:
            text = Path(config_file).read_text("utf-8", "replace")
        except OSError as e:
            raise ConfigError(
                f"ERROR: error while loading file '{config_file}': {reason(e)} "
                f"(ret_cod={ReturnCode.KEY_FILE_LOAD_ERROR})"
            ) from e
        config = merge(config, config_file, text)
    return config


def merge(config: Config, path: str, text: str) -> Config:
    """
    Override C{config} by the file C{path}, whose content is C{text}.

    @raise ConfigError: see L{load}.
    """
    parser = RawConfigParser(
        delimiters=("=",), comment_prefixes=("#",), strict=False, empty_lines_in_values=False, default_section=""
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys are case sensitive
    try:
        parser.read_string("\n".join(line.lstrip() for line in text.split("\n")), path)
    except KeyFileError as e:
        raise _bad(path, " ".join(str(e).split())) from e
    for group, key in _NOT_YET:
        if parser.get(group, key, fallback=""):
            raise _bad(path, f"[{group}] {key} is not supported yet")
    for setting in SETTINGS:
        raw = parser.get(*setting.place, fallback=None)
        if raw is not None:
            try:
                config = replace(config, **{setting.field: setting.from_file(_unescape(raw))})
            except (ValueError, ConfigError):
                group, key = setting.place
                raise _bad(path, f"[{group}] {key}={raw!r} is an invalid value") from None
    return config


def override(config: Config, options: Iterable[tuple[Setting, str]]) -> Config:
    """
    Override C{config} by C{options}, settings and their texts, in this order.

    @raise ConfigError: a text is no value for its setting.
    """
    for setting, text in options:
        try:
            value: Any = True if setting.from_option is None else setting.from_option(text)
        except ValueError:
            raise ConfigError(f"{setting.long}: '{text}' is an invalid value") from None
        config = replace(config, **{setting.field: value})
    return config


def _standard_files(environ: dict[str, str] | os._Environ[str]) -> list[str]:
    home = environ.get("HOME") or os.path.expanduser("~")
    return [SYSTEM_FILE] + ([] if home == "~" else [os.path.join(home, ".flom")])  # there may be no home


def _unescape(text: str) -> str:
    """Undo the escapes of a key file; other pairs stay as they stand (spec 2.2)."""
    escapes = {r"\s": " ", r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\\": "\\"}
    return re.sub(r"\\.", lambda pair: escapes.get(pair[0], pair[0]), text)


def _bad(path: str, why: str) -> ConfigError:
    return ConfigError(
        f"ERROR: invalid configuration found in file '{path}': {why} (ret_cod={ReturnCode.INVALID_OPTION})"
    )

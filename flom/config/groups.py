"""
The options of all programs in groups, and what their values are called.

Help texts, man pages, completion and the reference are made from this and from the tables of options.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

GROUPS: Final[dict[str, dict[str, str]]] = {
    "Lock": {
        "resource-name": "NAME",
        "adopt": "HANDLE",
        "type": "TYPE",
        "lock-mode": "MODE",
        "resource-quantity": "N",
        "timeout": "SECONDS",
        "resource-timeout": "MS",
        "resource-create": "yes|no",
        "resource-idle-lifespan": "MS",
        "nested": "refuse|share|wait",
    },
    "While the lock is held": {
        "max-hold": "TIME",
        "lock-delay": "TIME",
        "notify-wanted": "SIGNAL",
    },
    "Place of the daemon": {
        "socket-name": "PATH",
        "unicast-address": "HOST",
        "unicast-port": "PORT",
        "multicast-address": "ADDRESS",
        "multicast-port": "PORT",
        "network-interface": "IF",
        "listen": "ENDPOINT",
        "config-file": "FILE",
    },
    "Command": {
        "shell": "LINE",
        "on-lost": "ACTION",
        "kill-after": "SECONDS",
        "conflict-exit-code": "N",
        "quiet": "",
        "verbose": "",
        "ignore-signal": "SIGNAL",
        "history": "FILE",
        "status-file": "FILE",
        "close": "",
        "keep-place": "",
    },
    "Kept with the resource": {
        "once-per": "PERIOD",
        "key": "KEY",
        "skip-ok": "",
        "value": "TEXT",
        "read-value": "",
    },
    "Instead of a command": {
        "help": "",
        "version": "",
        "show-config": "",
        "signal-list": "",
        "unique-id": "",
        "quiesce-exit": "",
        "immediate-exit": "",
        "debug-feature": "FEATURE",
    },
    "Daemon": {
        "daemon-lifespan": "MS",
        "allow-remote-shutdown": "",
        "allow-local-shutdown": "",
        "mount-point-vfs": "DIR",
        "http": "ENDPOINT",
        "status-for": "all|trusted",
        "log-grants": "",
        "log-format": "text|json|journal",
        "state": "DIR",
        "reservation": "MS",
    },
    "TLS": {
        "tls-certificate": "FILE",
        "tls-private-key": "FILE",
        "tls-ca-certificate": "FILE",
        "tls-check-peer-id": "yes|no",
    },
    "Network": {
        "discovery-attempts": "N",
        "discovery-timeout": "MS",
        "discovery-ttl": "N",
        "tcp-keepalive-time": "SECONDS",
        "tcp-keepalive-intvl": "SECONDS",
        "tcp-keepalive-probes": "N",
    },
    "Group of daemons": {
        "heartbeat": "MS",
        "leader-timeout": "MS",
        "election-time": "MS",
        "group-key": "FILE",
        "group-key-required": "",
    },
    "Limits": {
        "max-connections": "N",
        "max-connections-per-peer": "N",
        "max-waiters": "N",
        "max-resources": "N",
        "max-locks-per-connection": "N",
        "max-overtaking": "N",
        "max-message-size": "BYTES",
        "message-timeout": "MS",
        "unread-timeout": "MS",
    },
    "Sessions": {
        "session-timeout": "MS",
        "sessions": "optional|required",
    },
    "Quorum": {
        "quorum": "etcd:URL,...",
        "quorum-cert": "FILE",
        "quorum-key": "FILE",
        "quorum-ca": "FILE",
        "quorum-user": "USER",
        "quorum-password-file": "FILE",
        "quorum-lease": "MS",
        "quorum-margin": "MS",
        "fast": "",
    },
    "Traces": {
        "command-trace-file": "FILE",
        "daemon-trace-file": "FILE",
        "append-trace-file": "yes|no",
    },
}
"""By the title of a group: the long names of its options, and what stands for its value, unless it is a flag."""

VALUES: Final = {
    "MODE": ("NL", "CR", "CW", "PR", "PW", "EX"),
    "TYPE": ("simple", "numeric", "set", "hierarchical", "sequence", "timestamp"),
    "ACTION": ("warn", "terminate", "kill", "signal:"),
    "FEATURE": ("ipv6.multicast.server", "ipv6.multicast.client", "tls.server", "tls.client"),
}
"""What a value can be, for those of which there are few; so does the stand-in itself say where it has a C{|}."""

_NAMES: Final = {option: name for names in GROUPS.values() for option, name in names.items()}
_TITLES: Final = {option: title for title, names in GROUPS.items() for option in names}


def value_name(option: str) -> str:
    """Return what stands for the value of C{option}, a long name without dashes; the empty string for a flag."""
    return _NAMES[option]


def values_of(name: str) -> Sequence[str]:
    """Return what the value can be that C{name} stands for; nothing if there are many."""
    return name.split("|") if "|" in name else VALUES.get(name, ())


def title_of(option: str) -> str:
    """Return the title of the group to which C{option}, a long name without dashes, belongs."""
    return _TITLES[option]

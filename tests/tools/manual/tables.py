"""What stands in no table of the programs: what each variable means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_CLIENTS: Final = ("flom-run", "flomctl")
_ALL: Final = ("flom-run", "flom", "flomctl", "twistd flom")

VARIABLES: Final[Sequence[tuple[str, tuple[str, ...], str]]] = (
    ("FLOM_RESOURCE", ("command",), "The name of the resource, unless there are several locks."),
    (
        "FLOM_RESOURCES",
        ("command",),
        "A line for each lock: name, mode, units, token and element, with tabs between. No modes: EX; no units: 1.",
    ),
    (
        "FLOM_LOCK_MODE",
        ("command", "flomctl"),
        "The lock mode; EX if the resource has no modes. It is there if there is one lock, as all but FLOM_RESOURCES.",
    ),
    ("FLOM_ELEMENT", ("command",), "The element of the lock, if the resource has elements."),
    (
        "FLOM_TOKEN",
        ("command", "flomctl"),
        "The fencing token of the lock, unless the daemon is FLoM's. `flomctl fence` checks it.",
    ),
    (
        "FLOM_LINEAGE",
        ("command", "flom-run"),
        "Public ids of `flom-run` and of those that it runs under: by these, the daemon knows of nesting.",
    ),
    (
        "FLOM_CONTROL_FD",
        ("command", "flomctl"),
        "The number of a descriptor by which the command changes its lock: `flomctl convert`, `flomctl value --set`.",
    ),
    (
        "FLOM_DEADLINE_FD",
        ("command",),
        "The number of a descriptor that reads end-of-file as soon as the lock is lost, and nothing before.",
    ),
    (
        "FLOM_WANTED_FD",
        ("command",),
        "The number of a descriptor that has a line each time that others begin to wait (--notify-wanted=fd).",
    ),
    (
        "FLOM_VALUE",
        ("command",),
        "The value of the resource, with `--read-value`, `--value` or `--once-per`; not set if there is none.",
    ),
    ("FLOM_CONFIG", _CLIENTS, "A configuration file to read where `-c` names none."),
    ("FLOM_SOCKET", _CLIENTS, "The UNIX socket of the daemon, as `-s` says it."),
    ("FLOM_ADDRESS", _CLIENTS, "The host of the daemon, as `-a` says it, with a port if need be: `lockhost:28016`."),
    ("FLOM_GROUP", _CLIENTS, "The multicast group, as `-A` says it, with a port if need be: `[ff02::1]:28016`."),
    (
        "FLOM_TRACE_MASK",
        ("flom-run", "flom", "twistd flom"),
        (
            "Selects what a trace has, by the sum of bits: 0x2 config, 0x4 exec, 0x8 client, 0x10 daemon, 0x20 conns, "
            "0x80 msg, 0x100 locker, 0x200000 tls. Without `-T`, the trace of a command goes to standard error then."
        ),
    ),
    ("HOME", ("flom-run", "flom", "flomctl"), "The folder of `.flom`, and of `.local/state/flom`."),
    ("PATH", ("flom-run", "flom"), "Where the command is looked for."),
    ("XDG_RUNTIME_DIR", _ALL, "One of the sockets of the daemon of a user is there."),
    ("XDG_STATE_HOME", ("flom-run", "flom"), "What the daemon of a user remembers is in its folder `flom`."),
    ("TERM", ("flom-run", "flom"), "With `dumb`, what is waited for is not shown in place."),
    ("NO_COLOR", ("flomctl",), "Set to anything: no colours."),
    (
        "NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID",
        ("twistd flom",),
        "By which systemd is told that the daemon is ready, what it does, and that it lives.",
    ),
    (
        "JOURNAL_STREAM",
        ("twistd flom",),
        "By which the daemon knows that its log goes to systemd's journal.",
    ),
    (
        "LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES",
        ("twistd flom",),
        "Sockets that systemd has opened, for `--listen systemd:...`.",
    ),
)
"""Names of variables, who reads them (C{command}: the command under the lock), and what they mean."""

INTERNAL: Final = {
    "FLOM_RUN_ENVIRON": "what the script flom-run tells Python",
    "FLOM_RUN_IGNORED": "what the script flom-run tells Python",
    "FUSE_LIBRARY_NAME": "set for mfusepy by the process of the file system view, for itself",
}
"""Variables that are in no page, and why."""

"""C{--help} of C{flom-run}, C{flom} and C{twistd flom}."""

from __future__ import annotations

from textwrap import wrap

from flom.config import DAEMON, SETTINGS
from flom.config.groups import GROUPS, value_name
from flom.job.command_line import NOT_OF_FLOM, OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.config import Setting

DAEMON_HELP: Final = {
    "socket-name": "UNIX socket to listen on; may be repeated",
    "unicast-address": "host name or address to listen on, IPv4 or IPv6; may be repeated",
    "unicast-port": "TCP port to listen on",
    "listen": "Twisted endpoint, such as tcp:28015:interface=127.0.0.1 or systemd:index=0; may be repeated",
    "multicast-address": "multicast group, IPv4 or IPv6, in which this daemon leads or stands by",
    "network-interface": "network interface for the group; without it, all of them",
    "daemon-lifespan": "idle milliseconds after which the daemon ends; -1, the default: never",
}
"""What C{twistd flom} says of options that mean something else to a daemon than to a command."""

_COMMON: Final = (
    *("resource-name", "lock-mode", "resource-quantity", "timeout", "resource-timeout"),
    *("socket-name", "unicast-address", "unicast-port", "multicast-address", "config-file"),
    *("shell", "on-lost", "conflict-exit-code", "quiet", "verbose"),
    *("help", "version", "quiesce-exit"),
)
"""What C{flom-run --help} lists; C{--help=all} lists everything."""

_WIDTH: Final = 80
_INDENT: Final = 32

_ABOUT: Final = (
    "Takes a lock, runs the command, releases the lock; starts the daemon if there is none. The command's last "
    "argument is the locked element, if the resource has elements."
)
_SEVERAL: Final = (
    "Several -r take all of these locks at once, or none: -l, -q, -e, -i and --type are about the -r before them; "
    "before the first -r, about all."
)
_ENVIRONMENT: Final = (
    "The command has FLOM_RESOURCE, FLOM_LOCK_MODE, FLOM_ELEMENT and FLOM_TOKEN in its environment, in "
    "FLOM_RESOURCES a line for each lock (name, mode, units, token and element, with tabs between them), and in "
    "FLOM_DEADLINE_FD the number of a descriptor that reads end-of-file when the lock is lost."
)


def show_default(setting: Setting) -> str:
    """Return the default of C{setting} as an option or a file would say it; the empty string if there is none."""
    value = None if setting.field in ("kill_after_ms", "lock_delay_ms") else setting.default  # which no option says
    if isinstance(value, bool):
        return ("no", "yes")[value]
    return "" if value is None or value == () else str(getattr(value, "name", value))


def usage(program: str, *, is_all: bool = False) -> str:
    """
    Return the help text of C{program}; that of C{flom} has FLoM's form.

    @param is_all: whether to list all options, not only those that most users need.
    """
    if program == "flom":
        return _flom_usage()
    shown = {setting.long: option_lines(setting) for setting in OPTIONS}
    shown["help"] = _entry("-h, --help", "show this; --help=all: all options")
    if not is_all:
        shown = {option: lines for option, lines in shown.items() if option in _COMMON}
    lines = [
        "Usage:",
        f"  {program} [OPTION...] [--] COMMAND [ARG...]",
        "",
        *_wrap(f"{_ABOUT} {_SEVERAL}"),
        *in_groups(shown),
        "",
    ]
    lines += _wrap(_ENVIRONMENT) if is_all else [f"{program} --help=all shows all options."]
    return "\n".join(lines)


def daemon_usage(about: str, names: dict[str, str]) -> str:
    """
    Return the help text of C{twistd flom}, after its first line, which is twistd's.

    @param about: what it does.
    @param names: what it calls settings whose names are others.
    """
    shown = {
        setting.long: option_lines(setting, names.get(setting.long, ""), DAEMON_HELP.get(setting.long, ""))
        for setting in SETTINGS
        if DAEMON in setting.programs
    }
    shown["config-file"] = _entry("-c, --config-file FILE", "a configuration file as flom has it; options override it")
    shown["help"] = _entry("    --help", "show this; twistd --help: the options of twistd")
    shown["version"] = _entry("    --version", "show the version")
    lines = [*_wrap(about), *in_groups(shown)]
    return "\n".join(lines).replace("\nInstead of a command:", "\nHelp:") + "\n"


def in_groups(shown: dict[str, list[str]]) -> list[str]:
    """Return lines about options, by the long name of each, under the titles of their groups."""
    lines = []
    for title, names in GROUPS.items():
        of_group = [line for name in names for line in shown.get(name, ())]
        if of_group:
            lines += ["", f"{title}:", *of_group]
    return lines


def option_lines(setting: Setting, name: str = "", help: str = "") -> list[str]:
    """Return the lines of a help text about C{setting}, with another C{name} and C{help} if they are given."""
    long = name or setting.long
    value = value_name(setting.long)
    option = (f"-{setting.short}, " if setting.short else "    ") + f"--{long}" + (value and f" {value}")
    return _entry(option, help or setting.help)


def _entry(option: str, help: str) -> list[str]:
    """Return C{option} and C{help} side by side, or one below the other if the option is long."""
    lines = [" " * _INDENT + line for line in _wrap(help, _WIDTH - _INDENT)]
    if len(option) + 4 > _INDENT:
        return [f"  {option}", *lines]
    return [f"  {option:<{_INDENT - 2}}{lines[0][_INDENT:]}", *lines[1:]]


def _flom_usage() -> str:
    listed = [setting for setting in OPTIONS if setting.field not in NOT_OF_FLOM]
    return "\n".join(
        [
            *("Usage:", "  flom [OPTION...] [-- command to execute]", ""),
            *_wrap(_ABOUT),
            *("", "Help Options:", *_entry("-h, --help", "show this"), "", "Application Options:"),
            *(line for setting in listed for line in option_lines(setting)),
        ]
    )


def _wrap(text: str, width: int = _WIDTH) -> list[str]:
    return wrap(text, width, break_on_hyphens=False)

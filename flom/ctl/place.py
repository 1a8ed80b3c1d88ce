"""Where the command line of C{flomctl} says that the daemon is."""

from __future__ import annotations

import os
from argparse import Action

from flom.config import PLACE, SETTINGS, forget_place, load, override
from flom.config.groups import title_of, value_name
from flom.ctl.output import print_warning
from flom.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any, Final

    from flom.config import Config, Setting
    from flom.ctl.options import Parser

_DETAILS: Final = (
    "unicast_port",
    "multicast_port",
    "network_interface",
    "discovery_attempts",
    "discovery_timeout_ms",
    "discovery_ttl",
    "tls_certificate",
    "tls_private_key",
    "tls_ca_certificate",
    "tls_check_peer_id",
    "group_key",
)

_ALSO: Final = {"multicast_address": ["--group"], "network_interface": ["--interface"]}  # as in flomctl discover


class _Note(Action):
    """Keeps a setting and its text for later, in the order of the command line."""

    def __init__(self, setting: Setting, **others: Any) -> None:
        super().__init__(**others)
        self.setting = setting

    def __call__(self, parser: ArgumentParser, namespace: Namespace, values: Any, option: str | None = None) -> None:
        namespace.given = [*namespace.given, (self.setting, values)]


def add_place(parser: Parser) -> None:
    """Add the options of C{flom-run} that say where the daemon is; a place is one of three things here."""
    settings = {setting.field: setting for setting in SETTINGS}
    places = parser.group(title_of("socket-name")).add_mutually_exclusive_group()
    for field in PLACE:
        add_setting(places, settings[field])
    for field in _DETAILS:
        add_setting(parser.group(title_of(settings[field].long)), settings[field])
    add_config_file(parser)


def add_lock(parser: Parser) -> None:
    """Add the options of C{flom-run} that say how a lock is asked for, and how long it is waited for."""
    from flom.job.command_line import TIMEOUT

    group = parser.group(title_of("lock-mode"))
    settings = {setting.field: setting for setting in SETTINGS}
    add_setting(group, settings["lock_mode"])
    add_setting(group, settings["quantity"])
    add_setting(group, TIMEOUT, "-o", "--wait")


def config_of(arguments: Namespace, *, must_lead: bool = False) -> Config:
    """
    Return where the daemon is: where the options say, otherwise where C{flom-run} would look for it.

    A place among the options replaces one in a file. Of several hosts, it is the one whose daemon leads.

    @param must_lead: whether another one of them is of no use if none leads.
    @raise ConfigError: files and options make no sense.
    @raise flom.errors.DaemonUnreachable: no daemon of several hosts is of use.
    """
    config = place_of(arguments)
    if config.has_several_hosts:
        from flom.ctl.several import one_of  # which few have

        return one_of(config, must_lead=must_lead)
    return config


def place_of(arguments: Namespace) -> Config:
    """Return what L{config_of} does, with all hosts if there are several; none is asked."""
    config = load(arguments.config_file, os.environ, print_warning)
    config = forget_place(config, [setting.field for setting, _ in arguments.given])
    config = override(config, arguments.given, print_warning)
    config.check_transport()
    config.check_tls()
    if config.is_tls_halved:
        raise ConfigError(f"TLS needs {' and '.join(config.missing_tls_files)} too")
    return config


def add_address(parser: Parser) -> None:
    """Add the options for a socket or an address, without those for groups; see L{add_place}."""
    settings = {setting.field: setting for setting in SETTINGS}
    places = parser.group(title_of("socket-name")).add_mutually_exclusive_group()
    for field in ("socket_name", "unicast_address"):
        add_setting(places, settings[field])
    for field in ("unicast_port", *(field for field in _DETAILS if field.startswith("tls_"))):
        add_setting(parser.group(title_of(settings[field].long)), settings[field])


def add_config_file(parser: Parser) -> None:
    """Add the option for a configuration file, beside which settings may be given."""
    group = parser.group(title_of("config-file"))
    group.add_argument("-c", "--config-file", metavar="FILE", help="a configuration file, read last")
    parser.set_defaults(given=[])


def add_setting(group: Any, setting: Setting, *also: str) -> None:
    """
    Add the option of one setting; C{given} has those that were given, with their texts, in order.

    @param also: other words for it.
    """
    names = [f"-{setting.short}"] if setting.short else []
    names += [*also, *_ALSO.get(setting.field, []), f"--{setting.long}"]
    help, value = setting.help.replace("%", "%%"), value_name(setting.long)
    group.add_argument(*names, action=_Note, setting=setting, dest=setting.field, metavar=value, help=help)

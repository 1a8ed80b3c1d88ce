"""What C{flomctl} asks etcd about a quorum: the options that say where it is, and one conversation with a reactor."""

from __future__ import annotations

import os

from flom.config import SETTINGS, load, override
from flom.config.groups import title_of
from flom.core.value import Value
from flom.ctl.output import print_warning
from flom.ctl.place import add_config_file, add_setting
from flom.errors import ConfigError
from flom.status.wording import spell_moment
from flom.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Awaitable, Callable
    from typing import Any, Final, TypeVar

    from flom.config import Config
    from flom.ctl.options import Parser
    from flom.server.quorum.gateway import Gateway
    from flom.server.quorum.offset import Bounds

    _T = TypeVar("_T")

_FIELDS: Final = (
    *("quorum", "quorum_certificate", "quorum_private_key", "quorum_ca", "quorum_user", "quorum_password_file"),
)


class Lead(Value):
    """Who leads, as etcd has it."""

    leader: str  # names the daemon; the empty string if none leads
    since: float  # in seconds since the epoch; 0 if it is not known
    epoch: int  # of its fencing tokens; 0 if none leads
    lease_left: int  # whole seconds until etcd ends its lease if it is not kept; 0 if none leads
    members: tuple[str, ...]  # the daemons that would lead, and the leader; those that have ended for half a minute
    bounds: Bounds  # what is in etcd about epochs


def add_quorum(parser: Parser) -> None:
    """Add the options of the daemon that say where the quorum is."""
    settings = {setting.field: setting for setting in SETTINGS}
    for field in _FIELDS:
        add_setting(parser.group(title_of(settings[field].long)), settings[field])
    add_config_file(parser)


def quorum_config(arguments: Namespace) -> Config | None:
    """
    Return the configuration that says where the quorum is; C{None} if neither an option nor a file does.

    @raise ConfigError: files and options make no sense.
    """
    config = load(arguments.config_file, os.environ, print_warning)
    config = override(config, arguments.given, print_warning)
    config.check_quorum()
    return config if config.quorum else None


def ask(config: Config, work: Callable[[Gateway], Awaitable[_T]]) -> _T:
    """
    Return what C{work} returns, or raise what it raises; the reactor runs meanwhile, which it can once in a process.

    @raise ConfigError: C{config} has no quorum that makes sense, or the packages for it are missing.
    """
    from twisted.internet import reactor as installed
    from twisted.internet.defer import ensureDeferred

    from flom.server.quorum.configured import gateway_of

    reactor: Any = installed
    gateway = gateway_of(config, reactor)
    results: list[_T] = []
    errors: list[BaseException] = []

    async def run() -> None:
        try:
            results.append(await work(gateway))
        except BaseException as e:
            errors.append(e)
        finally:
            reactor.stop()

    reactor.callWhenRunning(lambda: ensureDeferred(run()))
    reactor.run()
    if errors:
        raise errors[0]
    if not results:
        raise KeyboardInterrupt  # the reactor has ended before
    return results[0]


async def read_lead(gateway: Gateway) -> Lead:
    """Ask who leads, and what is known of epochs."""
    import json

    from flom.server.quorum.members import MEMBERS
    from flom.server.quorum.offset import LEADER, read_bounds

    bounds = await read_bounds(gateway)
    listed = (await gateway.read_all(gateway.address.key(MEMBERS))).found[0]
    members = tuple(sorted(one_line(each.value.decode("utf-8", "replace")) for each in listed))
    found = (await gateway.read(gateway.address.key(LEADER))).found[0]
    if not found:
        return Lead("", 0.0, 0, 0, members, bounds)
    [key] = found
    try:
        about = json.loads(key.value)
        leader, since = one_line(str(about["leader"])), float(about["since"])
    except (KeyError, TypeError, ValueError, RecursionError):
        leader, since = "unknown", 0.0
    epoch = 0 if bounds.offset is None else key.created + bounds.offset
    left = max(0, await gateway.time_left(key.lease)) if key.lease else 0
    return Lead(leader, since, epoch, left, members, bounds)


def lead_as_dict(lead: Lead) -> dict[str, Any]:
    """Return C{lead} as it is written as JSON; what is not known, or not the case, is null."""
    bounds = lead.bounds
    return {
        "leader": lead.leader or None,
        "since": lead.since or None,
        "epoch": lead.epoch or None,
        "lease_left": lead.lease_left if lead.leader else None,
        "members": lead.members,
        "next_epoch": None if bounds.offset is None or bounds.halt is not None else bounds.epoch + 1,
        "halted": None if bounds.halt is None else bounds.halt.why,
    }


def spell_lead(lead: Lead) -> str:
    """Return one line about who leads."""
    if not lead.leader:
        return "no daemon leads"
    since = f" since {spell_moment(lead.since)}" if lead.since else ""
    return f"{lead.leader} leads{since}, epoch {lead.epoch}, lease for {lead.lease_left} s"


def need_quorum(arguments: Namespace) -> Config:
    """Return what L{quorum_config} does; L{ConfigError} if there is no quorum."""
    config = quorum_config(arguments)
    if config is None:
        raise ConfigError("quorum: it is needed: --quorum etcd:https://h1:2379,..., or a file with it (-c)")
    return config

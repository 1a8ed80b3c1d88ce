"""C{flomctl discover}: the daemons that answer in a multicast group."""

from __future__ import annotations

from flom.client.blocking.discovery import Asker
from flom.client.blocking.stream import NEVER
from flom.core.group.discovery import Search
from flom.ctl.output import FAILED, print_error, print_json
from flom.errors import ConfigError
from flom.net.multicast import make_group
from flom.status.wording import spell_moment
from flom.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any, Final

    from flom.core.group.addresses import Group
    from flom.core.group.discovery import FoundDaemon
    from flom.ctl.quorum import Lead

_ATTEMPTS: Final = 3  # for datagrams get lost


def discover(arguments: Namespace) -> int:
    """Print who leads by a quorum, and which daemons answer in a group, and return the status to exit with."""
    lead: Lead | None = None
    if arguments.given or arguments.config_file:
        from flom.ctl.quorum import ask, quorum_config, read_lead, spell_lead

        quorum = quorum_config(arguments)
        if quorum is not None:
            lead = ask(quorum, read_lead)
            if arguments.json:
                return _show_json(lead, arguments)
            print(one_line(f"# {quorum.quorum}: {spell_lead(lead)}"))
            for member in lead.members:
                if member != lead.leader:
                    print(f"# standby: {member}")
            if arguments.group is None:
                return 0 if lead.leader else FAILED
    if arguments.group is None:
        raise ConfigError("the group (-A) or the quorum (--quorum, or -c FILE) is needed")
    return _show_json(None, arguments) if arguments.json else _discover(arguments)


def _show_json(lead: Lead | None, arguments: Namespace) -> int:
    found = [] if arguments.group is None else _search(group_of(arguments), arguments.wait)
    fields = ("role", "address", "port", "host", "version", "since")
    daemons = [dict(zip(fields, _facts(daemon), strict=True)) for daemon in found]
    shown: dict[str, Any] = {"daemons": daemons}
    if lead is not None:
        from flom.ctl.quorum import lead_as_dict

        shown["quorum"] = lead_as_dict(lead)
    print_json(shown)
    return 0 if found or (lead is not None and lead.leader) else FAILED


def _discover(arguments: Namespace) -> int:
    found = _search(group_of(arguments), arguments.wait)
    for line in _table([_row(daemon) for daemon in found]):
        print(one_line(line))
    if not found:
        print_error(f"no daemon answers in {group_of(arguments)}; flomctl doctor may tell why")
        return FAILED
    return 0


def _search(group: Group, wait: int) -> list[FoundDaemon]:
    """Return the daemons that answer in C{group} within C{wait} milliseconds."""
    search = Search(group, everyone=True)
    with Asker(search, NEVER, lambda line: None) as asker:
        for _ in range(_ATTEMPTS):
            search.collect(wait / _ATTEMPTS / 1000)
            asker.finish()
    found = search.found
    if asker.problem is not None and not found:
        raise asker.problem
    return found


def group_of(arguments: Namespace) -> Group:
    """Return the group that the command line names; see L{make_group} for errors in it."""
    interface, ttl, key = arguments.interface, arguments.discovery_ttl, arguments.group_key or ""
    return make_group(arguments.group, arguments.port, interface, ttl, key)


def _facts(daemon: FoundDaemon) -> list[Any]:
    """Return role, address, port, name of the host, version, and since when, in seconds since the epoch."""
    standing = daemon.reply.standing
    if standing is None:
        return ["leader", daemon.host, daemon.port, None, "FLoM", None]
    about = (daemon.reply.host, daemon.reply.version, standing.since / 1000)
    return [standing.role.value, daemon.host, daemon.port, *about]


def _row(daemon: FoundDaemon) -> list[str]:
    *facts, since = _facts(daemon)
    return [*("-" if fact is None else str(fact) for fact in facts), "-" if since is None else spell_moment(since)]


def _table(rows: list[list[str]]) -> list[str]:
    """Return C{rows} with a heading, in columns; rich would shorten them to the width of the terminal."""
    if not rows:
        return []
    rows = [["ROLE", "ADDRESS", "PORT", "HOST", "VERSION", "SINCE"], *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]

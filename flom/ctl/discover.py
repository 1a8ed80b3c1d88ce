"""C{flomctl discover}: the daemons that answer in a multicast group."""

from __future__ import annotations

from flom.client.blocking.discovery import Asker
from flom.client.blocking.stream import NEVER
from flom.core.group.discovery import Search
from flom.ctl.output import FAILED, print_error
from flom.errors import ConfigError
from flom.net.multicast import make_group
from flom.status.wording import spell_moment
from flom.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Final

    from flom.core.group.addresses import Group
    from flom.core.group.discovery import FoundDaemon

_ATTEMPTS: Final = 3  # for datagrams get lost


def discover(arguments: Namespace) -> int:
    """Print who leads by a quorum, and which daemons answer in a group, and return the status to exit with."""
    if arguments.given or arguments.config_file:
        from flom.ctl.quorum import ask, quorum_config, read_lead, spell_lead

        quorum = quorum_config(arguments)
        if quorum is not None:
            lead = ask(quorum, read_lead)
            print(one_line(f"# {quorum.quorum}: {spell_lead(lead)}"))
            for member in lead.members:
                if member != lead.leader:
                    print(f"# standby: {member}")
            if arguments.group is None:
                return 0 if lead.leader else FAILED
    if arguments.group is None:
        raise ConfigError("the group (-A) or the quorum (--quorum, or -c FILE) is needed")
    return _discover(arguments)


def _discover(arguments: Namespace) -> int:
    group = group_of(arguments)
    search = Search(group, everyone=True)
    with Asker(search, NEVER, lambda line: None) as asker:
        for _ in range(_ATTEMPTS):
            search.collect(arguments.wait / _ATTEMPTS / 1000)
            asker.finish()
    found = search.found
    if asker.problem is not None and not found:
        raise asker.problem
    for line in _table([_row(daemon) for daemon in found]):
        print(one_line(line))
    if not found:
        print_error(f"no daemon answers in {group}; flomctl doctor may tell why")
        return FAILED
    return 0


def group_of(arguments: Namespace) -> Group:
    """Return the group that the command line names; see L{make_group} for errors in it."""
    interface, ttl, key = arguments.interface, arguments.discovery_ttl, arguments.group_key or ""
    return make_group(arguments.group, arguments.port, interface, ttl, key)


def _row(daemon: FoundDaemon) -> list[str]:
    standing = daemon.reply.standing
    if standing is None:
        return ["leader", daemon.host, str(daemon.port), "-", "FLoM", "-"]
    since = spell_moment(standing.since / 1000)
    return [standing.role.value, daemon.host, str(daemon.port), daemon.reply.host, daemon.reply.version, since]


def _table(rows: list[list[str]]) -> list[str]:
    """Return C{rows} with a heading, in columns; rich would shorten them to the width of the terminal."""
    if not rows:
        return []
    rows = [["ROLE", "ADDRESS", "PORT", "HOST", "VERSION", "SINCE"], *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]

"""C{flomctl value}: what is kept of resources beyond their holders (docs/howto/once-per-period.md)."""

from __future__ import annotations

from flom.client.blocking.status import open_status
from flom.ctl.output import FAILED, print_error, print_json, print_warning
from flom.ctl.place import config_of
from flom.ctl.rows import select
from flom.status.json import value_as_dict
from flom.status.wording import spell_moment, spell_seconds
from flom.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from flom.status.model import DoneStatus, ValueStatus


def show_values(arguments: Namespace) -> int:
    """Print the value of each resource, and when its jobs were done; return the status to exit with."""
    with open_status(config_of(arguments), print_warning) as reader:
        status = select(reader.read(), arguments.glob)
    if status.values is None:
        print_error(f"the daemon is an older one (flom {status.daemon.version}), which keeps no values")
        return FAILED
    if arguments.json:
        print_json({"values": [*map(value_as_dict, status.values)]})
    elif status.values:
        print("\n".join(map(one_line, _lines(status.values, status.daemon.now))))
    elif arguments.glob is None:
        print("no values")
    else:
        print_error(f"nothing is kept of a resource that matches {arguments.glob!r}")
    return FAILED if arguments.glob is not None and not status.values else 0


def _lines(values: tuple[ValueStatus, ...], now: float) -> list[str]:
    lines = []
    for value in values:
        lines.append(f"{value.name}  {value.value}" if value.value else value.name)
        lines += [f"  {_spell(done, now)}" for done in reversed(value.done)]
    return lines


def _spell(done: DoneStatus, now: float) -> str:
    """Return what there is to say of C{done}, C{now} being the moment of the status by the daemon's clock."""
    key = f"{done.key}: " if done.key else ""
    by = f", by {done.by}" if done.by else ""
    return f"{key}done {spell_seconds(done.seconds)} ago, at {spell_moment(now - done.seconds)}{by}"

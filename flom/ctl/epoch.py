"""C{flomctl epoch}: the epoch of the fencing tokens under a quorum, and what raises it (docs/explanation/quorum.md)."""

from __future__ import annotations

from flom.ctl.output import FAILED, print_json
from flom.ctl.quorum import ask, lead_as_dict, need_quorum, read_lead, spell_lead
from flom.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from flom.ctl.quorum import Lead


def epoch(arguments: Namespace) -> int:
    """Print the epoch, or raise it, and return the status to exit with."""
    config = need_quorum(arguments)
    if arguments.above >= 0 and not arguments.should_raise:
        raise ConfigError(f"above: {arguments.above} is of use with --raise only")
    if arguments.should_raise:
        from flom.server.quorum.offset import raise_epoch

        least = ask(config, lambda gateway: raise_epoch(gateway, arguments.above))
        if arguments.json:
            print_json({"next_epoch": least})
        else:
            print(f"the next leader has epoch {least} or a higher one")
        return 0
    lead = ask(config, read_lead)
    if arguments.json:
        print_json(lead_as_dict(lead))
        return FAILED if lead.bounds.halt is not None else 0
    print(spell_lead(lead))
    print(_spell_next(lead))
    return FAILED if lead.bounds.halt is not None else 0


def _spell_next(lead: Lead) -> str:
    bounds = lead.bounds
    if bounds.halt is not None:
        return f"no daemon begins to lead: {bounds.halt.why} (epoch {bounds.halt.epoch} was seen); --raise ends that"
    if bounds.offset is None:
        return "no daemon has led yet"
    why = f"revision {bounds.revision} of etcd, offset {bounds.offset}"
    return f"the next leader has epoch {bounds.epoch + 1} or a higher one: {why}"

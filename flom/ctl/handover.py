"""C{flomctl handover}: the leader of a group, or by a quorum, leaves the granting to a daemon that stands by."""

from __future__ import annotations

from flom.client.blocking.shutdown import order_handover
from flom.client.blocking.status import open_status
from flom.ctl.output import FAILED, print_error, print_warning
from flom.ctl.place import config_of
from flom.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace


def hand_over(arguments: Namespace) -> int:
    """Order the leader to hand over, print who leads then, and return the status to exit with."""
    config = config_of(arguments, must_lead=True)
    with open_status(config, print_warning) as reader:  # a daemon of FLoM's would take the order for another one
        peer = reader.peer
        if not config.multicast_address and reader.read().daemon.quorum is None:
            why = "a group is needed, by -A or in a file, or a daemon under a quorum: no other daemon could take over"
            raise ConfigError(f"handover: {why}")
    answer = order_handover(config, print_warning)
    if not answer.leader:
        print_error(f"{peer} still leads: {answer.why or 'it does not say why it has not handed over'}")
        return FAILED
    print(f"{config.multicast_address or 'the quorum'} is led by {answer.leader}")
    return 0

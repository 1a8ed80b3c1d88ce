"""C{flomctl deadlocks}: which holders wait for one another, and so for ever."""

from __future__ import annotations

from flom.client.blocking.status import open_status
from flom.ctl.output import DEADLOCK, print_json, print_warning
from flom.ctl.place import config_of
from flom.status.deadlocks import find_deadlocks
from flom.status.json import circle_as_dict, lock_as_dict
from flom.status.wording import spell_circle
from flom.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from flom.config import Config
    from flom.status.deadlocks import Circle
    from flom.status.model import Status


def show_deadlocks(arguments: Namespace) -> int:
    """Print each deadlock, and return the status to exit with: 3 if there are any."""
    config = config_of(arguments)
    with open_status(config, print_warning) as reader:
        circles = deadlocks_of(reader.read(), config)
    if arguments.json:
        steps = [step for circle in circles for step in circle.steps]
        locks = {lock.number: lock for step in steps for lock in (step.waiter, step.holder)}
        print_json({"deadlocks": [*map(circle_as_dict, circles)], "locks": [*map(lock_as_dict, locks.values())]})
    else:
        print("\n".join(map(one_line, _lines(circles))))
    return DEADLOCK if circles else 0


def deadlocks_of(status: Status, config: Config) -> tuple[Circle, ...]:
    """Return the deadlocks that the daemon has found, and those that can be seen from here."""
    if status.deadlocks or config.unicast_address or config.multicast_address:
        return status.deadlocks or find_deadlocks(status)
    from flom.net.processes import OuterProcesses

    return find_deadlocks(status, OuterProcesses())


def _lines(circles: tuple[Circle, ...]) -> list[str]:
    if not circles:
        return ["no deadlocks"]
    lines = []
    for circle in circles:
        number = len(circle.steps)
        lines.append(f"deadlock of {number} holders:" if number > 1 else "deadlock of a holder with its own command:")
        lines += [f"  {line}" for line in spell_circle(circle)]
    return lines

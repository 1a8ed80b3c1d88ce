"""C{flomctl shutdown}: a daemon ends now, if no lock is held, or whatever is held."""

from __future__ import annotations

from flom.client.blocking.shutdown import order_drain, shut_down
from flom.client.blocking.status import NoStatus, open_status
from flom.ctl.drain import await_end, spell_held
from flom.ctl.output import FAILED, print_error, print_warning
from flom.ctl.place import config_of
from flom.errors import DaemonLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Final

_PATIENCE: Final = 10.0  # seconds in which a daemon without holders ends


def shutdown(arguments: Namespace) -> int:
    """Order the daemon to end, wait for that, and return the status to exit with."""
    config = config_of(arguments)
    if arguments.now:
        shut_down(config, immediate=True, warn=print_warning)
        return 0
    try:
        reader = open_status(config, print_warning)
    except NoStatus as e:
        raise NoStatus(f"{e}, so it may have holders: --now ends it all the same") from None
    with reader:
        status = reader.read()
        if any(resource.holders for resource in status.resources):
            hint = "flomctl drain waits until nothing is held, shutdown --now does not"
            print_error(f"{reader.peer} goes on: {spell_held(status)}; {hint}")
            return FAILED
        order_drain(config, print_warning)  # which ends it now, unless something has been granted in between
        try:
            return await_end(reader, _PATIENCE)
        except DaemonLost:
            return 0

"""C{flomctl drain}: a daemon grants nothing more, and ends when nothing is held."""

from __future__ import annotations

from time import monotonic, sleep

from flom.client.blocking.shutdown import order_drain
from flom.client.blocking.status import NoStatus, open_status
from flom.ctl.output import FAILED, print_error, print_warning
from flom.ctl.place import config_of
from flom.errors import DaemonLost, FlomError
from flom.status.wording import spell_client, spell_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Final

    from flom.client.blocking.status import StatusReader
    from flom.status.model import Status

_PERIOD: Final = 0.2  # seconds


def drain(arguments: Namespace) -> int:
    """Order the daemon to drain, wait for its end, and return the status to exit with."""
    config = config_of(arguments, must_lead=True)
    with open_status(config, print_warning) as reader:
        order_drain(config, print_warning)
        try:
            return await_end(reader, arguments.timeout)
        except DaemonLost:
            return 0
        except NoStatus as e:
            print_warning(f"it drains, but its end is not waited for: {e}")
            return 0


def await_end(reader: StatusReader, seconds: float | None) -> int:
    """
    Wait for the end of the daemon, which drains; return the status to exit with if it comes too late.

    @param seconds: how long to wait; C{None} for any time.
    @raise DaemonLost: it has ended.
    @raise FlomError: it does not drain.
    """
    deadline = None if seconds is None else monotonic() + seconds
    while True:
        status = reader.read()
        if not status.daemon.draining:
            raise FlomError(f"{reader.peer} is a daemon of version {status.daemon.version}, which cannot drain")
        if deadline is not None and monotonic() >= deadline:
            print_error(f"{reader.peer} drains, but has not ended yet: {spell_held(status)}")
            return FAILED
        sleep(_PERIOD)


def spell_held(status: Status) -> str:
    """Return which lock has been held for the longest time, and how many others are."""
    held = [lock for resource in status.resources for lock in resource.holders]
    if not held:
        return "nothing is held any more"
    first = max(held, key=lambda lock: lock.seconds)
    others = f", and {len(held) - 1} more" if len(held) > 1 else ""
    return f"{first.name} is held by {spell_client(first)} for {spell_seconds(first.seconds)}{others}"

"""C{flomctl release}: an administrator ends a lock that another client holds."""

from __future__ import annotations

from flom.client.blocking.shutdown import order_release
from flom.client.blocking.status import open_status
from flom.core.handles import PREFIX
from flom.core.names import parse_name
from flom.ctl.output import BAD_USAGE, FAILED, print_error, print_json, print_warning
from flom.ctl.place import config_of
from flom.ctl.wait_for import exists, is_at
from flom.errors import DaemonLost, FlomError, InvalidName
from flom.status.json import lock_as_dict
from flom.status.wording import spell_client, spell_lock, spell_seconds
from flom.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Final

    from flom.status.model import LockStatus, Status

_SHOWN: Final = 5  # holders that are named, one of which is to be chosen


def release(arguments: Namespace) -> int:
    """End the lock that is meant, or all of them, say whose it was, and return the status to exit with."""
    name = arguments.resource
    if name.startswith(PREFIX):  # which no name has, because of the dash
        from flom.ctl.hold import release_handle

        return release_handle(arguments)
    try:
        parse_name(name)
    except InvalidName as e:
        print_error(str(e))
        return BAD_USAGE
    config = config_of(arguments, must_lead=True)
    with open_status(config, print_warning) as reader:
        status = reader.read()
    found = _holders(status, name)
    if arguments.number is not None:
        found = [lock for lock in found if lock.number == arguments.number]
    if not found:
        about = f" with number {arguments.number}" if arguments.number is not None else ""
        print_error(f"{name!r} has no holder{about}" if exists(status, name) else f"no resource {name!r}")
        return FAILED
    if len(found) > 1 and not arguments.all:
        print_error(f"{name!r} has {len(found)} holders: choose one by its number, or --all: {_choice(found)}")
        return BAD_USAGE
    released: list[LockStatus] = []
    for lock in found:
        try:
            why = order_release(config, lock.name, lock.number, print_warning)
        except DaemonLost as e:
            version = status.daemon.version
            raise FlomError(f"{e}; it is a daemon of version {version}, which perhaps cannot release") from None
        if why:
            print_error(why)
        else:
            released.append(lock)
            if not arguments.json:
                held = f"was held by {spell_client(lock)} for {spell_seconds(lock.seconds)}"
                print(one_line(f"{spell_lock(lock)} is released; it {held}"))
    if arguments.json:
        print_json({"released": [*map(lock_as_dict, released)]})
    return 0 if len(released) == len(found) else FAILED


def _holders(status: Status, name: str) -> list[LockStatus]:
    """Return what is held of C{name}, or at or below that node."""
    key = parse_name(name).key
    resources = [resource for resource in status.resources if parse_name(resource.name).key == key]
    return [lock for resource in resources for lock in resource.holders if is_at(lock, name)]


def _choice(found: list[LockStatus]) -> str:
    shown = [f"{lock.number} is {spell_lock(lock)} of {spell_client(lock)}" for lock in found[:_SHOWN]]
    return ", ".join(shown) + (f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")

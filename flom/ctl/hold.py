"""C{flomctl hold}, C{renew}, and C{release} of a handle: holds without a process (docs/howto/holds.md)."""

from __future__ import annotations

from flom.client.blocking.acquire import Hooks
from flom.client.blocking.hold import HoldGone, begin_hold, order_hold
from flom.codes import ExitStatus
from flom.core.handles import is_handle
from flom.core.names import TimestampName, parse_name
from flom.ctl.output import BAD_USAGE, FAILED, print_error, print_json, print_warning
from flom.ctl.place import config_of, place_of
from flom.errors import CannotWait, InvalidName, LockBusy, LockDeadlock, LockRefused, LockTimeout
from flom.status.wording import spell_seconds
from flom.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Final

    from flom.core.protocol.messages import HoldTold

_STATUSES: Final = (
    (LockDeadlock, ExitStatus.DEADLOCK),
    (CannotWait, ExitStatus.CANNOT_WAIT),
    (LockBusy, ExitStatus.BUSY),
    (LockTimeout, ExitStatus.BUSY),
)
"""What to exit with if there is no hold, as flom-run does; for other refusals, it is L{FAILED}."""


class _Hooks(Hooks):
    def warn(self, text: str) -> None:
        print_warning(text)

    def pass_on(self, line: str) -> None:
        print_error(line)


def hold(arguments: Namespace) -> int:
    """Begin a hold, and print its handle; return the status to exit with."""
    try:
        name = parse_name(arguments.resource)
        if isinstance(name, TimestampName):
            name.unit()  # raises InvalidTimestampFormat
    except InvalidName as e:
        print_error(str(e))
        return BAD_USAGE
    config = place_of(arguments).replace(resource_name=name.text)
    given = {setting.field: text for setting, text in arguments.given}
    for field, option, is_of_type in (
        ("lock_mode", "lock-mode", name.has_mode),
        ("quantity", "resource-quantity", name.has_quantity),
    ):
        if field in given and not is_of_type:
            what = "modes" if field == "lock_mode" else "units"
            print_error(f"{option}: '{given[field]}': {name.text}, which is {name.type_name}, has no {what}")
            return BAD_USAGE
    try:
        begun, granted = begin_hold(config, _Hooks(), arguments.ttl, arguments.title or "")
    except (LockRefused, LockTimeout) as e:
        print_error(str(e))
        return next((status for kind, status in _STATUSES if isinstance(e, kind)), FAILED)
    if arguments.json:
        token = granted.token and str(granted.token)
        print_json({"handle": begun.handle, "element": granted.element, "token": token, **_as_dict(begun)})
    else:
        print(begun.handle)
    return 0


def renew(arguments: Namespace) -> int:
    """Begin the time of a hold anew, say until when it lasts, and return the status to exit with."""
    return _order(arguments, arguments.handle, is_release=False, ttl=arguments.ttl or 0.0)


def release_handle(arguments: Namespace) -> int:
    """Release a hold by its handle, and return the status to exit with."""
    if arguments.number is not None or arguments.all:
        print_error(f"{arguments.resource} is the handle of a hold, of which there is one: leave out NUMBER and --all")
        return BAD_USAGE
    return _order(arguments, arguments.resource, is_release=True)


def _order(arguments: Namespace, handle: str, *, is_release: bool, ttl: float = 0.0) -> int:
    if not is_handle(handle):
        print_error(f"{handle!r} is no handle: those that flomctl hold prints begin with hold-, and have 46 characters")
        return BAD_USAGE
    try:
        done = order_hold(config_of(arguments, must_lead=True), _Hooks(), handle, is_release=is_release, ttl=ttl)
    except HoldGone as e:
        print_error(str(e))
        return ExitStatus.LOST
    if arguments.json:
        print_json({("released" if is_release else "renewed"): _as_dict(done)})
        return 0
    if is_release:
        what = "is released"
    elif done.is_adopted:
        what = f"is held for {spell_seconds(done.ttl)} after the command that has adopted it"
    else:
        what = f"is held for {spell_seconds(done.ttl)} from now on"
    print(one_line(f"{_spell(done)} {what}"))
    return 0


def _spell(hold: HoldTold) -> str:
    name = parse_name(hold.name)
    wish = hold.mode.name if name.has_mode else str(hold.quantity) if name.has_quantity else ""
    return f"{hold.name} ({wish})" if wish else hold.name


def _as_dict(hold: HoldTold) -> dict[str, object]:
    name = parse_name(hold.name)
    return {
        "name": hold.name,
        "mode": hold.mode.name if name.has_mode else None,
        "quantity": hold.quantity if name.has_quantity else None,
        "ttl": hold.ttl,
    }

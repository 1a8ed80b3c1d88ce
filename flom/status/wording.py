"""What a status says, in the words that users read."""

from __future__ import annotations

from time import localtime, strftime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flom.status.deadlocks import Circle, Step
    from flom.status.model import HoldStatus, LockStatus

_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"))


def spell_seconds(seconds: float) -> str:
    """Return C{seconds} in one whole unit: C{"37 s"}, C{"2 min"}, C{"3 h"}, C{"4 d"}."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0) // 1:.0f} s"


def spell_moment(wall: float) -> str:
    """Return C{wall}, seconds since the epoch, in the local time zone: C{"2026-11-29 09:11:49"}."""
    return strftime("%Y-%m-%d %H:%M:%S", localtime(wall))


def spell_client(lock: LockStatus) -> str:
    """
    Return the name of the client that holds C{lock} or waits for it: C{"pid 4711 (root, backup)"}, or its address.

    A process that has no number where the daemon runs is C{"a process"}.

    The user is the one that the client has told, or else the one that the daemon's host knows, by its name or its
    number. A client in grace has no connection, and may come back.
    """
    if lock.hold is not None and lock.hold.left is not None:
        return _spell_hold(lock.hold, lock.user)
    client = f"pid {lock.pid}" if lock.pid else lock.address if lock.uid is None else "a process"
    user = lock.user or ("" if lock.uid is None else f"uid {lock.uid}")
    adopted = "" if lock.hold is None else f"under {_name_hold(lock.hold)}"
    details = ", ".join(filter(None, (user, lock.command, adopted, "in grace" if lock.in_grace else "")))
    return f"{client} ({details})" if details else client


def _spell_hold(hold: HoldStatus, user: str | None) -> str:
    """Return the name of a hold without a process: C{"hold-1a2b3c4d 'deploy' (root, build7, ends in 9 min)"}."""
    details = filter(None, (user, hold.host, f"ends in {spell_seconds(hold.left or 0.0)}"))
    return f"{_name_hold(hold)} ({', '.join(details)})"


def _name_hold(hold: HoldStatus) -> str:
    return f"{hold.id} {hold.title!r}" if hold.title else hold.id


def spell_wish(lock: LockStatus) -> str:
    """Return the mode, the quantity or the element of C{lock}; the empty string if it has none of them."""
    if lock.mode is not None:
        return lock.mode
    if lock.quantity is not None:
        return str(lock.quantity)
    return lock.element or ""


def spell_beside(lock: LockStatus) -> str:
    """Return what C{lock} is waited for together with, to follow a name: C{" at once with a, b"}, or nothing."""
    return f" at once with {', '.join(lock.beside)}" if lock.beside else ""


def spell_holding(lock: LockStatus) -> str:
    """Return what the holder of C{lock} does: C{"holds"}, or C{"shares"} if it shares the lock of another one."""
    return "shares" if lock.is_sharer else "holds"


def spell_waiting(lock: LockStatus) -> str:
    """Return what the waiter C{lock} waits for, to stand before a name: C{"waits for"}, or C{"waits to convert"}."""
    return "waits for" if lock.converts is None else "waits to convert"


def spell_step(step: Step) -> str:
    """Return one line about a step of a deadlock: who waits for what, and who holds it."""
    held = f" held by {spell_client(step.holder)}"
    return f"{spell_client(step.waiter)} {spell_waiting(step.waiter)} {step.waiter.name}{held}"


def spell_circle(circle: Circle) -> list[str]:
    """Return a line about each process of a deadlock: what it holds, and what it, or its command, waits for."""
    lines = []
    for before, step in zip([circle.steps[-1], *circle.steps], circle.steps, strict=False):
        held, wanted = before.holder, step.waiter
        who = f"{spell_client(held)} holds {spell_lock(held)}"
        what = "for" if wanted.converts is None else "to convert"
        what = f"has waited {what} {spell_lock(wanted)} for {spell_seconds(wanted.seconds)}"
        is_same = (held.pid, held.address) == (wanted.pid, wanted.address)
        lines.append(f"{who} and {what}" if is_same else f"{who}; its command's {spell_client(wanted)} {what}")
    return lines


def spell_lock(lock: LockStatus) -> str:
    """Return the name of what C{lock} is of, with its mode, quantity or element: C{"backup (EX)"}."""
    wish = spell_wish(lock)
    return f"{lock.name} ({wish})" if wish else lock.name

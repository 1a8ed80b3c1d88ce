"""A status as JSON, and back (docs/reference/protocol.md, "The status")."""

from __future__ import annotations

import json
from operator import attrgetter

from flom.errors import RemoteProtocolError
from flom.status.model import (
    Counts,
    DaemonStatus,
    DoneStatus,
    HoldStatus,
    LockStatus,
    LostStatus,
    QuorumStatus,
    ResourceStatus,
    Status,
    ValueStatus,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    from flom.status.deadlocks import Circle

FORMAT: Final = 1
"""
The number of the format of what our programs write as JSON, first of all fields. Fields may be added without another
number; a field that goes, or means something else, changes it.
"""

_PIECE: Final = 500  # locks that are written at once

_LOCK_FIELDS: Final = LockStatus.__slots__
_lock_values: Final = attrgetter(*_LOCK_FIELDS)


def to_json(status: Status) -> str:
    """Return C{status} as one line of JSON, which L{from_json} reads."""
    return "".join(json_pieces(status))


def json_pieces(status: Status) -> Iterator[str]:
    """Yield what L{to_json} returns, at most 500 locks at a time, so that other work can be done in between."""
    yield f'{{"format":{FORMAT},"daemon":{_dumps(status.daemon)},"resources":['
    comma = ""
    for resource in status.resources:
        yield comma + _dumps(resource)[:-1]
        for kind, locks in (("holders", resource.holders), ("waiters", resource.waiters)):
            yield f',"{kind}":'
            yield from _list_pieces(locks)
        yield f',"lost":{_dumps(resource.lost)}}}'
        comma = ","
    yield '],"incubator":'
    yield from _list_pieces(status.incubator)
    yield f',"deadlocks":{_dumps(list(map(circle_as_dict, status.deadlocks)))},"values":['
    comma = ""
    for value in status.values or ():
        yield comma + _dumps(value)
        comma = ","
    yield "]}"


def from_json(text: str | bytes) -> Status:
    """
    Return what L{to_json} has written, perhaps in another version: unknown fields are ignored.

    @raise RemoteProtocolError: C{text} is no status.
    """
    try:
        found = json.loads(text)
        daemon = dict(found["daemon"])
        daemon["counts"] = _make(Counts, daemon["counts"])
        daemon.setdefault("up", daemon["now"] - daemon["started"])  # release 0.1.0 leaves it out
        daemon.setdefault("draining", False)
        daemon["endpoints"] = tuple(daemon["endpoints"])
        daemon = {
            "epoch": 0,
            "state": "",
            "state_problem": "",
            "grace_left": None,
            "quorum": None,
        } | daemon  # which earlier ones leave out
        daemon["quorum"] = _quorum(daemon["quorum"])
        resources = tuple(_resource(resource) for resource in found["resources"])
        return Status(
            _make(DaemonStatus, daemon),
            resources,
            tuple(map(_lock, found["incubator"])),
            _circles(found["deadlocks"], resources) if found.get("deadlocks") else (),
            tuple(map(_value, found["values"])) if "values" in found else None,
        )
    except (ValueError, TypeError, LookupError, AttributeError) as e:
        raise RemoteProtocolError(f"no status: {e!r}") from None


def lock_as_dict(lock: LockStatus) -> dict[str, Any]:
    """Return C{lock} as it is written."""
    found = dict(zip(_LOCK_FIELDS, _lock_values(lock), strict=True))
    return found if lock.hold is None else found | {"hold": _as_dict(lock.hold)}


def circle_as_dict(circle: Circle) -> dict[str, Any]:
    """Return C{circle} as it is written: its steps, by the numbers of locks."""
    return {"steps": [{"waiter": step.waiter.number, "holder": step.holder.number} for step in circle.steps]}


def value_as_dict(value: ValueStatus) -> dict[str, Any]:
    """Return C{value} as it is written."""
    found: dict[str, Any] = json.loads(_dumps(value))
    return found


def _circles(found: Any, resources: tuple[ResourceStatus, ...]) -> tuple[Circle, ...]:
    from flom.status.deadlocks import Circle, Step  # which there are seldom

    locks = {lock.number: lock for resource in resources for lock in (*resource.holders, *resource.waiters)}
    return tuple(
        Circle(tuple(Step(locks[step["waiter"]], locks[step["holder"]]) for step in circle["steps"]))
        for circle in found
    )


def _list_pieces(locks: tuple[LockStatus, ...]) -> Iterator[str]:
    comma = "["
    for start in range(0, len(locks), _PIECE):
        found = [lock_as_dict(lock) for lock in locks[start : start + _PIECE]]
        yield comma + _dumps(found)[1:-1]
        comma = ","
    yield "]" if locks else "[]"


def _dumps(value: Any) -> str:
    return json.dumps(value, default=_as_dict, separators=(",", ":"))


def _as_dict(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__ if name not in ("holders", "waiters", "lost")}


def _quorum(found: Any) -> Any:
    return None if found is None else _make(QuorumStatus, found | {"members": tuple(found["members"])})


def _resource(found: dict[str, Any]) -> Any:
    free = found["free"]
    locks = {kind: tuple(map(_lock, found[kind])) for kind in ("holders", "waiters")}
    lost = tuple(_make(LostStatus, each) for each in found.get("lost", ()))  # which earlier ones leave out
    return _make(
        ResourceStatus, found | locks | {"lost": lost, "free": tuple(free) if isinstance(free, list) else free}
    )


_LATER_FIELDS: Final = {
    "user": None,
    "command": None,
    "in_grace": False,
    "token": None,
    "nested": "",
    "shares": None,
    "converts": None,
}


def _value(found: dict[str, Any]) -> Any:
    return _make(ValueStatus, found | {"done": tuple(_make(DoneStatus, done) for done in found["done"])})


def _lock(found: dict[str, Any]) -> Any:
    found["pid"] = found["pid"] or None  # release 0.1.0 has 0 for none, and leaves four fields out
    found["lineage"] = tuple(found.get("lineage", ()))  # earlier ones leave this and the next two out
    found["beside"] = tuple(found.get("beside", ()))
    found, hold = _LATER_FIELDS | found, found.get("hold")
    return _make(LockStatus, found | {"hold": None if hold is None else _make(HoldStatus, hold)})


def _make(kind: Any, found: dict[str, Any]) -> Any:
    return kind(**{name: found[name] for name in kind.__slots__})

"""
Lines of a history, and what they tell (docs/reference/history.md).

Each line is an object in JSON: one event of one acquisition of a lock, which all lines about it call by the same id.
"""

from __future__ import annotations

import json
import math

from flom.core.history.holding import Holding
from flom.core.modes import LockMode
from flom.core.names import parse_name
from flom.core.tokens import MAX_TOKEN
from flom.core.value import Record
from flom.errors import FlomError, InvalidName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

FORMAT: Final = 1
"""The number of the format, which every line has."""

EVENTS: Final = ("request", "refusal", "grant", "begin", "reclaim", "loss", "end", "release")

_REPEATED: Final = ("reclaim", "loss", "end")  # of these, one id may have more; the first counts

_NEEDED: Final = {"event": str, "id": str, "clock": str, "boottime_ns": int, "wall_ns": int}
_OTHERS: Final[dict[str, tuple[type, ...]]] = {
    "host": (str,),
    "pid": (int,),
    "command": (str,),
    "name": (str,),
    "mode": (str,),
    "quantity": (int,),
    "lifespan": (int, float),
    "on_lost": (str,),
    "element": (str,),
    "token": (str,),
    "status": (int,),
    "rollback": (bool,),
    "why": (str,),
    "nested": (str,),
}
_MOST: Final = 2**63 - 1


class BadLine(FlomError):
    """A line that is none of a history; the text says why, and the place where it stands."""


class Clock(Record):
    """
    What is known of a clock.

    @ivar id: which one.
    @ivar host: a host that has it.
    @ivar step: nanoseconds by which the wall clock beside it was set, or drifted, meanwhile.
    """

    id: str
    host: str
    step: int


class History:
    """
    All lines that were read.

    @ivar lines: how many.
    @ivar told: the fields of the first line of each event, by its name, of each id.
    @ivar problems: what does not fit together, each with the place where it stands.
    @ivar without_end: how many commands have begun, and not told their end.
    """

    def __init__(self) -> None:
        self.lines = 0
        self.problems: list[str] = []
        self.without_end = 0
        self.told: dict[str, dict[str, dict[str, Any]]] = {}
        self._offsets: dict[str, tuple[str, int, int]] = {}  # by clocks: a host, the wall clock's lead, least and most

    def add(self, line: str, place: str) -> None:
        """
        Read the next line.

        @param place: where it stands, for messages.
        @raise BadLine: it is none; it is left out.
        """
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            raise BadLine(f"{place}: it is no JSON") from None
        if why := _what_is_wrong(fields):
            raise BadLine(f"{place}: {why}")
        events = self.told.setdefault(fields["id"], {})
        event, name = fields["event"], fields.get("name")
        for other in events.values():
            if name is not None and other.get("name", name) != name:
                raise BadLine(f"{place}: '{fields['id']}' is about '{name}' here, and '{other['name']}' elsewhere")
            if other["clock"] != fields["clock"]:
                raise BadLine(f"{place}: '{fields['id']}' has another clock elsewhere")
        if event in events and event not in _REPEATED:
            raise BadLine(f"{place}: '{fields['id']}' has had its {event} already, at {events[event]['place']}")
        events.setdefault(event, fields | {"place": place})
        self.lines += 1
        lead = fields["wall_ns"] - fields["boottime_ns"]
        host, least, most = self._offsets.get(fields["clock"], (fields.get("host", ""), lead, lead))
        self._offsets[fields["clock"]] = host, min(least, lead), max(most, lead)

    def holdings(self) -> list[Holding]:
        """Return what was held, as far as it is known of which resource, and note in L{problems} where it is not."""
        self.without_end = 0
        return [holding for id, events in self.told.items() if (holding := self._holding(id, events)) is not None]

    def undecided(self) -> set[str]:
        """Return the names of resources that were asked for without a known outcome."""
        return {
            events["request"]["name"]
            for events in self.told.values()
            if "name" in events.get("request", {}) and not {"grant", "begin", "refusal"} & events.keys()
        }

    def clocks(self) -> list[Clock]:
        """Return the clocks that lines name."""
        return [Clock(id, host, most - least) for id, (host, least, most) in self._offsets.items()]

    def _holding(self, id: str, events: dict[str, dict[str, Any]]) -> Holding | None:
        """Return what C{events}, which the lines with C{id} tell, come to; C{None} if nothing was granted."""
        begun, end, loss = events.get("begin") or events.get("grant"), events.get("end"), events.get("loss")
        if begun is None:
            if end is not None:
                self.problems.append(f"{end['place']}: '{id}' ends, and has not begun")
            return None
        merged: dict[str, Any] = {}
        for event in EVENTS:
            merged |= events.get(event, {})
        if "name" not in merged:
            self.problems.append(f"{begun['place']}: '{id}' has no name")
            return None
        over = end if begun["event"] == "begin" else begun
        if loss is not None and _goes_on(merged) and (over is None or loss["boottime_ns"] < over["boottime_ns"]):
            over = loss
        if over is None:
            self.without_end += 1
        elif over["boottime_ns"] < begun["boottime_ns"]:
            self.problems.append(f"{over['place']}: '{id}' ends before it begins, at {begun['place']}")
            return None
        marks = begun, over, events.get("request"), events.get("release")
        without = 0, math.inf, -math.inf, math.inf
        times = [default if mark is None else mark["boottime_ns"] for mark, default in zip(marks, without, strict=True)]
        walls = [default if mark is None else mark["wall_ns"] for mark, default in zip(marks, without, strict=True)]
        begin, until, asked, released = times
        rollback = merged.get("rollback")
        return Holding(
            who=merged.get("pid", 0),
            name=merged["name"],
            begin=begin,
            end=until,
            mode=merged.get("mode", "EX"),
            quantity=merged.get("quantity", 1),
            element=merged.get("element", ""),
            token=int(merged.get("token", 0)),
            asked=asked,
            released=released,
            is_kept=None if rollback is None else not rollback,
            lifespan=merged["lifespan"] * 1e9 if "lifespan" in merged else math.inf,
            has_begun=begun["event"] == "begin",
            may_share=merged.get("nested") == "share",
            wall=(walls[0], walls[1], walls[2], walls[3]),
            clock=begun["clock"],
            host=merged.get("host", ""),
            command=merged.get("command", ""),
            place=begun["place"],
        )


def _goes_on(fields: dict[str, Any]) -> bool:
    """Return whether the command is one that may go on without its lock, as its user has chosen."""
    on_lost = str(fields.get("on_lost", ""))
    return on_lost == "warn" or on_lost.startswith("signal:")


def _what_is_wrong(fields: Any) -> str:
    """Return why C{fields} are none of a line; the empty string if they are."""
    if not isinstance(fields, dict):
        return "it is no object"
    if type(fields.get("format")) is not int or fields["format"] != FORMAT:
        return f"its format is {fields.get('format')!r}, and this program knows {FORMAT}"
    for key, kind in _NEEDED.items():
        if key not in fields:
            return f"it has no {key}"
        if type(fields[key]) is not kind:
            return f"{key}: {fields[key]!r} is no {'number' if kind is int else 'text'}"
    for key, kinds in _OTHERS.items():
        if key in fields and type(fields[key]) not in kinds:
            return f"{key}: {fields[key]!r} is not what it can be"
    for key in ("boottime_ns", "wall_ns", "pid", "quantity", "lifespan"):
        if not 0 <= fields.get(key, 0) <= _MOST:
            return f"{key}: {fields[key]!r} is not between 0 and {_MOST}"
    if fields["event"] not in EVENTS:
        return f"event: {fields['event']!r} is none of {', '.join(EVENTS)}"
    if not fields["id"]:
        return "id: it is empty"
    if fields.get("mode", "EX") not in LockMode.__members__:
        return f"mode: {fields['mode']!r} is none of {', '.join(LockMode.__members__)}"
    token = fields.get("token", "1")
    if not (token.isascii() and token.isdigit() and len(token) <= 19 and 0 < int(token) <= MAX_TOKEN):
        return f"token: {token!r} is none"
    try:
        parse_name(fields.get("name", "R"))
    except InvalidName as e:
        return f"name: {e}"
    return ""

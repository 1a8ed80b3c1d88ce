"""
The offset between the revisions of etcd and the epochs of leaders, and the sign that etcd's history has gone back.

C{PREFIX/epoch} is an L{Offset}; a leader's epoch is the revision that created its key, plus the offset. C{PREFIX/last}
is written by each daemon that wins, in the same transaction. C{PREFIX/halt} is C{{"epoch": N, "why": TEXT}}: while it
is there, no daemon begins to lead; N is the highest epoch that was seen.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from flom.core.quorum.epoch import first_offset
from flom.errors import HistoryWentBack
from flom.server.quorum.gateway import Gateway
from flom.server.quorum.wire import Denied, KeyValue, created_at, delete, modified_at, put, read
from flom.text import one_line, truncate

EPOCH: Final = "epoch"
HALT: Final = "halt"
LAST: Final = "last"
LEADER: Final = "leader"

GAP: Final = 2**24
"""
Revisions of others after which the offset is lowered, so that epochs go on where they were. There are 2**31 epochs: an
etcd with 100 writes a second would use them up in eight months.
"""

_TRIES: Final = 5
"""How often others may be quicker."""


class Halt(NamedTuple):
    """
    Why no daemon leads.

    @ivar epoch: the highest that a daemon had seen.
    """

    epoch: int
    why: str


class Offset(NamedTuple):
    """
    What is to be added to a revision.

    @ivar raised: when L{raise_epoch} was called last, in seconds since the epoch of the wall clock; 0 for never.
    @ivar floor: the next epoch was to be above this when the offset was set: those before it are used up.
    """

    offset: int
    raised: int
    floor: int


class Bounds(NamedTuple):
    """
    What is in etcd about epochs.

    @ivar revision: of etcd, when this was read.
    @ivar offset: C{None} if there is none yet.
    @ivar offset_at: the revision in which it was set; 0 if there is none.
    @ivar halt: C{None} if there is none.
    @ivar halt_at: likewise.
    @ivar raised: see L{Offset.raised}; -1 if there is no offset.
    @ivar floor: see L{Offset.floor}; likewise.
    @ivar last_at: the revision in which the last leader was elected; 0 for none.
    """

    revision: int
    offset: int | None
    offset_at: int
    halt: Halt | None
    halt_at: int
    raised: int = -1
    floor: int = -1
    last_at: int = 0

    @property
    def epoch(self) -> int:
        """The highest epoch that there can have been in this history; -1 if there is no offset."""
        return -1 if self.offset is None else self.revision + self.offset

    @property
    def last_epoch(self) -> int:
        """The epoch of the last leader, or what the next one has to be above, if that was set since; -1 for none."""
        return self.floor if self.offset is None or self.last_at <= self.offset_at else self.last_at + self.offset


async def read_bounds(gateway: Gateway) -> Bounds:
    """Read what is in etcd about epochs."""
    answer = await gateway.transact([], [read(gateway.address.key(name)) for name in (EPOCH, HALT, LAST)])
    offset_found, halt_found, last_found = answer.found
    offset = parse_offset(offset_found[0]) if offset_found else None
    return Bounds(
        answer.revision,
        None if offset is None else offset.offset,
        offset_found[0].modified if offset_found else 0,
        parse_halt(halt_found[0]) if halt_found else None,
        halt_found[0].modified if halt_found else 0,
        -1 if offset is None else offset.raised,
        -1 if offset is None else offset.floor,
        last_found[0].modified if last_found else 0,
    )


async def ensure_offset(gateway: Gateway, *, seen: int, known: int, clock_epoch: int) -> None:
    """
    See to it that there is an offset, and that it puts the next epoch above all that are known.

    @param seen: the highest epoch that this daemon has seen in etcd, perhaps before it was started again; -1 for none.
    @param known: the highest one that it knows from elsewhere; -1 for none.
    @param clock_epoch: that with which a daemon would begin by its clock; the first offset is above this too, because
        other hosts may know more than this one.
    @raise HistoryWentBack: the offset was seen and has gone, or the next epoch would be below C{seen}.
    """
    for _ in range(_TRIES):
        found = await read_bounds(gateway)
        if found.halt is not None:
            return  # raise_epoch sets the offset when it ends that
        if found.offset is None:
            if seen >= 0:
                raise HistoryWentBack(f"{gateway.address.key(EPOCH)} has gone from etcd")
            at_least = max(known, clock_epoch)
        elif found.epoch < seen:
            raise HistoryWentBack(
                f"the epoch in etcd has gone back: the next one would be {found.epoch + 1}, after {seen}"
            )
        elif found.epoch < known:
            at_least = known
        else:
            at_least = max(found.last_epoch, seen, known, clock_epoch)
            if found.last_at and found.epoch > at_least + GAP:
                await _set(gateway, found, at_least, max(found.raised, 0), is_lower=True)
            return
        await _set(gateway, found, at_least, max(found.raised, 0))
    raise Denied(f"{gateway.address.key(EPOCH)}: others change it all the time")


async def raise_epoch(gateway: Gateway, above: int = -1, wall: Callable[[], float] = time.time) -> int:
    """
    Put the next epoch above C{above}, above that of the halt, if there is one, and above all that this history can have
    had; end the halt. Return the least epoch that the next leader can have.
    """
    for _ in range(_TRIES):
        found = await read_bounds(gateway)
        at_least = max(above, found.epoch, -1 if found.halt is None else found.halt.epoch)
        raised = max(int(wall()), found.raised + 1)
        if await _set(gateway, found, at_least, raised):
            return at_least + 1
    raise Denied(f"{gateway.address.key(EPOCH)}: others change it all the time")


async def halt(gateway: Gateway, epoch: int, why: str) -> None:
    """Keep all daemons from beginning to lead until L{raise_epoch}, because C{epoch} was seen, or a later one."""
    key = gateway.address.key(HALT)
    for _ in range(_TRIES):
        found = await read_bounds(gateway)
        if found.halt is not None and found.halt.epoch >= epoch:
            return
        text = json.dumps({"epoch": epoch, "why": why}).encode()
        if (await gateway.transact([modified_at(key, found.halt_at)], [put(key, text)])).has_succeeded:
            return
    raise Denied(f"{key}: others change it all the time")


async def _set(gateway: Gateway, found: Bounds, at_least: int, raised: int, *, is_lower: bool = False) -> bool:
    """
    Put the next epoch above C{at_least}, and end the halt, unless any of that has changed since C{found}.

    @param is_lower: whether the offset is lower than before: not while a daemon leads, whose epoch others know by it.
    @return: whether that was done.
    """
    epoch, halt, last = (gateway.address.key(name) for name in (EPOCH, HALT, LAST))
    compare = [
        modified_at(epoch, found.offset_at),
        modified_at(halt, found.halt_at),
        modified_at(last, found.last_at),
        *([created_at(gateway.address.key(LEADER), 0)] if is_lower else ()),
    ]
    offset = Offset(first_offset(found.revision, at_least), raised, at_least)
    then = [put(epoch, json.dumps(offset._asdict()).encode()), delete(halt)]
    return (await gateway.transact(compare, then)).has_succeeded


def parse_offset(found: KeyValue) -> Offset:
    """Read what is in C{PREFIX/epoch}; L{Denied} if it makes no sense."""
    try:
        value = json.loads(found.value)
        offset = Offset(value["offset"], value.get("raised", 0), value.get("floor", found.modified + value["offset"]))
        if all(type(each) is int for each in offset):
            return offset
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        pass
    raise Denied(f"{found.key}: {_shown(found)} is no offset of epochs")


def parse_halt(found: KeyValue) -> Halt:
    """Read what is in C{PREFIX/halt}; what makes no sense halts too."""
    try:
        value = json.loads(found.value)
        epoch, why = value["epoch"], value["why"]
        if type(epoch) is int and isinstance(why, str):
            return Halt(epoch, truncate(one_line(why)))
    except (KeyError, TypeError, ValueError, RecursionError):
        pass
    return Halt(-1, f"{found.key} is {_shown(found)}")


def _shown(found: KeyValue) -> str:
    return truncate(one_line(found.value.decode("utf-8", "replace")))

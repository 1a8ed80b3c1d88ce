"""
The offset between the revisions of etcd and the epochs of leaders, and the sign that etcd's history has gone back.

C{PREFIX/epoch} is C{{"offset": N, "raised": K}}; a leader's epoch is the revision that created its key, plus N; K is
when the epoch was raised last, after etcd had gone back. C{PREFIX/halt} is C{{"epoch": N, "why": TEXT}}: while it is
there, no daemon begins to lead; N is the highest epoch that was seen.
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
    """

    offset: int
    raised: int = 0


class Bounds(NamedTuple):
    """
    What is in etcd about epochs.

    @ivar revision: of etcd, when this was read.
    @ivar offset: C{None} if there is none yet.
    @ivar offset_at: the revision in which it was set; 0 if there is none.
    @ivar halt: C{None} if there is none.
    @ivar halt_at: likewise.
    @ivar raised: see L{Offset.raised}; -1 if there is no offset.
    """

    revision: int
    offset: int | None
    offset_at: int
    halt: Halt | None
    halt_at: int
    raised: int = -1

    @property
    def epoch(self) -> int:
        """The highest epoch that there can have been in this history; -1 if there is no offset."""
        return -1 if self.offset is None else self.revision + self.offset


async def read_bounds(gateway: Gateway) -> Bounds:
    """Read what is in etcd about epochs."""
    epoch, halt = gateway.address.key(EPOCH), gateway.address.key(HALT)
    answer = await gateway.transact([], [read(epoch), read(halt)])
    offset_found, halt_found = answer.found
    offset = parse_offset(offset_found[0]) if offset_found else None
    return Bounds(
        answer.revision,
        None if offset is None else offset.offset,
        offset_found[0].modified if offset_found else 0,
        parse_halt(halt_found[0]) if halt_found else None,
        halt_found[0].modified if halt_found else 0,
        -1 if offset is None else offset.raised,
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
            return
        await _set(gateway, found, Offset(first_offset(found.revision, at_least), max(found.raised, 0)))
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
        if await _set(gateway, found, Offset(first_offset(found.revision, at_least), raised)):
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


async def _set(gateway: Gateway, found: Bounds, offset: Offset) -> bool:
    """Set the offset and end the halt, unless one of them has changed since C{found}; return whether that was done."""
    epoch, halt = gateway.address.key(EPOCH), gateway.address.key(HALT)
    compare = [
        modified_at(epoch, found.offset_at) if found.offset_at else created_at(epoch, 0),
        modified_at(halt, found.halt_at) if found.halt_at else created_at(halt, 0),
    ]
    text = json.dumps(offset._asdict()).encode()
    return (await gateway.transact(compare, [put(epoch, text), delete(halt)])).has_succeeded


def parse_offset(found: KeyValue) -> Offset:
    """Read what is in C{PREFIX/epoch}; L{Denied} if it makes no sense."""
    try:
        value = json.loads(found.value)
        offset = Offset(value["offset"], value.get("raised", 0))
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

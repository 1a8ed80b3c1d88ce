"""
A second lock table to measure the first by: the rules of docs/compatibility.md, "Locks", word for word, with lists and
no thought of cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from typing_extensions import assert_never

from flom.codes import Outcome
from flom.core.effects import Effect, Granted, Incubated, Instant, Queued, Refused
from flom.core.modes import LockMode
from flom.core.names import (
    HierarchicalName,
    NumericName,
    ResourceName,
    SequenceName,
    SetName,
    SimpleName,
    TimestampName,
)
from flom.core.requests import LockRequest, SessionId
from flom.errors import RemoteProtocolError

# docs/compatibility.md, "Lock modes"; rows: held, columns: asked, both in the order NL CR CW PR PW EX
MATRIX: Final = (
    "++++++",
    "+++++-",
    "+++---",
    "++-+--",
    "++----",
    "+-----",
)

# docs/compatibility.md, "Timestamps"; the first text that the format contains gives the unit, in microseconds
UNITS: Final = (
    [("#" + "f" * digits, 10 ** (6 - digits)) for digits in (6, 5, 4, 3, 2, 1)]
    + [("%" + letter, 1_000_000) for letter in "crsSTX"]
    + [("%" + letter, 60_000_000) for letter in "MR"]
    + [("%" + letter, 3_600_000_000) for letter in "HI"]
)

SOME_VALUES: Final = [
    str(value) for value in range(1, 100)
]  # of sequences that are reclaimed; the model knows nothing of the last value


def compatible(held: LockMode, asked: LockMode) -> bool:
    return MATRIX[held][asked] == "+"


def same_resource(one: ResourceName, other: ResourceName) -> bool:
    """Two nodes with the same first level belong to one tree; else the text is the identity."""
    if isinstance(one, HierarchicalName) and isinstance(other, HierarchicalName):
        return one.text.split("/")[1] == other.text.split("/")[1]
    return one.text == other.text


def related(one: HierarchicalName, other: HierarchicalName) -> bool:
    """Return whether one is the other, or above it, or below it."""
    return (one.text + "/").startswith(other.text + "/") or (other.text + "/").startswith(one.text + "/")


def unit_of(format: str) -> int | None:
    return next((unit for text, unit in UNITS if text in format), None)


def microseconds(wall: float) -> int:
    return int(Fraction(wall) * 1_000_000)


@dataclass(eq=False)
class Holder:
    request: LockRequest
    element: str | None = None
    position: int = 0  # of a set's element


@dataclass(eq=False)
class Resource:
    name: ResourceName
    retention: float
    holders: list[Holder] = field(default_factory=list)  # oldest first
    queue: list[LockRequest] = field(default_factory=list)
    bound: list[SessionId] = field(default_factory=list)
    idle_since: float = 0.0

    index: int = 0  # of a set
    last_value: int = 0  # of a sequence
    rolled_back: list[str] = field(default_factory=list)
    last_unit: int = -1  # of a timestamp
    to_skip: list[str] = field(default_factory=list)


class Model:
    """Who holds and who waits; the calls are those of C{LockTable}."""

    def __init__(self, strftime: Callable[[str, float], str]) -> None:
        self.strftime = strftime
        self.resources: list[Resource] = []
        self.incubator: list[LockRequest] = []
        self.asked: dict[LockRequest, tuple[float, int]] = {}  # when each was made first, and how many were before it
        self.grants = 0

    def waiting(self) -> list[LockRequest]:
        return self.incubator + [request for resource in self.resources for request in resource.queue]

    def request(self, request: LockRequest, now: Instant) -> list[Effect]:
        self.asked[request] = now.monotonic - request.waited, len(self.asked)
        effects = self.expire(now)
        resource = self.find(request.name)
        if resource is not None:
            return [*effects, self.arrive(resource, request, now)]
        if not request.create:
            if not request.wait:
                return [*effects, Refused(request, Outcome.CANNOT_WAIT)]
            self.incubator.append(request)
            return [*effects, Incubated(request)]
        if isinstance(request.name, TimestampName) and unit_of(request.name.format) is None:
            return [*effects, Refused(request, Outcome.INVALID_TIMESTAMP_FORMAT)]
        resource = Resource(request.name, retention=request.lifespan + 1.0 if request.lifespan > 0 else 2.0)
        self.resources.append(resource)
        effects.append(self.arrive(resource, request, now))
        for incubated in list(self.incubator):
            if same_resource(incubated.name, request.name):
                self.incubator.remove(incubated)
                effects.append(self.arrive(resource, incubated, now, delayed=True))
        return effects

    def put_in_order(self, name: ResourceName) -> None:
        resource = self.find(name)
        if resource is not None:
            resource.queue.sort(key=lambda request: self.asked[request])

    def withdraw(self, request: LockRequest) -> list[Effect]:
        for queue in [self.incubator, *(resource.queue for resource in self.resources)]:
            if request in queue:
                queue.remove(request)
        return []

    def release(self, session: SessionId, name: ResourceName, now: Instant, *, rollback: bool = False) -> list[Effect]:
        resource = self.find(name)
        if resource is None or session not in resource.bound:
            self.leave(self.incubator, session, name)
            return []
        held = [
            holder for holder in resource.holders if (holder.request.session, holder.request.name) == (session, name)
        ]
        if held:
            released = min(held, key=lambda holder: holder.position) if isinstance(name, SetName) else held[-1]
            self.free(resource, released, rollback)
            return self.scan(resource, now)
        if isinstance(name, SequenceName):
            raise RemoteProtocolError("unlock by a connection that is not a holder")
        self.leave(resource.queue, session, name)
        return []

    def drop(self, session: SessionId, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        self.incubator = [request for request in self.incubator if request.session != session]
        for resource in self.resources:
            if session not in resource.bound:
                continue
            resource.bound.remove(session)
            resource.idle_since = now.monotonic
            resource.queue = [request for request in resource.queue if request.session != session]
            held = [holder for holder in resource.holders if holder.request.session == session]
            for holder in held:
                self.free(resource, holder, rollback=True)
            if held:
                effects += self.scan(resource, now)
        return effects

    def expire(self, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        for resource in list(self.resources):
            if not resource.bound and now.monotonic - resource.idle_since >= resource.retention:
                self.resources.remove(resource)
            elif isinstance(resource.name, TimestampName):
                effects += self.scan(resource, now)
        return effects

    def find(self, name: ResourceName) -> Resource | None:
        return next((resource for resource in self.resources if same_resource(resource.name, name)), None)

    def arrive(self, resource: Resource, request: LockRequest, now: Instant, delayed: bool = False) -> Effect:
        if request.session not in resource.bound:
            resource.bound.append(request.session)
        if request.regains:
            if self.reclaimable(resource, request, now):
                return self.grant(resource, request, now, delayed)
            return Refused(request, Outcome.BUSY, delayed)
        if self.grantable(resource, request, now):
            return self.grant(resource, request, now, delayed)
        if isinstance(resource.name, NumericName) and request.quantity > resource.name.total:
            return Refused(request, Outcome.IMPOSSIBLE, delayed)
        if not request.wait:
            return Refused(request, Outcome.BUSY, delayed)
        resource.queue.append(request)
        return Queued(request, delayed)

    def scan(self, resource: Resource, now: Instant) -> list[Effect]:
        """
        Look at the queue once from head to tail and grant what can be granted now
        (docs/compatibility.md, "Grants and queues", rule 3).
        """
        effects: list[Effect] = []
        for request in list(resource.queue):
            if self.grantable(resource, request, now):
                resource.queue.remove(request)
                effects.append(self.grant(resource, request, now, delayed=True))
        return effects

    def grantable(self, resource: Resource, request: LockRequest, now: Instant) -> bool:
        held = [holder.request for holder in resource.holders]
        match resource.name:
            case SimpleName():
                return all(compatible(other.mode, request.mode) for other in held)
            case NumericName(total=total):
                return total - sum(other.quantity for other in held) >= request.quantity
            case SetName(elements=elements):
                return len(held) < len(elements)
            case HierarchicalName():
                return all(
                    compatible(other.mode, request.mode)
                    for other in held
                    if isinstance(other.name, HierarchicalName)
                    and isinstance(request.name, HierarchicalName)
                    and related(other.name, request.name)
                )
            case SequenceName(slots=slots):
                return len(held) < slots
            case TimestampName(format=format, slots=slots):
                unit = microseconds(now.wall) // (unit_of(format) or 1)
                fits = len(held) < slots and unit > resource.last_unit
                text = self.text(format, now)
                if fits and text in resource.to_skip:
                    resource.to_skip.remove(text)
                    resource.last_unit = unit
                    return False
                return fits
            case _:
                assert_never(resource.name)

    def reclaimable(self, resource: Resource, request: LockRequest, now: Instant) -> bool:
        """Return whether what another daemon has granted can be granted again: the same element, which is free."""
        had = [holder.element for holder in resource.holders]
        match resource.name:
            case SetName(elements=elements):
                return had.count(request.element) < elements.count(request.element or "")
            case SequenceName(slots=slots):
                return len(had) < slots and request.element in SOME_VALUES and request.element not in had
            case TimestampName(slots=slots):
                had = [holder.element for holder in resource.holders if holder.request.regains]
                return len(resource.holders) < slots and request.element not in [None, *had]
        return self.grantable(resource, request, now)

    def grant(self, resource: Resource, request: LockRequest, now: Instant, delayed: bool) -> Granted:
        holder = Holder(request)
        match resource.name:
            case SetName(elements=elements) if request.regains:
                taken = [other.position for other in resource.holders]
                free = [position for position in range(len(elements)) if position not in taken]
                holder.position = next(position for position in free if elements[position] == request.element)
                holder.element = request.element
            case SequenceName() if request.regains:
                holder.element = request.element
                if holder.element in resource.rolled_back:
                    resource.rolled_back.remove(holder.element)
                resource.last_value = max(resource.last_value, int(holder.element or 0))
            case TimestampName() if request.regains:
                holder.element = request.element
                if request.element not in resource.to_skip:
                    resource.to_skip.append(request.element or "")
            case SetName(elements=elements):
                taken = [other.position for other in resource.holders]
                order = [(resource.index + step) % len(elements) for step in range(len(elements))]
                holder.position = next(position for position in order if position not in taken)
                holder.element = elements[holder.position]
                resource.index = (resource.index + 1) % len(elements)
            case SequenceName():
                if resource.rolled_back:
                    holder.element = resource.rolled_back.pop(0)
                else:
                    resource.last_value += 1
                    holder.element = str(resource.last_value)
            case TimestampName(format=format):
                resource.last_unit = microseconds(now.wall) // (unit_of(format) or 1)
                holder.element = self.text(format, now)
        resource.holders.append(holder)
        self.grants += 1
        return Granted(request, self.grants, holder.element, delayed)

    def text(self, format: str, now: Instant) -> str:
        fraction = f"{microseconds(now.wall) % 1_000_000:06d}"
        for digits in (6, 5, 4, 3, 2, 1):
            format = format.replace("#" + "f" * digits, "." + fraction[:digits])
        return self.strftime(format, now.wall)

    def free(self, resource: Resource, holder: Holder, rollback: bool) -> None:
        resource.holders.remove(holder)
        if isinstance(resource.name, SequenceName) and resource.name.transactional and rollback:
            assert holder.element is not None
            resource.rolled_back.append(holder.element)

    def leave(self, queue: list[LockRequest], session: SessionId, name: ResourceName) -> None:
        """Remove the latest request of C{session} for C{name} from C{queue}, if there is one."""
        mine = [request for request in queue if (request.session, request.name) == (session, name)]
        if mine:
            queue.remove(mine[-1])

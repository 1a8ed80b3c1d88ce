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
from flom.core.effects import (
    Converted,
    Converting,
    Effect,
    Granted,
    Incubated,
    Instant,
    NotConverted,
    Overdue,
    Queued,
    Refused,
)
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
from flom.core.requests import LockRequest, SessionId, SetRequest
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


def lineage_of(request: LockRequest) -> tuple[str, ...]:
    return () if request.wishes is None else request.wishes.lineage


def concern(one: ResourceName, other: ResourceName) -> bool:
    """Return whether a lock on C{one} is one on C{other}, or on what is above or below it."""
    if isinstance(one, HierarchicalName) and isinstance(other, HierarchicalName):
        return related(one, other)
    return True


def is_less(asked: LockMode, held: LockMode) -> bool:
    """Return whether C{asked} goes with all that C{held} goes with."""
    return all(compatible(mode, asked) for mode in LockMode if compatible(mode, held))


def unit_of(format: str) -> int | None:
    return next((unit for text, unit in UNITS if text in format), None)


def microseconds(wall: float) -> int:
    return int(Fraction(wall) * 1_000_000)


@dataclass(eq=False)
class Holder:
    request: LockRequest
    element: str | None = None
    position: int = 0  # of a set's element
    token: int = 0
    left: float = 0.0  # for how long it may be held; 0 for any time
    ends_at: float = float("inf")  # when it has been held for too long
    lost_until: float | None = None  # it is lost, and kept so long; None while it is held


@dataclass(eq=False)
class Conversion:
    holder: Holder
    mode: LockMode
    number: int


@dataclass(eq=False)
class Together:
    """A request for several locks at once, which waits (docs/howto/several-locks.md, "Who is next")."""

    request: SetRequest
    is_free: bool  # nobody is known to wait for it
    overtaken: int = 0
    awaits: Resource | None = None  # only its time has to come there


@dataclass(eq=False)
class Resource:
    name: ResourceName
    retention: float
    holders: list[Holder] = field(default_factory=list)  # oldest first
    queue: list[LockRequest] = field(default_factory=list)
    together: list[Together] = field(default_factory=list)
    held_back: list[LockRequest] = field(default_factory=list)
    is_due: bool = False  # to be looked at
    next_look: float = 0.0  # when all that is held back and in doubt passes
    bound: list[SessionId] = field(default_factory=list)
    idle_since: float = 0.0
    conversions: list[Conversion] = field(default_factory=list)

    index: int = 0  # of a set
    last_value: int = 0  # of a sequence
    rolled_back: list[str] = field(default_factory=list)
    last_unit: int = -1  # of a timestamp
    to_skip: list[str] = field(default_factory=list)


class Model:
    """Who holds and who waits; the calls are those of C{LockTable}."""

    def __init__(
        self,
        strftime: Callable[[str, float], str],
        max_overtaking: int,
        most: Callable[[str], float] = lambda name: 0.0,
        delay: Callable[[str], float] = lambda name: 0.0,
    ) -> None:
        """
        @param most: says for how long a name may be held, in seconds; 0 for any time.
        @param delay: says for how long it is kept if it is lost.
        """
        self.strftime = strftime
        self.max_overtaking = max_overtaking
        self.watched: list[LockRequest] = []  # what is held back, because nobody is known to need it
        self.behind: set[LockRequest] = set()  # those that conversions hold back
        self.most = most
        self.delay = delay
        self.resources: list[Resource] = []
        self.incubator: list[LockRequest] = []
        self.asked: dict[LockRequest, tuple[float, int]] = {}  # when each was made first, and how many were before it
        self.grants = 0

    def held(self) -> list[LockRequest]:
        return [holder.request for resource in self.resources for holder in self.held_at(resource)]

    def waiting(self) -> list[LockRequest]:
        queued = [request for resource in self.resources for request in resource.queue + resource.held_back]
        return self.incubator + queued + [part for each in self.all_together() for part in each.request.parts]

    def all_together(self) -> list[Together]:
        return list(dict.fromkeys(each for resource in self.resources for each in resource.together))

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

    def request_all(self, request: SetRequest, now: Instant) -> list[Effect]:
        for part in request.parts:
            self.asked[part] = now.monotonic - part.waited, len(self.asked)
        effects = self.expire(now)
        made = []
        for part in request.parts:
            if self.find(part.name) is None:
                if not part.create:
                    return [*effects, Refused(part, Outcome.CANNOT_WAIT)]
                if isinstance(part.name, TimestampName) and unit_of(part.name.format) is None:
                    return [*effects, Refused(part, Outcome.INVALID_TIMESTAMP_FORMAT)]
                made.append(Resource(part.name, retention=part.lifespan + 1.0 if part.lifespan > 0 else 2.0))
        self.resources += made
        effects += self.arrive_together(request, now)
        for resource in made:
            for incubated in list(self.incubator):
                if same_resource(incubated.name, resource.name):
                    self.incubator.remove(incubated)
                    effects.append(self.arrive(resource, incubated, now, delayed=True))
        return effects

    def arrive_together(self, request: SetRequest, now: Instant) -> list[Effect]:
        for part in request.parts:
            resource = self.resource(part)
            if part.session not in resource.bound:
                resource.bound.append(part.session)
        if request.regains:
            before = self.grants
            holders: list[tuple[Resource, Holder]] = []
            for part in request.parts:
                resource = self.resource(part)
                if not self.reclaimable(resource, part, now):
                    for other, holder in holders:
                        self.free(other, holder, rollback=False)
                    self.grants = before
                    return [Refused(part, Outcome.BUSY)]
                holders.append((resource, self.hold(resource, part, now)))
            return [self.granted(holder, delayed=False) for _, holder in holders]
        each = Together(request, is_free=not self.is_needed(request.parts[0]))
        blocked = self.blocked(each, now)
        if blocked is None:
            return self.grant_together(each, now, delayed=False)
        for part in request.parts:
            if isinstance(part.name, NumericName) and part.quantity > part.name.total:
                return [Refused(part, Outcome.IMPOSSIBLE)]
        if not request.wait:
            return [Refused(blocked, Outcome.BUSY)]
        for part in request.parts:
            self.resource(part).together.append(each)
        if each.is_free:
            self.hold_back(request.parts[0], now)
        return [Queued(blocked)]

    def resource(self, request: LockRequest) -> Resource:
        found = self.find(request.name)
        assert found is not None
        return found

    def blocked(self, each: Together, now: Instant) -> LockRequest | None:
        """Return the first part that is in the way; what only waits for the time is looked at last."""
        for part in sorted(each.request.parts, key=lambda part: isinstance(part.name, TimestampName)):
            resource = self.resource(part)
            is_barred = each.is_free and (self.bars(resource, self.number(each)) or self.is_barred(resource, part))
            if is_barred or not self.grantable(resource, part, now):
                is_timed = isinstance(part.name, TimestampName) and len(resource.holders) < part.name.slots
                each.awaits = resource if is_timed and not is_barred else None
                return part
        return None

    def number(self, each: Together | LockRequest) -> int:
        """The order of arrival."""
        return self.asked[each.request.parts[0] if isinstance(each, Together) else each][1]

    def in_turn(self, resource: Resource) -> list[Together]:
        free = [each for each in resource.together if each.is_free]
        return free[:1] + [each for each in resource.together if not each.is_free]

    def bars(self, resource: Resource, number: int) -> bool:
        """Return whether somebody who came as C{number} has to wait for those who came before, unless it is needed."""
        late = [each for each in self.in_turn(resource) if each.overtaken >= self.max_overtaking]
        return any(self.number(each) < number for each in late)

    def is_needed(self, request: LockRequest) -> bool:
        """Return whether somebody who holds something is known to wait for C{request}."""
        return any(
            other.session == request.session or set(lineage_of(other)[:1]) & set(lineage_of(request))
            for other in self.held()
        )

    def is_in_doubt(self, request: LockRequest) -> bool:
        """Return whether somebody who holds something may wait for C{request}, for all that is known."""
        return not lineage_of(request) or any(not lineage_of(other) for other in self.held())

    def hold_back(self, request: LockRequest, now: Instant) -> None:
        resource = self.resource(request)
        if not self.held_back_at(resource):
            resource.next_look = now.monotonic + 10.0
        self.watched.append(request)

    def held_back_at(self, resource: Resource) -> list[LockRequest]:
        return [request for request in self.watched if self.resource(request) is resource]

    def look(self, resource: Resource, now: Instant) -> None:
        """All that is held back and in doubt passes ten seconds after the first has come, or after the last look."""
        mine = self.held_back_at(resource)
        if mine and resource.next_look <= now.monotonic:
            resource.next_look = now.monotonic + 10.0
            for request in mine:
                if self.is_in_doubt(request):
                    self.let_pass(request)

    def grant_together(self, each: Together, now: Instant, delayed: bool) -> list[Effect]:
        number = self.number(each)
        resources = [self.resource(part) for part in each.request.parts]
        for other in {other for resource in resources for other in self.in_turn(resource)}:
            other.overtaken += self.number(other) < number
        if delayed:
            self.leave_together(each)
        return [self.grant(self.resource(part), part, now, delayed) for part in each.request.parts]

    def leave_together(self, each: Together) -> None:
        if each.is_free:
            self.watched.remove(each.request.parts[0])
        for part in each.request.parts:
            resource = self.resource(part)
            resource.together.remove(each)
            while resource.held_back and not self.bars(resource, self.number(resource.held_back[0])):
                request = resource.held_back.pop(0)
                if resource.conversions:
                    self.behind.add(request)
                else:
                    self.watched.remove(request)
                resource.queue.append(request)
                self.count(resource, request)

    def count(self, resource: Resource, request: LockRequest) -> None:
        """Count C{request}, which may be granted before those who wait for several."""
        for each in self.in_turn(resource):
            each.overtaken += self.number(each) < self.number(request)

    def note_holder(self, request: LockRequest) -> None:
        """What is of the lineage of C{request}, which is granted, is kept behind nobody any more."""
        for key in [request.session, *lineage_of(request)[:1]]:
            for waiting in [each for each in self.watched if key in (each.session, *lineage_of(each))]:
                self.let_pass(waiting)

    def let_pass(self, request: LockRequest) -> None:
        """C{request} is kept behind nobody any more."""
        self.watched.remove(request)
        resource = self.resource(request)
        resource.is_due = True
        if request in resource.held_back:
            resource.held_back.remove(request)
            resource.queue.append(request)
            self.count(resource, request)
        elif request in resource.queue:
            self.behind.remove(request)
            resource.queue.remove(request)
            resource.queue.append(request)
        for each in self.all_together():
            if request is each.request.parts[0]:
                each.is_free = False
                for part in each.request.parts:
                    self.resource(part).is_due = True

    def put_in_order(self, name: ResourceName) -> None:
        resource = self.find(name)
        if resource is not None:
            resource.queue.sort(key=lambda request: self.asked[request])
            resource.together.sort(key=lambda each: self.asked[each.request.parts[0]])
            resource.is_due |= bool(resource.together or resource.held_back)

    def withdraw(self, request: LockRequest) -> None:
        for resource in self.remove(request):
            resource.is_due = True

    def remove(self, request: LockRequest) -> list[Resource]:
        """Return of what those behind may be next."""
        for each in self.all_together():
            if request in each.request.parts:
                self.leave_together(each)
                return [self.resource(part) for part in each.request.parts]
        for queue in [self.incubator, *(queue for each in self.resources for queue in (each.queue, each.held_back))]:
            if request in queue:
                queue.remove(request)
        self.watched = [each for each in self.watched if each is not request]
        return []

    def give_up(self, request: LockRequest, now: Instant) -> list[Effect]:
        return self.serve(dict.fromkeys(self.remove(request), True), now)

    def release(self, session: SessionId, name: ResourceName, now: Instant, *, rollback: bool = False) -> list[Effect]:
        resource = self.find(name)
        if resource is None or session not in resource.bound:
            return self.leave(session, name, now)
        held = [
            holder for holder in resource.holders if (holder.request.session, holder.request.name) == (session, name)
        ]
        held = [holder for holder in held if holder.lost_until is None]
        if held:
            released = min(held, key=lambda holder: holder.position) if isinstance(name, SetName) else held[-1]
            self.free(resource, released, rollback)
            return self.serve({resource: True}, now)
        if isinstance(name, SequenceName):
            raise RemoteProtocolError("unlock by a connection that is not a holder")
        return self.leave(session, name, now)

    def release_all(self, session: SessionId, now: Instant) -> list[Effect]:
        to_serve: dict[Resource, bool] = {}
        for resource in self.resources:
            for holder in [each for each in self.held_at(resource) if each.request.session == session]:
                self.free(resource, holder, rollback=False)
                to_serve[resource] = True
        if to_serve:
            return self.serve(to_serve, now)
        for each in sorted(self.all_together(), key=self.number):
            if each.request.session == session:
                to_serve |= dict.fromkeys(self.remove(each.request.parts[0]), True)
        for request in [each for each in self.waiting() if each.session == session]:
            self.remove(request)
        return self.serve(to_serve, now)

    def convert(
        self, session: SessionId, name: ResourceName, mode: LockMode, now: Instant, *, wait: bool, number: int
    ) -> list[Effect]:
        """The rules of flom/core/locks/resources/conversion.py."""
        effects = self.expire(now)
        resource = self.find(name)
        held = [] if resource is None or session not in resource.bound else self.held_at(resource)
        mine = [holder for holder in held if (holder.request.session, holder.request.name) == (session, name)]
        if resource is None or not mine:
            raise RemoteProtocolError("conversion of what is not held")
        holder = mine[-1]
        if not isinstance(name, SimpleName | HierarchicalName):
            return [*effects, NotConverted(holder.request, mode, Outcome.IMPOSSIBLE, number)]
        for former in list(resource.conversions):
            if former.holder is holder:
                if former.mode == mode:
                    former.number = number
                    return [*effects, Converting(holder.request, mode, number)]
                resource.conversions.remove(former)
        conversion = Conversion(holder, mode, number)
        if is_less(mode, holder.request.mode) or self.may_convert(resource, conversion):
            effects.append(self.carry_out(conversion, delayed=False))
        elif not wait:
            effects.append(NotConverted(holder.request, mode, Outcome.BUSY, number))
        elif self.waits_for(resource, conversion, conversion, []):
            effects.append(NotConverted(holder.request, mode, Outcome.DEADLOCK, number))
        else:
            resource.conversions.append(conversion)
            effects.append(Converting(holder.request, mode, number))
        return effects + self.serve({resource: True}, now)

    def may_convert(self, resource: Resource, conversion: Conversion) -> bool:
        others = [holder for holder in resource.holders if holder is not conversion.holder]
        return not any(self.is_in_the_way(other, conversion) for other in others)

    def is_in_the_way(self, other: Holder, conversion: Conversion) -> bool:
        return not compatible(other.request.mode, conversion.mode) and concern(
            other.request.name, conversion.holder.request.name
        )

    def waits_for(self, resource: Resource, waiter: Conversion, awaited: Conversion, passed: list[Conversion]) -> bool:
        """Return whether one waits for the other, perhaps by way of others."""
        for other in resource.conversions:
            if other not in passed and self.is_in_the_way(other.holder, waiter):
                if self.is_in_the_way(awaited.holder, other):
                    return True
                passed.append(other)
                if self.waits_for(resource, other, awaited, passed):
                    return True
        return False

    def carry_out(self, conversion: Conversion, *, delayed: bool) -> Converted:
        holder, mode = conversion.holder, conversion.mode
        if not is_less(mode, holder.request.mode):
            self.grants += 1
            holder.token = self.grants
        holder.request = holder.request.converted(mode)
        return Converted(holder.request, holder.token, conversion.number, delayed)

    def is_barred(self, resource: Resource, request: LockRequest) -> bool:
        """Return whether C{request} is in the way of a conversion that waits."""
        return any(
            not compatible(conversion.mode, request.mode) and concern(conversion.holder.request.name, request.name)
            for conversion in resource.conversions
        )

    def drop(self, session: SessionId, now: Instant) -> list[Effect]:
        to_serve: dict[Resource, bool] = {}
        for each in sorted(self.all_together(), key=self.number):
            if each.request.session == session:
                to_serve |= dict.fromkeys(self.remove(each.request.parts[0]), True)
        for request in [each for each in self.waiting() if each.session == session]:
            self.remove(request)
        for resource in self.resources:
            if session not in resource.bound:
                continue
            resource.bound.remove(session)
            resource.idle_since = max(resource.idle_since, now.monotonic)
            for holder in [holder for holder in self.held_at(resource) if holder.request.session == session]:
                to_serve[resource] = True
                wishes = holder.request.wishes
                wished = None if wishes is None else wishes.lock_delay
                delay = self.delay(holder.request.name.text) if wished is None else wished
                if delay:
                    holder.lost_until = now.monotonic + delay
                    resource.conversions = [one for one in resource.conversions if one.holder is not holder]
                else:
                    self.free(resource, holder, rollback=True)
        return self.serve(to_serve, now)

    def expire(self, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        to_serve: dict[Resource, bool] = {}
        for resource in list(self.resources):
            for holder in self.held_at(resource):
                if holder.ends_at <= now.monotonic and holder in self.held_at(resource):
                    effects.append(Overdue(holder.request, self.limit(holder.request)))
                    effects += self.drop(holder.request.session, now)
        for resource in self.resources:
            self.look(resource, now)
        for resource in list(self.resources):
            for holder in list(resource.holders):
                if holder.lost_until is not None and holder.lost_until <= now.monotonic:
                    self.free(resource, holder, rollback=True)
                    to_serve[resource] = True
                    resource.idle_since = max(resource.idle_since, holder.lost_until)
            kept = any(holder.lost_until is not None for holder in resource.holders)
            if not resource.bound and not kept and now.monotonic - resource.idle_since >= resource.retention:
                self.resources.remove(resource)
            elif resource in to_serve or resource.is_due or self.is_next_unit(resource, now):
                to_serve[resource] = resource in to_serve or resource.is_due
                resource.is_due = False
        return effects + self.serve(to_serve, now)

    def is_next_unit(self, resource: Resource, now: Instant) -> bool:
        """Return whether a new unit of time has begun, for a timestamp."""
        name = resource.name
        return isinstance(name, TimestampName) and microseconds(now.wall) // (unit_of(name.format) or 1) > (
            resource.last_unit
        )

    def next_limit(self, now: Instant) -> float:
        """Return when, after C{now}, something has been held, held back, or kept after it was lost, for long enough."""
        holders = [holder for resource in self.resources for holder in resource.holders]
        times = [holder.ends_at if holder.lost_until is None else holder.lost_until for holder in holders]
        times += [resource.next_look for resource in self.resources]
        return min((time for time in times if time > now.monotonic), default=float("inf"))

    def held_at(self, resource: Resource) -> list[Holder]:
        """Return the holders without those that are lost."""
        return [holder for holder in resource.holders if holder.lost_until is None]

    def limit(self, request: LockRequest) -> float:
        """Return for how long C{request} may be held; 0 for any time."""
        wished = 0.0 if request.wishes is None else request.wishes.max_hold
        return min(filter(None, (wished, self.most(request.name.text))), default=0.0)

    def in_the_way(self) -> set[LockRequest]:
        """Return what was granted to holders that wish to know, and because of which others wait."""
        found = set()
        for resource in self.resources:
            waiting = [*resource.queue, *resource.held_back]
            parts = [part for each in resource.together for part in each.request.parts]
            waiting += [part for part in parts if same_resource(part.name, resource.name)]
            for holder in self.held_at(resource):
                wishes = holder.request.wishes
                others = [one for one in resource.conversions if one.holder is not holder]
                asked = waiting + [one.holder.request.in_mode(one.mode) for one in others]
                if wishes is not None and wishes.wanted and any(self.stops(resource, holder, one) for one in asked):
                    found.add(holder.request)
        return found

    def stops(self, resource: Resource, holder: Holder, waiter: LockRequest) -> bool:
        """Return whether C{waiter} could not be granted beside C{holder}, whatever else is held."""
        match resource.name, holder.request.name, waiter.name:
            case SimpleName(), _, _:
                return not compatible(holder.request.mode, waiter.mode)
            case NumericName(), _, _:
                return holder.request.quantity > 0
            case HierarchicalName(), HierarchicalName() as one, HierarchicalName() as other:
                return related(one, other) and not compatible(holder.request.mode, waiter.mode)
            case ((TimestampName(slots=slots) | SequenceName(slots=slots)), _, _):
                return len(resource.holders) >= slots
            case SetName(elements=elements), _, _:
                return len(resource.holders) >= len(elements)
        return True

    def find(self, name: ResourceName) -> Resource | None:
        return next((resource for resource in self.resources if same_resource(resource.name, name)), None)

    def arrive(self, resource: Resource, request: LockRequest, now: Instant, delayed: bool = False) -> Effect:
        if request.session not in resource.bound:
            resource.bound.append(request.session)
        if request.regains:
            if self.reclaimable(resource, request, now):
                return self.grant(resource, request, now, delayed)
            return Refused(request, Outcome.BUSY, delayed)
        is_needed = self.is_needed(request)
        is_held_back = not is_needed and self.bars(resource, self.number(request))
        is_barred = is_held_back or (not is_needed and self.is_barred(resource, request))
        if self.grantable(resource, request, now) and not is_barred:
            self.count(resource, request)
            return self.grant(resource, request, now, delayed)
        if isinstance(resource.name, NumericName) and request.quantity > resource.name.total:
            return Refused(request, Outcome.IMPOSSIBLE, delayed)
        if not request.wait:
            return Refused(request, Outcome.BUSY, delayed)
        if is_held_back:
            resource.held_back.append(request)
            self.hold_back(request, now)
        else:
            if not is_needed and resource.conversions:
                self.behind.add(request)
                self.hold_back(request, now)
            resource.queue.append(request)
            self.count(resource, request)
        return Queued(request, delayed)

    def serve(self, resources: dict[Resource, bool], now: Instant) -> list[Effect]:
        """
        Look at the queues from head to tail and grant what can be granted now
        (docs/compatibility.md, "Grants and queues", rule 3), and those who wait for several, all in order of arrival.

        @param resources: whether to look at all who wait for several and whose turn it is, or at those alone whose time
            may have come.
        """
        effects: list[Effect] = []
        for resource in resources:
            waiting = resource.conversions
            while (granted := next((one for one in waiting if self.may_convert(resource, one)), None)) is not None:
                waiting.remove(granted)
                effects.append(self.carry_out(granted, delayed=True))
        while (first := self.next_to_grant(resources, now)) is not None:
            if isinstance(first, Together):
                effects += self.grant_together(first, now, delayed=True)
                resources |= {self.resource(part): True for part in first.request.parts}
            else:
                resource = self.resource(first)
                resource.queue.remove(first)
                effects.append(self.grant(resource, first, now, delayed=True))
        return effects

    def next_to_grant(self, resources: dict[Resource, bool], now: Instant) -> Together | LockRequest | None:
        """Leave out of C{resources} where nobody fits: only what is granted can change that, and is looked at soon."""
        found: list[Together | LockRequest] = []
        for resource, is_whole in list(resources.items()):
            turn = [each for each in self.in_turn(resource) if is_whole or each.awaits is resource]
            fits: list[Together | LockRequest] = [each for each in turn if self.blocked(each, now) is None]
            fits += [
                request
                for request in resource.queue
                if self.grantable(resource, request, now)
                and not (request in self.behind and self.is_barred(resource, request))
            ][:1]
            if not fits:
                del resources[resource]
            found += fits
        return min(found, key=self.number, default=None)

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
        return self.granted(self.hold(resource, request, now), delayed)

    def granted(self, holder: Holder, delayed: bool) -> Granted:
        self.grants += 1
        holder.token = self.grants
        self.note_holder(holder.request)
        return Granted(holder.request, self.grants, holder.element, delayed, left=holder.left)

    def hold(self, resource: Resource, request: LockRequest, now: Instant) -> Holder:
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
        left = self.limit(request)
        if left:
            holder.left = left
            holder.ends_at = now.monotonic + left
        return holder

    def text(self, format: str, now: Instant) -> str:
        fraction = f"{microseconds(now.wall) % 1_000_000:06d}"
        for digits in (6, 5, 4, 3, 2, 1):
            format = format.replace("#" + "f" * digits, "." + fraction[:digits])
        return self.strftime(format, now.wall)

    def free(self, resource: Resource, holder: Holder, rollback: bool) -> None:
        resource.holders.remove(holder)
        resource.conversions = [one for one in resource.conversions if one.holder is not holder]
        if isinstance(resource.name, SequenceName) and resource.name.transactional and rollback:
            assert holder.element is not None
            resource.rolled_back.append(holder.element)

    def leave(self, session: SessionId, name: ResourceName, now: Instant) -> list[Effect]:
        """Remove the latest request of C{session} for C{name}, if one waits, and all that waits as one with it."""
        mine = [request for request in self.waiting() if (request.session, request.name) == (session, name)]
        return self.give_up(max(mine, key=self.number), now) if mine else []

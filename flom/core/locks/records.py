"""
What a lock table has: its resources, and what each session holds and waits for; and what can be asked of it without
changing anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from flom.core.effects import Granted, Incubated, Queued
from flom.core.locks.resources import Resource
from flom.core.locks.resources.base import Holding
from flom.core.locks.resources.conversion import Conversion, ConvertibleResource
from flom.core.locks.resources.sequence import SequenceResource
from flom.core.locks.snapshot import LockView, LostView, ResourceView, TableView
from flom.core.names import ResourceName
from flom.core.requests import LockRequest, SessionId

if TYPE_CHECKING:
    from flom.core.locks.hold_limits import HolderWishes
    from flom.core.locks.sets import SetQueue, WaitingSet, WaitingSets

_NUMBER: Final = itemgetter(LockView._fields.index("number"))
_NUMBER_HELD: Final = attrgetter("number")
_GRANTED: Final = itemgetter(LockView._fields.index("since"), LockView._fields.index("number"))


class Arrival(NamedTuple):
    """
    When a request began to wait.

    @ivar number: see L{flom.core.locks.snapshot.LockView}.
    @ivar since: in seconds of the monotonic clock.
    """

    number: int
    since: float


@dataclass(slots=True)
class Binding:
    """
    What one session holds and waits for at one resource, by name and oldest first.

    It stays until the session is dropped. Only a hierarchy has more than one name.

    @ivar locks: how many it holds and waits for.
    """

    entry: Entry
    locks: int = 0
    holdings: dict[str, list[Holding]] = field(default_factory=dict)
    waiting: dict[str, dict[LockRequest, Arrival]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Entry:
    """A resource and how long it is to live (docs/compatibility.md, "Idle resources")."""

    key: str
    name: str
    number: int
    since: float
    resource: Resource
    retention: float  # seconds that it is remembered while idle
    kept: SequenceResource | None = None  # the resource, if it is to be remembered beyond our end
    sets: SetQueue | None = None  # what waits for it and for others at once
    wishes: HolderWishes | None = None  # what few resources need
    sessions: int = 0  # that are bound to it
    waiters: int = 0
    conversions: int = 0  # that wait
    idle_until: float = 0.0
    alarm: float | None = None  # when the table looks at it next


@dataclass(slots=True)
class SessionRecord:
    """
    Everything that has to go when the session goes.

    @ivar incubated_by_name: the same as C{incubated}, by the names that were asked for and oldest first.
    @ivar sets: those that wait.
    """

    bindings: dict[str, Binding] = field(default_factory=dict)
    incubated: dict[LockRequest, Arrival] = field(default_factory=dict)
    incubated_by_name: dict[str, dict[LockRequest, None]] = field(default_factory=dict)
    sets: dict[WaitingSet, None] = field(default_factory=dict)

    def incubate(self, request: LockRequest, arrival: Arrival) -> None:
        """Note that C{request} awaits the creation of its resource."""
        self.incubated[request] = arrival
        self.incubated_by_name.setdefault(request.name.text, {})[request] = None

    def hatch(self, request: LockRequest) -> Arrival:
        """Note that C{request} does so no longer; return when it has come."""
        same = self.incubated_by_name[request.name.text]
        del same[request]
        if not same:
            del self.incubated_by_name[request.name.text]
        return self.incubated.pop(request)


class LockRecords:
    """
    All resources and sessions of a lock table (L{flom.core.locks.table.LockTable}, which changes them).

    @ivar _incubator: requests that await the creation of a resource, by its key and oldest first.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._sessions: dict[SessionId, SessionRecord] = {}
        self._incubator: dict[str, dict[LockRequest, None]] = {}
        self._sets: WaitingSets

    def __bool__(self) -> bool:
        """Return whether there is anything to remember: a resource, be it idle, or a request that awaits one."""
        return bool(self._entries or self._incubator)

    def view(self, key: str | None = None) -> TableView:
        """
        Return the holders and waiters, at a cost that grows with what is shown alone.

        @param key: of the only resource to show; C{None} for all.
        """
        entries = self._entries.values() if key is None else filter(None, [self._entries.get(key)])
        held: dict[str, list[LockView]] = {entry.key: [] for entry in entries}
        waiting: dict[str, list[LockView]] = {shown: [] for shown in held}
        incubator: list[LockView] = []
        for session in self._sessions.values():
            for request, arrival in session.incubated.items():
                if key in (None, request.name.key):
                    incubator.append(LockView(arrival.number, request, arrival.since))
            bindings = session.bindings
            for binding in bindings.values() if key is None else filter(None, [bindings.get(key)]):
                for holding in chain.from_iterable(binding.holdings.values()):
                    claim = LockView(holding.number, holding.request, holding.since, holding.element, holding.token)
                    if holding.sharing is not None:
                        claim = claim._replace(held=holding.granted, shares=holding.sharing.number)
                    if binding.entry.wishes is not None:
                        claim = claim._replace(until=binding.entry.wishes.ends_at(holding))
                    held[binding.entry.key].append(claim)
                for request, arrival in chain.from_iterable(each.items() for each in binding.waiting.values()):
                    shown = LockView(arrival.number, request, arrival.since)
                    if (found := self._sets.find(request)) is not None:
                        shown = shown._replace(joint=found.number, beside=found.beside(request))
                    waiting[binding.entry.key].append(shown)
        resources = [self._view(self._entries[shown], held[shown], waiting[shown]) for shown in held]
        return TableView(resources, sorted(incubator, key=_NUMBER))

    def holds(self, session: SessionId) -> bool:
        """Return whether C{session} holds anything."""
        record = self._sessions.get(session)
        return record is not None and any(binding.holdings for binding in record.bindings.values())

    def last_grant(self, session: SessionId) -> float | None:
        """Return when C{session} was granted last what it holds, in monotonic seconds; C{None} if it holds nothing."""
        record = self._sessions.get(session)
        bindings = () if record is None else record.bindings.values()
        held = chain.from_iterable(chain.from_iterable(binding.holdings.values()) for binding in bindings)
        return max((holding.since for holding in held), default=None)

    def count_held(self, session: SessionId) -> int:
        """Return how many locks C{session} holds."""
        record = self._sessions.get(session)
        bindings = () if record is None else record.bindings.values()
        return sum(len(holdings) for binding in bindings for holdings in binding.holdings.values())

    def has_locks(self, session: SessionId) -> bool:
        """Return whether C{session} holds or waits for anything."""
        record = self._sessions.get(session)
        if record is None:
            return False
        return bool(record.incubated) or any(binding.locks for binding in record.bindings.values())

    def waiting(self, session: SessionId) -> list[LockRequest]:
        """
        Return the requests of C{session} that wait, here or for the creation of a resource; of those that wait as one,
        the first.
        """
        record = self._sessions.get(session)
        if record is None:
            return []
        queued = (requests for binding in record.bindings.values() for requests in binding.waiting.values())
        found = chain(record.incubated, chain.from_iterable(queued))
        return [each for each in found if not record.sets or self._sets.is_first(each)]

    def standing(self, session: SessionId, name: ResourceName) -> Granted | Queued | Incubated | None:
        """Return what has become of the last request of C{session} for C{name}; C{None} if nothing is left of it."""
        record = self._sessions.get(session)
        if record is None:
            return None
        binding = record.bindings.get(name.key)
        if binding is not None and (waiting := binding.waiting.get(name.text)):
            return Queued(next(reversed(waiting)))
        if binding is not None and (holdings := binding.holdings.get(name.text)):
            return Granted(holdings[-1].request, holdings[-1].token, holdings[-1].element)
        incubated = record.incubated_by_name.get(name.text)
        return Incubated(next(reversed(incubated))) if incubated else None

    def standing_of_all(self, session: SessionId) -> list[Granted] | Queued | None:
        """
        Return what has become of a set of C{session}, which has asked for nothing else: its grants in the order of its
        parts; C{None} if nothing is left of it.
        """
        record = self._sessions.get(session)
        if record is None:
            return None
        if record.sets:
            return Queued(next(reversed(record.sets)).parts[0].request)
        held = chain.from_iterable(chain.from_iterable(each.holdings.values()) for each in record.bindings.values())
        grants = [Granted(each.request, each.token, each.element) for each in sorted(held, key=_NUMBER_HELD)]
        return grants or None

    def _view(self, entry: Entry, holders: list[LockView], waiters: list[LockView]) -> ResourceView:
        holders.sort(key=_GRANTED)
        if entry.conversions and isinstance(entry.resource, ConvertibleResource):
            waiters += map(_view_of_conversion, entry.resource.conversions())
        waiters.sort(key=_NUMBER)
        idle_until = None if entry.sessions else entry.idle_until
        free = entry.resource.free()
        lost = () if entry.wishes is None else map(LostView.of, entry.wishes.lost.items())
        return ResourceView(entry.number, entry.name, entry.since, holders, waiters, free, idle_until, list(lost))


def _view_of_conversion(conversion: Conversion) -> LockView:
    """Return C{conversion}, which waits, as others may see it."""
    holding = conversion.holding
    wanted = holding.request.in_mode(conversion.mode)
    return LockView(conversion.id, wanted, conversion.since, converts=holding.number)

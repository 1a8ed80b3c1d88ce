"""
The lock table: who holds what, who waits for it, and what follows from each call (spec 4).

A call takes the present moment and returns its consequences as values, in the order in which they are to be told. It
never costs more because many others wait: see L{flom.core.resources.base.Resource}.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Final

from flom.core.names import ResourceName
from flom.core.requests import Effect, Granted, Incubated, Instant, LockRequest, Queued, Refused, SessionId
from flom.core.resources import Resource, Strftime, make_resource
from flom.core.resources.base import Holding
from flom.core.resources.timestamp import InvalidTimestampFormat
from flom.errors import Outcome, RemoteProtocolError

_IDLE_PERIOD: Final = 1.0  # seconds; an idle resource is forgotten after two periods, its lifespan being the first


@dataclass(slots=True)
class _Binding:
    """
    What one session holds and waits for at one resource, by name and oldest first.

    It stays until the session is dropped. Only a hierarchy has more than one name.
    """

    entry: _Entry
    holdings: dict[str, list[Holding]] = field(default_factory=dict)
    waiting: dict[str, dict[LockRequest, None]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Entry:
    """A resource and how long it is to live (spec 4.10)."""

    key: str
    resource: Resource
    retention: float
    sessions: int = 0  # that are bound to it
    idle_until: float = 0.0
    alarm: float | None = None  # when the table looks at it next


@dataclass(slots=True)
class _Session:
    """Everything that has to go when the session goes."""

    bindings: dict[str, _Binding] = field(default_factory=dict)
    incubated: dict[LockRequest, None] = field(default_factory=dict)


class LockTable:
    """All resources of one arbiter."""

    def __init__(self, strftime: Strftime) -> None:
        """
        @param strftime: writes the texts of timestamp resources.
        """
        self._strftime = strftime
        self._entries: dict[str, _Entry] = {}
        self._sessions: dict[SessionId, _Session] = {}
        self._incubator: dict[str, dict[LockRequest, None]] = {}
        self._alarms: list[tuple[float, int, _Entry]] = []
        self._alarm_numbers = count()
        self._tokens = count(1)

    def __bool__(self) -> bool:
        """Tell whether there is anything to remember: a resource, be it idle, or a request that awaits one."""
        return bool(self._entries or self._incubator)

    def request(self, request: LockRequest, now: Instant) -> list[Effect]:
        """
        Decide C{request}: it is granted, queued, put in the incubator or refused.

        If it creates the resource, those who waited for that follow (spec 4.9).
        """
        effects = self.expire(now)
        key = request.name.key
        entry = self._entries.get(key)
        if entry is not None:
            self._decide(entry, request, now, effects)
        elif request.create:
            try:
                resource = make_resource(request.name, self._strftime)
            except InvalidTimestampFormat:
                effects.append(Refused(request, Outcome.INVALID_TIMESTAMP_FORMAT))
            else:
                entry = self._entries[key] = _Entry(key, resource, _retention(request.lifespan))
                self._decide(entry, request, now, effects)
                for incubated in self._incubator.pop(key, ()):
                    del self._sessions[incubated.session].incubated[incubated]
                    self._decide(entry, incubated, now, effects, delayed=True)
        elif request.wait:
            self._incubator.setdefault(key, {})[request] = None
            self._session(request.session).incubated[request] = None
            effects.append(Incubated(request))
        else:
            effects.append(Refused(request, Outcome.CANNOT_WAIT))
        return effects

    def holds(self, session: SessionId) -> bool:
        """Tell whether C{session} holds anything."""
        record = self._sessions.get(session)
        return record is not None and any(binding.holdings for binding in record.bindings.values())

    def waiting(self, session: SessionId) -> list[LockRequest]:
        """Give what C{session} waits for, here or for the creation of a resource."""
        record = self._sessions.get(session)
        if record is None:
            return []
        queued = (requests for binding in record.bindings.values() for requests in binding.waiting.values())
        return list(chain(record.incubated, chain.from_iterable(queued)))

    def withdraw(self, request: LockRequest) -> list[Effect]:
        """Forget C{request}, which was queued or put in the incubator and is still there; nobody gains by it."""
        session = self._sessions[request.session]
        if request in session.incubated:
            self._hatch(session, request)
        else:
            self._leave_queue(session.bindings[request.name.key], request)
        return []

    def release(self, session: SessionId, name: ResourceName, now: Instant, *, rollback: bool = False) -> list[Effect]:
        """
        End one holding of C{name}, or else give up waiting for it (spec 4.2): nothing happens if there is neither.

        @param rollback: see L{Resource.give_back}.
        @raise RemoteProtocolError: C{name} is a sequence that the session is bound to and does not hold (spec 4.7).
        """
        record = self._sessions.get(session)
        if record is None:
            return []
        binding = record.bindings.get(name.key)
        if binding is None:
            for request in reversed(record.incubated):
                if request.name == name:
                    return self.withdraw(request)
            return []
        resource = binding.entry.resource
        if holdings := binding.holdings.get(name.text):
            holding = resource.pop_first_to_unlock(holdings)
            if not holdings:
                del binding.holdings[name.text]
            resource.give_back(holding, rollback)
            return self._serve(binding.entry, now, [])
        if resource.unlock_needs_holding:
            raise RemoteProtocolError(f"unlock of {name.text}, which it does not hold")
        if waiting := binding.waiting.get(name.text):
            self._leave_queue(binding, next(reversed(waiting)))
        return []

    def drop(self, session: SessionId, now: Instant) -> list[Effect]:
        """Free everything that C{session} holds, by rolling back, and take it out of every queue: it is gone."""
        record = self._sessions.pop(session, None)
        effects: list[Effect] = []
        if record is None:
            return effects
        for request in list(record.incubated):
            self._hatch(record, request)
        for binding in record.bindings.values():
            entry = binding.entry
            for request in chain.from_iterable(binding.waiting.values()):
                entry.resource.withdraw(request)
            for holding in chain.from_iterable(binding.holdings.values()):
                entry.resource.give_back(holding, rollback=True)
            entry.sessions -= 1
            if binding.holdings:
                self._serve(entry, now, effects)
            if not entry.sessions:
                entry.idle_until = now.monotonic + entry.retention
                self._set_alarm(entry, entry.idle_until)
        return effects

    def expire(self, now: Instant) -> list[Effect]:
        """Do what is due: forget resources that were idle for long enough, grant timestamps of a new unit."""
        effects: list[Effect] = []
        for entry in self._due(now.monotonic):
            if entry.sessions:
                self._serve(entry, now, effects)
            elif now.monotonic >= entry.idle_until:
                del self._entries[entry.key]
            else:
                self._set_alarm(entry, entry.idle_until)
        return effects

    def next_deadline(self) -> float | None:
        """Tell the monotonic second at which L{expire} may have something to do."""
        return self._alarms[0][0] if self._alarms else None

    def _decide(
        self, entry: _Entry, request: LockRequest, now: Instant, effects: list[Effect], *, delayed: bool = False
    ) -> None:
        resource = entry.resource
        binding = self._bind(request.session, entry)
        if resource.fits(request, now):
            effects.append(self._grant(binding, request, now, delayed))
        elif resource.never_fits(request):
            effects.append(Refused(request, Outcome.IMPOSSIBLE, delayed))
        elif not request.wait:
            effects.append(Refused(request, Outcome.BUSY, delayed))
        else:
            resource.enqueue(request)
            binding.waiting.setdefault(request.name.text, {})[request] = None
            effects.append(Queued(request, delayed))
            self._await_chance(entry, now)

    def _session(self, session: SessionId) -> _Session:
        record = self._sessions.get(session)
        if record is None:
            record = self._sessions[session] = _Session()
        return record

    def _bind(self, session: SessionId, entry: _Entry) -> _Binding:
        bindings = self._session(session).bindings
        binding = bindings.get(entry.key)
        if binding is None:
            binding = bindings[entry.key] = _Binding(entry)
            entry.sessions += 1
        return binding

    def _grant(self, binding: _Binding, request: LockRequest, now: Instant, delayed: bool) -> Granted:
        holding = binding.entry.resource.take(request, now)
        binding.holdings.setdefault(request.name.text, []).append(holding)
        return Granted(request, next(self._tokens), holding.element, delayed)

    def _serve(self, entry: _Entry, now: Instant, effects: list[Effect]) -> list[Effect]:
        """Grant to every waiter that fits now, in the order of arrival (spec 4.2, rule 3)."""
        resource = entry.resource
        while (waiter := resource.next_waiter(now)) is not None:
            binding = self._sessions[waiter.session].bindings[entry.key]
            self._leave_queue(binding, waiter)
            effects.append(self._grant(binding, waiter, now, delayed=True))
        self._await_chance(entry, now)
        return effects

    def _leave_queue(self, binding: _Binding, request: LockRequest) -> None:
        waiting = binding.waiting[request.name.text]
        del waiting[request]
        if not waiting:
            del binding.waiting[request.name.text]
        binding.entry.resource.withdraw(request)

    def _hatch(self, session: _Session, request: LockRequest) -> None:
        """Take C{request} out of the incubator."""
        del session.incubated[request]
        key = request.name.key
        del self._incubator[key][request]
        if not self._incubator[key]:
            del self._incubator[key]

    def _await_chance(self, entry: _Entry, now: Instant) -> None:
        delay = entry.resource.next_chance(now)
        if delay is not None:
            self._set_alarm(entry, now.monotonic + delay)

    def _set_alarm(self, entry: _Entry, when: float) -> None:
        """Have L{expire} look at C{entry} at C{when}; it keeps only the earliest alarm of an entry."""
        if entry.alarm is None or when < entry.alarm:
            entry.alarm = when
            heapq.heappush(self._alarms, (when, next(self._alarm_numbers), entry))

    def _due(self, now: float) -> list[_Entry]:
        """Give the entries whose alarm goes off, each once, whatever alarm is set for it next."""
        due = []
        while self._alarms and self._alarms[0][0] <= now:
            when, _, entry = heapq.heappop(self._alarms)
            if entry.alarm == when:
                entry.alarm = None
                due.append(entry)
        return due


def _retention(lifespan: float) -> float:
    """Tell how many seconds a resource created with C{lifespan} is remembered while idle (spec 4.10)."""
    return (lifespan if lifespan > 0 else _IDLE_PERIOD) + _IDLE_PERIOD

"""
Several locks at once, all or nothing (docs/howto/several-locks.md).

A set of requests is granted in one step, or waits as one and holds nothing meanwhile: no order of locks has to be
agreed on, and no deadlock comes of it. It waits in a queue of its own at each of its resources. When something is
released there, only the first set of that queue is looked at, and when that leaves, the next one: what is done costs
what sets are long, not how many wait. A set that is needed is not kept behind another one, but looked at each time.

Requests that came later may overtake a set that waits, but only so many. Then it holds back those that come later,
unless they are needed. So does a conversion that waits (L{flom.core.locks.resources.conversion}).

A request is B{needed} if its session holds anything, or a command that it says it runs under: what the set waits for
may be held until the request is granted. It is B{in doubt} if it does not say under which commands it runs, or while
anything is held by a session that has not said what its own public id is: the request may run under that. What is in
doubt is held back all the same, but for L{MAX_DOUBT} seconds at most, so that no deadlock lasts longer. All that is in
doubt at one resource passes together, and after that nothing in doubt passes for as much time: so what those wait for
that hold back others may end meanwhile. What is not in doubt stays where it is, and is looked at again then.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from flom.codes import Outcome
from flom.core.effects import Effect, Instant, Limit, Queued, Refused
from flom.core.locks.resources.conversion import ConvertibleResource
from flom.core.locks.sharing import free
from flom.errors import InvalidTimestampFormat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flom.core.locks.records import Arrival, Binding, Entry, SessionRecord
    from flom.core.locks.resources import Resource
    from flom.core.locks.resources.base import Holding
    from flom.core.locks.table import LockTable
    from flom.core.protocol.messages import WhyWithdrawn
    from flom.core.requests import LockRequest, SessionId, SetRequest

MAX_DOUBT: Final = 10.0
"""
Seconds for which, at most, a request is held back, or a set kept behind another one, although it may be needed by what
that waits for.
"""

_LATEST: Final = 2**63
"""The number of a request that has just come, greater than those of all that wait."""


class _Part(NamedTuple):
    """One request of a set, and where it is made."""

    request: LockRequest
    entry: Entry
    binding: Binding


class WaitingSet:
    """
    A set that waits, or is about to.

    @ivar record: of its session.
    @ivar parts: in the order in which they were asked for.
    @ivar number: of the first one, see L{flom.core.locks.snapshot.LockView}; a set that came later has a higher one.
    @ivar since: when it began to wait, in seconds of the monotonic clock.
    @ivar is_free: true if it is not needed, and has not been in doubt for too long.
    @ivar overtaken: how many requests that came later may have gone before it, see L{SetQueue.note_overtaking}.
    @ivar is_barring: true once that is as many as may.
    @ivar awaits: where only the time has to come for it, as far as it was looked at.
    """

    __slots__ = ("awaits", "in_order", "is_barring", "is_free", "number", "overtaken", "parts", "record", "since")

    def __init__(self, record: SessionRecord, parts: list[_Part], *, is_free: bool) -> None:
        self.record = record
        self.parts = parts
        # what only the time has to come for is looked at last, because to look at it may use it up
        self.in_order = sorted(parts, key=lambda part: part.entry.resource.waits_for_time)
        self.is_free = is_free
        self.number = _LATEST
        self.since = 0.0
        self.overtaken = 0
        self.is_barring = False
        self.awaits: Entry | None = None

    def beside(self, request: LockRequest) -> tuple[str, ...]:
        """Return the names of all that it wants beside C{request}, which is of it."""
        return tuple(part.request.name.text for part in self.parts if part.request is not request)


class SetQueue:
    """
    What waits for one resource and is not in the queue of that.

    @ivar free: sets that are L{WaitingSet.is_free}, in the order of arrival.
    @ivar bound: all other sets, likewise.
    @ivar held_back: requests for this resource alone that sets hold back, with their numbers, likewise.
    @ivar is_due: true if all in their turn are to be looked at, and not only those whose time has come.
    @ivar doubts: what is held back, be it by conversions. A set that is free is here as its first request, at the
        resource of that.
    @ivar next_look: when those of them that are in doubt pass, if there are any.
    """

    __slots__ = ("bound", "doubts", "free", "held_back", "is_due", "next_look")

    def __init__(self) -> None:
        self.free: dict[WaitingSet, None] = {}
        self.bound: dict[WaitingSet, None] = {}
        self.held_back: dict[LockRequest, int] = {}
        self.is_due = False
        self.doubts: dict[LockRequest, None] = {}
        self.next_look = 0.0

    def __bool__(self) -> bool:
        return bool(self.free or self.bound or self.held_back or self.doubts)

    def requests(self, entry: Entry) -> Iterator[LockRequest]:
        """Yield all that waits here for C{entry}."""
        yield from self.held_back
        for each in (*self.free, *self.bound):
            yield from (part.request for part in each.parts if part.entry is entry)

    def in_turn(self) -> Iterator[WaitingSet]:
        """Yield the sets that are looked at."""
        yield from islice(self.free, 1)
        yield from self.bound

    def bars(self, number: int) -> bool:
        """Return whether what came as C{number} is not to be granted, unless it is needed."""
        return any(each.is_barring and each.number < number for each in self.in_turn())


class WaitingSets:
    """
    The sets of a table.

    @ivar by_part: those that wait, by each of their requests.
    @ivar watched: all that is held back, and sets that are free, which are needed once their session, or one that they
        run under, is granted anything: by session, and by public id of its lineage.
    """

    def __init__(self, table: LockTable, max_overtaking: int) -> None:
        """@param max_overtaking: see L{LockTable}."""
        self._table = table
        self._max_overtaking = max_overtaking or _LATEST
        self.by_part: dict[LockRequest, WaitingSet] = {}
        self.watched: dict[SessionId | str, dict[LockRequest, None]] = {}

    def find(self, request: LockRequest) -> WaitingSet | None:
        """Return the waiting set of which C{request} is a part; C{None} if it is of none."""
        return self.by_part.get(request)

    def request(self, request: SetRequest, now: Instant, effects: list[Effect]) -> None:
        """Decide C{request}; what waited for the creation of its resources follows."""
        table = self._table
        missing: dict[str, tuple[LockRequest, Resource]] = {}
        for part in request.parts:
            if part.name.key in table._entries:
                continue
            if not part.create:
                effects.append(table._refuse(part, Outcome.CANNOT_WAIT))
                return
            if 0 < table._max_resources <= len(table._entries) + len(missing):
                effects.append(table._refuse(part, Outcome.BUSY, limit=Limit.RESOURCES))
                return
            try:
                missing[part.name.key] = part, table._make_resource(part.name)
            except InvalidTimestampFormat:
                effects.append(table._refuse(part, Outcome.INVALID_TIMESTAMP_FORMAT))
                return
        made = [table._add_entry(part, resource, now) for part, resource in missing.values()]
        self._decide(request, now, effects)
        for entry in made:
            table._hatch_all(entry, now, effects)

    def _decide(self, request: SetRequest, now: Instant, effects: list[Effect]) -> None:
        self._decide_now(request, now, effects)
        for part in request.parts:
            entry = self._table._entries[part.name.key]
            if entry.wishes is not None:
                self._table._look(entry, entry.wishes, effects)

    def _decide_now(self, request: SetRequest, now: Instant, effects: list[Effect]) -> None:
        table = self._table
        entries = [table._entries[part.name.key] for part in request.parts]
        parts = [
            _Part(part, entry, table._bind(part.session, entry))
            for part, entry in zip(request.parts, entries, strict=True)
        ]
        for part in parts:
            if 0 < table._max_locks <= part.binding.locks:
                effects.append(table._refuse(part.request, Outcome.BUSY, limit=Limit.LOCKS))
                return
        if request.regains:
            self._reclaim(parts, now, effects)
            return
        record = table._sessions[request.session]
        new = WaitingSet(record, parts, is_free=not self.is_needed(request.parts[0]))
        blocked = parts[0] if table.is_draining else self._blocked_part(new, now)
        if blocked is None:
            self._grant(new, now, effects)
        elif (hopeless := self._hopeless_part(parts)) is not None:
            effects.append(table._refuse(hopeless.request, Outcome.IMPOSSIBLE))
        elif not request.wait:
            effects.append(table._refuse(blocked.request, Outcome.BUSY))
        elif (full := self._full_part(parts)) is not None:
            effects.append(table._refuse(full.request, Outcome.BUSY, limit=Limit.WAITERS))
        else:
            ahead = blocked.entry.waiters
            self._enqueue(new, now)
            if (refused := self._refuse_circle(new)) is not None:
                effects.append(refused)
            else:
                effects.append(Queued(blocked.request, False, ahead))

    def _refuse_circle(self, each: WaitingSet) -> Refused | None:
        """If C{each}, which waits, would do so for ever, forget and refuse it."""
        circles = self._table._circles
        for part in each.parts if each.parts[0].request.wishes is not None else ():
            circle = circles.find(part.request)
            if circle:
                self.withdraw(each)
                return self._table._refuse(part.request, Outcome.DEADLOCK, circle=circle)
        return None

    def _hopeless_part(self, parts: list[_Part]) -> _Part | None:
        return next((part for part in parts if part.entry.resource.never_fits(part.request)), None)

    def _full_part(self, parts: list[_Part]) -> _Part | None:
        most = self._table._max_waiters
        return next((part for part in parts if 0 < most <= part.entry.waiters), None)

    def _reclaim(self, parts: list[_Part], now: Instant, effects: list[Effect]) -> None:
        """Grant again what the session had at another daemon, all of it or nothing."""
        table = self._table
        taken: list[tuple[_Part, Holding]] = []
        for part in parts:
            holding = table._regain(part.entry.resource, part.request, now)
            if holding is None:
                for other, held in taken:
                    free(other.entry.resource, held, rollback=False)
                effects.append(table._refuse(part.request, Outcome.BUSY))
                return
            taken.append((part, holding))
        for part, holding in taken:
            part.binding.locks += 1
            effects.append(table._grant(part.binding, holding, now, None))

    def _blocked_part(self, each: WaitingSet, now: Instant) -> _Part | None:
        """
        Return the first part of C{each} that cannot be granted now; C{None} if all of them can.

        If only its time has to come, C{each} is looked at then.
        """
        for part in each.in_order:
            queue, resource = part.entry.sets, part.entry.resource
            is_barred = each.is_free and (
                (queue is not None and queue.bars(each.number))
                or (part.entry.conversions and self.is_barred(resource, part.request))
            )
            if is_barred or not (resource.fits(part.request, now) or self._shares(part.request)):
                delay = None if is_barred else resource.next_chance(now, is_wanted=True)
                each.awaits = None if delay is None else part.entry
                if delay is not None:
                    self._table._set_alarm(part.entry, now.monotonic + delay)
                return part
        return None

    def is_barred(self, resource: Resource, request: LockRequest) -> bool:
        """Return whether C{request}, which fits, is in the way of a conversion that waits, if any can there."""
        return isinstance(resource, ConvertibleResource) and resource.is_barred(request)

    def _shares(self, request: LockRequest) -> bool:
        """Return whether C{request}, which does not fit, is to share what is in its way."""
        return request.wishes is not None and self._table._circles.to_share(request) is not None

    def _grant(self, each: WaitingSet, now: Instant, effects: list[Effect]) -> None:
        """Grant C{each}, which fits and has just come."""
        self._note_overtaking(each)
        for part in each.parts:
            part.binding.locks += 1
            taken = self._table._take(part.entry.resource, part.request, now)
            effects.append(self._table._grant(part.binding, taken, now, None))

    def _grant_waiting(self, each: WaitingSet, now: Instant, effects: list[Effect]) -> None:
        """Grant C{each}, which waits and fits."""
        self._note_overtaking(each)
        arrivals = self._leave(each)
        for part, arrival in zip(each.parts, arrivals, strict=True):
            taken = self._table._take(part.entry.resource, part.request, now)
            effects.append(self._table._grant(part.binding, taken, now, arrival))

    def _note_overtaking(self, each: WaitingSet) -> None:
        """Count C{each}, which is about to be granted, with all sets in their turn that came before it."""
        queues = [part.entry.sets for part in each.parts if part.entry.sets is not None]
        overtaken = {other: None for queue in queues for other in queue.in_turn() if other.number < each.number}
        for other in overtaken:
            self._count(other)

    def _count(self, overtaken: WaitingSet) -> None:
        overtaken.overtaken += 1
        overtaken.is_barring = overtaken.overtaken >= self._max_overtaking

    def _enqueue(self, each: WaitingSet, now: Instant) -> None:
        table = self._table
        for part in each.parts:
            entry, binding, arrival = part.entry, part.binding, table._arrival(now)
            binding.locks += 1
            binding.waiting.setdefault(part.request.name.text, {})[part.request] = arrival
            entry.waiters += 1
            if entry.sets is None:
                entry.sets = SetQueue()
            (entry.sets.free if each.is_free else entry.sets.bound)[each] = None
            self.by_part[part.request] = each
            if part.request.wishes is not None:
                table._circles.add_wait(part.request)
        first = each.parts[0]
        arrival = first.binding.waiting[first.request.name.text][first.request]
        each.number, each.since = arrival.number, arrival.since
        each.record.sets[each] = None
        if each.is_free:
            self._hold_back(first.entry, first.request, each.since)

    def _leave(self, each: WaitingSet) -> list[Arrival]:
        """Remove C{each}, which waits, from its queues; return when its parts have come."""
        del each.record.sets[each]
        if each.is_free:
            self._hold_back_no_more(each.parts[0].entry, each.parts[0].request)
        arrivals = []
        for part in each.parts:
            del self.by_part[part.request]
            if part.request.wishes is not None:
                self._table._circles.remove_wait(part.request)
            waiting = part.binding.waiting[part.request.name.text]
            arrivals.append(waiting.pop(part.request))
            if not waiting:
                del part.binding.waiting[part.request.name.text]
            entry, queue = part.entry, part.entry.sets
            assert queue is not None
            entry.waiters -= 1
            del (queue.free if each.is_free else queue.bound)[each]
            self._let_go(entry, queue)
        return arrivals

    def _let_go(self, entry: Entry, queue: SetQueue) -> None:
        """Put what no set holds back any more into the queue of C{entry}."""
        while queue.held_back:
            request, number = next(iter(queue.held_back.items()))
            if queue.bars(number):
                return
            del queue.held_back[request]
            if not self._keep_behind_conversions(entry, request):
                self._hold_back_no_more(entry, request)
            entry.resource.enqueue(request)
            self._count_all(queue, number)
        if not queue:
            entry.sets = None

    def _keep_behind_conversions(self, entry: Entry, request: LockRequest) -> bool:
        """Return whether conversions hold back C{request}, which is not needed and is about to be in the queue."""
        if entry.conversions and isinstance(entry.resource, ConvertibleResource):
            entry.resource.held_back.add(request)
            return True
        return False

    def _count_all(self, queue: SetQueue, number: int) -> None:
        """Count what came as C{number}, and may be granted now, with all sets in their turn that came before it."""
        for each in queue.in_turn():
            if each.number < number:
                self._count(each)

    def lets_pass(self, entry: Entry, request: LockRequest, arrival: Arrival | None) -> bool:
        """
        Return whether C{request} for C{entry} alone, which fits, may be granted before the sets that wait there; if so,
        count it.

        @param arrival: since when it has waited; C{None} if it has just come.
        """
        queue, number = entry.sets, _LATEST if arrival is None else arrival.number
        assert queue is not None
        if queue.bars(number) and not self.is_needed(request):
            return False
        self._count_all(queue, number)
        return True

    def enqueue(self, entry: Entry, request: LockRequest, arrival: Arrival) -> None:
        """Put C{request} for C{entry} alone behind the sets that hold it back, or into the queue."""
        queue = entry.sets
        is_barred = queue is not None and queue.bars(arrival.number)
        if (is_barred or entry.conversions) and not self.is_needed(request):
            if queue is not None and is_barred:
                queue.held_back[request] = arrival.number
                self._hold_back(entry, request, arrival.since)
                return
            if self._keep_behind_conversions(entry, request):
                self._hold_back(entry, request, arrival.since)
        entry.resource.enqueue(request)
        if queue is not None:
            self._count_all(queue, arrival.number)

    def leave_queue(self, entry: Entry, request: LockRequest) -> None:
        """Remove C{request}, which waits for C{entry} alone, from its queue."""
        queue = entry.sets
        if queue is not None and request in queue.held_back:
            del queue.held_back[request]
            self._hold_back_no_more(entry, request)
            return
        entry.resource.withdraw(request)
        if queue is not None and request in queue.doubts:
            assert isinstance(entry.resource, ConvertibleResource)
            entry.resource.held_back.discard(request)
            self._hold_back_no_more(entry, request)
            if not queue:
                entry.sets = None

    def serve(self, entries: Iterable[Entry], now: Instant, effects: list[Effect]) -> None:
        """Grant to all waiters for C{entries} that fit, in their order, and to those behind sets that are granted."""
        self._serve(dict.fromkeys(entries, True), now, effects)

    def serve_due(self, entries: Iterable[Entry], now: Instant, effects: list[Effect]) -> None:
        """Grant to those waiters for C{entries} whose time has come, as L{serve} does."""
        work: dict[Entry, bool] = dict.fromkeys(entries, False)
        for entry in sorted(work, key=lambda entry: entry.number):
            work |= dict.fromkeys(self._end_doubts(entry, now), True)
        for entry in work:
            queue = entry.sets
            if queue is not None:
                work[entry] |= queue.is_due
                queue.is_due = False
        self._serve(work, now, effects)

    def _end_doubts(self, entry: Entry, now: Instant) -> list[Entry]:
        """End what holds back the requests for C{entry} that are in doubt, if the time has come; return where."""
        queue, table = entry.sets, self._table
        touched: list[Entry] = []
        if queue is None or not queue.doubts:
            return touched
        if queue.next_look <= now.monotonic:
            queue.next_look = now.monotonic + MAX_DOUBT
            is_any_unknown = table.held > table._circles.held
            for request in [each for each in queue.doubts if is_any_unknown or not _lineage(each)]:
                touched += self._let_pass(request)
        if queue.doubts:
            table._set_alarm(entry, queue.next_look)
        return touched

    def _serve(self, work: dict[Entry, bool], now: Instant, effects: list[Effect]) -> None:
        """@param work: for each entry, whether all sets in their turn are looked at, or those that await it alone."""
        table = self._table
        touched = dict.fromkeys(work)
        for entry in work:
            if entry.conversions:
                table._serve_conversions(entry, now, effects)
        while not table.is_draining:
            found = []
            for entry, is_whole in list(work.items()):
                first = self._first(entry, now, is_whole=is_whole)
                if first is None:
                    del work[entry]
                else:
                    found.append((*first, entry))
            if not found:
                break
            _, each, entry = min(found, key=lambda item: item[0])
            if isinstance(each, WaitingSet):
                self._grant_waiting(each, now, effects)
                for part in each.parts:
                    work[part.entry] = True
                    touched[part.entry] = None
            else:
                binding = table._sessions[each.session].bindings[entry.key]
                arrival = table._leave_queue(binding, each)
                effects.append(table._grant(binding, entry.resource.take(each, now), now, arrival))
        for entry in touched:
            if entry.resource.waits_for_time:
                table._await_chance(entry, now)
            if entry.wishes is not None:
                table._look(entry, entry.wishes, effects)

    def _first(self, entry: Entry, now: Instant, *, is_whole: bool) -> tuple[int, WaitingSet | LockRequest] | None:
        """Return the first waiter for C{entry} that fits, and its number; see L{_serve}."""
        found: tuple[int, WaitingSet | LockRequest] | None = None
        for each in () if entry.sets is None else entry.sets.in_turn():
            if not is_whole and each.awaits is not entry:
                continue
            if (found is None or each.number < found[0]) and self._blocked_part(each, now) is None:
                found = each.number, each
        waiter = entry.resource.next_waiter(now)
        if waiter is not None:
            binding = self._table._sessions[waiter.session].bindings[entry.key]
            number = binding.waiting[waiter.name.text][waiter].number
            if found is None or number < found[0]:
                found = number, waiter
        return found

    def withdraw(self, each: WaitingSet) -> float:
        """Forget C{each}, which waits; return since when it has."""
        for part in each.parts:
            part.binding.locks -= 1
        self._leave(each)
        for part in each.parts:
            if part.entry.wishes is not None:
                self._table._look(part.entry, part.entry.wishes, [])  # of a waiter less, there is nothing to tell
        return each.since

    def withdraw_quietly(self, each: WaitingSet) -> float:
        """Do what L{withdraw} does; those behind it are looked at soon."""
        since = self.withdraw(each)
        for part in each.parts:
            self._look_soon(part.entry)
        return since

    def give_up(self, each: WaitingSet, now: Instant, reason: WhyWithdrawn) -> list[Effect]:
        """Withdraw C{each}, because of C{reason}, and serve those behind it."""
        effects: list[Effect] = [self._table._withdrawn(each.parts[0].request, self.withdraw(each), now, reason)]
        self.serve([part.entry for part in each.parts], now, effects)
        return effects

    def withdraw_all(
        self, record: SessionRecord, now: Instant, reason: WhyWithdrawn | None, effects: list[Effect]
    ) -> list[Entry]:
        """
        Withdraw all sets of a session.

        @param reason: C{None} to count nothing.
        @return: what is to be served then.
        """
        left = []
        for each in list(record.sets):
            self.withdraw(each)
            if reason is not None:
                effects.append(self._table._withdrawn(each.parts[0].request, each.since, now, reason))
            left += [part.entry for part in each.parts]
        return left

    def put_in_order(self, entry: Entry) -> None:
        """Do what L{LockTable.put_in_order} does with what is not in the queue of C{entry}; look at it soon."""
        queue = entry.sets
        assert queue is not None
        for waiting in (queue.free, queue.bound):
            in_order = sorted(waiting, key=lambda each: (each.since - each.parts[0].request.waited, each.number))
            waiting.clear()
            waiting |= dict.fromkeys(in_order)
        self._look_soon(entry)

    def is_first(self, request: LockRequest) -> bool:
        """Return whether C{request} waits alone, or is the first part of a set."""
        each = self.by_part.get(request)
        return each is None or each.parts[0].request is request

    def is_elsewhere(self, entry: Entry, request: LockRequest) -> bool:
        """Return whether C{request}, which waits for C{entry}, does so by another queue than that of the resource."""
        return request in self.by_part or (entry.sets is not None and request in entry.sets.held_back)

    def is_needed(self, request: LockRequest) -> bool:
        """Return whether a holder is known to wait for C{request}: its session, or one that it says it runs under."""
        return self._table.holds(request.session) or self._table._circles.has_holder(request)

    def _hold_back(self, entry: Entry, request: LockRequest, since: float) -> None:
        """Note that C{request} for C{entry}, which is not needed, is held back, and has waited C{since} then."""
        for key in _kin(request):
            self.watched.setdefault(key, {})[request] = None
        if entry.sets is None:
            entry.sets = SetQueue()
        if not entry.sets.doubts:
            entry.sets.next_look = since + MAX_DOUBT
            self._table._set_alarm(entry, since + MAX_DOUBT)
        entry.sets.doubts[request] = None

    def _hold_back_no_more(self, entry: Entry, request: LockRequest) -> None:
        for key in _kin(request):
            same = self.watched[key]
            del same[request]
            if not same:
                del self.watched[key]
        queue = entry.sets
        assert queue is not None
        del queue.doubts[request]

    def note_holder(self, request: LockRequest) -> None:
        """Note that C{request} is granted: what waits and is of its lineage is kept behind nothing any more."""
        keys: list[SessionId | str] = [request.session]
        if request.wishes is not None:
            keys += request.wishes.lineage[:1]
        for key in keys:
            for waiting in list(self.watched.get(key) or ()):
                for entry in self._let_pass(waiting):
                    self._look_soon(entry)

    def _let_pass(self, request: LockRequest) -> list[Entry]:
        """Keep C{request}, or the set of which it is the first, behind nothing any more; return what to look at."""
        entry, each = self._table._entries[request.name.key], self.by_part.get(request)
        self._hold_back_no_more(entry, request)
        queue = entry.sets
        assert queue is not None
        if each is not None:
            each.is_free = False
            for part in each.parts:
                assert part.entry.sets is not None
                del part.entry.sets.free[each]
                part.entry.sets.bound[each] = None
            return [part.entry for part in each.parts]
        if request in queue.held_back:
            entry.resource.enqueue(request)
            self._count_all(queue, queue.held_back.pop(request))
        else:
            assert isinstance(entry.resource, ConvertibleResource)
            entry.resource.let_pass(request)
            if not queue:
                entry.sets = None
        return [entry]

    def _look_soon(self, entry: Entry) -> None:
        """Look at all in their turn for C{entry} as soon as L{LockTable.expire} is called."""
        if entry.sets is not None:
            entry.sets.is_due = True
        self._table._set_alarm(entry, 0.0)


def _kin(request: LockRequest) -> tuple[SessionId | str, ...]:
    """Return what names the session of C{request} and those that it may have been started by."""
    return request.session, *dict.fromkeys(_lineage(request))


def _lineage(request: LockRequest) -> tuple[str, ...]:
    return () if request.wishes is None else request.wishes.lineage

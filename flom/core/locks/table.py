"""
The lock table: holders, waiters, and what follows from each call (docs/compatibility.md, "Locks").

A call takes the present moment and returns its consequences as values, in the order in which to deliver them. Its cost
does not grow with the number of waiters: see L{flom.core.locks.resources.base.Resource}.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from itertools import chain, count
from typing import Final

from flom.codes import Outcome
from flom.core.effects import (
    Converted,
    Converting,
    Effect,
    Ended,
    Granted,
    Incubated,
    Instant,
    Limit,
    NotConverted,
    Overdue,
    Queued,
    Refused,
    Step,
    Withdrawn,
)
from flom.core.locks.circles import Circles
from flom.core.locks.hold_limits import HolderWishes, HoldPolicy, delay_of, limit_of
from flom.core.locks.positions import Kept, Remembered
from flom.core.locks.records import Arrival, Binding, Entry, LockRecords, SessionRecord
from flom.core.locks.resources import Resource, Strftime, make_resource
from flom.core.locks.resources.base import Holding
from flom.core.locks.resources.conversion import Conversion, ConvertibleResource
from flom.core.locks.resources.queues import NEVER
from flom.core.locks.resources.sequence import SequenceResource
from flom.core.locks.sets import WaitingSets
from flom.core.locks.sharing import free, share, share_again
from flom.core.locks.statistics import Loss, Statistics
from flom.core.modes import LockMode, excludes_no_more
from flom.core.names import ResourceName, parse_name
from flom.core.protocol.messages import WhyWithdrawn
from flom.core.requests import LockRequest, SessionId, SetRequest
from flom.core.tokens import COUNTER, begin_epoch, epoch_of
from flom.errors import InvalidTimestampFormat, RemoteProtocolError

_IDLE_PERIOD: Final = 1.0  # seconds; an idle resource is forgotten after two periods, its lifespan being the first


class LockTable(LockRecords):
    """
    All resources of one arbiter, and the C{statistics} of what was done with them.

    @ivar held: how many locks are.
    @ivar lost: how many were lost, and are granted to no client yet because of a lock delay.
    @ivar is_draining: true to grant nothing any more, except what is reclaimed; requests wait.
    @ivar unsaved: what has to be remembered beyond the end of the daemon before effects are delivered, by the names of
        sequences; C{None} for those that are forgotten. The caller saves it, and clears this.
    """

    def __init__(
        self,
        strftime: Strftime,
        statistics: Statistics | None = None,
        *,
        max_waiters: int = 0,
        max_resources: int = 0,
        max_locks: int = 0,
        max_overtaking: int = 0,
        policy: HoldPolicy | None = None,
        begin_epoch: Callable[[int], int] = begin_epoch,
    ) -> None:
        """
        @param strftime: writes the texts of timestamp resources.
        @param statistics: of the table whose place this takes; C{None} if there was none.
        @param max_waiters: for one resource, be it yet to be created; one more is refused; 0 for no limit.
        @param max_resources: a request that would create one more is refused; 0 for no limit.
        @param max_locks: that one session holds and waits for at one resource, be it yet to be created; one more is
            refused; 0 for no limit.
        @param max_overtaking: requests that may go before a set that waits although they came later; then others are
            held back (L{flom.core.locks.sets}); 0 for no limit.
        @param policy: limits and delays for all locks; C{None} for none.
        @param begin_epoch: returns the first token of an epoch that is higher than the one it is given, and than those
            of all other tables that have granted the same resources.
        """
        super().__init__()
        self._strftime = strftime
        self._max_waiters = max_waiters
        self._max_resources = max_resources
        self._max_locks = max_locks
        self._policy = policy or None
        self._alarms: list[tuple[float, int, Entry]] = []
        self._alarm_numbers = count()
        self._circles = Circles()
        self._dead_alarms = 0  # how many of them are none any more
        self._begin_epoch = begin_epoch
        self._next_token = 0  # the counter is 0 if the epoch has to be begun, at first and when it is used up
        self._numbers = count(2)  # as FLoM's daemon numbers what it shows (docs/compatibility.md, "File system")
        self._sets = WaitingSets(self, max_overtaking)
        self._watched = self._sets.watched
        self.statistics = statistics or Statistics()
        self.held = 0
        self.lost = 0
        self.is_draining = False
        self.unsaved: dict[str, Remembered | None] = {}

    def request(self, request: LockRequest, now: Instant) -> list[Effect]:
        """
        Decide C{request}: it is granted, queued, put in the incubator or refused.

        If it creates the resource, the requests that waited for that follow
        (docs/compatibility.md, "Requests that do not create").
        """
        effects = self.expire(now) if self._is_due(now) else []
        key = request.name.key
        entry = self._entries.get(key)
        if entry is not None:
            self._decide(entry, request, now, effects)
        elif request.create and 0 < self._max_resources <= len(self._entries):
            effects.append(self._refuse(request, Outcome.BUSY, limit=Limit.RESOURCES))
        elif request.create:
            try:
                resource = self._make_resource(request.name)
            except InvalidTimestampFormat:
                effects.append(self._refuse(request, Outcome.INVALID_TIMESTAMP_FORMAT))
            else:
                entry = self._add_entry(request, resource, now)
                self._decide(entry, request, now, effects)
                self._hatch_all(entry, now, effects)
        elif not request.wait:
            effects.append(self._refuse(request, Outcome.CANNOT_WAIT))
        elif 0 < self._max_waiters <= len(self._incubator.get(key, ())):
            effects.append(self._refuse(request, Outcome.BUSY, limit=Limit.WAITERS))
        elif 0 < self._max_locks <= len(self._session(request.session).incubated):
            effects.append(self._refuse(request, Outcome.BUSY, limit=Limit.LOCKS))
        else:
            self._incubator.setdefault(key, {})[request] = None
            self._session(request.session).incubate(request, self._arrival(now))
            effects.append(Incubated(request))
        return effects

    def request_all(self, request: SetRequest, now: Instant) -> list[Effect]:
        """
        Decide C{request}: all parts are granted at once, with as many effects, which follow one another in the order of
        the parts; or all of them wait, or are refused, with one effect, for the first part that is in the way.

        A part that is not to create its resource, which is not there, is refused, even if it is to wait.
        """
        effects = self.expire(now) if self._is_due(now) else []
        self._sets.request(request, now, effects)
        return effects

    def remember(self, sequences: Iterable[Remembered], now: Instant) -> None:
        """Go on with C{sequences} of another daemon, which are idle from now on."""
        for one in sequences:
            resource = self._make_resource(parse_name(one.name))
            assert isinstance(resource, SequenceResource)
            resource.restore(one.position)
            entry = Entry(one.name, one.name, next(self._numbers), now.monotonic, resource, one.retention, resource)
            entry.idle_until = now.monotonic + one.retention
            self._entries[one.name] = entry
            self._set_alarm(entry, entry.idle_until)

    def keep(self, now: Instant) -> list[Kept]:
        """Return what a daemon that goes on with all resources has to know of them, besides what is held."""
        return [
            Kept(
                parse_name(entry.name),
                entry.retention,
                entry.retention if entry.sessions else max(0.0, entry.idle_until - now.monotonic),
                entry.kept is not None,
                entry.resource.memory(),
            )
            for entry in self._entries.values()
        ]

    def recall(self, resources: Iterable[Kept], now: Instant) -> None:
        """
        Go on with C{resources} of another daemon, which are idle until they are reclaimed.

        @raise ValueError: they cannot be of such a daemon.
        """
        for one in resources:
            try:
                resource = self._make_resource(one.name)
            except InvalidTimestampFormat as e:
                raise ValueError(f"{one.name.text}: {e}") from None
            resource.recall(one.memory)
            entry = Entry(one.name.key, one.name.text, next(self._numbers), now.monotonic, resource, one.retention)
            if one.is_saved and isinstance(resource, SequenceResource):
                entry.kept = resource
                self._note_position(entry)
            entry.idle_until = now.monotonic + one.left
            if (former := self._entries.get(entry.key)) is not None:
                former.alarm = None  # which would forget this one
            self._entries[entry.key] = entry
            self._set_alarm(entry, entry.idle_until)

    def recall_lost(self, request: LockRequest, seconds: float, now: Instant) -> None:
        """
        Keep from all clients what a holder had lost at another daemon, once all is reclaimed that is held.

        @param request: regains it; its session is none.
        @param seconds: for which it is kept.
        """
        entry = self._entries.get(request.name.key)
        if entry is None:
            return
        others = chain(self._held_at(entry.key), () if entry.wishes is None else entry.wishes.lost)
        shared = next((other for other in others if other.token == request.token), None)  # tokens are shared, too
        holding = entry.resource.reclaim(request, now) if shared is None else share(shared, request)
        if holding is None:
            return
        holding.number, holding.since, holding.token = next(self._numbers), now.monotonic, request.token
        self.outrank(epoch_of(request.token))
        self._lose(entry, holding, now.monotonic + seconds)

    def _held_at(self, key: str) -> Iterable[Holding]:
        """Return what is held of the resource C{key}."""
        bindings = (record.bindings[key] for record in self._sessions.values() if key in record.bindings)
        return chain.from_iterable(chain.from_iterable(each.holdings.values()) for each in bindings)

    def settle(self) -> None:
        """Note in L{unsaved} exactly where all sequences are that are to be remembered: the daemon ends."""
        for entry in self._entries.values():
            if entry.kept is not None and (position := entry.kept.settle()) is not None:
                self.unsaved[entry.name] = Remembered(entry.name, entry.retention, position)

    def note_unsaved(self, names: Iterable[str]) -> None:
        """Note that what L{unsaved} had of sequences could not be remembered: the next number of each tries again."""
        for name in names:
            entry = self._entries.get(name)
            if entry is not None and entry.kept is not None:
                entry.kept.note_unsaved()

    @property
    def epoch(self) -> int:
        """The epoch of the next grant's token; 0 before the first one."""
        return epoch_of(self._next_token)

    def outrank(self, epoch: int) -> None:
        """Begin a higher epoch than C{epoch}, in which another table has granted locks, unless this one is higher."""
        if epoch >= self.epoch:
            self._next_token = self._begin_epoch(epoch)

    def put_in_order(self, key: str) -> None:
        """Put those who wait for the resource C{key} in the order in which they have asked first, here or elsewhere."""
        entry = self._entries.get(key)
        if entry is None:
            return
        bindings = [record.bindings[key] for record in self._sessions.values() if key in record.bindings]
        waiting = chain.from_iterable(each.items() for binding in bindings for each in binding.waiting.values())
        in_order = sorted(waiting, key=lambda item: (item[1].since - item[0].waited, item[1].number))
        for request, _ in in_order:
            if entry.sets is None or not self._sets.is_elsewhere(entry, request):
                entry.resource.withdraw(request)
                entry.resource.enqueue(request)
        if entry.sets is not None:
            self._sets.put_in_order(entry)

    def withdraw(self, request: LockRequest) -> float:
        """
        Forget C{request}, which is queued or in the incubator, and all that waits as one with it. It is not counted. No
        other request gains by it, but for those behind a set, which L{expire} looks at.

        @return: since when it has waited, in seconds of the monotonic clock.
        """
        session = self._sessions[request.session]
        if request in session.incubated:
            return self._hatch(session, request).since
        if (found := self._sets.find(request)) is not None:
            return self._sets.withdraw_quietly(found)
        return self._give_up(session.bindings[request.name.key], request).since

    def give_up(self, session: SessionId, name: ResourceName, now: Instant, reason: WhyWithdrawn) -> list[Effect]:
        """
        Withdraw the last request of C{session} for C{name} if it waits, and all that waits as one with it, because of
        C{reason}; else do nothing.
        """
        standing = self.standing(session, name)
        if not isinstance(standing, (Queued, Incubated)):
            return []
        if (found := self._sets.find(standing.request)) is not None:
            return self._sets.give_up(found, now, reason)
        return [self._withdrawn(standing.request, self.withdraw(standing.request), now, reason)]

    def release(self, session: SessionId, name: ResourceName, now: Instant, *, rollback: bool = False) -> list[Effect]:
        """
        End one holding of C{name}, or else give up waiting for it (docs/compatibility.md, "Grants and queues"): nothing
        happens if there is neither.

        @param rollback: see L{Resource.release}.
        @raise RemoteProtocolError: C{name} is a sequence that the session is bound to and does not hold
            (docs/compatibility.md, "Sequences").
        """
        record = self._sessions.get(session)
        if record is None:
            return []
        binding = record.bindings.get(name.key)
        if binding is None:
            return self.give_up(session, name, now, WhyWithdrawn.GONE)
        entry, resource = binding.entry, binding.entry.resource
        if holdings := binding.holdings.get(name.text):
            holding = resource.pop_first_to_unlock(holdings)
            if not holdings:
                del binding.holdings[name.text]
            binding.locks -= 1
            if entry.conversions:
                self._forget_conversion(entry, holding)
            if holding.sharing is None:  # as free does, without the call
                resource.release(holding, rollback)
            else:
                holding.sharing.release(resource, holding, rollback)
            if entry.wishes is not None:
                entry.wishes.end(holding)
            effects = self._serve(entry, now, [self._end(holding, now)])
            if entry.kept is not None:
                self._note_position(entry)
            return effects
        if resource.unlock_needs_holding:
            raise RemoteProtocolError(f"unlock of {name.text}, which it does not hold")
        return self.give_up(session, name, now, WhyWithdrawn.GONE)

    def release_all(self, session: SessionId, now: Instant, *, rollback: bool = False) -> list[Effect]:
        """
        End all that C{session} holds, in one step, or else give up all that it waits for.

        @param rollback: see L{Resource.release}.
        """
        record = self._sessions.get(session)
        if record is None:
            return []
        if not self.holds(session):
            return self.give_up_all(session, now, WhyWithdrawn.GONE)
        effects: list[Effect] = []
        released = [binding for binding in record.bindings.values() if binding.holdings]
        for binding in released:
            for holding in chain.from_iterable(binding.holdings.values()):
                if binding.entry.conversions:
                    self._forget_conversion(binding.entry, holding)
                free(binding.entry.resource, holding, rollback)
                if binding.entry.wishes is not None:
                    binding.entry.wishes.end(holding)
                binding.locks -= 1
                effects.append(self._end(holding, now))
            binding.holdings.clear()
            self._note_position(binding.entry)
        self._sets.serve([binding.entry for binding in released], now, effects)
        return effects

    def give_up_all(self, session: SessionId, now: Instant, reason: WhyWithdrawn) -> list[Effect]:
        """Withdraw all that C{session} waits for, because of C{reason}."""
        record = self._sessions.get(session)
        if record is None:
            return []
        effects: list[Effect] = []
        behind = self._sets.withdraw_all(record, now, reason, effects) if record.sets else []
        for request in self.waiting(session):
            effects.append(self._withdrawn(request, self.withdraw(request), now, reason))
        if behind:
            self._sets.serve(behind, now, effects)
        return effects

    def convert(
        self,
        session: SessionId,
        name: ResourceName,
        mode: LockMode,
        now: Instant,
        *,
        wait: bool = True,
        number: int = 0,
    ) -> list[Effect]:
        """
        Change the mode of what C{session} was granted last of C{name}; it stays held
        (L{flom.core.locks.resources.conversion}).

        It takes the place of a conversion of the same lock that waits: to give that up, convert to the mode that is
        held. To ask again for the same changes nothing but the C{number}.

        @param wait: wait if it cannot be granted now; it is refused otherwise, and nothing changes.
        @param number: of the client, for what follows.
        @raise RemoteProtocolError: C{session} does not hold C{name}.
        """
        effects = self.expire(now) if self._is_due(now) else []
        record = self._sessions.get(session)
        binding = None if record is None else record.bindings.get(name.key)
        holdings = None if binding is None else binding.holdings.get(name.text)
        if binding is None or not holdings:
            if effects:
                return effects  # it may have ended just now
            raise RemoteProtocolError(f"conversion of {name.text}, which it does not hold")
        entry, holding = binding.entry, holdings[-1]
        resource, request = entry.resource, holding.request
        if not isinstance(resource, ConvertibleResource) or holding.sharing is not None:
            effects.append(self._refuse_conversion(request, mode, Outcome.IMPOSSIBLE, number))
            return effects
        former = resource.waits(holding)
        if former is not None and former.mode == mode:
            former.number = number
            effects.append(Converting(request, mode, number))
            return effects
        if former is not None:
            self._forget_conversion(entry, holding)
        conversion = Conversion(holding, mode, number, now.monotonic)
        is_less = excludes_no_more(mode, request.mode)
        if is_less or (not self.is_draining and resource.admits_beside(holding, mode)):
            effects.append(self._convert(resource, conversion, now, is_less=is_less))
        elif not wait or self.is_draining:
            effects.append(self._refuse_conversion(request, mode, Outcome.BUSY, number))
        elif circle := resource.find_circle(holding, mode) or self._find_circle(conversion):
            self.statistics.refuse(Outcome.DEADLOCK)
            effects.append(NotConverted(request, mode, Outcome.DEADLOCK, number, circle=circle))
        else:
            conversion.id = next(self._numbers)
            resource.enqueue_conversion(conversion)
            entry.conversions += 1
            effects.append(Converting(request, mode, number))
        return self._serve(entry, now, effects)

    def relate(self, session: SessionId, lineage: tuple[str, ...], nested: str = "") -> None:
        """
        Make all that C{session} holds, which waits for nothing, be of C{lineage} from now on: that of a command which
        goes on under it, or none when that has ended (L{flom.core.locks.circles}).
        """
        for binding in self._sessions[session].bindings.values():
            for holding in (each for same in binding.holdings.values() for each in same):
                if holding.request.wishes is not None:
                    self._circles.remove_holding(holding)
                request = holding.request = holding.request.under(lineage, nested)
                self._circles.add_holding(holding)
                if self._watched:
                    self._sets.note_holder(request)

    def refuse_conversions(self) -> list[Effect]:
        """Refuse all conversions that wait, while no waiter is granted anything."""
        effects: list[Effect] = []
        for entry in self._entries.values():
            if entry.conversions and isinstance(entry.resource, ConvertibleResource):
                for one in list(entry.resource.conversions()):
                    self._forget_conversion(entry, one.holding)
                    request = one.holding.request
                    effects.append(self._refuse_conversion(request, one.mode, Outcome.BUSY, one.number, delayed=True))
        return effects

    def drop(self, session: SessionId, now: Instant, *, by_client: bool = True) -> list[Effect]:
        """
        Free everything that C{session} holds, by rolling back, and take it out of every queue: it is gone.

        @param by_client: whether its client has ended it: what it waited for counts as withdrawn then, and what it held
            as lost, for which there may be a lock delay.
        """
        record = self._sessions.pop(session, None)
        effects: list[Effect] = []
        if record is None:
            return effects
        for request in list(record.incubated):
            arrival = self._hatch(record, request)
            if by_client:
                effects.append(self._withdrawn(request, arrival.since, now, WhyWithdrawn.GONE))
        to_serve: list[Entry] = []  # once all is free, if what is granted of one of them can help waiters for another
        is_together = bool(self._sets.by_part or self._watched)
        if record.sets:
            to_serve = self._sets.withdraw_all(record, now, WhyWithdrawn.GONE if by_client else None, effects)
        for binding in record.bindings.values():
            entry = binding.entry
            for request, arrival in chain.from_iterable(each.items() for each in binding.waiting.values()):
                self._sets.leave_queue(entry, request)
                entry.waiters -= 1
                if request.wishes is not None:
                    self._circles.remove_wait(request)
                if by_client:
                    effects.append(self._withdrawn(request, arrival.since, now, WhyWithdrawn.GONE))
            for holding in chain.from_iterable(binding.holdings.values()):
                if entry.conversions:
                    self._forget_conversion(entry, holding)
                if entry.wishes is not None:
                    entry.wishes.end(holding)
                if by_client and (delay := delay_of(holding.request, self._policy)):
                    self._lose(entry, holding, now.monotonic + delay)
                else:
                    free(entry.resource, holding, rollback=True)
                effects.append(self._end(holding, now))
            entry.sessions -= 1
            if binding.holdings:
                if is_together:
                    to_serve.append(entry)
                else:
                    self._serve(entry, now, effects)
                self._note_position(entry)
            elif entry.wishes is not None:
                self._look(entry, entry.wishes, effects)
            if not entry.sessions:
                entry.idle_until = now.monotonic + entry.retention
                self._set_alarm(entry, entry.idle_until)
        if to_serve:
            self._sets.serve(to_serve, now, effects)
        return effects

    def expire(self, now: Instant) -> list[Effect]:
        """
        Do what is due: end what was held for too long, free what was lost for long enough, forget resources that were
        idle for long enough, grant timestamps of a new unit.
        """
        effects: list[Effect] = []
        to_serve: list[Entry] = []
        due = self._due(now.monotonic)
        for entry in due:
            if entry.wishes is not None:
                self._end_overdue(entry, now, effects)  # before anything is granted to sessions that end
        for entry in due:
            if entry.wishes is not None:
                self._free_lost(entry, now)
            if entry.sessions and (self._sets.by_part or self._watched):
                to_serve.append(entry)
            elif entry.sessions:
                self._serve(entry, now, effects)
            elif entry.wishes is not None and entry.wishes.lost:
                pass  # its alarm is set
            elif now.monotonic >= entry.idle_until:
                del self._entries[entry.key]
                if entry.kept is not None:
                    self.unsaved[entry.name] = None
            else:
                self._set_alarm(entry, entry.idle_until)
        if to_serve:
            self._sets.serve_due(to_serve, now, effects)
        return effects

    def _end_overdue(self, entry: Entry, now: Instant, effects: list[Effect]) -> None:
        """End the sessions that have held C{entry} for too long."""
        while entry.wishes is not None and (overdue := entry.wishes.overdue(now.monotonic)) is not None:
            holding, limit = overdue
            session = holding.request.session
            self.statistics.lost[Loss.MAX_HOLD] += self.count_held(session)
            effects.append(Overdue(holding.request, limit))
            effects += self.drop(session, now)

    def _free_lost(self, entry: Entry, now: Instant) -> None:
        """Free what was lost for long enough; its waiters are not served yet. Set the alarm for what is due next."""
        while entry.wishes is not None and (freed := entry.wishes.end_lost(now.monotonic)) is not None:
            holding, since = freed
            self.lost -= 1
            free(entry.resource, holding, rollback=True)
            self._note_position(entry)
            if entry.sets is not None:
                entry.sets.is_due = True
            entry.idle_until = max(entry.idle_until, since + entry.retention)
        if entry.wishes is not None and (deadline := entry.wishes.next_deadline) < NEVER:
            self._set_alarm(entry, deadline)

    def _lose(self, entry: Entry, holding: Holding, until: float) -> None:
        """Leave C{holding}, which has no holder any more, as it is until C{until}."""
        if entry.wishes is None:
            entry.wishes = HolderWishes(entry.resource)
        entry.wishes.lose(holding, until)
        self.lost += 1
        self._set_alarm(entry, until)

    def _heed(self, entry: Entry, holding: Holding) -> float:
        """
        Note what the holder of C{holding}, which was granted just now, wishes, or the daemon for it; return for how
        many seconds it may be held, 0 for any.
        """
        request = holding.request
        limit, wishes = limit_of(request, self._policy), request.wishes
        is_to_know = wishes is not None and wishes.wanted
        if not (limit or is_to_know):
            return 0.0
        if entry.wishes is None:
            entry.wishes = HolderWishes(entry.resource)
        if is_to_know:
            entry.wishes.watch.begin(holding)
        if not limit:
            return 0.0
        left = limit if wishes is None or not wishes.left else min(wishes.left, limit)
        entry.wishes.limit(holding, limit, left)
        self._set_alarm(entry, holding.since + left)
        return left

    def next_deadline(self) -> float | None:
        """Return the monotonic second at which L{expire} may have something to do."""
        return self._alarms[0][0] if self._alarms else None

    def _decide(
        self, entry: Entry, request: LockRequest, now: Instant, effects: list[Effect], arrival: Arrival | None = None
    ) -> None:
        """Grant, queue or refuse C{request}, which has waited since C{arrival} if that is not C{None}."""
        resource = entry.resource
        delayed = arrival is not None
        binding = self._bind(request.session, entry)
        if 0 < self._max_locks <= binding.locks:
            effects.append(self._refuse(request, Outcome.BUSY, delayed=delayed, limit=Limit.LOCKS))
        elif request.regains:
            effects.append(self._reclaim(binding, request, now, arrival))
        elif (
            not self.is_draining
            and resource.fits(request, now)
            and not (entry.conversions and self._is_barred(resource, request))
            and (entry.sets is None or self._sets.lets_pass(entry, request, arrival))
        ):
            binding.locks += 1
            effects.append(self._grant(binding, resource.take(request, now), now, arrival))
        elif resource.never_fits(request):
            effects.append(self._refuse(request, Outcome.IMPOSSIBLE, delayed=delayed))
        elif request.wishes is not None and (shared := self._circles.to_share(request)) is not None:
            binding.locks += 1
            effects.append(self._grant(binding, share(shared, request), now, arrival))
        elif not request.wait:
            effects.append(self._refuse(request, Outcome.BUSY, delayed=delayed))
        elif not delayed and 0 < self._max_waiters <= entry.waiters:
            effects.append(self._refuse(request, Outcome.BUSY, limit=Limit.WAITERS))
        else:
            arrival = arrival or self._arrival(now)
            if entry.sets is None and not entry.conversions:
                resource.enqueue(request)
            else:
                self._sets.enqueue(entry, request, arrival)
            binding.locks += 1
            binding.waiting.setdefault(request.name.text, {})[request] = arrival
            entry.waiters += 1
            if request.wishes is not None and (refused := self._refuse_circle(binding, request, delayed)) is not None:
                effects.append(refused)
                return
            effects.append(Queued(request, delayed, entry.waiters - 1))
            self._await_chance(entry, now)
        if entry.wishes is not None:
            self._look(entry, entry.wishes, effects)

    def _add_entry(self, request: LockRequest, resource: Resource, now: Instant) -> Entry:
        """Return the entry of C{resource}, which C{request} creates."""
        number, lifespan = next(self._numbers), request.lifespan if request.lifespan > 0 else _IDLE_PERIOD
        key = request.name.key
        entry = Entry(key, request.name.text, number, now.monotonic, resource, lifespan + _IDLE_PERIOD)
        if request.lifespan > 0 and isinstance(resource, SequenceResource):
            entry.kept = resource
        self._entries[key] = entry
        return entry

    def _hatch_all(self, entry: Entry, now: Instant, effects: list[Effect]) -> None:
        """Decide what has waited for the creation of C{entry}."""
        for incubated in self._incubator.pop(entry.key, ()):
            arrival = self._sessions[incubated.session].hatch(incubated)
            self._decide(entry, incubated, now, effects, arrival)

    def _refuse_circle(self, binding: Binding, request: LockRequest, delayed: bool) -> Refused | None:
        """Note C{request}, which waits; if it would wait for ever, forget and refuse it."""
        self._circles.add_wait(request)
        circle = self._circles.find(request)
        if not circle:
            return None
        self._give_up(binding, request)
        return self._refuse(request, Outcome.DEADLOCK, delayed=delayed, circle=circle)

    def _find_circle(self, conversion: Conversion) -> tuple[Step, ...]:
        """Note that C{conversion} waits; return the circle, if it would do so for ever, and is forgotten."""
        request = conversion.holding.request
        if request.wishes is None:
            return ()
        conversion.wait = wait = request.in_mode(conversion.mode)
        self._circles.add_conversion(wait, conversion.holding)
        if circle := self._circles.find(wait):
            self._circles.remove_wait(wait)
        return circle

    def _take(self, resource: Resource, request: LockRequest, now: Instant) -> Holding:
        """Grant C{request}, which fits, or else is to share what is in its way."""
        shared = None if request.wishes is None else self._circles.to_share(request)
        if shared is None or (not resource.waits_for_time and resource.fits(request, now)):
            return resource.take(request, now)
        return share(shared, request)

    def _regain(self, resource: Resource, request: LockRequest, now: Instant) -> Holding | None:
        """Grant C{request} again, beside what was shared with it, or as L{Resource.reclaim} does."""
        if request.wishes is not None and (shared := self._circles.reclaimed(request)) is not None:
            return share_again(resource, shared, request, now)
        return resource.reclaim(request, now)

    def _arrival(self, now: Instant) -> Arrival:
        return Arrival(next(self._numbers), now.monotonic)

    def _refuse(
        self,
        request: LockRequest,
        outcome: Outcome,
        *,
        delayed: bool = False,
        limit: Limit | None = None,
        circle: tuple[Step, ...] = (),
    ) -> Refused:
        self.statistics.refuse(outcome)
        return Refused(request, outcome, delayed, limit, circle=circle)

    def _session(self, session: SessionId) -> SessionRecord:
        record = self._sessions.get(session)
        if record is None:
            record = self._sessions[session] = SessionRecord()
        return record

    def _bind(self, session: SessionId, entry: Entry) -> Binding:
        record = self._sessions.get(session) or self._session(session)
        binding = record.bindings.get(entry.key)
        if binding is None:
            binding = record.bindings[entry.key] = Binding(entry)
            entry.sessions += 1
        return binding

    def _reclaim(
        self, binding: Binding, request: LockRequest, now: Instant, arrival: Arrival | None
    ) -> Granted | Refused:
        """Grant again what the session of C{request} had at another daemon, or refuse it: nobody waits for that."""
        holding = self._regain(binding.entry.resource, request, now)
        if holding is None:
            return self._refuse(request, Outcome.BUSY, delayed=arrival is not None)
        binding.locks += 1
        return self._grant(binding, holding, now, arrival)

    def _grant(self, binding: Binding, holding: Holding, now: Instant, arrival: Arrival | None) -> Granted:
        """Note C{holding}, whose request has waited since C{arrival} if that is not C{None}."""
        moment, request = now.monotonic, holding.request
        holding.since = moment
        if arrival is None:
            holding.number, waited = next(self._numbers), 0.0
        else:
            holding.number, waited = arrival.number, moment - arrival.since
        held = binding.holdings.get(request.name.text)
        if held is None:
            binding.holdings[request.name.text] = [holding]
        else:
            held.append(holding)
        if request.token:
            token = request.token
            self.outrank(epoch_of(token))
        elif holding.token:
            token = holding.token  # which it shares
        else:  # as by _new_token, without the call
            token = self._next_token
            if not token & COUNTER:
                token = self._begin_epoch(epoch_of(token) - 1)
            self._next_token = token + 1
        holding.token = token
        self.held += 1
        left = 0.0
        if request.wishes is not None:
            self._circles.add_holding(holding)
            left = self._heed(binding.entry, holding)
        elif self._policy is not None:
            left = self._heed(binding.entry, holding)
        if binding.entry.kept is not None:
            self._note_position(binding.entry)
        self.statistics.grant(moment, waited)
        if self._watched:
            self._sets.note_holder(request)
        return Granted(request, token, holding.element, arrival is not None, waited, left)

    def _note_position(self, entry: Entry) -> None:
        if entry.kept is not None and (position := entry.kept.unsaved()) is not None:
            self.unsaved[entry.name] = Remembered(entry.name, entry.retention, position)

    def _end(self, holding: Holding, now: Instant) -> Ended:
        self.held -= 1
        if holding.request.wishes is not None:
            self._circles.remove_holding(holding)
        held = now.monotonic - holding.since
        self.statistics.held.add(held)
        return Ended(holding.request, held)

    def _serve(self, entry: Entry, now: Instant, effects: list[Effect]) -> list[Effect]:
        """Grant to all waiters that fit, in their order (docs/compatibility.md, "Grants and queues", rule 3)."""
        if entry.sets is not None:
            self._sets.serve([entry], now, effects)
            return effects
        resource = entry.resource
        if entry.conversions:
            self._serve_conversions(entry, now, effects)
        while entry.waiters and not self.is_draining and (waiter := resource.next_waiter(now)) is not None:
            binding = self._sessions[waiter.session].bindings[entry.key]
            arrival = self._leave_queue(binding, waiter)
            effects.append(self._grant(binding, resource.take(waiter, now), now, arrival))
        if resource.waits_for_time:
            self._await_chance(entry, now)
        if entry.wishes is not None:
            self._look(entry, entry.wishes, effects)
        return effects

    def _serve_conversions(self, entry: Entry, now: Instant, effects: list[Effect]) -> None:
        """Grant all conversions that wait and fit, in their order: they come before all other waiters."""
        resource = entry.resource
        assert isinstance(resource, ConvertibleResource)
        while entry.conversions and not self.is_draining and (first := resource.next_conversion()) is not None:
            self._forget_conversion(entry, first.holding)
            effects.append(self._convert(resource, first, now, is_less=False))

    def _convert(
        self, resource: ConvertibleResource, conversion: Conversion, now: Instant, *, is_less: bool
    ) -> Converted:
        """
        Carry out C{conversion}, which waits no longer, if it did.

        @param is_less: whether its mode excludes no more than the one that is held.
        """
        holding, mode = conversion.holding, conversion.mode
        has_wishes = holding.request.wishes is not None
        wishes = self._entries[holding.request.name.key].wishes
        is_to_know = wishes is not None and wishes.watch.end(holding)
        if has_wishes:
            self._circles.remove_holding(holding)
        resource.change(holding, mode)
        request = holding.request = holding.request.converted(mode)
        if wishes is not None and is_to_know:
            wishes.watch.begin(holding)
        if not is_less:
            holding.token = self._new_token()
        if has_wishes:
            self._circles.add_holding(holding)
        delayed = conversion.id > 0
        waited = now.monotonic - conversion.since
        return Converted(request, holding.token, conversion.number, delayed, not is_less, waited)

    def _new_token(self) -> int:
        """Return a token that is higher than all before."""
        token = self._next_token
        if not token & COUNTER:
            token = self._begin_epoch(epoch_of(token) - 1)
        self._next_token = token + 1
        return token

    def _forget_conversion(self, entry: Entry, holding: Holding) -> None:
        """Note that no conversion of C{holding} waits (any more)."""
        resource = entry.resource
        assert isinstance(resource, ConvertibleResource)
        withdrawn = resource.withdraw_conversion(holding)
        if withdrawn is not None:
            if withdrawn.wait is not None:
                self._circles.remove_wait(withdrawn.wait)
            entry.conversions -= 1

    def _refuse_conversion(
        self, request: LockRequest, mode: LockMode, outcome: Outcome, number: int, *, delayed: bool = False
    ) -> NotConverted:
        self.statistics.refuse(outcome)
        return NotConverted(request, mode, outcome, number, delayed)

    def _is_barred(self, resource: Resource, request: LockRequest) -> bool:
        """Return whether C{request}, which fits, has to wait for a conversion."""
        return self._sets.is_barred(resource, request) and not self._sets.is_needed(request)

    def _make_resource(self, name: ResourceName) -> Resource:
        """Make the resource C{name}; L{InvalidTimestampFormat} is raised if its format cannot be used."""
        return make_resource(name, self._strftime)

    def _look(self, entry: Entry, wishes: HolderWishes, effects: list[Effect]) -> None:
        """Add what holders that stand in the way are told, after a change; forget wishes of which none is left."""
        if wishes.watch:
            elsewhere = () if entry.sets is None else list(entry.sets.requests(entry))
            conversions: list[tuple[Holding, LockRequest]] = []
            if entry.conversions and isinstance(entry.resource, ConvertibleResource):
                waiting = entry.resource.conversions()
                conversions = [(one.holding, one.holding.request.in_mode(one.mode)) for one in waiting]
            wishes.watch.look(effects, elsewhere, conversions)
        if not wishes:
            entry.wishes = None

    def _give_up(self, binding: Binding, request: LockRequest) -> Arrival:
        """Forget C{request}, which waits; return when it has come."""
        binding.locks -= 1
        arrival, entry = self._leave_queue(binding, request), binding.entry
        if entry.wishes is not None:
            self._look(entry, entry.wishes, [])  # of a waiter less, there is nothing to tell
        return arrival

    def _withdrawn(self, request: LockRequest, since: float, now: Instant, reason: WhyWithdrawn) -> Withdrawn:
        """Count C{request}, which has waited C{since} then and was withdrawn."""
        self.statistics.withdrawn[reason] += 1
        return Withdrawn(request, reason, now.monotonic - since)

    def _leave_queue(self, binding: Binding, request: LockRequest) -> Arrival:
        waiting = binding.waiting[request.name.text]
        arrival = waiting.pop(request)
        if not waiting:
            del binding.waiting[request.name.text]
        entry = binding.entry
        if entry.sets is None:
            entry.resource.withdraw(request)
        else:
            self._sets.leave_queue(entry, request)
        entry.waiters -= 1
        if request.wishes is not None:
            self._circles.remove_wait(request)
        return arrival

    def _hatch(self, session: SessionRecord, request: LockRequest) -> Arrival:
        """Remove C{request} from the incubator; return when it has come."""
        arrival = session.hatch(request)
        key = request.name.key
        del self._incubator[key][request]
        if not self._incubator[key]:
            del self._incubator[key]
        return arrival

    def _await_chance(self, entry: Entry, now: Instant) -> None:
        delay = entry.resource.next_chance(now)
        if delay is not None:
            self._set_alarm(entry, now.monotonic + delay)

    def _set_alarm(self, entry: Entry, when: float) -> None:
        """Set an alarm, at which L{expire} looks at C{entry}; only the earliest of an entry is kept."""
        if entry.alarm is None or when < entry.alarm:
            if entry.alarm is not None:
                self._forget_alarm()
            entry.alarm = when
            heapq.heappush(self._alarms, (when, next(self._alarm_numbers), entry))

    def _forget_alarm(self) -> None:
        """Note that an alarm is none any more; remove all of those when they are most of what there is."""
        self._dead_alarms += 1
        if self._dead_alarms > len(self._alarms) // 2 + 8:
            self._alarms = [alarm for alarm in self._alarms if alarm[2].alarm == alarm[0]]
            heapq.heapify(self._alarms)
            self._dead_alarms = 0

    def _is_due(self, now: Instant) -> bool:
        return bool(self._alarms) and self._alarms[0][0] <= now.monotonic

    def _due(self, now: float) -> list[Entry]:
        """Return the entries whose alarm goes off, each once, even if another alarm is set for it."""
        due = []
        while self._alarms and self._alarms[0][0] <= now:
            when, _, entry = heapq.heappop(self._alarms)
            if entry.alarm == when:
                entry.alarm = None
                due.append(entry)
            elif self._dead_alarms:
                self._dead_alarms -= 1
        return due

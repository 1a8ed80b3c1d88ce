"""
Circles of waits: which request would wait for ever, because what it waits for is held until it is granted
(docs/howto/nested-locks.md).

A session that waits releases nothing it holds, and a command that takes its locks by C{flom-run} goes on only when it
has them: the C{flom-run} around it holds until then. So a wait B{keeps} its own session, and all those whose public id
is among the ancestors in its lineage. A session that nothing keeps releases what it holds, sooner or later.

A wait is doomed if it would not fit although all had released what they hold that are not kept by doomed waits. Of
holders in PR, one that is kept is enough for a request in EX to wait for ever; of holders of units, all those that are
kept must have so many that the others cannot free enough.

Only requests with a lineage count, and none that asks for C{nested="wait"}. As each is judged when its wait begins, no
wait is doomed, and a request is doomed only if its own wait closes a circle. What a release, a withdrawal or a grant
changes dooms none: a session to which something is granted is kept by nothing yet.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Final, TypeVar

from flom.core.effects import Step
from flom.core.locks.resources.base import Holding
from flom.core.modes import LockMode, compatible, excludes_no_more
from flom.core.names import HierarchicalName, NumericName, ResourceName, SetName
from flom.core.requests import LockRequest, SessionId

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)

_Kind = tuple[ResourceName, LockMode, int, int]
"""What tells waits apart, as far as it matters which holders are in their way: what is asked for."""

_END: Final = object()


def is_in_the_way(held: LockRequest, asked: LockRequest) -> bool:
    """Return whether C{held}, which was granted, can be among the reasons why C{asked} does not fit at its resource."""
    name = asked.name
    if name.has_quantity:
        return held.quantity > 0
    if not name.has_mode:
        return True
    return not compatible(held.mode, asked.mode) and _are_related(held.name, name)


def covers(held: LockRequest, asked: LockRequest) -> bool:
    """
    Return whether who holds what C{held} asks for has all that C{asked} would give: a mode that excludes at least as
    much, of the same node or one above it, or at least as many units.
    """
    name = asked.name
    if held.name.key != name.key:
        return False
    if name.has_quantity:
        return held.quantity >= asked.quantity
    if not name.has_mode:
        return True
    if isinstance(name, HierarchicalName) and not f"{name.text}/".startswith(f"{held.name.text}/"):
        return False
    return excludes_no_more(asked.mode, held.mode)


class Circles:
    """
    The holders and waiters of one table that have a lineage, as far as they can be part of a circle.

    Each call costs the same, however many there are, except L{find}, see there.

    @ivar held: how many locks are held by requests with a lineage.
    """

    __slots__ = ("_by_id", "_by_token", "_converting", "_held", "_holdings", "_inner", "_waits", "_waits_of", "held")

    def __init__(self) -> None:
        self.held = 0
        self._held: dict[str, dict[Holding, None]] = {}  # by the keys of resources
        self._holdings: dict[SessionId, dict[Holding, None]] = {}
        self._by_id: dict[str, dict[Holding, None]] = {}  # by the public ids of their commands
        self._by_token: dict[int, Holding] = {}  # of those that were reclaimed
        self._converting: dict[LockRequest, Holding] = {}  # what is to be converted, by the waits for that
        self._waits: dict[str, dict[LockRequest, None]] = {}  # by the keys of resources
        self._waits_of: dict[SessionId, dict[LockRequest, None]] = {}
        self._inner: dict[str, dict[LockRequest, None]] = {}  # by the ids of the commands that they keep

    def add_holding(self, holding: Holding) -> None:
        """Note that C{holding}, whose request has wishes, is held; the table has set its number and token."""
        request = holding.request
        lineage = _lineage(request)
        if lineage:
            self.held += 1
            _add(self._held, request.name.key, holding)
            _add(self._holdings, request.session, holding)
            _add(self._by_id, lineage[0], holding)
        if request.regains and _can_be_shared(request):
            self._by_token.setdefault(holding.token, holding)

    def remove_holding(self, holding: Holding) -> None:
        """Note that C{holding} has ended."""
        request = holding.request
        lineage = _lineage(request)
        if lineage:
            self.held -= 1
            _remove(self._held, request.name.key, holding)
            _remove(self._holdings, request.session, holding)
            _remove(self._by_id, lineage[0], holding)
        if request.regains and self._by_token.get(holding.token) is holding:
            del self._by_token[holding.token]

    def add_wait(self, request: LockRequest) -> None:
        """
        Note that C{request}, which has wishes, waits, as no other request of its session does; if it can keep no
        session, nothing has to be noted.
        """
        if self._can_keep(request):
            _add(self._waits, request.name.key, request)
            _add(self._waits_of, request.session, request)
            for id in _lineage(request)[1:]:
                _add(self._inner, id, request)

    def add_conversion(self, request: LockRequest, holding: Holding) -> None:
        """Note that C{holding} waits to be in the mode of C{request}, which has wishes; it is not in the way itself."""
        self._converting[request] = holding
        self.add_wait(request)

    def remove_wait(self, request: LockRequest) -> None:
        """Note that C{request} waits no longer."""
        self._converting.pop(request, None)
        if request in self._waits.get(request.name.key, ()):
            _remove(self._waits, request.name.key, request)
            _remove(self._waits_of, request.session, request)
            for id in _lineage(request)[1:]:
                _remove(self._inner, id, request)

    def to_share(self, request: LockRequest) -> Holding | None:
        """
        Return what C{request}, which does not fit, is to share: what an ancestor of it holds and has in its way, if
        that L{covers} it; C{None} if there is none, or it asks for no such thing.
        """
        wishes = request.wishes
        if wishes is None or wishes.nested != "share":
            return None
        key = request.name.key
        for id in wishes.lineage[1:]:
            for holding in self._by_id.get(id, ()):
                held = holding.granted
                if held.name.key == key and is_in_the_way(held, request) and covers(held, request):
                    return holding
        return None

    def reclaimed(self, request: LockRequest) -> Holding | None:
        """Return what was reclaimed with the token of C{request}, of the same resource: both had shared it."""
        holding = self._by_token.get(request.token)
        return holding if holding is not None and holding.request.name.key == request.name.key else None

    def has_holder(self, request: LockRequest) -> bool:
        """Return whether anything is held by the client of C{request}, or by one that it says it runs under."""
        return any(id in self._by_id for id in _lineage(request))

    def find(self, request: LockRequest) -> tuple[Step, ...]:
        """
        Return the circle that C{request}, whose wait has been added, has closed; none if it is not doomed.

        What has to be looked at is searched from two sides, by turns, until one of them is through: all that the wait
        depends on, and all that depends on the wait. So a check costs twice the smaller one of the two.

        @return: steps from C{request} on; what is in the way of each wait is kept by the wait of the next step, and by
            C{request} in the last one. It is one of the shortest.
        """
        if request not in self._waits.get(request.name.key, ()) or not any(True for _ in self._kept_by(request)):
            return ()
        doomed = _Doom(self, self._candidates(request)).doomed
        return self._circle(request, doomed) if request in doomed else ()

    # what the search asks for

    def kept_sessions(self, wait: LockRequest) -> set[SessionId]:
        """Return the sessions that C{wait} keeps, and that hold anything."""
        return {holding.request.session for holding in self._kept_by(wait)}

    def holdings(self, session: SessionId) -> Iterable[Holding]:
        """Return what C{session} holds."""
        return self._holdings.get(session, ())

    def _kept_by(self, wait: LockRequest) -> Iterator[Holding]:
        yield from self._holdings.get(wait.session, ())
        for id in _lineage(wait)[1:]:
            yield from self._by_id.get(id, ())

    def _keepers(self, session: SessionId) -> Iterator[LockRequest]:
        """Yield the waits that keep C{session}."""
        yield from self._waits_of.get(session, ())
        for id in {_lineage(holding.request)[0] for holding in self._holdings.get(session, ())}:
            yield from self._inner.get(id, ())

    def blocks(self, holding: Holding, wait: LockRequest) -> bool:
        """Return whether C{holding} is in the way of C{wait}, at the same resource."""
        return is_in_the_way(holding.granted, wait) and self._converting.get(wait) is not holding

    def kind_of(self, wait: LockRequest) -> _Kind:
        """Return what tells C{wait} from others; each conversion is of a kind of its own."""
        return (*_kind(wait)[:3], int(wait.session) if wait in self._converting else 0)

    def _blockers(self, wait: LockRequest) -> Iterator[Holding]:
        """Yield what is held in the way of C{wait}."""
        for holding in self._held.get(wait.name.key, ()):
            if self.blocks(holding, wait):
                yield holding

    def _can_keep(self, request: LockRequest) -> bool:
        wishes = request.wishes
        if wishes is None or wishes.nested == "wait" or not wishes.lineage:
            return False
        return len(wishes.lineage) > 1 or request.session in self._holdings

    def _candidates(self, request: LockRequest) -> dict[LockRequest, None]:
        """Return waits among which are all that are doomed, if C{request} is."""
        before: dict[LockRequest, None] = {request: None}
        behind: dict[LockRequest, None] = {request: None}
        searches = [(self._look_behind(behind), behind), (self._look_before(before), before)]
        while True:
            for search, found in searches:
                if next(search, _END) is _END:
                    return found

    def _look_before(self, found: dict[LockRequest, None]) -> Iterator[None]:
        """Add to C{found} all waits on which those in it depend; yield after each step."""
        kinds: set[_Kind] = set()
        sessions: set[SessionId] = set()
        for wait in _growing(found):
            kind = self.kind_of(wait)
            if kind in kinds:
                continue
            kinds.add(kind)
            for holding in self._blockers(wait):
                yield
                session = holding.request.session
                if session not in sessions:
                    sessions.add(session)
                    for keeper in self._keepers(session):
                        found[keeper] = None
                        yield

    def _look_behind(self, found: dict[LockRequest, None]) -> Iterator[None]:
        """Add to C{found} all waits that depend on those in it; yield after each step."""
        kinds: set[_Kind] = set()
        sessions: set[SessionId] = set()
        for wait in _growing(found):
            for kept in self._kept_by(wait):
                session = kept.request.session
                yield
                if session in sessions:
                    continue
                sessions.add(session)
                for holding in self._holdings[session]:
                    kind = _kind(holding.granted)
                    if kind not in kinds:
                        kinds.add(kind)
                        for other in self._waits.get(holding.granted.name.key, ()):
                            if is_in_the_way(holding.granted, other):
                                found[other] = None
                            yield

    def _circle(self, request: LockRequest, doomed: set[LockRequest]) -> tuple[Step, ...]:
        """Return the shortest way over C{doomed} waits from C{request} back to it; none if there is none."""
        ends = self.kept_sessions(request)
        ways: dict[LockRequest, tuple[LockRequest, Holding] | None] = {request: None}
        sessions: set[SessionId] = set()
        for wait in _growing(ways):
            for holding in self._blockers(wait):
                session = holding.request.session
                if session in ends:
                    return self._steps(ways, wait, holding)
                if session not in sessions:
                    sessions.add(session)
                    for keeper in self._keepers(session):
                        if keeper in doomed:
                            ways.setdefault(keeper, (wait, holding))
        return ()

    def _steps(
        self, ways: dict[LockRequest, tuple[LockRequest, Holding] | None], wait: LockRequest, holding: Holding
    ) -> tuple[Step, ...]:
        steps = [Step(wait, holding.request, holding.granted)]
        while (way := ways[wait]) is not None:
            wait, holding = way
            steps.append(Step(wait, holding.request, holding.granted))
        return tuple(reversed(steps))


class _Doom:
    """
    Which of some waits are doomed; all others of the table are not.

    It begins with all of them, and leaves out those that can end, until nothing changes.

    @ivar doomed: what is left.
    """

    def __init__(self, circles: Circles, waits: Iterable[LockRequest]) -> None:
        self.doomed = set(waits)
        self._circles = circles
        self._kept = {wait: circles.kept_sessions(wait) for wait in self.doomed}
        self._keepers: dict[SessionId, int] = {}
        for sessions in self._kept.values():
            for session in sessions:
                self._keepers[session] = self._keepers.get(session, 0) + 1
        self._sharers: dict[int, int] = {}  # of holdings that are kept, by what was granted to them
        self._kinds: dict[str, dict[_Kind, list[LockRequest]]] = {}  # of waits, by the keys of resources
        for wait in self.doomed:
            self._kinds.setdefault(wait.name.key, {}).setdefault(circles.kind_of(wait), []).append(wait)
        self._blocked_by: dict[_Kind, int] = {kind: 0 for kinds in self._kinds.values() for kind in kinds}
        for session in self._keepers:
            for holding in circles.holdings(session):
                self._sharers[id(holding.granted)] = self._sharers.get(id(holding.granted), 0) + 1
                if self._sharers[id(holding.granted)] == 1:
                    self._count(holding, 1)
        gone = [kind for kinds in self._kinds.values() for kind in kinds if not self._is_blocked(kind)]
        while gone:
            gone += self._leave_out(gone.pop())

    def _count(self, holding: Holding, sign: int) -> list[_Kind]:
        """Add or subtract what C{holding} has in the way of each kind of waits; return those that it changes."""
        granted, changed = holding.granted, []
        for kind, waits in self._kinds.get(granted.name.key, {}).items():
            if self._circles.blocks(holding, waits[0]):
                self._blocked_by[kind] += sign * _weight(granted)
                changed.append(kind)
        return changed

    def _is_blocked(self, kind: _Kind) -> bool:
        return _is_enough(self._kinds[kind[0].key][kind][0], self._blocked_by[kind])

    def _leave_out(self, kind: _Kind) -> list[_Kind]:
        """Leave out the waits of C{kind}, and the holders that only they have kept; return which can end then."""
        ended: list[_Kind] = []
        for wait in self._kinds[kind[0].key][kind]:
            if wait not in self.doomed:
                return ended  # they were left out before
            self.doomed.discard(wait)
            for session in self._kept[wait]:
                self._keepers[session] -= 1
                if not self._keepers[session]:
                    ended += self._let_go(session)
        return ended

    def _let_go(self, session: SessionId) -> list[_Kind]:
        ended: list[_Kind] = []
        for holding in self._circles.holdings(session):
            self._sharers[id(holding.granted)] -= 1
            if not self._sharers[id(holding.granted)]:
                ended += [kind for kind in self._count(holding, -1) if not self._is_blocked(kind)]
        return ended


def _lineage(request: LockRequest) -> tuple[str, ...]:
    wishes = request.wishes
    return () if wishes is None else wishes.lineage


def _can_be_shared(request: LockRequest) -> bool:
    """Return whether a command may run under what C{request} was granted: its own, or one that adopts that hold."""
    wishes = request.wishes
    return wishes is not None and bool(wishes.lineage or wishes.ttl)


def _kind(request: LockRequest) -> _Kind:
    name = request.name
    return name, request.mode if name.has_mode else LockMode.EX, request.quantity if name.has_quantity else 1, 0


def _weight(held: LockRequest) -> int:
    """Return how much of its resource C{held} has: units, or one."""
    return held.quantity if held.name.has_quantity else 1


def _is_enough(asked: LockRequest, weight: int) -> bool:
    """Return whether holders in the way of C{asked} block it who have C{weight} together."""
    name = asked.name
    if not weight or name.has_mode:
        return weight > 0
    if isinstance(name, NumericName):
        return weight > name.total - asked.quantity
    return weight >= (len(name.elements) if isinstance(name, SetName) else name.slots)  # type: ignore[union-attr]


def _are_related(name: ResourceName, other: ResourceName) -> bool:
    """Return whether two names of one resource are of the same node, or of one above the other."""
    if name.text == other.text:
        return True
    one, another = f"{name.text}/", f"{other.text}/"
    return one.startswith(another) or another.startswith(one)


def _growing(found: dict[K, V]) -> Iterator[K]:
    """Yield the keys of C{found}, and those that are added meanwhile."""
    done: int = 0
    while done < len(found):
        for key in list(found)[done:]:
            done += 1
            yield key


def _add(index: dict[K, dict[V, None]], key: K, value: V) -> None:
    found = index.get(key)
    if found is None:
        index[key] = {value: None}
    else:
        found[value] = None


def _remove(index: dict[K, dict[V, None]], key: K, value: V) -> None:
    found = index[key]
    del found[value]
    if not found:
        del index[key]

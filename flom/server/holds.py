"""
Holds without a process, in the daemon (docs/howto/holds.md): each is a session of the arbiter without a connection, and
is kept durably (L{flom.server.store}) before a client is told of it.

What L{flom.core.holds} decides is carried out here: it is written down first, and then done, so that the next daemon
never knows of less than a client was told.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from socket import gethostname
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.core.effects import Delivered, Dismissed, Granted, Revoked
from flom.core.handles import id_of, make_handle
from flom.core.holds import MOST_HOLDS, Hold, HoldTable, digest_of, read_hold
from flom.core.locks.statistics import Loss
from flom.core.protocol.messages import HoldTold, Wishes
from flom.core.requests import LockRequest, SessionId
from flom.errors import FlomError
from flom.server.peer import Peer
from flom.status.model import HoldStatus
from flom.text import one_line, truncate

if TYPE_CHECKING:
    from flom.server.arbiter import DeferredArbiter

KEY: Final = "hold "
"""With which the keys of holds in the store begin."""

WRITE_LIMIT: Final = 10.0
"""Seconds in which a hold has to be kept; if it is not by then, it is released again."""

_RANDOM: Final = 20
"""Bytes of which a handle is made."""


class HoldError(FlomError):
    """What was asked of a hold was not done; the text says why, for the client's user."""


class Adopter:
    """
    A client that has adopted a hold, by its connection.

    @ivar peer: returns who it is.
    @ivar tell: called with what becomes of its hold.
    @ivar lineage: see L{flom.core.protocol.messages.Wishes}, as for C{nested}.
    """

    def __init__(
        self,
        peer: Callable[[], Peer],
        tell: Callable[[Delivered], None],
        lineage: tuple[str, ...] = (),
        nested: str = "",
    ) -> None:
        self.peer = peer
        self.tell = tell
        self.lineage = lineage
        self.nested = nested


class Holds:
    """The holds of one daemon."""

    _log = Logger()

    def __init__(self, arbiter: DeferredArbiter, clock: IReactorTime) -> None:
        self._arbiter = arbiter
        self._clock = clock
        self._table = HoldTable()
        self._sessions: dict[str, SessionId] = {}  # of each hold, by its id
        self._adopters: dict[str, Adopter] = {}  # likewise, of those that are adopted
        self._releasing: set[str] = set()  # likewise, of those that are about to be released
        self._removals: set[Deferred[None]] = set()  # that are not durable yet
        self._timer: IDelayedCall | None = None
        self._is_stopped = False

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._table)

    @property
    def idle(self) -> int:
        """How many of them no client has adopted."""
        return len(self._table) - len(self._adopters)

    def owns(self, session: SessionId) -> bool:
        """Return whether C{session} is that of a hold."""
        return session in self._sessions.values()

    def why_not(self, wishes: Wishes) -> str:
        """Return why no hold can be begun; the empty string if one can."""
        store = self._arbiter.store
        if store.why_not:
            return f"a lock cannot be held without a process: the daemon keeps nothing beyond its end: {store.why_not}"
        return f"there are {MOST_HOLDS} holds already, the most there can be" if self._table.is_full else ""

    # from the store, and back to it

    def restore(self) -> None:
        """Go on with the holds that the store has; those whose time is over are removed from it."""
        now = self._arbiter.now()
        for key, text in self._arbiter.store.load().items():
            if not key.startswith(KEY):
                continue
            try:
                hold = read_hold(text, now)
            except ValueError as e:
                self._log.error("{key}: {why}: it is left alone", key=key, why=str(e))
                continue
            if hold is None:
                self._log.warn("{key}: its time was over before this daemon began", key=key)
                self._remove_key(key)
            elif self._reinstate(hold):
                text = "{resource} ({mode}) is held as before by {hold}"
                self._log.info(text, resource=hold.name.text, mode=hold.mode.name, hold=_spell(hold))
            else:
                self._log.error("{hold}: {resource} cannot be held again", hold=_spell(hold), resource=hold.name.text)
                self._remove_key(key)
        self._set_timer()

    def _reinstate(self, hold: Hold) -> bool:
        session = self._arbiter.open(lambda effect: None)
        self._own(hold, session)
        request = LockRequest(
            session,
            hold.name,
            hold.mode,
            hold.quantity,
            wait=False,
            lifespan=hold.lifespan,
            regains=True,
            element=hold.element,
            token=hold.token,
            wishes=Wishes(ttl=hold.ttl),  # as of the request by which it began
        )
        if self._arbiter.reinstate(request):
            return True
        self._forget(hold)
        self._arbiter.drop(session)
        return False

    def _own(self, hold: Hold, session: SessionId) -> None:
        """Make C{session} that of C{hold}."""
        self._table.put(hold)
        self._sessions[hold.id] = session
        self._arbiter.hand_on(session, lambda effect: self._take(hold.id, effect), lambda: self._peer(hold.id))

    def _forget(self, hold: Hold) -> SessionId | None:
        """Forget C{hold}, and return its session."""
        if hold.id in self._table:
            self._table.remove(hold.id)
        self._adopters.pop(hold.id, None)
        return self._sessions.pop(hold.id, None)

    def _write(self, hold: Hold) -> Deferred[None]:
        """Write C{hold} down; what this returns fires when it is durable, and fails with L{HoldError}."""
        written = self._arbiter.store.write(KEY + hold.id, hold.write(self._arbiter.now()))
        kept: Deferred[None] = Deferred()

        def give_up() -> None:
            if not kept.called:
                kept.errback(HoldError(f"it was not kept within {WRITE_LIMIT:g} s"))

        limit = self._clock.callLater(WRITE_LIMIT, give_up)

        def note(result: Failure | None) -> None:
            if limit.active():
                limit.cancel()
            if kept.called:
                return
            if isinstance(result, Failure):
                kept.errback(HoldError(f"it cannot be kept: {result.getErrorMessage()}"))
            else:
                kept.callback(None)

        written.addBoth(note)
        return kept

    def _remove_key(self, key: str) -> Deferred[None]:
        """Remove what is at C{key}; see L{settled}."""
        removed = self._arbiter.store.write(key, None)
        self._removals.add(removed)

        def note(result: Failure | None) -> None:
            self._removals.discard(removed)
            if isinstance(result, Failure) and not self._is_stopped:
                text = "{key} may be held again by the next daemon, until its time is over: {why}"
                self._log.warn(text, key=key, why=result.getErrorMessage())

        return removed.addBoth(note)

    def settled(self) -> Deferred[None]:
        """Return what fires when all that has ended is removed durably, or cannot be."""
        if not self._removals:
            return succeed(None)
        done: Deferred[None] = Deferred()
        waiting = set(self._removals)

        def note(_: object, removal: Deferred[None]) -> None:
            waiting.discard(removal)
            if not waiting and not done.called:
                done.callback(None)

        for removal in list(waiting):
            removal.addBoth(note, removal)
        return done

    # what clients ask for

    def begin(self, session: SessionId, grant: Granted, peer: Peer, host: str) -> Deferred[HoldTold]:
        """
        Make what was granted to C{session} a hold, which the session is from now on.

        @param peer: the client, as for C{host}: where it is.
        @return: fires with what there is to be told, when the hold is kept; fails with L{HoldError}, and the lock is
            released, if it is not.
        """
        wishes, request, now = grant.request.wishes, grant.request, self._arbiter.now()
        assert wishes is not None
        handle = make_handle(os.urandom(_RANDOM))
        while id_of(handle) in self._table:
            handle = make_handle(os.urandom(_RANDOM))
        hold = Hold(
            id_of(handle),
            digest_of(handle),
            request.name,
            request.mode,
            request.quantity,
            request.lifespan,
            grant.element,
            grant.token,
            wishes.ttl,
            now.wall,
            now.monotonic + wishes.ttl,
            one_line(wishes.hold_as),
            one_line(peer.user or (f"uid {peer.uid}" if peer.uid is not None else "")),
            host or gethostname(),
        )
        self._own(hold, session)
        self._set_timer()

        def tell(_: None) -> HoldTold:
            self._check(hold.id)
            text = "{resource} ({mode}) is held by {hold}, for {ttl:.10g} s"
            self._log.info(text, resource=hold.name.text, mode=hold.mode.name, hold=_spell(hold), ttl=hold.ttl)
            return told_of(hold, handle)

        def release(failure: Failure) -> Failure:
            if hold.id in self._table:
                self.end(hold.id)
            return failure

        return self._write(hold).addCallback(tell).addErrback(release)

    def end_of(self, handle: str) -> None:
        """End the hold of C{handle}, if there is one: no client knows of it."""
        self.end(id_of(handle))

    def end(self, id: str) -> None:
        """End the hold C{id}, if there is one, and what it holds."""
        if id in self._table:
            self._remove_key(KEY + id)
            self._drop(self._table[id])

    def _drop(self, hold: Hold) -> None:
        session = self._forget(hold)
        self._set_timer()
        if session is not None:
            self._arbiter.drop(session)

    def renew(self, handle: str, ttl: float) -> Deferred[HoldTold]:
        """
        Begin the time of the hold of C{handle} anew.

        @param ttl: seconds of its new TTL; 0 for the one that it has.
        @return: fires with what it is then; fails with L{HoldError}, and nothing has changed.
        """
        hold = self._find(handle)
        if hold is None:
            return fail(_no_hold())
        renewed = hold.renewed(self._arbiter.now(), ttl)

        def note(_: None) -> HoldTold:
            now_held = self._check(hold.id)
            self._table.put(now_held.renewed(self._arbiter.now(), ttl))
            self._set_timer()
            return told_of(self._table[hold.id])

        return self._write(renewed).addCallback(note)

    def release(self, handle: str) -> Deferred[HoldTold]:
        """
        Release the hold of C{handle}.

        @return: fires with what it was, when the next daemon will not know of it; fails with L{HoldError}, and nothing
            has changed.
        """
        hold = self._find(handle)
        if hold is None:
            return fail(_no_hold())
        if hold.id in self._adopters:
            return fail(HoldError(f"it is adopted by {self._adopter_name(hold.id)}: end that first"))
        self._log.info("{resource}: {hold} is released", resource=hold.name.text, hold=_spell(hold))
        self._releasing.add(hold.id)

        def free(_: None) -> HoldTold:
            self._releasing.discard(hold.id)
            self._drop(hold)
            return told_of(hold)

        return self._remove_key(KEY + hold.id).addCallback(free)

    def adopt(self, handle: str, adopter: Adopter) -> Deferred[Hold]:
        """
        Make C{adopter} go on with the hold of C{handle}, whose time does not end it until L{leave}.

        @return: fires with the hold when that is kept; fails with L{HoldError}.
        """
        hold = self._find(handle)
        if hold is None:
            return fail(_no_hold())
        if hold.id in self._adopters:
            return fail(HoldError(f"it is adopted by {self._adopter_name(hold.id)} already"))
        self._adopters[hold.id] = adopter
        self._table.put(hold.adopted())
        self._set_timer()

        def note(_: None) -> Hold:
            adopted = self._check(hold.id)
            if self._adopters.get(hold.id) is adopter:
                self._arbiter.relate(self._sessions[hold.id], adopter.lineage, adopter.nested)
            return adopted

        def undo(failure: Failure) -> Failure:
            if hold.id in self._table and self._adopters.get(hold.id) is adopter:
                del self._adopters[hold.id]
                self._table.put(hold)
                self._set_timer()
            return failure

        return self._write(hold.adopted()).addCallback(note).addErrback(undo)

    def is_adopted_by(self, handle: str, adopter: Adopter) -> bool:
        """Return whether the hold of C{handle} is that of C{adopter}."""
        hold = self._table.find(handle)
        return hold is not None and self._adopters.get(hold.id) is adopter

    def leave(self, adopter: Adopter) -> None:
        """Note that C{adopter} has ended: what it had adopted goes on by itself, and its time begins anew."""
        id = next((id for id, one in self._adopters.items() if one is adopter), None)
        if id is None:
            return
        del self._adopters[id]
        self._arbiter.relate(self._sessions[id], ())
        hold = self._table[id].left(self._arbiter.now())
        self._table.put(hold)
        self._set_timer()
        self._write(hold).addErrback(self._note_unwritten, hold)
        self._arbiter.note_idle_hold()

    def _note_unwritten(self, failure: Failure, hold: Hold) -> None:
        failure.trap(HoldError)
        if not self._is_stopped and hold.id in self._table:
            text = "{hold}: after a restart, its whole time begins anew: {why}"
            self._log.warn(text, hold=_spell(hold), why=failure.getErrorMessage())

    # the end of the daemon

    def stop(self) -> None:
        """Forget nothing, and do nothing more: the daemon ends, and the next one goes on with the holds."""
        self._is_stopped = True
        self._set_timer()

    def go_on(self) -> None:
        """Go on after L{stop}."""
        self._is_stopped = False
        for hold in self._table:
            self._own(hold, self._sessions[hold.id])
        self._set_timer()

    # what happens to them

    def _take(self, id: str, effect: Delivered) -> None:
        """Note what has become of the hold C{id}."""
        if id not in self._table:
            return
        if isinstance(effect, Dismissed):
            self._forget(self._table[id])  # the daemon that leads next has read it
        elif isinstance(effect, Revoked):
            adopter = self._adopters.get(id)
            self._remove_key(KEY + id)
            self._forget(self._table[id])
            if adopter is not None:
                adopter.tell(effect)
        self._set_timer()

    def _ring(self) -> None:
        self._timer = None
        for hold in self._table.expire(self._arbiter.now()):
            text = "{resource}: {hold} has ended: its time of {ttl:.10g} s is over"
            self._log.warn(text, resource=truncate(hold.name.text), hold=_spell(hold), ttl=hold.ttl)
            self._remove_key(KEY + hold.id)
            self._arbiter.note_loss(self._sessions[hold.id], Loss.HOLD_OVER)
            self._drop(hold)
        self._set_timer()

    def _set_timer(self) -> None:
        deadline = None if self._is_stopped else self._table.next_deadline
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            seconds = max(0.0, deadline - self._arbiter.now().monotonic)
            self._timer = self._clock.callLater(seconds, self._ring)

    # what is shown

    def _peer(self, id: str) -> Peer:
        """Return the hold C{id} as a client, for the status and the log."""
        if id not in self._table:
            return Peer("")
        hold = self._table[id]
        adopter = self._adopters.get(id)
        left = None if hold.ends is None else hold.ends - self._arbiter.now().monotonic
        shown = HoldStatus(hold.id, hold.title, hold.host, hold.ttl, None if left is None else round(max(0.0, left), 3))
        if adopter is not None:
            return adopter.peer()._replace(hold=shown)
        return Peer("", user=hold.user or None, hold=shown)

    def _adopter_name(self, id: str) -> str:
        peer = self._adopters[id].peer()
        return f"{peer.name}{peer.details}"

    def _find(self, handle: str) -> Hold | None:
        hold = self._table.find(handle)
        return None if hold is None or hold.id in self._releasing else hold

    def _check(self, id: str) -> Hold:
        """Return the hold C{id}; raise L{HoldError} if it has ended meanwhile."""
        if id not in self._table:
            raise HoldError("it has ended meanwhile")
        return self._table[id]


def told_of(hold: Hold, handle: str = "") -> HoldTold:
    """Return what a client is told of C{hold}; its C{handle}, if it has just begun."""
    return HoldTold(handle, hold.name.text, hold.mode, hold.quantity, hold.ttl, hold.ends is None)


def _no_hold() -> HoldError:
    return HoldError("there is no hold of this handle here: it was released, or its time is over")


def _spell(hold: Hold) -> str:
    """Name C{hold} in a log."""
    title = f" {hold.title!r}" if hold.title else ""
    return f"{hold.id}{title} ({', '.join(filter(None, (hold.user, hold.host)))})"

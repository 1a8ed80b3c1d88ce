"""A lock of a daemon, as Twisted programs hold it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.acquisition import limit
from flom.client.deferred.connection import LockClient
from flom.client.deferred.connection_pool import ConnectionPool
from flom.client.deferred.heartbeat import Heartbeats
from flom.client.deferred.way_back import WayBack
from flom.client.retry import CLOSE_TIMEOUT, MOST_GONE, NOTE_TIMEOUT, UNLOCK_TRY
from flom.codes import Outcome
from flom.core.held_value import HeldValue, check_kept, known_value
from flom.core.lease import NEVER
from flom.core.modes import in_both
from flom.core.names import parse_name
from flom.core.protocol.events import Converted, Granted, NotConverted
from flom.core.protocol.messages import Lock, Unlocked
from flom.core.protocol.parts import HeldPart, parts_held, show_locks
from flom.core.requests import AskedToConvert, ask_to_convert, show_lock
from flom.core.several import not_to_convert
from flom.errors import (
    DaemonLost,
    FlomError,
    LockContested,
    LockRefused,
    LockRevoked,
    LockTimeout,
    Misuse,
    ValueNotKept,
    not_converted,
)
from flom.interfaces import IHeld
from flom.job.wording import unreclaimed

if TYPE_CHECKING:
    from flom.core.modes import LockMode, ModeName


@implementer(IHeld)
class RemoteHeld:
    """
    A lock that a daemon has granted; C{lost} fires with L{flom.errors.DaemonLost}, also if it is found out only at the
    release that the lock was lost, or may have been.

    In a group, and on the daemon's host, a lock whose daemon has gone is reclaimed from the next one; C{lost} fires if
    that fails, or when the lock may be another client's.
    """

    _log = Logger()

    def __init__(
        self,
        client: LockClient,
        message: Lock,
        granted: Granted,
        pool: ConnectionPool,
        way_back: WayBack,
        heartbeats: Heartbeats,
    ) -> None:
        """
        @param message: what it was granted for.
        @param pool: keeps the connection after the release.
        @param heartbeats: looks after the lock.
        """
        self.element = granted.element
        self.token = granted.token
        self.mode = message.mode
        self._converted: Deferred[None] | None = None  # while a conversion waits
        self._target: AskedToConvert | None = None  # until the daemon has answered
        self._conversion = 0  # the number of the last one on this connection
        self.lost: Deferred[FlomError] = Deferred()
        self._name = message.title
        self._message = message
        self._granted = granted
        self._pool = pool
        self._way_back = way_back
        self._reclaiming: Deferred[None] | None = None
        self._follow: Callable[[list[int]], object] | None = None
        self._on_wanted: Callable[[], object] | None = None
        self._heartbeats = heartbeats
        self._value = None if granted.told is None else HeldValue(message.name, granted.told)
        self._is_too_late = False
        self.is_released = False
        self.is_lost = False
        self.is_wanted = False
        self.wanted: Deferred[None] = Deferred()
        self._hold_by(client, way_back.first_due)

    def __repr__(self) -> str:
        state = "released" if self.is_released else "lost" if self.is_lost else "held"
        if self._message.is_of_several:
            return show_locks(self._message, self._granted.elements, state)
        return show_lock(self._message, self.element, state)

    @property
    def parts(self) -> tuple[HeldPart, ...]:
        """See L{flom.acquisition.Held}."""
        return parts_held(self._message, self._granted)

    @property
    def value(self) -> str:
        """See L{IHeld.value}."""
        return known_value(self._value, self._name).value

    @value.setter
    def value(self, text: str) -> None:
        known_value(self._value, self._name).set(text, self.mode)

    def release(self, rollback: bool = False) -> Deferred[None]:
        """See L{IHeld.release}."""
        if self.is_released:
            return fail(Misuse(f"{self._name} at {self._client.peer}: not held any more"))
        self.is_released = True
        self._end_conversion(Misuse(f"{self._name} at {self._client.peer}: released before it was converted"))
        if self.is_lost and self._client.contest is None:
            return fail(self._why_lost())
        released: Deferred[None] = Deferred()  # by cancelling this, its user cancels nothing of ours
        if self._reclaiming is None:
            ended = self._unlock(rollback)
        else:  # whether the lock was held to the end is not known before
            if self._client.is_awaited:  # at this address, there may never be a daemon again
                self._way_back.limit(self._reclaiming, CLOSE_TIMEOUT)
            ended = self._reclaiming.addCallback(lambda _: self._unlock(rollback))
        ended.chainDeferred(released)
        return released

    def convert(self, mode: LockMode | ModeName | int, *, timeout: float | None = None) -> Deferred[None]:
        """See L{IHeld.convert}."""
        what = f"{self._name} at {self._client.peer}"
        if self._message.is_of_several:
            return fail(not_to_convert(self._name))
        try:
            asked = ask_to_convert(self._name, mode, timeout)
        except FlomError:
            return fail()
        if self.is_released:
            return fail(Misuse(f"{what}: not held any more"))
        if self.is_lost:
            return fail(self._why_lost())
        if self._converted is not None:
            return fail(Misuse(f"{what}: it is being converted already"))
        converted: Deferred[None] = Deferred(canceller=lambda _: self._stay())
        self._converted = converted
        self._convert(asked)
        return limit(converted, asked.timeout, self._way_back.clock, what, "converted")

    def _convert(self, asked: AskedToConvert) -> None:
        """Ask for C{asked}, in the place of what was asked for before; if the daemon goes, ask the next one."""
        self._target = asked
        self._way_back.note_mode(in_both(self.mode, asked.mode))  # in which it is held, whether this is done or not
        if self._reclaiming is not None:
            return  # and asked for then
        if self._client.converts:
            self._conversion = self._client.convert(self._name, asked.mode, wait=asked.wait)
        else:
            self._end_conversion(not_converted(Outcome.UNSUPPORTED, self._name, self._client.peer))

    def _stay(self) -> None:
        """Withdraw the conversion that waits, by one to the mode that is held."""
        self._converted = None
        self._convert(AskedToConvert(self.mode, True, None))

    def _note_conversion(self, event: Converted | NotConverted) -> None:
        is_last = event.number == self._conversion
        if isinstance(event, Converted):
            self.mode, self.token = event.mode, event.token
            to_come = self.mode if is_last or self._target is None else in_both(self.mode, self._target.mode)
            self._way_back.note_mode(to_come, event.token, event.proof)
        if is_last:
            is_done = isinstance(event, Converted)
            self._end_conversion(None if is_done else self._why_not(event))

    def _why_not(self, event: Converted | NotConverted) -> FlomError:
        assert isinstance(event, NotConverted)
        return not_converted(event.outcome, self._name, self._client.peer, event.why)

    def _end_conversion(self, why: FlomError | None) -> None:
        self._target = None
        if why is not None:
            self._way_back.note_mode(self.mode)
        converted, self._converted = self._converted, None
        if converted is not None:
            converted.callback(None) if why is None else converted.errback(why)

    def fileno(self) -> int:
        """Return the descriptor of the connection: every process that has it open keeps the lock."""
        return self._client.fileno()

    def descriptors(self) -> list[int]:
        """Return L{fileno}, and the descriptor by which the next daemon at this address knows of us, if it does."""
        holding = self._client.holding
        return [self.fileno(), *([] if holding is None else [holding.fileno()])]

    def follow(self, call: Callable[[list[int]], object]) -> None:
        """Call C{call} with L{descriptors} each time that the lock has been reclaimed, and has got others by that."""
        self._follow = call

    def notify(self, call: Callable[[], object]) -> None:
        """Call C{call} each time that others begin to wait because of this lock, and now if they have before."""
        self._on_wanted = call
        if self.is_wanted:
            call()

    def look_after(self, now: float) -> float:
        """See L{flom.client.deferred.heartbeat.Beating}."""
        heartbeat = self._way_back.heartbeat
        assert heartbeat is not None
        if self._reclaiming is None:
            heartbeat.tend(self._client, now)
            return NEVER if self._client.is_given_up else heartbeat.due()
        left = heartbeat.left_to_lose(now)
        if left > 0:
            return now + left
        if self._way_back.is_limited_from(self._client):
            self._is_too_late = True
            self._reclaiming.cancel()
        return NEVER

    def _hold_by(self, client: LockClient, due: float) -> None:
        self._client = client
        client.on_wanted = self._note_wanted
        if client.is_wanted:
            self._note_wanted()
        client.lost.addCallback(self._note_end)
        client.on_conversion = self._note_conversion
        if self._target is not None and not (client.lost.called or self.is_released):
            self._convert(self._target)
        if due < NEVER and not client.lost.called:
            self._heartbeats.watch(self, due)

    def _note_wanted(self) -> None:
        self.is_wanted = True
        if not self.wanted.called:
            self.wanted.callback(None)
        if self._on_wanted is not None and not self.is_released:
            self._on_wanted()

    def _unlock(self, rollback: bool) -> Deferred[None]:
        if self.is_lost and self._client.contest is None:
            return fail(self._why_lost())
        self._pool.expect(self._client)
        self._heartbeats.leave(self)
        return Deferred.fromCoroutine(self._unlock_surely(rollback)).addBoth(self._end)

    async def _unlock_surely(self, rollback: bool) -> None:
        """Release the lock; if its connection is broken, or the daemon has gone that has to be told, by another one."""
        client = self._client
        is_transactional = rollback and any(parse_name(part.name).transactional for part in self._message.parts)
        reaches_next = is_transactional and self._way_back.leads_from(client)
        reaches_next = reaches_next or client.is_awaited
        note = None if self._value is None or rollback else self._value.note
        if not client.session and not reaches_next:
            patience = NOTE_TIMEOUT if note else CLOSE_TIMEOUT
            check_kept(note, await client.unlock(self._message.name, rollback, patience, note), client.peer)
            return
        now = self._way_back.now
        kept_until = now() + max(NOTE_TIMEOUT if note else CLOSE_TIMEOUT, client.terms.timeout)
        for _ in range(MOST_GONE):
            try:
                patience = NOTE_TIMEOUT if note else UNLOCK_TRY if client.session else CLOSE_TIMEOUT
                check_kept(note, await client.unlock(self._message.name, rollback, patience, note), client.peer)
                return
            except DaemonLost as e:
                loss = e
            if client.has_timed_out and not client.session:
                break
            if not (client.is_broken or reaches_next or self._way_back.leads_from(client)):
                break
            if not client.is_broken:
                kept_until = max(kept_until, now() + CLOSE_TIMEOUT)  # for the next daemon
            try:
                self._client = await self._way_back.take(client, kept_until - now(), is_for_release=True)
            except FlomError as why:
                if isinstance(why, LockRefused) and why.outcome == Outcome.CANNOT_WAIT:
                    check_kept(note, Unlocked(), client.peer)
                    return  # it was released
                raise loss from why
            finally:
                client.give_up()
            client = self._client
        raise loss

    def _note_end(self, why: FlomError) -> None:
        """Note that the lock is contested, or that its daemon has gone: then reclaim it, if that can be."""
        if isinstance(why, (LockContested, LockRevoked)) or not self._way_back.leads_from(self._client):
            self._note_loss(why)
            return
        if (heartbeat := self._way_back.heartbeat) is not None:
            now = self._heartbeats.now()
            self._heartbeats.watch(self, now + heartbeat.left_to_lose(now))
        reclaiming = Deferred.fromCoroutine(self._move(why))
        if not reclaiming.called:
            self._reclaiming = reclaiming

    async def _move(self, why: FlomError) -> None:
        """Reclaim the lock that was lost because of C{why}; note the loss if that fails."""
        lost_with = self._client
        try:
            client = await self._way_back.reclaim(lost_with)
        except (FlomError, CancelledError) as e:
            self._reclaiming = None
            within = "in time" if self._is_too_late else f"within {CLOSE_TIMEOUT:g} s"
            reason = LockTimeout(f"no daemon came {within}") if isinstance(e, CancelledError) else e
            self._note_loss(unreclaimed(why if isinstance(why, DaemonLost) else DaemonLost(str(why)), reason))
        except Exception:
            self._reclaiming = None
            self._log.failure("reclaiming {name}", name=self._name)
            self._note_loss(why)
        else:
            self._reclaiming = None
            heartbeat = self._way_back.heartbeat
            self._hold_by(client, NEVER if heartbeat is None else heartbeat.due())
            if self._follow is not None and not self.is_released:
                self._follow(self.descriptors())
            lost_with.give_up()

    def _end(self, result: Failure | None) -> None:
        """Keep the connection after the release; raise L{DaemonLost} if that was not one, or of no lock of ours."""
        self._pool.put(self._client, parse_name(self._message.name).key)
        error = self._client.contest if result is None else result.value
        if isinstance(error, ValueNotKept):
            error.concern(self._name)
            raise error
        if isinstance(error, FlomError):
            self._note_loss(error)
            raise error

    def _why_lost(self) -> DaemonLost:
        if self._client.revoked is not None:
            return self._client.revoked
        return DaemonLost(f"{self._name} at {self._client.peer}: the daemon closed the connection")

    def _note_loss(self, why: FlomError) -> None:
        self.is_lost = True
        self._end_conversion(why)
        self._heartbeats.leave(self)
        if self._client.closed.called or not isinstance(why, LockContested):
            self._client.give_up()
        why.concern(self._name)
        if not self.lost.called:  # by being cancelled
            self.lost.callback(why)

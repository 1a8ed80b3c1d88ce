"""Locks that the daemon's own process holds, as programs that embed one do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, fail, succeed
from typing_extensions import assert_never
from zope.interface import implementer

from flom.acquisition import Held, limit
from flom.codes import Outcome
from flom.core.effects import (
    Contested,
    Converted,
    Converting,
    Delivered,
    Dismissed,
    Ended,
    Granted,
    Incubated,
    NotConverted,
    Overdue,
    Queued,
    Refused,
    Revoked,
    Wanted,
    Withdrawn,
)
from flom.core.held_value import HeldValue, known_value
from flom.core.locks.statistics import Loss
from flom.core.requests import Asked, LockRequest, ask_to_convert, show_lock
from flom.errors import (
    DaemonLost,
    FlomError,
    LockContested,
    LockRevoked,
    Misuse,
    ValueNotKept,
    lock_refused,
    not_converted,
    why_revoked,
)
from flom.interfaces import IHeld

if TYPE_CHECKING:
    from flom.core.modes import LockMode, ModeName
    from flom.core.protocol.parts import HeldPart
    from flom.core.requests import SessionId
    from flom.server.arbiter import DeferredArbiter

HERE: Final = "this process"
"""Names the arbiter in errors of its own process, where those of clients name the daemon."""


@implementer(IHeld)
class LocalLock:
    """
    One call of L{DeferredArbiter.acquire}: a session of the arbiter, and the lock once it is granted.

    @ivar granted: fires with this; cancelling it leaves the queue.
    """

    def __init__(self, arbiter: DeferredArbiter, asked: Asked, what: str) -> None:
        self._arbiter = arbiter
        self._asked = asked
        self._name = asked.name
        self._what = what  # names the lock in errors
        self.session = arbiter.open(self._take)
        self.granted: Deferred[Held] = Deferred(canceller=lambda _: arbiter.drop(self.session))
        self.is_released = False
        self.is_lost = False
        self._is_contested = False
        self._revoked: LockRevoked | None = None
        self._loss = "another daemon has led the group meanwhile"
        self.element: str | None = None
        self.token: int | None = None
        self._value: HeldValue | None = None
        self.mode = asked.mode
        self._conversion = 0  # the number of the last one
        self._converted: Deferred[None] | None = None  # while it waits
        self.lost: Deferred[FlomError] = Deferred()
        self.is_wanted = False
        self.wanted: Deferred[None] = Deferred()

    def __repr__(self) -> str:
        state = "lost" if self.is_lost else "held" if self.granted.called else "not held"
        return self._show("released" if self.is_released else state)

    def _show(self, state: str) -> str:
        return show_lock(self._asked, self.element, state)

    @property
    def parts(self) -> tuple[HeldPart, ...]:
        """See L{flom.acquisition.Held}."""
        from flom.core.protocol.parts import HeldPart  # which few programs look at

        return (HeldPart(self._name.text, self.element, self.token),)

    def ask(self) -> None:
        """Ask the arbiter for what is wanted."""
        request = request_of(self.session, self._asked)
        if self._asked.wishes is not None and (why := self._arbiter.values.why_not(request)):
            self._take(Refused(request, Outcome.IMPOSSIBLE, why=why))
        else:
            self._arbiter.request(request)

    def dismiss(self) -> None:
        """Fail, if nothing was granted yet; what was granted remains held."""
        if not self.granted.called:
            self._fail(self._arbiter._why_dismissed(self._what))

    def lose(self, why: str = "") -> None:
        """Mark what was granted as lost, because of C{why}: another daemon may have granted it to another client."""
        self._loss = why or self._loss
        if self.granted.called:
            self.is_lost = True
            if not self.lost.called:
                if not self._is_contested:  # which is counted where it is found out
                    self._arbiter.statistics.lost[Loss.SUPERSEDED] += 1
                self._end_conversion(self._conversion, self._why_lost())
                self.lost.callback(self._why_lost())

    @property
    def value(self) -> str:
        """See L{IHeld.value}."""
        return known_value(self._value, self._name.text).value

    @value.setter
    def value(self, text: str) -> None:
        known_value(self._value, self._name.text).set(text, self.mode)

    def convert(self, mode: LockMode | ModeName | int, *, timeout: float | None = None) -> Deferred[None]:
        """See L{IHeld.convert}."""
        try:
            asked = ask_to_convert(self._name.text, mode, timeout)
        except FlomError:
            return fail()
        if self.is_released:
            return fail(Misuse(f"{self._what}: not held any more"))
        if self.is_lost:
            return fail(self._why_lost())
        if self._converted is not None:
            return fail(Misuse(f"{self._what}: it is being converted already"))
        converted: Deferred[None] = Deferred(canceller=lambda _: self._stay())
        self._converted = converted
        self._convert(asked.mode, wait=asked.wait)
        return limit(converted, asked.timeout, self._arbiter.clock, self._what, "converted")

    def _convert(self, mode: LockMode, *, wait: bool = True) -> None:
        self._conversion += 1
        self._convert_as(self._conversion, mode, wait=wait)

    def _convert_as(self, number: int, mode: LockMode, *, wait: bool) -> None:
        if number != self._conversion or self.is_released or self.is_lost:
            return
        if not self._arbiter.convert(self.session, self._name, mode, wait=wait, number=number):
            self._arbiter.postpone(partial(self._convert_as, number, mode, wait=wait))

    def _stay(self) -> None:
        """Withdraw the conversion that waits, by one to the mode that is held."""
        self._converted = None
        self._convert(self.mode)

    def _end_conversion(self, number: int, why: FlomError | None) -> None:
        if number == self._conversion and self._converted is not None:
            converted, self._converted = self._converted, None
            converted.callback(None) if why is None else converted.errback(why)

    def note_wanted(self) -> None:
        """Note that a request waits because of this lock."""
        self.is_wanted = True
        if not self.wanted.called:
            self.wanted.callback(None)

    def release(self, rollback: bool = False) -> Deferred[None]:
        """See L{IHeld.release}."""
        if self.is_released:
            return fail(Misuse(f"{self._what}: not held any more"))
        self.is_released = True
        self._end_conversion(self._conversion, Misuse(f"{self._what}: released before it was converted"))
        if self.is_lost and not self._is_contested:
            return fail(self._why_lost())
        if self._value is not None and self._value.note is not None and not rollback:
            kept = self._arbiter.values.note(self._name, self.mode, self._value.note)
            return kept.addCallback(self._release_kept)
        self._release(rollback)
        self._arbiter.drop(self.session)
        return fail(self._why_lost()) if self._is_contested else succeed(None)

    def _release(self, rollback: bool) -> None:
        self._arbiter.release(self.session, self._name, rollback)

    def _release_kept(self, why: str) -> None:
        """Release the lock, whose value is kept, or not, because of C{why}."""
        self._release(rollback=False)
        self._arbiter.drop(self.session)
        if self._is_contested:
            raise self._why_lost()
        if why:
            raise ValueNotKept(f"{self._what}: {why}")

    def _take(self, effect: Delivered) -> None:
        match effect:
            case Granted():
                self.element, self.token = effect.element, effect.token
                if self._asked.wishes is not None and (told := self._arbiter.values.told(effect.request)) is not None:
                    self._value = HeldValue(self._name.text, told)
                self.granted.callback(self)
            case Refused(outcome=outcome, why=why):
                self._fail(lock_refused(outcome, effect.request.name.text, HERE, why))
            case Converted(request=request, token=token, number=number):
                self.mode, self.token = request.mode, token
                self._end_conversion(number, None)
            case NotConverted(outcome=outcome, number=number, why=why):
                self._end_conversion(number, not_converted(outcome, self._name.text, HERE, why))
            case Dismissed():
                self.dismiss()
            case Contested():
                self._is_contested = True
                self.lose()
            case Revoked(by=by, limit=limit):
                self._revoked = why_revoked(by, limit, f"{self._what}: ")
                self.lose()
            case Wanted():
                self.note_wanted()
            case Queued() | Incubated() | Converting() | Ended() | Withdrawn() | Overdue():
                pass
            case _:
                assert_never(effect)

    def _fail(self, why: FlomError) -> None:
        self._arbiter.drop(self.session)
        self.granted.errback(why)

    def _why_lost(self) -> DaemonLost:
        if self._is_contested:
            return LockContested(f"{self._what}: another daemon of the group has granted it too")
        return self._revoked or DaemonLost(f"{self._what}: {self._loss}")


def request_of(session: SessionId, asked: Asked) -> LockRequest:
    """Return the request of C{session} for what is C{asked}."""
    how = asked.mode, asked.quantity, asked.wait, asked.create, asked.lifespan
    return LockRequest(session, asked.name, *how, wishes=asked.wishes)

"""Code in the daemon's own process as a client of the arbiter: L{flom.server.arbiter.DeferredArbiter.acquire}."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from flom.acquisition import Held
from flom.core.effects import Dismissed, Effect, Granted, Refused
from flom.errors import DaemonLost, FlomError, Misuse, lock_refused
from flom.interfaces import IHeld

if TYPE_CHECKING:
    from flom.server.arbiter import DeferredArbiter

HERE: Final = "this process"
"""Names the arbiter in errors of its own process, where those of clients name the daemon."""


class LocalClient:
    """
    One call of C{acquire}, as a session of the arbiter.

    @ivar granted: fires with the lock; cancelling it leaves the queue.
    """

    def __init__(self, arbiter: DeferredArbiter, what: str) -> None:
        """
        @param what: names the lock in errors.
        """
        self._arbiter = arbiter
        self._what = what
        self._held: _LocalHeld | None = None
        self.session = arbiter.open(self._take)
        self.granted: Deferred[Held] = Deferred(canceller=lambda _: arbiter.drop(self.session))

    def dismiss(self) -> None:
        """Fail, if nothing was granted yet; what was granted remains held."""
        if not self.granted.called:
            self._arbiter.drop(self.session)
            self.granted.errback(self._arbiter.why_dismissed(self._what))

    def lose(self) -> None:
        """Mark what was granted as lost: another daemon may have granted it to another client."""
        if self._held is not None:
            self._held.lose()

    def _take(self, effect: Effect | Dismissed) -> None:
        match effect:
            case Granted():
                self._held = _LocalHeld(self._arbiter, effect, self._what)
                self.granted.callback(self._held)
            case Refused(request=request, outcome=outcome):
                self._arbiter.drop(self.session)
                self.granted.errback(lock_refused(outcome, request.name.text, HERE))
            case Dismissed():
                self.dismiss()


@implementer(IHeld)
class _LocalHeld:
    """A lock held by code in this process; it is lost only if another daemon of the group has led meanwhile."""

    def __init__(self, arbiter: DeferredArbiter, granted: Granted, what: str) -> None:
        self._arbiter = arbiter
        self._request = granted.request
        self._what = what
        self.is_released = False
        self.is_lost = False
        self.element: str | None = granted.element
        self.lost: Deferred[FlomError] = Deferred()

    def lose(self) -> None:
        """Become lost."""
        self.is_lost = True
        if not self.lost.called:
            self.lost.callback(self._why_lost())

    def release(self, rollback: bool = False) -> Deferred[None]:
        """See L{IHeld.release}."""
        if self.is_released:
            return fail(Misuse(f"{self._what}: not held any more"))
        self.is_released = True
        if self.is_lost:
            return fail(self._why_lost())
        self._arbiter.release(self._request.session, self._request.name, rollback)
        self._arbiter.drop(self._request.session)
        return succeed(None)

    def _why_lost(self) -> DaemonLost:
        return DaemonLost(f"{self._what}: another daemon has led the group meanwhile")

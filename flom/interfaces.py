"""Contracts that more than one class keeps."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from flom.core.modes import LockMode
from flom.errors import FlomError


class IHeld(Interface):
    """A lock that is held."""

    element: str | None = Attribute("Which one was granted, for sets, sequences and timestamps.")
    lost: Deferred[FlomError] = Attribute(
        "Its result is why the lock was gone before it was released; if it was not, this never fires."
    )

    def release(rollback: bool = False) -> Deferred[None]:
        """
        Give the lock back.

        @param rollback: return the value of a transactional sequence (spec 4.7); nothing for other types.
        @return: fires when the arbiter has it.
        """


class IArbiter(Interface):
    """Grants locks, in this process (L{flom.server.arbiter}) or in a daemon (L{flom.client.lock})."""

    def acquire(
        name: str,
        mode: LockMode = LockMode.EX,
        *,
        quantity: int = 1,
        wait: bool = True,
        create: bool = True,
        lifespan: float = 0.0,
    ) -> Deferred[IHeld]:
        """
        Ask for a lock.

        Cancelling the Deferred gives up waiting: the request leaves the queue.

        @param name: the resource (spec 3).
        @param quantity: units of a numeric resource, 0 to 2**31 - 1.
        @param wait: wait if it cannot be granted now.
        @param create: make the resource if there is none.
        @param lifespan: seconds that the resource is to be remembered while idle, if this makes it (spec 4.10).
        @return: fires with an L{IHeld}, or with L{flom.errors.LockRefused}, L{flom.errors.InvalidName} or another
            L{flom.errors.FlomError}.
        """

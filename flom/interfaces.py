"""Contracts that more than one class keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from flom.core.modes import LockMode
from flom.errors import FlomError

if TYPE_CHECKING:
    from flom.acquisition import Acquisition


class IHeld(Interface):
    """A lock that is held."""

    element: str | None = Attribute("Which one was granted, for sets, sequences and timestamps.")
    is_released: bool = Attribute("Whether it was given back, or was to be when it was lost already.")
    is_lost: bool = Attribute("Whether it was gone before it was released.")
    lost: Deferred[FlomError] = Attribute(
        "Its result is why the lock was gone before it was released; if it was not, this never fires."
    )

    def release(rollback: bool = False) -> Deferred[None]:
        """
        Give the lock back, once.

        @param rollback: return the value of a transactional sequence (docs/compatibility.md, "Sequences"); nothing for
            other types.
        @return: fires when the arbiter has it; with L{flom.errors.DaemonLost} if the lock was lost before, with
            L{flom.errors.Misuse} if it was released before. To cancel it is not to wait for that.
        """


class IArbiter(Interface):
    """Grants locks, in this process (L{flom.server.arbiter}) or in a daemon (L{flom.client.deferred.arbiter})."""

    def acquire(
        name: str,
        mode: LockMode | str | int = LockMode.EX,
        *,
        quantity: int = 1,
        wait: bool = True,
        create: bool = True,
        lifespan: float = 0.0,
        timeout: float | None = None,
    ) -> Acquisition:
        """
        Ask for a lock.

        Cancelling the Deferred gives up waiting: the request leaves the queue.

        @param name: the resource (docs/compatibility.md, "Resource names").
        @param mode: a L{LockMode}, its name, such as C{"PR"}, or its number.
        @param quantity: units of a numeric resource, 0 to 2**31 - 1.
        @param wait: wait if it cannot be granted now.
        @param create: make the resource if there is none.
        @param lifespan: seconds that the resource is to be remembered while idle, if this makes it
            (docs/compatibility.md, "Idle resources").
        @param timeout: seconds to wait at most; 0 is not to wait, C{None} as long as it takes.
        @return: fires with an L{IHeld}, or with L{flom.errors.LockRefused}, L{flom.errors.LockTimeout},
            L{flom.errors.InvalidRequest} or another L{flom.errors.FlomError}, whose text names the resource. It can be
            used with C{async with}.
        """

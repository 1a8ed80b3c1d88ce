"""Interfaces that more than one class provides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted.internet import interfaces
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from flom.acquisition import Acquisition
from flom.core.modes import LockMode
from flom.errors import FlomError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flom.core.modes import ModeName
    from flom.core.protocol.parts import HeldPart
    from flom.core.several import Part


class IReactor(
    interfaces.IReactorCore,
    interfaces.IReactorFDSet,
    interfaces.IReactorMulticast,
    interfaces.IReactorProcess,
    interfaces.IReactorSocket,
    interfaces.IReactorTCP,
    interfaces.IReactorThreads,
    interfaces.IReactorTime,
    interfaces.IReactorUNIX,
):
    """What Twisted's reactors on Linux provide, as far as daemons and clients use it."""


class Listenable(Protocol):
    """What has the only method of Twisted's C{IStreamServerEndpoint}, for type checkers that do not know zope's."""

    def listen(self, factory: interfaces.IProtocolFactory, /) -> Deferred[interfaces.IListeningPort]:
        """See C{IStreamServerEndpoint.listen}."""


class IHeld(Interface):
    """
    A lock that is held.

    If it was asked for with C{value=True}, it has the C{value} of the resource, a text: that at the grant, until it is
    set. A holder in mode EX or PW may set it, to a text of up to 64 bytes, which is kept when the lock is released
    without rollback; L{flom.errors.InvalidRequest} is raised if it cannot be, and L{flom.errors.Misuse} if C{value} was
    not asked for.
    """

    element: str | None = Attribute("Which one was granted, for sets, sequences and timestamps.")
    token: int | None = Attribute("The fencing token (docs/explanation/tokens.md); None if the daemon has none.")
    parts: tuple[HeldPart, ...] = Attribute("What each of several locks has got; of one lock, what that has.")
    is_released: bool = Attribute("True once release() has been called, even if the lock had been lost before.")
    is_lost: bool = Attribute("True if the lock was lost before it was released.")
    lost: Deferred[FlomError] = Attribute("Fires with the reason if the lock is lost before it is released.")

    mode: LockMode = Attribute("The mode in which it is held now; EX where a resource has no modes.")
    is_wanted: bool = Attribute("True once a request has waited because of it; only with C{acquire(wanted=True)}.")
    wanted: Deferred[None] = Attribute("Fires when that is so first.")

    def convert(mode: LockMode | ModeName | int, *, timeout: float | None = None) -> Deferred[None]:
        """
        Change the mode of the lock, which is held all the time (docs/howto/convert.md). If the mode excludes more,
        C{token} is another one then.

        @param mode: a L{LockMode}, its name, such as C{"PR"}, or its number.
        @param timeout: seconds to wait at most; 0: do not wait, C{None}: no limit.
        @return: fires when it is done. If it is not, the lock is held as it was: with L{flom.errors.LockBusy} if it
            was not to wait, L{flom.errors.LockTimeout}, L{flom.errors.LockDeadlock} if another holder waits for
            this one to convert its lock too, L{flom.errors.Unsupported} if the daemon cannot do it,
            L{flom.errors.InvalidRequest} if the resource has no modes, or L{flom.errors.Misuse} while another
            conversion of the lock waits. Cancelling it withdraws the request.
        """

    def release(rollback: bool = False) -> Deferred[None]:
        """
        Release the lock, once.

        @param rollback: return the value of a transactional sequence (docs/compatibility.md, "Sequences"); nothing for
            other types.
        @return: fires when the arbiter has freed it; with L{flom.errors.DaemonLost} if the lock was lost before, with
            L{flom.errors.Misuse} if it was released before, with L{flom.errors.ValueNotKept} if it is released, and
            its new value is not kept. Cancelling it only ends the wait.
        """


class IArbiter(Interface):
    """Grants locks, in this process (L{flom.server.arbiter}) or in a daemon (L{flom.client.deferred.arbiter})."""

    def acquire(
        name: str,
        mode: LockMode | ModeName | int = LockMode.EX,
        *,
        quantity: int = 1,
        wait: bool = True,
        create: bool = True,
        lifespan: float = 0.0,
        timeout: float | None = None,
        value: bool = False,
        max_hold: float | None = None,
        lock_delay: float | None = None,
        wanted: bool = False,
        nested: str = "refuse",
    ) -> Acquisition:
        """
        Ask for a lock; cancelling the Deferred withdraws the request.

        @param name: the resource (docs/compatibility.md, "Resource names").
        @param mode: a L{LockMode}, its name, such as C{"PR"}, or its number.
        @param quantity: units of a numeric resource, 0 to 2**31 - 1.
        @param wait: wait if it cannot be granted now.
        @param create: create the resource if there is none.
        @param lifespan: seconds for which the resource is remembered while idle, if this creates it
            (docs/compatibility.md, "Idle resources").
        @param timeout: seconds to wait at most; 0: do not wait, C{None}: no limit.
        @param value: whether the holder is to know, and may set, the value of the resource: see L{IHeld}.
        @param max_hold: seconds after which the lock is lost, if it is not released before; C{None}: no limit of ours.
        @param lock_delay: seconds for which no client is granted the lock if it is lost; C{None}: as the daemon says.
        @param wanted: true to learn from the L{IHeld} when a request waits because of it.
        @param nested: C{"refuse"}, C{"share"} or C{"wait"}: what to do if it is held by a C{flom-run} that this process
            runs under; locks of this process itself are not nested (docs/howto/nested-locks.md).
        @return: fires with an L{IHeld}, or with L{flom.errors.LockRefused}, L{flom.errors.LockTimeout},
            L{flom.errors.InvalidRequest} or another L{flom.errors.FlomError}, whose text names the resource. It can be
            used with C{async with}.
        """

    def acquire_all(
        parts: Iterable[Part | str],
        *,
        wait: bool = True,
        timeout: float | None = None,
        max_hold: float | None = None,
        lock_delay: float | None = None,
        wanted: bool = False,
        nested: str = "refuse",
    ) -> Acquisition:
        """
        Ask for several locks, all of which are granted in one step, or none; cancelling the Deferred withdraws them.

        @param parts: the locks, by their names alone, or made by C{flom.part}: 1 to 64, each of another resource.
        @param wait: wait if they cannot be granted now.
        @param timeout: seconds to wait at most; 0: do not wait, C{None}: no limit.
        @param max_hold: seconds after which all are lost, if they are not released before; C{None}: no limit of ours.
        @param lock_delay: seconds for which no client is granted any of them if they are lost; C{None}: as the daemon
            says.
        @param wanted: true to learn from the L{IHeld} when a request waits because of any of them.
        @param nested: see L{acquire}.
        @return: fires with an L{IHeld}, whose C{parts} are the locks in this order, and which releases all of them;
            otherwise as for L{acquire}, with L{flom.errors.Unsupported} too: a daemon of FLoM's has no such thing.
        """

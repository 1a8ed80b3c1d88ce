"""The Deferred that a request for a lock returns, which C{async with} takes too."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from flom.core.modes import LockMode
from flom.core.requests import Asked, ask
from flom.errors import FlomError, LockTimeout, Misuse, note_loss

if TYPE_CHECKING:
    from flom.core.modes import ModeName
    from flom.core.protocol.parts import HeldPart
    from flom.core.several import AskedAll, Part

_T = TypeVar("_T")


class Held(Protocol):
    """A lock that is held, for type checkers that know nothing of zope's interfaces; see L{flom.interfaces.IHeld}."""

    element: str | None
    token: int | None
    is_released: bool
    is_lost: bool
    lost: Deferred[FlomError]
    value: str
    is_wanted: bool
    wanted: Deferred[None]

    @property
    def parts(self) -> tuple[HeldPart, ...]:
        """What each of several locks has got; of one lock, what that has."""

    mode: LockMode

    def convert(self, mode: LockMode | ModeName | int, *, timeout: float | None = None) -> Deferred[None]:
        """See L{flom.interfaces.IHeld.convert}."""

    def release(self, rollback: bool = False) -> Deferred[None]:
        """See L{flom.interfaces.IHeld.release}."""


class Acquisition(Deferred[Held]):
    """
    Fires with a L{Held} that its receiver releases.

    C{async with} waits for it, and releases the lock in the end; with rollback if the body has raised. It is for one
    use, like every Deferred. Cancelling it withdraws the request.
    """

    def __init__(self, waiting: Deferred[Held], what: str) -> None:
        """@param waiting: fires with the decision, and is cancelled if this is; C{what} names the lock in errors."""
        super().__init__(canceller=lambda _: waiting.cancel())
        self._what = what
        self._is_used = False
        waiting.addCallbacks(self.callback, self.errback)

    def note_use(self) -> None:
        """Note that the result is about to be taken; raise L{Misuse} if it has been."""
        if self._is_used:
            raise Misuse(f"{self._what}: acquired already; every lock wants an acquire of its own")
        self._is_used = True

    def __await__(self) -> Generator[Any, None, Held]:
        self.note_use()
        return super().__await__()

    async def __aenter__(self) -> Held:
        self._held = await self
        return self._held

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        released = release_after(self._held, error)
        if isinstance(error, GeneratorExit):  # the coroutine is run no further, so it can wait for nothing
            released.addErrback(lambda failure: None)
        else:
            await released


def release_after(held: Held, error: BaseException | None) -> Deferred[None]:
    """
    Release C{held} at the end of a block, unless the block has done that itself; with rollback if there is an error.

    @param error: what has ended the block; C{None} if that was its last line.
    @return: fires with L{flom.errors.DaemonLost} if the lock was lost; if there is an C{error}, that gets a note of it.
    """
    if held.is_released:
        return succeed(None)
    released = held.release(rollback=error is not None)
    if error is not None:
        released.addErrback(_note, error)
    return released


def _note(failure: Failure, error: BaseException) -> None:
    failure.trap(FlomError)
    assert isinstance(failure.value, FlomError)
    note_loss(error, failure.value)


def limit(
    waiting: Deferred[_T], timeout: float | None, clock: IReactorTime, what: str, done: str = "granted"
) -> Deferred[_T]:
    """
    Fail C{waiting} with L{LockTimeout} after C{timeout} seconds.

    @param timeout: seconds; C{None} for no limit.
    @param what: names the lock in the error.
    @param done: what was to be done with it.
    """
    if timeout is None:
        return waiting

    def expire(result: _T | Failure, seconds: float) -> _T | Failure:
        if isinstance(result, Failure) and result.check(CancelledError):
            return Failure(LockTimeout(f"{what}: not {done} within {seconds:g} s"))
        return result  # it was decided before

    return waiting.addTimeout(timeout, clock, expire)


class Acquiring:
    """What the arbiters of this process and of a daemon share: a request, checked, becomes an L{Acquisition}."""

    _place: str  # of the arbiter, as errors name it
    _clock: IReactorTime

    def acquire(
        self,
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
        """See L{flom.interfaces.IArbiter.acquire}; of a closed arbiter, it fires with L{flom.errors.Closed}."""
        what = f"{name} at {self._place}"
        try:
            asked = ask(
                name,
                mode,
                quantity=quantity,
                wait=wait,
                create=create,
                lifespan=lifespan,
                timeout=timeout,
                value=value,
                nested=nested,
            ).wishing(max_hold, lock_delay, wanted)
            granted = self._begin(asked, what)
        except FlomError:
            return Acquisition(fail(), what)
        return Acquisition(limit(granted, asked.timeout, self._clock, what), what)

    def acquire_all(
        self,
        parts: Iterable[Part | str],
        *,
        wait: bool = True,
        timeout: float | None = None,
        max_hold: float | None = None,
        lock_delay: float | None = None,
        wanted: bool = False,
        nested: str = "refuse",
    ) -> Acquisition:
        """See L{flom.interfaces.IArbiter.acquire_all}; of a closed arbiter, it fires with L{flom.errors.Closed}."""
        from flom.core.several import ask_all  # which few programs need

        what = f"locks at {self._place}"
        try:
            limits = {"max_hold": max_hold, "lock_delay": lock_delay}
            asked = ask_all(parts, wait=wait, timeout=timeout, nested=nested, wanted=wanted, **limits)
            what = f"{asked.title} at {self._place}"
            granted = self._begin(asked if len(asked.parts) > 1 else asked.parts[0], what)
        except FlomError:
            return Acquisition(fail(), what)
        return Acquisition(limit(granted, asked.timeout, self._clock, what), what)

    def _begin(self, asked: Asked | AskedAll, what: str) -> Deferred[Held]:
        """Ask for what is C{asked}; the Deferred, which can be cancelled, fires with it. C{what} is for errors."""
        raise NotImplementedError

"""What asking for a lock gives: a Deferred, which C{async with} can be used on."""

from __future__ import annotations

from types import TracebackType

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from flom.errors import LockTimeout, Misuse
from flom.interfaces import IHeld


class Acquisition(Deferred[IHeld]):
    """
    Fires with an L{IHeld} that is its receiver's to release.

    C{async with} waits for it, and gives the lock back in the end; with rollback if the body has raised. It is for one
    use, like every Deferred. Cancelling it gives up waiting.
    """

    def __init__(self, waiting: Deferred[IHeld], what: str) -> None:
        """
        @param waiting: fires when it is decided; cancelled if this is.
        @param what: names the lock in errors.
        """
        super().__init__(canceller=lambda _: waiting.cancel())
        self._what = what
        self._is_used = False
        waiting.addCallbacks(self.callback, self.errback)

    def note_use(self) -> None:
        """
        Note that somebody is about to take the result.

        @raise Misuse: somebody has.
        """
        if self._is_used:
            raise Misuse(f"{self._what}: acquired already; every lock wants an acquire of its own")
        self._is_used = True

    async def __aenter__(self) -> IHeld:
        self.note_use()
        self._held = await self
        return self._held

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await give_back(self._held, error)


def give_back(held: IHeld, error: BaseException | None) -> Deferred[None]:
    """
    Give C{held} back at the end of a block, if the block has not done that itself.

    @param error: what has ended the block, if it was not its last line.
    @return: fires with L{flom.errors.DaemonLost} if the lock was lost, and C{error} does not tell something else.
    """
    if held.is_released or (error is not None and held.lost.called):
        return succeed(None)
    return held.release(rollback=error is not None)


def limit(waiting: Deferred[IHeld], timeout: float | None, clock: IReactorTime, what: str) -> Deferred[IHeld]:
    """
    Have C{waiting} fail with L{LockTimeout} if it takes too long.

    @param timeout: seconds; C{None} for no limit.
    @param what: names the lock in the error.
    """
    if timeout is None:
        return waiting

    def expire(result: IHeld | Failure, seconds: float) -> IHeld | Failure:
        if isinstance(result, Failure) and result.check(CancelledError):
            return Failure(LockTimeout(f"{what}: not granted within {seconds:g} s"))
        return result  # it was decided before

    return waiting.addTimeout(timeout, clock, expire)

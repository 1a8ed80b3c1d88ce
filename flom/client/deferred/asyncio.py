"""Locks for tasks of asyncio, under Twisted's asyncio reactor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from twisted.python.failure import Failure

from flom.acquisition import Acquisition, Held, release_after


@asynccontextmanager
async def holding(acquisition: Acquisition) -> AsyncIterator[Held]:
    """
    Wait for a lock in a task of asyncio, and release it at the end of the block.

    Cancelling the task withdraws the request. If the lock was granted at that very moment, it is released, which
    C{await acquisition.asFuture(loop)} alone could not do.

    @raise FlomError: see L{flom.interfaces.IArbiter.acquire}.
    """
    acquisition.note_use()
    loop = asyncio.get_running_loop()
    decided: asyncio.Future[Held | Failure] = loop.create_future()
    acquisition.addBoth(decided.set_result)
    try:
        decision = await asyncio.shield(decided)
    except asyncio.CancelledError:
        acquisition.cancel()
        decision = decided.result()
        if not isinstance(decision, Failure):
            decision.release()
        raise
    if isinstance(decision, Failure):
        decision.raiseException()
    try:
        yield decision
    except BaseException as e:
        await release_after(decision, e).asFuture(loop)
        raise
    await release_after(decision, None).asFuture(loop)

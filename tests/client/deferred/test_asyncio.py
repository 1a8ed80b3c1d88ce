"""Tasks of asyncio that wait for locks, and are cancelled at the worst of moments."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic_ns

import pytest
from twisted.internet.task import Clock

from flom.acquisition import Acquisition, Held
from flom.client.deferred.asyncio import holding
from flom.core.history.exclusion import violations
from flom.core.history.holding import Holding
from flom.errors import LockBusy, Misuse
from flom.server.arbiter import DeferredArbiter


@pytest.fixture
def locks() -> DeferredArbiter:
    return DeferredArbiter(Clock())


def is_free(locks: DeferredArbiter) -> bool:
    free: list[Held] = []
    locks.acquire("R1", wait=False).addCallbacks(free.append, lambda failure: None)
    for held in free:
        held.release()
    return bool(free)


def test_tasks_take_turns(locks: DeferredArbiter) -> None:
    holdings: list[Holding] = []

    async def work(number: int) -> None:
        async with holding(locks.acquire("R1")):
            begin = monotonic_ns()
            await asyncio.sleep(0)
            holdings.append(Holding(number, "R1", begin, monotonic_ns()))

    async def main() -> None:
        await asyncio.gather(*(work(number) for number in range(20)))

    asyncio.run(main())
    assert len(holdings) == 20
    assert violations(holdings) == []
    assert is_free(locks)


def test_errors_are_raised_in_the_task(locks: DeferredArbiter) -> None:
    async def main() -> None:
        async with holding(locks.acquire("R1")):
            with pytest.raises(LockBusy):
                async with holding(locks.acquire("R1", wait=False)):
                    pytest.fail("held by two")

    asyncio.run(main())


def test_a_block_that_fails_rolls_back(locks: DeferredArbiter) -> None:
    async def draw(fails: bool) -> str | None:
        async with holding(locks.acquire("_S_a[1]")) as held:
            if fails:
                raise KeyError
        return held.element

    async def main() -> None:
        with pytest.raises(KeyError):
            await draw(fails=True)
        assert [await draw(fails=False), await draw(fails=False)] == ["1", "2"]

    asyncio.run(main())


@pytest.mark.parametrize("ticks", range(6))
@pytest.mark.parametrize(
    "order",
    [
        pytest.param(lambda grant, cancel: (grant(), cancel()), id="granted, then cancelled"),
        pytest.param(lambda grant, cancel: (cancel(), grant()), id="cancelled, then granted"),
    ],
)
def test_a_task_cancelled_as_it_is_granted_the_lock_leaves_none_behind(
    locks: DeferredArbiter, ticks: int, order: Callable[[Callable[[], object], Callable[[], object]], object]
) -> None:
    async def work() -> None:
        async with holding(locks.acquire("R1")):
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def main() -> None:
        held = await locks.acquire("R1").asFuture(asyncio.get_running_loop())
        task = asyncio.create_task(work())
        for _ in range(ticks):
            await asyncio.sleep(0)
        order(held.release, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert is_free(locks)


def test_a_task_that_is_cancelled_while_it_waits_leaves_the_queue(locks: DeferredArbiter) -> None:
    async def main() -> None:
        waiting: list[Acquisition] = [locks.acquire("R1") for _ in range(2)]

        async def work() -> None:
            async with holding(waiting[1]):
                pytest.fail("held by two")

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        waiting[0].addCallback(lambda held: held.release())

    asyncio.run(main())
    assert is_free(locks)


def test_an_acquisition_is_for_one_block(locks: DeferredArbiter) -> None:
    async def main() -> None:
        acquisition = locks.acquire("R1")
        async with holding(acquisition):
            with pytest.raises(Misuse):
                async with holding(acquisition):
                    pytest.fail("held by two")

    asyncio.run(main())
    assert is_free(locks)

"""A thousand tasks over fifty resources, through one client, all at once."""

from __future__ import annotations

import os
import random
from time import monotonic_ns
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from flom.client import connect
from flom.core.history.exclusion import violations
from flom.core.history.holding import Holding
from flom.errors import LockBusy, LockTimeout
from tests.fakes.daemon import Daemon

loop: Any = reactor

TASKS, RESOURCES = 1000, 50


class Inside:
    """
    Where tasks are while they hold a lock.

    @ivar holdings: which one when.
    """

    def __init__(self) -> None:
        self.holdings: list[Holding] = []

    async def be(self, task: int, name: str) -> None:
        begin = monotonic_ns()
        await deferLater(loop, 0)
        self.holdings.append(Holding(task, name, begin, monotonic_ns()))


@pytest_twisted.ensureDeferred
async def test_no_two_of_them_are_ever_inside_and_all_are_served(daemon: Daemon) -> None:
    before = len(os.listdir("/proc/self/fd"))
    most = before
    inside = Inside()

    async def work(number: int) -> None:
        nonlocal most
        for _ in range(2):
            name = f"R{number % RESOURCES}"
            async with locks.acquire(name, timeout=60):
                await inside.be(number, name)
            most = max(most, len(os.listdir("/proc/self/fd")))

    async with await connect(loop, f"unix:{daemon.socket}") as locks:
        await gatherResults([Deferred.fromCoroutine(work(number)) for number in range(TASKS)], consumeErrors=True)
    assert len(inside.holdings) == 2 * TASKS
    assert violations(inside.holdings) == []
    assert most - before < 0.6 * TASKS  # connections are for those who ask, not for every task
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest_twisted.ensureDeferred
async def test_some_give_up_and_some_will_not_wait(daemon: Daemon) -> None:
    chance = random.Random(5)
    inside = Inside()
    given_up = 0

    async def work(number: int) -> None:
        nonlocal given_up
        name, timeout = f"R{chance.randrange(RESOURCES)}", chance.choice([0, 0.001, 0.05, None])
        try:
            async with locks.acquire(name, timeout=timeout):
                await inside.be(number, name)
        except (LockBusy, LockTimeout):
            given_up += 1

    async with await connect(loop, f"unix:{daemon.socket}") as locks:
        await gatherResults([Deferred.fromCoroutine(work(number)) for number in range(TASKS)], consumeErrors=True)
        assert len(inside.holdings) + given_up == TASKS
        assert violations(inside.holdings) == []
        for number in range(RESOURCES):
            await (await locks.acquire(f"R{number}", wait=False)).release()

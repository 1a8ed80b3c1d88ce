"""A thousand tasks over fifty resources, through one client, all at once."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from flom.client import connect
from flom.errors import LockBusy, LockTimeout
from tests.fakes.daemon import Daemon

loop: Any = reactor

TASKS, RESOURCES = 1000, 50


class Inside:
    """
    Who is inside at the moment.

    @ivar served: how often a task was.
    """

    def __init__(self) -> None:
        self.served = 0
        self._inside: set[str] = set()

    async def be(self, name: str) -> None:
        assert name not in self._inside, f"two hold {name}"
        self._inside.add(name)
        await deferLater(loop, 0)
        self._inside.remove(name)
        self.served += 1


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
                await inside.be(name)
            most = max(most, len(os.listdir("/proc/self/fd")))

    async with await connect(loop, f"unix:{daemon.socket}") as locks:
        await gatherResults([Deferred.fromCoroutine(work(number)) for number in range(TASKS)], consumeErrors=True)
    assert inside.served == 2 * TASKS
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
                await inside.be(name)
        except (LockBusy, LockTimeout):
            given_up += 1

    async with await connect(loop, f"unix:{daemon.socket}") as locks:
        await gatherResults([Deferred.fromCoroutine(work(number)) for number in range(TASKS)], consumeErrors=True)
        assert inside.served + given_up == TASKS
        for number in range(RESOURCES):
            await (await locks.acquire(f"R{number}", wait=False)).release()

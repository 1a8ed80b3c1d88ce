"""Keeping locks in a loop of asyncio."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from flom.client.blocking import stream
from flom.client.blocking.connection import Conversation
from flom.client.blocking.stream import Stream
from flom.client.tasks.keeper import TaskKeeper
from flom.client.tasks.switch import run
from flom.codes import Outcome
from flom.core.modes import LockMode
from flom.core.protocol.messages import Lock
from flom.errors import DaemonLost, LockBusy
from tests.fakes.peers import PATIENCE, SocketConversation

REQUEST = Lock("R", LockMode.EX, 1, wait=True, create=True)


def connection(name: str) -> tuple[Conversation, SocketConversation]:
    """Return the client's end of a connection to the daemon C{name}, and the daemon's."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return Conversation(Stream(ours), name), SocketConversation(theirs)


class FakeAcquirer:
    """Stands in for an Acquirer, whose reclaims take a moment; C{outcomes} are what comes of them."""

    def __init__(self, *outcomes: Conversation | Exception) -> None:
        self.outcomes = list(outcomes)
        self.is_stopped = False

    def can_reclaim(self) -> bool:
        return True

    def reclaim(self, message: Lock) -> Conversation:
        assert message is REQUEST
        stream.sleep(0.01)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def give_up(self) -> None:
        pass

    def stop(self) -> None:
        self.is_stopped = True


def keep(acquirer: Any, conversation: Conversation) -> TaskKeeper:
    """Return what keeps the lock on C{conversation}; it has been started."""
    keeper = TaskKeeper(acquirer, REQUEST, conversation)
    assert keeper.start()
    return keeper


async def until(is_so: Callable[[], bool]) -> None:
    async def look() -> None:
        while not is_so():
            await asyncio.sleep(0.001)

    await asyncio.wait_for(look(), PATIENCE)


def test_a_lock_whose_daemon_goes_is_reclaimed_once_and_again() -> None:
    async def main() -> None:
        conversation, first = connection("one")
        second, third = connection("two"), connection("three")
        keeper = keep(FakeAcquirer(second[0], third[0]), conversation)
        first.close()
        await until(lambda: keeper.conversation is second[0])
        second[1].close()
        await until(lambda: keeper.conversation is third[0])
        assert not keeper.is_over.done()
        assert await run(keeper.end) is third[0]
        assert (keeper.loss, keeper.is_over.done(), threading.active_count()) == (None, True, before)
        third[0].close()

    before = threading.active_count()
    asyncio.run(main())


@pytest.mark.parametrize("is_eager", [False, True])
def test_a_loss_that_comes_with_the_end_is_reclaimed_too_and_waited_for(is_eager: bool) -> None:
    """Since Python 3.12, a loop may begin a task where it is made, which is within the release here."""

    async def main() -> None:
        if is_eager:
            asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory", None))
        conversation, first = connection("one")
        second, _daemon = connection("two")
        keeper = keep(FakeAcquirer(second), conversation)
        first.close()
        assert await run(keeper.end) is second
        second.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "error", [LockBusy(Outcome.BUSY, "R", "two"), DaemonLost("nobody there")], ids=["busy", "gone"]
)
def test_a_lock_that_is_not_reclaimed_is_lost(error: Exception) -> None:
    async def main() -> None:
        conversation, first = connection("one")
        keeper = keep(FakeAcquirer(error), conversation)
        first.close()
        await asyncio.wait_for(asyncio.shield(keeper.is_over), PATIENCE)
        assert isinstance(keeper.loss, DaemonLost)
        with pytest.raises(DaemonLost):
            await run(keeper.end)

    asyncio.run(main())


def test_it_can_be_abandoned_by_another_thread_and_after_its_loop() -> None:
    async def main() -> TaskKeeper:
        conversation, _daemon = connection("one")
        keeper = keep(FakeAcquirer(), conversation)
        threading.Thread(target=keeper.abandon).start()  # as the garbage collector may
        await asyncio.wait_for(asyncio.shield(keeper.is_over), PATIENCE)
        assert conversation.fileno() == -1
        other, ends[0] = connection("two")
        return keep(FakeAcquirer(), other)

    ends: dict[int, SocketConversation] = {}
    keeper = asyncio.run(main())
    keeper.abandon()
    assert keeper.conversation.fileno() == -1


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_reclaim_ends_with_its_loop(has_begun: bool) -> None:
    async def main() -> TaskKeeper:
        conversation, first = connection("one")
        keeper = keep(FakeAcquirer(), conversation)
        first.close()
        if has_begun:
            await until(lambda: keeper._thread is not None)
        return keeper

    keeper = asyncio.run(main())
    keeper.abandon()
    assert keeper.loss is not None or not has_begun
    assert keeper.conversation.fileno() == -1

"""Keeping a lock in a loop of asyncio, which sends its heartbeats, and in a task of which it is reclaimed."""

from __future__ import annotations

import asyncio
from threading import get_ident
from typing import TYPE_CHECKING, Any

from flom.client.blocking.keeper import Keeper, keep
from flom.client.blocking.stream import NEVER
from flom.client.tasks.switch import run, running
from flom.lean import boottime

if TYPE_CHECKING:
    from collections.abc import Callable

    from flom.client.blocking.acquire import Acquirer
    from flom.client.blocking.connection import Conversation
    from flom.core.protocol.messages import Lock


class TaskKeeper(Keeper):
    """
    A L{Keeper} without threads.

    @ivar is_over: done once the lock is lost, contested or released.
    @ivar was_wanted: done once others have waited because of the lock, or it is over.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        """Make one for the loop that runs; the arguments are those of L{Keeper}."""
        super().__init__(*arguments, **settings)
        self._loop = asyncio.get_running_loop()
        self._watch = _LoopWatch(self._loop)
        self._loop_thread = get_ident()
        self.is_over: asyncio.Future[None] = self._loop.create_future()
        self.was_wanted: asyncio.Future[None] = self._loop.create_future()
        if self.conversation.is_wanted:
            self._note_wanted()

    def look_after(self, now: float) -> float:
        due = super().look_after(now)
        if self.loss is not None or self.conversation.is_contested:
            self._note_over()
        if self.is_wanted:
            self._note_wanted()
        return due

    def end(self) -> Conversation:
        try:
            return super().end()
        finally:
            self._note_over()

    def abandon(self) -> None:
        """See L{Keeper.abandon}; garbage may be collected in any thread."""
        if get_ident() != self._loop_thread and not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(self.abandon)
                return
            except RuntimeError:
                pass  # it was closed just now
        super().abandon()
        self._note_over()

    def _start(self, reclaim: Callable[[], None]) -> _Reclaiming:
        reclaiming = self._loop.create_task(run(reclaim))
        reclaiming.add_done_callback(self._note_reclaimed)
        return _Reclaiming(reclaiming)

    def _note_reclaimed(self, reclaiming: asyncio.Task[None]) -> None:
        if reclaiming.cancelled():  # because the loop ends, perhaps before the task has begun
            self._is_over = True
            self.loss = self.loss or self.conversation.why_lost()
            self.end_conversion()
            if self.is_abandoned:
                self.conversation.close()
        if self.loss is not None or self.conversation.is_contested:
            self._note_over()
        elif self.is_wanted:
            self._note_wanted()

    def _note_over(self) -> None:
        if not self.is_over.done() and not self._loop.is_closed():
            self.is_over.set_result(None)
        self._note_wanted()

    def _note_wanted(self) -> None:
        self.is_wanted |= self.conversation.is_wanted
        if not self.was_wanted.done() and not self._loop.is_closed():
            self.was_wanted.set_result(None)


class _Reclaiming:
    """A task in which a lock is reclaimed, as the thread that it stands in for."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def is_alive(self) -> bool:
        return not self._task.done()

    def join(self, timeout: float) -> None:
        waiting = running()
        assert waiting is not None
        waiting.wait_on(asyncio.wait({self._task}, timeout=timeout))


class _LoopWatch:
    """Has a loop look after one keeper when it is due, or when its connection has something to say."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._number = -1  # the descriptor that is watched
        self._timer: asyncio.TimerHandle | None = None

    def add(self, keeper: Keeper) -> None:
        self._number = keeper.conversation.fileno()
        self._loop.add_reader(self._number, self._look, keeper)
        self.put(keeper, keeper.due)

    def put(self, keeper: Keeper, due: float) -> None:
        if due == NEVER:
            return
        self.forget(keeper)
        self._timer = self._loop.call_later(max(0.0, due - boottime()), self._look, keeper)

    def remove(self, keeper: Keeper) -> bool:
        self.forget(keeper)
        if self._number < 0:
            return False
        if not self._loop.is_closed():
            self._loop.remove_reader(self._number)
        self._number = -1
        return True

    def forget(self, keeper: Keeper) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, keeper: Keeper) -> None:
        self.put(keeper, keeper.look_after(boottime()))


def keep_in_loop(acquirer: Acquirer, message: Lock, conversation: Conversation) -> TaskKeeper:
    """
    Keep the lock that was granted; if it cannot be reclaimed, this notices that it is lost.

    @raise ConfigError: there is no room for the kill-after that is configured.
    """
    keeper = keep(acquirer, message, conversation, TaskKeeper)
    if keeper is None:
        keeper = TaskKeeper(acquirer, message, conversation)
        keeper.start()
    assert isinstance(keeper, TaskKeeper)
    return keeper

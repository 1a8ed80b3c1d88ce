"""Clients that wait in a thread, made to look like the ones that return Deferreds."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from threading import Thread
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

import flom
import flom.aio
from flom.client.blocking.lock import BlockingLock, Held
from flom.client.blocking.several import HeldAll
from flom.codes import ReturnCode
from flom.core.modes import LockMode, as_mode
from flom.errors import (
    CannotWait,
    DaemonLost,
    FlomError,
    InvalidName,
    LockBusy,
    LockImpossible,
    LockTimeout,
    Misuse,
)
from tests.fakes.peers import PATIENCE
from tests.fakes.programs import eventually

_T = TypeVar("_T")


class BlockingHeld:
    """What L{flom.lock} has taken."""

    def __init__(self, held: Held) -> None:
        self.element = held.element
        self._held = held
        self.parts = held.parts if isinstance(held, HeldAll) else ()

    @property
    def token(self) -> int | None:
        return self._held.token

    @property
    def mode(self) -> LockMode:
        return self._held.mode

    @property
    def is_lost(self) -> bool:
        return self._held.is_lost

    @property
    def wanted(self) -> Deferred[None]:
        return deferToThread(eventually, lambda: self._held.wanted, "that it is wanted")

    @property
    def lost(self) -> Deferred[DaemonLost | None]:
        def why() -> DaemonLost | None:
            eventually(lambda: self._held.is_lost, "that it is lost")
            return self._held.lost

        return deferToThread(why)

    def convert(self, mode: Any, **asked: Any) -> Deferred[None]:
        return deferToThread(self._held.convert, mode, **asked)

    @property
    def value(self) -> str:
        return self._held.value

    @value.setter
    def value(self, text: str) -> None:
        self._held.value = text

    def release(self, rollback: bool = False) -> Deferred[None]:
        return deferToThread(self._held.release, rollback)


class Blocking:
    """L{flom.lock}."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    def acquire(self, name: str, mode: Any = "EX", **asked: Any) -> Deferred[BlockingHeld]:
        def acquire() -> BlockingHeld:
            lock: BlockingLock = flom.lock(name, mode, socket=self._socket, start=False, **asked)
            return BlockingHeld(lock.acquire())

        return deferToThread(acquire)

    def acquire_all(self, parts: Any, **asked: Any) -> Deferred[BlockingHeld]:
        def acquire() -> BlockingHeld:
            return BlockingHeld(flom.lock_all(parts, socket=self._socket, start=False, **asked).acquire())

        return deferToThread(acquire)


class Tasks:
    """L{flom.aio}, on a loop of its own in a thread."""

    def __init__(self, socket: str) -> None:
        self._client = flom.aio.Client(socket=socket, start=False)
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()

    def acquire(self, name: str, mode: Any = "EX", **asked: Any) -> Deferred[TaskHeld]:
        async def acquire() -> TaskHeld:
            return TaskHeld(self, await self._client.lock(name, mode, **asked).acquire())

        return self.run(acquire())

    def acquire_all(self, parts: Any, **asked: Any) -> Deferred[TaskHeld]:
        async def acquire() -> TaskHeld:
            return TaskHeld(self, await self._client.lock_all(parts, **asked).acquire())

        return self.run(acquire())

    def run(self, call: Coroutine[Any, Any, _T]) -> Deferred[_T]:
        return deferToThread(asyncio.run_coroutine_threadsafe(call, self._loop).result, PATIENCE)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class TaskHeld:
    """What L{flom.aio} has taken."""

    def __init__(self, tasks: Tasks, held: flom.aio.Held) -> None:
        self.element = held.element
        self.parts = held.parts
        self._held = held
        self._tasks = tasks

    @property
    def token(self) -> int | None:
        return self._held.token

    @property
    def mode(self) -> LockMode:
        return self._held.mode

    @property
    def is_lost(self) -> bool:
        return self._held.is_lost

    @property
    def wanted(self) -> Deferred[bool]:
        return self._tasks.run(self._held.until_wanted())

    @property
    def lost(self) -> Deferred[DaemonLost | None]:
        return self._tasks.run(self._held.until_lost())

    def convert(self, mode: Any, **asked: Any) -> Deferred[None]:
        return self._tasks.run(self._held.convert(mode, **asked))

    @property
    def value(self) -> str:
        return self._held.value

    @value.setter
    def value(self, text: str) -> None:
        self._held.value = text

    def release(self, rollback: bool = False) -> Deferred[None]:
        return self._tasks.run(self._held.release(rollback))


_ERRORS: Final[dict[int, type[Exception]]] = {
    flom.FLOM_RC_LOCK_BUSY: LockBusy,
    flom.FLOM_RC_LOCK_CANT_WAIT: CannotWait,
    flom.FLOM_RC_LOCK_IMPOSSIBLE: LockImpossible,
    flom.FLOM_RC_NETWORK_TIMEOUT: LockTimeout,
    flom.FLOM_RC_INVALID_RESOURCE_NAME: InvalidName,
    flom.FLOM_RC_API_INVALID_SEQUENCE: Misuse,
}


def check(code: int) -> None:
    """Raise what means the same as the return code C{code} of FLoM's library."""
    if code in (flom.FLOM_RC_OK, flom.FLOM_RC_RESOURCE_IS_NOT_TRANSACTIONAL):
        return
    error = _ERRORS.get(code, FlomError)
    refusal = error.__new__(error)
    refusal.args = (f"{ReturnCode(code)!r}: {flom.flom_strerror(code)}",)
    raise refusal


class FlomHeld:
    """A locked handle."""

    def __init__(self, handle: flom.flom_handle_t) -> None:
        self.element = flom.flom_handle_get_locked_element(handle)
        self.token = handle.token
        self._handle = handle

    def release(self, rollback: bool = False) -> Deferred[None]:
        unlock = flom.flom_handle_unlock_rollback if rollback else flom.flom_handle_unlock
        return deferToThread(lambda: check(unlock(self._handle)))


class FlomLibrary:
    """C{from flom import *}."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    def acquire(
        self,
        name: str,
        mode: Any = "EX",
        *,
        quantity: int = 1,
        wait: bool = True,
        create: bool = True,
        lifespan: float = 0.0,
        timeout: float | None = None,
    ) -> Deferred[FlomHeld]:
        def acquire() -> FlomHeld:
            handle = flom.flom_handle_t()
            timeout_ms = 0 if not wait else -1 if timeout is None else round(timeout * 1000)
            for code in (
                flom.flom_handle_init(handle),
                flom.flom_handle_set_socket_name(handle, self._socket),
                flom.flom_handle_set_resource_name(handle, name),
                flom.flom_handle_set_lock_mode(handle, int(as_mode(mode))),
                flom.flom_handle_set_resource_quantity(handle, quantity),
                flom.flom_handle_set_resource_create(handle, create),
                flom.flom_handle_set_resource_idle_lifespan(handle, round(lifespan * 1000)),
                flom.flom_handle_set_resource_timeout(handle, timeout_ms),
                flom.flom_handle_lock(handle),
            ):
                check(code)
            return FlomHeld(handle)

        return deferToThread(acquire)

"""
Locks in tasks of asyncio, on whichever loop runs: to ask is to await.

    import flom.aio

    async with flom.aio.lock("red.green.blue", timeout=5) as held:
        print(held.element)

No thread and no reactor is needed. What L{flom.client.blocking.lock} says of processes and forks is true here too.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from flom.client.blocking.lock import BlockingLock, check_arguments, configure
from flom.client.blocking.lock import Held as BlockingHeld
from flom.client.blocking.several import BlockingLocks, HeldAll, check_parts
from flom.client.tasks.keeper import TaskKeeper, keep_in_loop
from flom.client.tasks.switch import run
from flom.core.modes import LockMode
from flom.core.protocol.parts import HeldPart
from flom.core.requests import Asked
from flom.errors import Misuse

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Coroutine, Iterable
    from types import TracebackType

    from flom.client.blocking.acquire import Acquirer
    from flom.client.blocking.connection import Conversation
    from flom.client.blocking.keeper import Keeper
    from flom.config import Config
    from flom.core.modes import ModeName
    from flom.core.protocol import messages
    from flom.core.several import AskedAll, Part
    from flom.errors import DaemonLost

_P = ParamSpec("_P")
_R = TypeVar("_R")


def lock(
    name: str,
    mode: LockMode | ModeName | int = LockMode.EX,
    *,
    timeout: float | None = None,
    quantity: int = 1,
    wait: bool = True,
    create: bool = True,
    lifespan: float = 0.0,
    value: bool = False,
    max_hold: float | None = None,
    lock_delay: float | None = None,
    wanted: bool = False,
    nested: str = "refuse",
    config: Config | None = None,
    socket: str | os.PathLike[str] | None = None,
    address: str | None = None,
    port: int | None = None,
    group: str | None = None,
    start: bool = True,
) -> Lock:
    """
    Make a lock, which is taken by C{async with}, by C{await acquire()}, or by every call of the coroutine function that
    it decorates.

    The arguments mean what those of C{flom.lock} do. To read the configuration once, use a L{Client}.

    @param name: the resource; the form of the name tells its type: C{"backup"}, C{"licences[5]"}, C{"/db/users"}, ...
    @param mode: a L{LockMode}, its name, such as C{"PR"}, or its number.
    @param timeout: seconds to wait at most, besides those for starting a daemon; 0 is not to wait, C{None} any time.
    @param quantity: units of a numeric resource, 0 to 2**31 - 1.
    @param wait: wait if it cannot be granted now.
    @param create: make the resource if there is none.
    @param lifespan: seconds that the resource is to be remembered while idle, if this makes it.
    @param value: whether L{Held.value} is to be known, and may be set.
    @param max_hold: seconds after which the daemon ends the lock, if it is not released before; C{None}: no limit of
        ours.
    @param lock_delay: seconds for which no client is granted the lock if it is lost; C{None}: as the daemon says.
    @param wanted: true to learn from L{Held.until_wanted} that others wait because of the lock.
    @param nested: C{"refuse"}, C{"share"} or C{"wait"}: what to do if a C{flom-run} holds it that this runs under.
    @param config: the configuration; by default, that of the files C{/etc/flom.conf} and C{~/.flom}.
    @param socket: the daemon's UNIX socket. This, C{address} and C{group} replace what is configured of all three.
    @param address: the daemon's host, a name or an address; several, with commas between them, under a quorum.
    @param port: the TCP port there; if there is only a group, that of the group.
    @param group: the address of a multicast group.
    @param start: start a daemon if there is none, unless the configured daemon-lifespan is 0.
    @raise InvalidRequest: an argument makes no sense; L{flom.errors.InvalidName}, if it is the name.
    @raise flom.errors.LocalProtocolError: the name is too long for a message.
    @raise flom.errors.ConfigError: the configuration makes no sense, or does not together with the arguments.
    """
    asked, whereabouts = check_arguments(
        name,
        mode,
        timeout=timeout,
        quantity=quantity,
        wait=wait,
        create=create,
        lifespan=lifespan,
        value=value,
        max_hold=max_hold,
        lock_delay=lock_delay,
        wanted=wanted,
        nested=nested,
        start=start,
        whereabouts=lambda: configure(config, socket, address, port, group),
    )
    return Lock(asked, whereabouts, start=start)


def lock_all(
    parts: Iterable[Part | str],
    *,
    timeout: float | None = None,
    wait: bool = True,
    max_hold: float | None = None,
    lock_delay: float | None = None,
    wanted: bool = False,
    nested: str = "refuse",
    config: Config | None = None,
    socket: str | os.PathLike[str] | None = None,
    address: str | None = None,
    port: int | None = None,
    group: str | None = None,
    start: bool = True,
) -> Lock:
    """
    Make what takes several locks at once, as a L{Lock} takes one: all of them in one step, or none. What is held then
    has C{parts}.

    The arguments mean what those of C{flom.lock_all} do.

    @param parts: the locks, by their names alone, or made by C{flom.part}: 1 to 64, each of another resource.
    @param timeout: seconds to wait for all at most, besides those for starting a daemon; 0 is not to wait, C{None} any
        time.
    @param wait: wait if they cannot be granted now.
    @param max_hold: seconds after which the daemon ends all of them, if they are not released before; C{None}: no limit
        of ours.
    @param lock_delay: seconds for which no client is granted any of them if they are lost; C{None}: as the daemon says.
    @param wanted: true to learn from L{Held.until_wanted} that others wait because of any of them.
    @param nested: C{"refuse"}, C{"share"} or C{"wait"}: what to do if a C{flom-run} holds one that this runs under.
    @param config: see L{lock}, as for the others.
    @raise InvalidRequest: an argument makes no sense; L{flom.errors.InvalidName}, if it is a name.
    @raise flom.errors.LocalProtocolError: a name is too long for a message.
    @raise flom.errors.ConfigError: the configuration makes no sense, or does not together with the arguments.
    """
    asked, whereabouts = check_parts(
        parts,
        timeout=timeout,
        wait=wait,
        max_hold=max_hold,
        lock_delay=lock_delay,
        wanted=wanted,
        nested=nested,
        start=start,
        whereabouts=lambda: configure(config, socket, address, port, group),
    )
    return Lock(asked, whereabouts, start=start)


class Client:
    """
    Makes locks of one daemon, or of the daemons of one group: the configuration is read and checked once.

    It has no connection itself, so there is nothing to close: each L{Lock} connects, as long as it waits or is held.
    """

    def __init__(
        self,
        *,
        config: Config | None = None,
        socket: str | os.PathLike[str] | None = None,
        address: str | None = None,
        port: int | None = None,
        group: str | None = None,
        start: bool = True,
    ) -> None:
        """
        Read the configuration; see L{lock} for the parameters.

        @raise InvalidRequest: an argument makes no sense.
        @raise flom.errors.ConfigError: the configuration makes no sense, or does not together with the arguments.
        """
        self._config = configure(config, socket, address, port, group)
        self._start = start

    def lock(
        self,
        name: str,
        mode: LockMode | ModeName | int = LockMode.EX,
        *,
        timeout: float | None = None,
        quantity: int = 1,
        wait: bool = True,
        create: bool = True,
        lifespan: float = 0.0,
        value: bool = False,
        max_hold: float | None = None,
        lock_delay: float | None = None,
        wanted: bool = False,
        nested: str = "refuse",
    ) -> Lock:
        """Make a lock; see the function L{lock} for the parameters, and for what is raised."""
        asked, _ = check_arguments(
            name,
            mode,
            timeout=timeout,
            quantity=quantity,
            wait=wait,
            create=create,
            lifespan=lifespan,
            value=value,
            max_hold=max_hold,
            lock_delay=lock_delay,
            wanted=wanted,
            nested=nested,
            start=self._start,
            whereabouts=lambda: self._config,
        )
        return Lock(asked, self._config, start=self._start)

    def lock_all(
        self,
        parts: Iterable[Part | str],
        *,
        timeout: float | None = None,
        wait: bool = True,
        max_hold: float | None = None,
        lock_delay: float | None = None,
        wanted: bool = False,
        nested: str = "refuse",
    ) -> Lock:
        """Make what takes several locks; see the function L{lock_all} for the parameters, and for what is raised."""
        asked, _ = check_parts(
            parts,
            timeout=timeout,
            wait=wait,
            max_hold=max_hold,
            lock_delay=lock_delay,
            wanted=wanted,
            nested=nested,
            start=self._start,
            whereabouts=lambda: self._config,
        )
        return Lock(asked, self._config, start=self._start)


class Held:
    """
    A lock that is held, until it is released, or until neither this nor the L{Lock} is used any more.

    @ivar resource: the name of what is locked.
    @ivar element: which one was granted, for sets, sequences and timestamps.
    @ivar parts: what each of several locks has got, in the order in which they were asked for; of one lock, what that
        has. C{resource} has all names then, and C{element} and C{token} are those of the first.
    """

    def __init__(self, held: BlockingHeld, keeper: TaskKeeper) -> None:
        self._held = held
        self._keeper = keeper
        self.resource = held.resource
        self.element = held.element
        self.parts = held.parts if isinstance(held, HeldAll) else (HeldPart(held.resource, held.element, held.token),)

    def __repr__(self) -> str:
        return repr(self._held)

    @property
    def mode(self) -> LockMode:
        """The mode in which it is held; L{convert} changes it. Of several locks, that of the first."""
        return self._held.mode

    @property
    def token(self) -> int | None:
        """The fencing token, by which a store refuses a holder that has lost its lock. L{convert} may change it."""
        return self._held.token

    @property
    def is_released(self) -> bool:
        """True once it was released."""
        return self._held.is_released

    @property
    def lost(self) -> DaemonLost | None:
        """
        Why the lock was lost before it was released, or may have been; C{None} if it was not, as far as the loop has
        heard. While it may still be reclaimed, it is not lost. L{check} asks, where this task may not have heard yet.
        """
        return self._held.known_loss

    @property
    def value(self) -> str:
        """The value of the resource, as L{flom.client.blocking.lock.Held.value} has it."""
        return self._held.value

    @value.setter
    def value(self, text: str) -> None:
        self._held.value = text

    @property
    def is_lost(self) -> bool:
        """Whether the lock was L{lost}."""
        return self.lost is not None

    async def check(self) -> None:
        """
        Check that the lock has not been lost, before a step that must not be taken without it. If this program did not
        run for a while, that takes up to 1 s.

        @raise DaemonLost: see L{lost}.
        @raise Misuse: it was released, or is another process's.
        """
        await run(self._held.check)

    async def until_lost(self) -> DaemonLost | None:
        """Wait until the lock is L{lost}, and return why; C{None} if it is released before."""
        await asyncio.shield(self._keeper.is_over)
        return self.lost

    @property
    def wanted(self) -> bool:
        """True once others have waited because of this lock, as far as the daemon has said; see L{lock}'s C{wanted}."""
        return self._held.wanted

    async def until_wanted(self) -> bool:
        """Wait until others wait because of this lock, and return true; false if it is released or lost before."""
        await asyncio.shield(self._keeper.was_wanted)
        return self.wanted

    async def convert(self, mode: LockMode | ModeName | int, *, timeout: float | None = None) -> None:
        """
        Change the mode of the lock, which is held all the time (docs/howto/convert.md). If the mode excludes more, this
        waits until other holders let it, before all new requests, and L{token} is another one.

        Cancelling this withdraws the request. If this raises anything, the lock is held in the mode that it had, unless
        it was lost.

        @param mode: a L{LockMode}, its name, such as C{"PR"}, or its number.
        @param timeout: seconds to wait at most; 0 is not to wait, C{None} any time.
        @raise flom.errors.LockBusy: others are in the way, and this is not to wait.
        @raise flom.errors.LockDeadlock: another holder waits for this one to convert its lock too.
        @raise flom.errors.LockTimeout: it was not converted in time.
        @raise flom.errors.Unsupported: the daemon is one of FLoM's, or an older one.
        @raise InvalidRequest: an argument makes no sense, the resource has no modes, or the lock was taken at once with
            others.
        @raise DaemonLost: see L{lost}.
        @raise Misuse: it was released, perhaps meanwhile, is another process's, or is being converted already.
        """
        await run(functools.partial(self._held.convert, mode, timeout=timeout))

    async def release(self, rollback: bool = False) -> None:
        """
        Release the lock, once. If it is being reclaimed in a group, this waits for the end of that.

        If this is cancelled, the lock is released all the same, by the end of its connection.

        @param rollback: return the value of a transactional sequence, so that the next holder gets it.
        @raise DaemonLost: the daemon was gone before; L{LockContested<flom.errors.LockContested>} if it is released,
            and another daemon had granted it too.
        @raise flom.errors.ValueNotKept: it is released, and the L{value} that was set is not kept.
        @raise Misuse: it was released before, or is another process's.
        """
        await run(functools.partial(self._held.release, rollback))

    def fileno(self) -> int:
        """Return the descriptor of the connection, by which another process can keep the lock."""
        return self._held.fileno()


class Lock:
    """
    A lock that can be acquired, released and acquired again; L{lock} makes it.

    A second task needs an object of its own: with this one, it gets L{Misuse} meanwhile. A coroutine function that is
    decorated has one for each call.
    """

    def __init__(self, asked: Asked | AskedAll, config: Config, *, start: bool) -> None:
        self._lock = (_TaskLock if isinstance(asked, Asked) else _TaskLocks)(asked, config, start=start)
        self._copy = functools.partial(Lock, asked, config, start=start)

    def __repr__(self) -> str:
        return repr(self._lock)

    async def acquire(self) -> Held:
        """
        Acquire the lock. Cancelling this withdraws the request, at any moment.

        @return: what is to be released in the end.
        @raise flom.errors.LockRefused: the daemon says no.
        @raise flom.errors.LockTimeout: the lock did not come in time.
        @raise flom.errors.DaemonUnreachable: there is no daemon, and none could be started.
        @raise DaemonLost: the daemon went away.
        @raise Misuse: this is held, or being acquired.
        """
        return self._held(await run(self._lock.acquire))

    async def release(self, rollback: bool = False) -> None:
        """Release what this has acquired last; see L{Held.release}."""
        await run(functools.partial(self._lock.release, rollback))

    async def __aenter__(self) -> Held:
        return self._held(await run(self._lock.__enter__))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """
        Release the lock, if that was not done before, with rollback if the body has raised; see L{Held.release}.

        What the body has raised is raised further even if the lock was lost, and has a note about that.
        """
        await run(functools.partial(self._lock.__exit__, kind, error, traceback))

    def __call__(self, function: Callable[_P, Coroutine[Any, Any, _R]]) -> Callable[_P, Coroutine[Any, Any, _R]]:
        """Return the coroutine function C{function}, of which each call acquires a lock of its own."""
        if not inspect.iscoroutinefunction(function):
            raise Misuse(f"{self._lock.name}: {function!r} is no coroutine function that could be decorated")

        @functools.wraps(function)
        async def locked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            async with self._copy():
                return await function(*args, **kwargs)

        return locked

    def _held(self, held: BlockingHeld) -> Held:
        assert self._lock.keeper is not None
        return Held(held, self._lock.keeper)


class _TaskLock(BlockingLock):
    """
    A lock whose methods are called by L{run}.

    @ivar keeper: of what was acquired last.
    """

    keeper: TaskKeeper | None = None

    def _keep(self, acquirer: Acquirer, message: messages.Lock, conversation: Conversation) -> Keeper | None:
        self.keeper = keep_in_loop(acquirer, message, conversation)
        return self.keeper


class _TaskLocks(_TaskLock, BlockingLocks):
    """Several locks, likewise."""

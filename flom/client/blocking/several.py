"""
Several locks at once for plain scripts: all are granted in one step, or none, so that no order has to be agreed on.

    from flom import lock_all, part

    with lock_all(["orders", part("licences[5]", quantity=2), part("/db/users", "PR")], timeout=5) as held:
        for each in held.parts:
            print(each.resource, each.element, each.token)
"""

from __future__ import annotations

from flom.client.blocking.lock import BlockingLock, Held, configure
from flom.core.protocol.encode import split
from flom.core.protocol.parts import parts_held, show_locks
from flom.core.several import ask_all
from flom.errors import FlomError, InvalidRequest
from flom.net.machine_id import unique_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from typing import Any

    from flom.client.blocking.acquire import Acquirer
    from flom.client.blocking.connection import Conversation
    from flom.client.blocking.keeper import Keeper
    from flom.config import Config
    from flom.core.protocol.events import Granted
    from flom.core.protocol.messages import Lock
    from flom.core.several import AskedAll, Part


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
) -> BlockingLocks:
    """
    Make what takes several locks at once, by C{with}, by C{acquire}, or by every call of the function that it
    decorates: all of them in one step, or none.

    @param parts: the locks, by their names alone, or made by C{flom.part}: 1 to 64, each of another resource.
    @param timeout: seconds to wait for all at most, besides those for starting a daemon; 0 is not to wait, C{None} any
        time.
    @param wait: wait if they cannot be granted now.
    @param max_hold: seconds after which the daemon ends all of them, if they are not released before; C{None}: no limit
        of ours.
    @param lock_delay: seconds for which no client is granted any of them if they are lost; C{None}: as the daemon says.
    @param wanted: true to learn from L{HeldAll.wanted} that others wait because of any of them.
    @param nested: C{"refuse"}, C{"share"} or C{"wait"}: what to do if a C{flom-run} holds one that this runs under.
    @param config: see L{flom.lock<flom.client.blocking.lock.lock>}, as for the others.
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
    return BlockingLocks(asked, whereabouts, start=start)


def check_parts(
    parts: Iterable[Part | str],
    *,
    start: bool,
    whereabouts: Callable[[], Config],
    **asked_for: Any,
) -> tuple[AskedAll, Config]:
    """
    Return what is asked for, and where; L{lock_all} has the other parameters, and raises the same errors.

    @param whereabouts: returns where the daemon is.
    """
    asked = ask_all(parts, **asked_for)
    try:
        split(asked.message(unique_id()))
        if not isinstance(start, int):
            raise InvalidRequest(f"start {start!r} is neither true nor false")
        return asked, whereabouts()
    except FlomError as e:
        e.concern(asked.title)
        raise


class HeldAll(Held):
    """
    Several locks that are held, until they are released; C{lost}, C{check()} and C{release()} are about all of them.

    @ivar resource: their names, for people to read.
    @ivar parts: what each of them has got, in the order in which they were asked for.
    """

    def __init__(
        self,
        message: Lock,
        granted: Granted,
        conversation: Conversation,
        keeper: Keeper | None = None,
        acquirer: Acquirer | None = None,
    ) -> None:
        super().__init__(message, granted, conversation, keeper, acquirer)
        self.parts = parts_held(message, granted)

    def __repr__(self) -> str:
        return show_locks(self._message, [part.element for part in self.parts], self.state)


class BlockingLocks(BlockingLock):
    """Several locks that can be acquired together, released and acquired again; L{lock_all} makes it."""

    _asked: AskedAll

    def __repr__(self) -> str:
        if self._held is not None:
            return repr(self._held)
        return show_locks(self._asked.message(""), [None] * len(self._asked.parts), self._state)

    def acquire(self) -> HeldAll:
        """
        Acquire the locks; see L{BlockingLock.acquire}.

        @raise flom.errors.Unsupported: the daemon is one of FLoM's, or an older one; nothing was locked.
        """
        held = super().acquire()
        assert isinstance(held, HeldAll)
        return held

    def __enter__(self) -> HeldAll:
        held = super().__enter__()
        assert isinstance(held, HeldAll)
        return held

    _holds = HeldAll

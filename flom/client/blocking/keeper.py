"""
Keeping a lock while a program does something else: a thread waits for the end of connections, and another reclaims the
lock from the daemon that takes over (docs/groups.md, docs/guarantees.md).

Nothing but a thread can: a signal would be the program's, and after the grace period it is too late. If there can be no
further thread or descriptor, the lock is held as long as its daemon is there.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from select import EPOLLIN, POLLIN, epoll, poll
from threading import Thread

from flom.client.blocking.fork_safety import close_socket, guard, open_pair
from flom.client.retry import CLOSE_TIMEOUT
from flom.codes import ReturnCode
from flom.errors import DaemonLost
from flom.job.wording import unreclaimed
from flom.trace import tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flom.client.blocking.acquire import Acquirer
    from flom.client.blocking.connection import Conversation
    from flom.core.protocol.messages import Lock

_trace = tracer("client")


class Keeper:
    """
    Keeps one lock. Until L{end}, no other thread uses the connection.

    It belongs to the process that has made it: in a forked child there is neither the thread nor the connection.

    @ivar conversation: the connection on which the lock is held.
    @ivar loss: why the lock was lost; C{None} while it is held, or may still be reclaimed.
    """

    def __init__(self, acquirer: Acquirer, message: Lock, conversation: Conversation) -> None:
        """
        @param acquirer: what has acquired the lock.
        @param message: the request for it.
        @param conversation: where it was granted.
        """
        self.conversation = conversation
        self.loss: DaemonLost | None = None
        self._acquirer = acquirer
        self._message = message
        self._owner = os.getpid()
        self._is_abandoned = False
        self._is_over = True  # nothing is left to be done by the thread
        self._thread: Thread | None = None  # once there is something to do

    def start(self) -> bool:
        """Start to keep the lock; return whether that was possible: there may be no further thread."""
        try:
            _watch.add(self)
        except (OSError, RuntimeError) as e:  # the latter also while the program ends
            _trace.debug("%s is not kept: %s", self._message.name, e)
            return False
        return True

    def wake(self) -> None:
        """Look after the connection, which has something to say, in a thread."""
        self._is_over = False
        try:
            self._ours, self._theirs = open_pair()  # closing ours ends the thread
            self._thread = Thread(target=self._run, name="flom-keeper", daemon=True)
            self._thread.start()
        except (OSError, RuntimeError) as e:
            self._is_over = True
            self._thread = None
            _trace.debug("%s is not kept: %s", self._message.name, e)
            if self.conversation.is_lost:
                self.loss = self.conversation.why_lost()

    def end(self) -> Conversation:
        """
        End, when a reclaim that has begun is over; return the connection, on which the lock is to be released.

        @raise DaemonLost: the lock was lost, or is not reclaimed soon.
        """
        if _watch.remove(self) and self.conversation.is_lost:  # both may come at once
            self.wake()
        if self._thread is not None:
            close_socket(self._ours)
        if self._thread is not None and self._owner == os.getpid() and not self._is_over and not sys.is_finalizing():
            self._thread.join(CLOSE_TIMEOUT if self.conversation.is_awaited else None)
            if self._thread.is_alive():  # at this address, there may never be a daemon again
                self._is_abandoned = True
                self._acquirer.stop()
                why = f"{self.conversation.peer} closed the connection, and no daemon came within {CLOSE_TIMEOUT:g} s"
                raise DaemonLost(why, ReturnCode.SEND_ERROR)
        if self.loss is not None:
            raise self.loss
        return self.conversation

    def abandon(self) -> None:
        """End, and close the connection, without waiting for that."""
        self._is_abandoned = True
        _watch.remove(self)
        if self._thread is not None:
            close_socket(self._ours)
        if self._is_over:
            self._give_up()

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for the program's own threads
        try:
            waiting = poll()
            waiting.register(self._theirs, POLLIN)
            waiting.register(self.conversation, POLLIN)
            has_ended = False
            while not has_ended:
                has_ended = self._theirs.fileno() in [descriptor for descriptor, _ in waiting.poll()]
                if self._is_abandoned:
                    break
                if self.conversation.is_lost:  # looked at in the end too: both may come at once
                    waiting.unregister(self.conversation)
                    if not self._reclaim():
                        break
                    waiting.register(self.conversation, POLLIN)
        finally:
            close_socket(self._theirs)
            self._is_over = True
            if self._is_abandoned:
                self._give_up()

    def _give_up(self) -> None:
        if self.loss is None:
            self.conversation.say_goodbye()
        self.conversation.close()

    def _reclaim(self) -> bool:
        """Reclaim the lock; return whether that was possible."""
        why = self.conversation.why_lost()
        if not self._acquirer.can_reclaim():
            self.loss = why
            return False
        _trace.debug("%s, looking for the one that takes over", why)
        try:
            _import_early()
            reclaimed = self._acquirer.reclaim(self._message)
        except Exception as e:  # a warning too, if they are errors
            self._acquirer.give_up()
            self.conversation.give_up()
            self.loss = unreclaimed(why, e)
            _trace.debug("%s: %s", self._message.name, self.loss)
            return False
        reclaimed.is_contested |= self.conversation.is_contested
        lost_with, self.conversation = self.conversation, reclaimed
        lost_with.give_up()
        lost_with.close()
        _trace.debug("%s reclaimed", self._message.name)
        return True


class _Watch:
    """One thread for all keepers, which wakes those whose connections have something to say."""

    def __init__(self) -> None:
        self._owner = 0  # the process that has the thread
        self._epoll: epoll | None = None
        self._keepers: dict[int, Keeper] = {}

    def start(self) -> None:
        """Start the thread, if this process has none; C{RuntimeError} is raised if there can be none."""
        with guard:
            if self._owner == os.getpid():
                return
            watched = epoll()
            try:
                Thread(target=self._run, args=(watched,), name="flom-watch", daemon=True).start()
            except RuntimeError:
                watched.close()
                raise
            self._epoll, self._keepers, self._owner = watched, {}, os.getpid()

    def add(self, keeper: Keeper) -> None:
        """Watch the connection of C{keeper}; C{RuntimeError} is raised if there can be no thread."""
        with guard:
            self.start()
            assert self._epoll is not None
            number = keeper.conversation.fileno()
            self._epoll.register(number, EPOLLIN)
            self._keepers[number] = keeper

    def remove(self, keeper: Keeper) -> bool:
        """Watch it no more; return whether it has not been woken."""
        with guard:
            number = keeper.conversation.fileno()
            if self._owner != os.getpid() or self._keepers.get(number) is not keeper or self._epoll is None:
                return False
            del self._keepers[number]
            self._epoll.unregister(number)
            return True

    def _run(self, watched: epoll) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for the program's own threads
        while True:
            for number, _ in watched.poll():
                with guard:
                    if (keeper := self._keepers.get(number)) is not None and self.remove(keeper):
                        keeper.wake()


_watch = _Watch()


def keeper_for(acquirer: Acquirer, message: Lock, conversation: Conversation) -> Keeper | None:
    """Return what keeps the lock that was granted, which is to be started; C{None} if it could not be reclaimed."""
    if not acquirer.can_reclaim():
        return None
    acquirer.begin_lease(asks=False)
    return Keeper(acquirer, message, conversation)


def _import_early() -> None:
    """Import what a reclaim may need, while there is no fork: a child could never import what is half imported here."""
    with guard:
        for module in (
            "flom.client.blocking.absence",
            "flom.client.blocking.discovery",
            "flom.client.blocking.start",
            "flom.core.group.discovery",
            "flom.net.host_seat",
            "flom.net.multicast",
        ):
            import_module(module)

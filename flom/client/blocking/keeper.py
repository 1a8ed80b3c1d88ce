"""
Keeping a lock while a program does something else: one thread sends the heartbeats of all locks, and waits for the end
of their connections; for each that has ended, another one reclaims the lock from the daemon that takes over
(docs/explanation/groups.md, docs/explanation/guarantees.md).

Nothing but a thread can: a signal would be the program's, and after the grace period it is too late. If there can be no
further thread or descriptor, the lock is held as long as its daemon is there.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from select import EPOLLIN, epoll
from threading import Thread

from flom.client.blocking.fork_safety import guard
from flom.client.blocking.stream import NEVER, sleep
from flom.client.retry import CLOSE_TIMEOUT
from flom.codes import ReturnCode
from flom.errors import DaemonLost, LockTimeout, NoProcess
from flom.job.wording import unreclaimed
from flom.lean import boottime
from flom.trace import tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, Protocol

    from flom.client.blocking.acquire import Acquirer
    from flom.client.blocking.connection import Conversation
    from flom.client.blocking.converting import Conversions
    from flom.core.heartbeat import Heartbeat
    from flom.core.protocol.messages import Lock
    from flom.core.schedule import Schedule

    class Running(Protocol):
        """What reclaims a lock: a thread, or a task of asyncio."""

        def is_alive(self) -> bool:
            """Return whether it has not ended."""

        def join(self, timeout: float) -> None:
            """Wait for its end for C{timeout} seconds at most."""

    class Watch(Protocol):
        """What calls L{Keeper.look_after} in time: L{_Watch}, or the loop of asyncio."""

        def add(self, keeper: Keeper) -> None:
            """See L{_Watch.add}."""

        def put(self, keeper: Keeper, due: float) -> None:
            """See L{_Watch.put}."""

        def remove(self, keeper: Keeper) -> bool:
            """See L{_Watch.remove}."""

        def forget(self, keeper: Keeper) -> None:
            """See L{_Watch.forget}."""


_SHORT: Final = 0.005  # seconds
_MOMENT: Final = 0.05  # likewise
_FIND_OUT: Final = 2.0  # seconds at most in which a program that was stopped finds out whether it still has its lock

_trace = tracer("client")


class Keeper:
    """
    Keeps one lock. Until L{end}, no other thread uses the connection.

    It belongs to the process that has made it: in a forked child there is neither the thread nor the connection.

    @ivar conversation: the connection on which the lock is held.
    @ivar is_abandoned: true once the lock is to be given up.
    @ivar is_wanted: true once others have waited because of the lock.
    @ivar loss: why the lock was lost; C{None} while it is held, or may still be reclaimed.
    @ivar conversions: of the lock; C{None} before there is one. They are asked for with the L{guard}.
    """

    def __init__(
        self,
        acquirer: Acquirer,
        message: Lock,
        conversation: Conversation,
        heartbeat: Heartbeat | None = None,
        *,
        is_strict: bool = False,
    ) -> None:
        """
        @param acquirer: what has acquired the lock.
        @param message: the request for it.
        @param conversation: where it was granted.
        @param heartbeat: says when the daemon is to be asked whether it is there, and when the lock is lost; C{None}
            if it is not asked.
        @param is_strict: whether it is lost then even if the daemon that comes next waits for us as long as it takes.
        """
        self.conversation = conversation
        self.loss: DaemonLost | None = None
        self.conversions: Conversions | None = None
        self._acquirer = acquirer
        self._message = message
        self._heartbeat = heartbeat
        self._is_strict = is_strict
        self._owner = os.getpid()
        self._is_ending = self.is_abandoned = self.is_wanted = False
        self._is_limited = False  # while the lock is reclaimed: whether it is lost when its time is over
        self._is_over = True  # nothing is left to be done by the thread
        self._thread: Running | None = None  # once there is something to do
        self._watch: Watch = _watch

    def start(self) -> bool:
        """Start to keep the lock; return whether that was possible: there may be no further thread."""
        try:
            self._watch.add(self)
        except (OSError, RuntimeError) as e:  # the latter also while the program ends
            _trace.debug("%s is not kept: %s", self._message.name, e)
            return False
        return True

    @property
    def connected(self) -> Conversation | None:
        """The connection on which the lock is held; C{None} while it is being reclaimed."""
        return self.conversation if self._is_over else None

    @property
    def due(self) -> float:
        """When to call L{look_after}, as a time of L{boottime}, if the connection has nothing to say before."""
        return NEVER if self._heartbeat is None else self._heartbeat.due()

    def look_after(self, now: float) -> float:
        """Do what is due at C{now}, or note what the connection has said; return when to call this again."""
        heartbeat = self._heartbeat
        if self._is_over:
            if heartbeat is not None and not self.conversation.is_lost:
                heartbeat.tend(self.conversation, now)
            is_lost = self.conversation.is_lost
            self.is_wanted |= self.conversation.is_wanted
            if not is_lost:
                return self.due
            if not self._watch.remove(self):
                return NEVER
            self._wake(now)
        if heartbeat is None or self._is_over:
            return NEVER
        left = heartbeat.left_to_lose(now)
        if left <= 0 and self._is_limited and self.loss is None:
            self.loss = unreclaimed(self.conversation.why_lost(), LockTimeout("no daemon came in time"))
            self.is_abandoned = True
            self._acquirer.stop()
            self.end_conversion()
        return now + left if left > 0 else NEVER

    def find_out(self) -> None:
        """Wait until it is known whether the lock is ours, if this program did not run until its time was over."""
        heartbeat = self._heartbeat
        give_up = boottime() + _FIND_OUT
        while heartbeat is not None and self._is_in_doubt(heartbeat) and boottime() < give_up:
            sleep(_SHORT)

    def end(self) -> Conversation:
        """
        End, when a reclaim that has begun is over; return the connection, on which the lock is to be released.

        @raise DaemonLost: the lock was lost, or is not reclaimed soon.
        """
        with guard:
            self._is_ending = True
            if self._watch.remove(self) and self.conversation.is_lost:  # both may come at once
                self._wake(boottime())
                self._watch.put(self, self.look_after(boottime()))
        is_ours = self._owner == os.getpid() and not sys.is_finalizing()
        if self._thread is not None and is_ours and not self._is_over and self.loss is None:
            give_up = boottime() + (CLOSE_TIMEOUT if self.conversation.is_awaited else NEVER)
            while self._thread.is_alive() and self.loss is None and boottime() < give_up:
                self._thread.join(_MOMENT)
            if self._thread.is_alive() and self.loss is None:  # at this address, there may never be a daemon again
                self.is_abandoned = True
                self._acquirer.stop()
                why = f"{self.conversation.peer} closed the connection, and no daemon came within {CLOSE_TIMEOUT:g} s"
                raise DaemonLost(why, ReturnCode.SEND_ERROR)
        if self.loss is not None:
            raise self.loss
        return self.conversation

    def abandon(self) -> None:
        """End, and close the connection, without waiting for that."""
        with guard:
            self.is_abandoned = True
            self._watch.remove(self)
            if self._is_over:
                self._give_up()

    def _is_in_doubt(self, heartbeat: Heartbeat) -> bool:
        with guard:
            is_to_be_seen = (self._is_over or self._is_limited) and self._owner == os.getpid()
            return is_to_be_seen and self.loss is None and heartbeat.lease.is_over(boottime())

    def _wake(self, now: float) -> None:
        """Reclaim the lock, whose connection has ended, in a thread."""
        heartbeat = self._heartbeat
        self._is_limited = self._is_strict or self.conversation.holding is None
        if heartbeat is not None:
            heartbeat.left_to_lose(now)
        self._is_over = False
        try:
            self._thread = self._start(self._run)
        except (OSError, RuntimeError) as e:
            self._is_over = True
            self._thread = None
            _trace.debug("%s is not kept: %s", self._message.name, e)
            self.loss = self.conversation.why_lost()
            self.end_conversion()

    def end_conversion(self) -> None:
        """End the conversion that waits, if the lock is lost."""
        if self.conversions is not None and self.loss is not None:
            self.conversions.end(self.loss)

    def _start(self, reclaim: Callable[[], None]) -> Running:
        """Call C{reclaim} in a thread, and return that; C{RuntimeError} is raised if there can be none."""

        def run() -> None:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for the program's own threads
            reclaim()

        thread = Thread(target=run, name="flom-keeper", daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        is_held = False
        try:
            is_held = not self.is_abandoned and self._reclaim()
        finally:
            with guard:
                self._is_over = True
                self._watch.forget(self)
                if self.is_abandoned:
                    self._give_up()
                elif is_held and not self._is_ending:
                    self.start()
                    if self.conversions is not None:
                        self.conversions.resume(self.conversation)
                self.end_conversion()

    def _give_up(self) -> None:
        if self.loss is None:
            self.conversation.say_goodbye()
        self.conversation.close()

    def _reclaim(self) -> bool:
        """Reclaim the lock; return whether that was possible."""
        why = self.conversation.why_lost()
        if self.conversation.revoked is not None or not self._acquirer.can_reclaim():
            self.conversation.give_up()
            self.loss = why
            return False
        _trace.debug("%s, looking for the one that takes over", why)
        try:
            _import_early()
            reclaimed = self._acquirer.reclaim(self._message if self.conversions is None else self.conversions.message)
        except Exception as e:  # a warning too, if they are errors
            self._acquirer.give_up()
            self.conversation.give_up()
            self.loss = self.loss or unreclaimed(why, e)
            _trace.debug("%s: %s", self._message.name, self.loss)
            return False
        if self.loss is not None:  # its time was over before
            reclaimed.say_goodbye()
            reclaimed.give_up()
            reclaimed.close()
            return False
        reclaimed.is_contested |= self.conversation.is_contested
        self.is_wanted |= reclaimed.is_wanted
        lost_with, self.conversation = self.conversation, reclaimed
        lost_with.give_up()
        lost_with.close()
        _trace.debug("%s reclaimed", self._message.name)
        return True


class _Watch:
    """One thread for all keepers; it looks after each when it is due, or when its connection has something to say."""

    def __init__(self) -> None:
        self._owner = 0  # the process that has the thread
        self._epoll: epoll | None = None
        self._alarm = -1  # wakes the thread
        self._wakes_at = NEVER  # unless it is woken before
        self._keepers: dict[int, Keeper] = {}  # by the descriptors of their connections
        self._schedule: Schedule | None = None  # once it is needed

    def start(self) -> None:
        """Start the thread, if this process has none; C{RuntimeError} is raised if there can be none."""
        with guard:
            if self._owner == os.getpid():
                return
            watched = epoll()
            alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            try:
                watched.register(alarm, EPOLLIN)
                Thread(target=self._run, args=(watched, alarm), name="flom-watch", daemon=True).start()
            except (OSError, RuntimeError):
                watched.close()
                os.close(alarm)
                raise
            if self._alarm >= 0:
                os.close(self._alarm)  # of the process that has forked this one
            self._epoll, self._alarm, self._wakes_at = watched, alarm, NEVER
            self._keepers, self._schedule, self._owner = {}, None, os.getpid()

    def add(self, keeper: Keeper) -> None:
        """Watch the connection of C{keeper}; C{RuntimeError} is raised if there can be no thread."""
        with guard:
            self.start()
            assert self._epoll is not None
            number = keeper.conversation.fileno()
            self._epoll.register(number, EPOLLIN)
            self._keepers[number] = keeper
            if (due := keeper.due) < NEVER:
                self.put(keeper, due)

    def put(self, keeper: Keeper, due: float) -> None:
        """Look after C{keeper} at C{due} too, whether it is connected or not."""
        if due == NEVER:
            return
        with guard:
            if self._schedule is None:
                from flom.core.schedule import Schedule

                self._schedule = Schedule()
            self._schedule.put(keeper, due)
            if due < self._wakes_at:
                self._wakes_at = due
                os.eventfd_write(self._alarm, 1)

    def remove(self, keeper: Keeper) -> bool:
        """Watch it no more; return whether its connection was watched."""
        with guard:
            number = keeper.conversation.fileno()
            if self._owner != os.getpid() or self._keepers.get(number) is not keeper or self._epoll is None:
                return False
            del self._keepers[number]
            self._epoll.unregister(number)
            if self._schedule is not None:
                self._schedule.discard(keeper)
            return True

    def forget(self, keeper: Keeper) -> None:
        """Look no more after C{keeper}, which is not connected."""
        with guard:
            if self._owner == os.getpid() and self._schedule is not None:
                self._schedule.discard(keeper)

    def _run(self, watched: epoll, alarm: int) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for the program's own threads
        while True:
            with guard:
                self._wakes_at = due = NEVER if self._schedule is None else self._schedule.next_due
            ready = watched.poll(None if due == NEVER else max(0.0, due - boottime()))
            for number, _ in ready:
                with guard:
                    if number == alarm:
                        os.eventfd_read(alarm)
                    elif (keeper := self._keepers.get(number)) is not None:
                        self.put(keeper, keeper.look_after(boottime()))
            with guard:
                for keeper in () if self._schedule is None else self._schedule.take_due(boottime()):
                    self.put(keeper, keeper.look_after(boottime()))


_watch = _Watch()


def keep(acquirer: Acquirer, message: Lock, conversation: Conversation, kind: type[Keeper] = Keeper) -> Keeper | None:
    """
    Keep the lock that was granted; return what does that, or C{None} if it could not be reclaimed, or there can be no
    further thread.

    @raise ConfigError: there is no room for the kill-after that is configured.
    @raise NoProcess: nothing can keep it, and the daemon leads by a quorum: it would soon be another client's.
    """
    keeper = keeper_for(acquirer, message, conversation, kind)
    if keeper is not None and keeper.start():
        return keeper
    if conversation.connection.terms.quorum:
        raise NoProcess("there can be no more threads, and its daemon has to be asked again and again")
    return None


def keeper_for(
    acquirer: Acquirer, message: Lock, conversation: Conversation, kind: type[Keeper] = Keeper
) -> Keeper | None:
    """Return what keeps the lock that was granted, which is to be started; see L{keep}."""
    if not acquirer.can_reclaim():
        return None
    if not conversation.connection.session:
        return kind(acquirer, message, conversation)
    terms = conversation.connection.terms
    config = acquirer.config.under_quorum() if terms.quorum else acquirer.config
    is_strict = config.lost_signal is not None or terms.quorum
    lease = acquirer.begin_lease(config.time_to_end, is_ended=is_strict)
    if lease is None or lease.interval == NEVER:
        return kind(acquirer, message, conversation)
    from flom.core.heartbeat import heartbeat_on  # which locks over UNIX sockets do not need

    heartbeat = heartbeat_on(terms, lease, is_strict=is_strict, is_in_group=acquirer.is_in_group)
    return kind(acquirer, message, conversation, heartbeat, is_strict=is_strict)


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

"""
A process that takes the place of a C{flom-run} that was killed, or is stopped, where a lock ends unless its holder is
heard: under a quorum (docs/explanation/guarantees.md, docs/explanation/quorum.md).

It is a fork, made before the command begins and again after each reclaim, so it knows all that C{flom-run} did then. As
long as that is well, it only waits. If C{flom-run} ends before the command does, it goes on in its place: asks the
daemon whether it is there, reclaims, does what C{--on-lost} says. If C{flom-run} is stopped for so long that the lock
may be another client's, it does what C{--on-lost} says.
"""

from __future__ import annotations

import os
import sys
from select import POLLIN, poll

from flom.lean import boottime, signal, socket
from flom.run.stand_in import ROOM, close_all_but, descriptors_in, end_process, rights_to
from flom.run.terminal import print_bug
from flom.trace import stop_trace, tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final, Protocol

    from flom.run.child import Child

    class Successor(Protocol):
        """What L{Guardian} calls in the fork."""

        def prepare(self) -> None:
            """Import what may be needed."""

        def succeed(self, command: Orphan, held_by: int, lost_at: float) -> None:
            """
            Go on in the place of C{flom-run}, until the command has ended.

            @param held_by: the connection on which the lock is held.
            @param lost_at: when the lock may be another client's, by C{boottime}.
            """

        def see_to_loss(self, command: Orphan, lost_at: float) -> None:
            """Do what is to be done because the lock was lost at C{lost_at}, in the place of C{flom-run}."""


_HOLD: Final = b"="  # orders: keep these descriptors; the first is the connection
_ALSO: Final = b"+"  # keep this one too, which is to become the connection
_BEGIN: Final = b"!"  # the command has begun: its pid; descriptors for its end and for the end of DEADLINE
_UNTIL: Final = b"<"  # the lock is ours until then, in microseconds
_SEEN: Final = b"x"  # it is not any more, and C{flom-run} sees to that

_INT: Final = 8  # bytes of a number in a message
_MICRO: Final = 1_000_000
_LATE: Final = 0.4  # seconds that C{flom-run} has to see to a loss itself
_QUIET: Final = 1.0  # seconds after which there is time to prepare
_NEVER: Final = float("inf")

_trace = tracer("exec")


class Orphan:
    """
    The command, for a process that has not started it; as L{Child} is for C{flom-run}.

    @ivar pid: its process.
    @ivar until_loss: see L{Child.until_loss}.
    """

    def __init__(self, pid: int, end_watch: int, until_loss: int) -> None:
        """@param end_watch: can be read from when the command has ended."""
        self.pid = pid
        self.control = None  # which was that of C{flom-run}
        self._end_watch = end_watch
        self.until_loss = until_loss
        self._ending = poll()
        self._ending.register(end_watch, POLLIN)

    @property
    def status(self) -> int | None:
        """C{None} while it runs; then 0, because its parent alone could know more."""
        return 0 if self._ending.poll(0) else None

    def fileno(self) -> int:
        """Return a descriptor that can be read from once it has ended."""
        return self._end_watch

    def signal(self, number: int, to_group: bool = False) -> None:
        """See L{Child.signal}."""
        if self.status is None:
            (os.killpg if to_group else os.kill)(self.pid, number)

    def tell_loss(self) -> None:
        """See L{Child.tell_loss}."""
        if self.until_loss >= 0:
            os.close(self.until_loss)
            self.until_loss = -1

    def open_end_watch(self) -> int:
        """See L{Child.open_end_watch}."""
        return os.dup(self._end_watch)


class Guardian:
    """The process, for C{flom-run}; nothing happens where there can be none."""

    def __init__(self, successor: Successor, kept: Sequence[int] = ()) -> None:
        """
        Fork it.

        @param successor: called there.
        @param kept: descriptors that it uses.
        """
        self._pid = 0
        self._ours: socket.socket | None = None
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                self._pid = os.fork()
                if not self._pid:
                    _live(theirs, successor, kept)
                self._ours = ours
                ours.setblocking(False)
            finally:
                theirs.close()
        except OSError as e:
            _tell(e)

    def begin(self, child: Child | Orphan) -> None:
        """Note that C{child} is the command, and has begun."""
        try:
            end_watch = child.open_end_watch()
        except OSError as e:
            _tell(e)  # it has ended
            return
        self._send(_BEGIN, child.pid, [end_watch, child.until_loss])
        os.close(end_watch)

    def keep(self, descriptors: Sequence[int]) -> None:
        """Keep C{descriptors}, which are the lock now; the first is the connection."""
        self._send(_HOLD, 0, descriptors)

    def add(self, descriptor: int) -> None:
        """Keep C{descriptor} too, of a connection by which the lock is about to be asked for."""
        self._send(_ALSO, 0, [descriptor])

    def note(self, lost_at: float) -> None:
        """Note when the lock may be another client's, by C{boottime}."""
        self._send(_UNTIL, max(0, int(lost_at * _MICRO)), [])

    def note_loss(self) -> None:
        """Note that the lock was lost, and that C{flom-run} sees to that."""
        self._send(_SEEN, 0, [])

    def end(self) -> None:
        """End the process: before it can find that the orders have ended, which would be to take our place."""
        end_process(self._pid)
        self._pid = 0
        if self._ours is not None:
            self._ours.close()
            self._ours = None

    def _send(self, order: bytes, number: int, descriptors: Sequence[int]) -> None:
        if self._ours is None:
            return
        message = order + number.to_bytes(_INT, sys.byteorder)
        try:
            self._ours.sendmsg([message], rights_to(descriptors), socket.MSG_NOSIGNAL)
        except OSError as e:
            _tell(e)


def _tell(why: Exception) -> None:
    _trace.debug("no process takes the place of this one if it is killed: %s", why)


def _live(orders: socket.socket, successor: Successor, kept: Sequence[int]) -> None:
    """Be the process, with nothing open but stderr, what is C{kept} and what C{orders} bring, and exit."""
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        os.setpgid(0, 0)
        stop_trace()
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1):  # or else what is printed might go to a descriptor that has come
            os.dup2(nothing, number)
        close_all_but((0, 1, 2, orders.fileno(), *kept))
        watch = _Watch(orders, successor)
        try:
            watch.run()
        except BaseException as e:
            print_bug(e)
            watch.give_up()
    finally:
        os._exit(0)


class _Watch:
    def __init__(self, orders: socket.socket, successor: Successor) -> None:
        self._orders = orders
        self._successor = successor
        self._waiting = poll()
        self._waiting.register(orders, POLLIN)
        self._command: Orphan | None = None
        self._end_of_command = -1
        self._held: list[int] = []
        self._added: list[int] = []
        self._lost_at = _NEVER
        self._is_seen_to = False

    def run(self) -> None:
        """Wait for the end of C{flom-run}, or for a loss to which it does not see."""
        prepare_at, is_over = boottime() + _QUIET, False
        while True:
            late_at = _NEVER if self._is_seen_to or self._has_ended() else self._lost_at + _LATE
            left = min(prepare_at, late_at) - boottime()
            ready = self._waiting.poll(None if left == _NEVER else max(0.0, left) * 1000 + 1)
            if ready and self._orders.fileno() in [descriptor for descriptor, _ in ready]:
                if not self._obey():
                    break
            elif not is_over and self._has_ended():
                is_over = True
                self._waiting.unregister(self._end_of_command)
            elif self._command is not None and boottime() >= late_at:
                self._is_seen_to = True
                self._successor.see_to_loss(self._command, self._lost_at)
            elif boottime() >= prepare_at:
                prepare_at = _NEVER
                self._successor.prepare()
        if self._held and self._command is None:
            self._command = _find_command(self._held[0])
        if self._command is not None and self._held:
            if self._is_seen_to:
                self._successor.see_to_loss(self._command, self._lost_at)
            else:
                self._successor.succeed(self._command, self._held[0], self._lost_at)

    def give_up(self) -> None:
        """Do what is to be done when the lock is lost: nothing will keep it any more."""
        if self._command is not None and not self._has_ended():
            self._successor.see_to_loss(self._command, self._lost_at)

    def _has_ended(self) -> bool:
        return self._command is not None and self._command.status is not None

    def _obey(self) -> bool:
        """Do what the next order says; return whether there was one: if not, C{flom-run} has ended."""
        data, messages, _, _ = self._orders.recvmsg(1 + _INT, ROOM)
        descriptors = descriptors_in(messages)
        order, number = data[:1], int.from_bytes(data[1:], sys.byteorder)
        if order == _HOLD:
            _close([*self._held, *self._added])
            self._held, self._added = descriptors, []
        elif order == _ALSO:
            _close(self._added)
            self._added = descriptors
        elif order == _BEGIN:
            self._command = Orphan(number, *descriptors)
            self._end_of_command = descriptors[0]
            self._waiting.register(self._end_of_command, POLLIN)
        elif order == _UNTIL:
            self._lost_at = number / _MICRO
        elif order == _SEEN:
            self._is_seen_to = True
        return bool(order)


def _find_command(connection: int) -> Orphan | None:
    """
    Return the command of a C{flom-run} that was killed before it could say which that is: of the processes that have
    inherited the C{connection}, the one that was started first; C{None} if there is none.
    """
    found: list[tuple[int, int]] = []
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid() and _has_open(name, os.fstat(connection)):
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
                found.append((int(fields[19]), int(name)))  # when it was started
            except OSError:
                continue  # it has ended
    try:
        return Orphan(min(found)[1], os.pidfd_open(min(found)[1]), -1) if found else None
    except (OSError, AttributeError):
        return None


def _has_open(process: str, what: os.stat_result) -> bool:
    """Return whether C{process} has C{what} open."""
    try:
        for descriptor in os.listdir(f"/proc/{process}/fd"):
            if os.path.samestat(os.stat(f"/proc/{process}/fd/{descriptor}"), what):
                return True
    except OSError:
        pass  # it has ended, is another user's, or has closed one just now
    return False


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)

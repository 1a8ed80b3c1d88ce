"""
A small process that keeps a reclaimed lock for its command, if C{flom-run} is killed: a command that runs already
cannot inherit a new connection.

It is forked before the lock is asked for, and is sent every connection by which that is done. What was sent is kept by
the kernel from that moment on, even if the process has yet to look at it. So there is no moment at which the lock would
end with C{flom-run}.
"""

from __future__ import annotations

import os
import sys
from select import POLLIN, poll

from flom.lean import signal, socket
from flom.trace import tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

_ALSO: Final = b"+"  # orders: keep this one too, in the place of the last one of which this was said
_ONLY: Final = b"="  # and: keep these alone

_INT: Final = 4  # bytes of a descriptor in a message

ROOM: Final = socket.CMSG_SPACE(2 * _INT)
"""Bytes that L{rights_to} two descriptors take, which are as many as a lock has."""

_trace = tracer("exec")


class StandIn:
    """Lives as long as the command, or until L{end}."""

    def __init__(self, open_end_watch: Callable[[], int]) -> None:
        """
        Fork the process; nothing happens where that, or to watch the command, is not possible.

        @param open_end_watch: returns a new descriptor that can be read from, or is at its end, when the command has
            ended; it may raise OSError.
        """
        self._pid = 0
        self._ours: socket.socket | None = None
        try:
            watched = open_end_watch()
        except OSError as e:
            _tell(e)
            return
        try:
            ours, theirs = socket.socketpair()
            try:
                self._pid = os.fork()
                if not self._pid:
                    _live(watched, theirs)
                self._ours = ours
                ours.setblocking(False)
            finally:
                theirs.close()
        except OSError as e:
            _tell(e)
        finally:
            os.close(watched)

    def add(self, descriptor: int) -> None:
        """Keep C{descriptor} too, of a connection by which the lock is about to be asked for."""
        self._send(_ALSO, [descriptor])

    def keep(self, descriptors: Sequence[int]) -> None:
        """Keep C{descriptors}, which are the lock now, and nothing else."""
        self._send(_ONLY, descriptors)

    def end(self) -> None:
        """End the process."""
        if self._ours is not None:
            self._ours.close()
        end_process(self._pid)
        self._pid = 0

    def _send(self, order: bytes, descriptors: Sequence[int]) -> None:
        if self._ours is not None:
            try:
                self._ours.sendmsg([order], rights_to(descriptors), socket.MSG_NOSIGNAL)
            except OSError as e:
                _tell(e)


def _tell(why: Exception) -> None:
    _trace.debug("no process keeps the lock if this one is killed: %s", why)


def end_process(pid: int) -> None:
    """Kill a child of this process, unless C{pid} is 0."""
    if pid:
        os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass


def rights_to(descriptors: Sequence[int]) -> list[tuple[int, int, bytes]]:
    """Return what goes with a message to another process for it to have C{descriptors} too; nothing for none."""
    sent = b"".join(number.to_bytes(_INT, sys.byteorder) for number in descriptors)
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, sent)] if sent else []


def descriptors_in(messages: Sequence[tuple[int, int, bytes]]) -> list[int]:
    """Return the descriptors that have come with a message, in the order in which they were sent."""
    received = b"".join(data for _, _, data in messages)
    return [int.from_bytes(received[i : i + _INT], sys.byteorder) for i in range(0, len(received), _INT)]


def close_all_but(kept: Sequence[int]) -> None:
    """Close the descriptors of this process, which is a fork, but those that are C{kept}."""
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor not in kept:
            try:
                os.close(descriptor)
            except OSError:
                pass  # it was for the list itself


def _live(command: int, orders: socket.socket) -> None:
    """Wait for the end of the command with nothing open but what C{orders} say, and exit."""
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        os.setpgid(0, 0)
        close_all_but((command, orders.fileno()))
        kept: list[int] = []
        added: list[int] = []
        waiting = poll()
        waiting.register(command, POLLIN)
        waiting.register(orders, POLLIN)
        while command not in [descriptor for descriptor, _ in waiting.poll()]:
            order, received = _receive(orders)
            if order == _ALSO:
                left, added = added, received
            elif order == _ONLY:
                left, kept, added = [*kept, *added], received, []
            else:  # flom-run has ended
                waiting.unregister(orders)
                continue
            for descriptor in left:
                os.close(descriptor)
    finally:
        os._exit(0)


def _receive(orders: socket.socket) -> tuple[bytes, list[int]]:
    """Return the next order and the descriptors that came with it; no order if there are no more."""
    order, messages, _, _ = orders.recvmsg(1, ROOM)
    return order, descriptors_in(messages)

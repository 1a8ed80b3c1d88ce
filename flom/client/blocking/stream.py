"""
Bytes over a socket, without a reactor: every wait ends at a deadline, and may end at a signal.

All code of this folder that waits calls L{wait_for}, L{sleep} or L{flom.client.blocking.lookup.look_up_by}. In a task
of asyncio these suspend the task instead (L{flom.client.tasks.switch}), so that nothing else here need know of tasks.
"""

from __future__ import annotations

import os
from errno import EPIPE
from select import POLLIN, POLLOUT, poll
from time import monotonic
from time import sleep as sleep_in_kernel

from flom.client.retry import why_closed
from flom.errors import FlomError, LockTimeout
from flom.lean import signal, socket
from flom.trace import tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, Protocol, TypeVar

    _T = TypeVar("_T")

    class Suspending(Protocol):
        """A task of asyncio in which code of this folder runs."""

        def wait_for(self, waiting: socket.socket, event: int, deadline: float) -> None:
            """See L{wait_for}; the deadline has not come yet."""

        def sleep(self, seconds: float) -> None:
            """See L{sleep}."""

        def call_in_thread(self, call: Callable[[], _T], deadline: float) -> _T:
            """Return what C{call} does, which is called in a thread; L{LockTimeout} is raised at C{deadline}."""


NEVER: Final = float("inf")  # the deadline of a wait that takes as long as it takes
_LONGEST_POLL: Final = 86_400.0  # seconds; the kernel would not take much more
_CHUNK: Final = 65_536  # bytes

_trace = tracer("client")

running_task: Callable[[], Suspending | None] | None = None
"""Returns the task of asyncio that runs here, if one does; C{None} as long as L{flom.client.tasks} is not imported."""


class Interrupted(FlomError):
    """A signal came during the wait, and its handler has run."""


class Stream:
    """
    A connection in plain text.

    A deadline is a time of C{time.monotonic}; L{NEVER} is one that does not come.

    @ivar socket: does not block.
    @cvar can_be_inherited: whether another process that has the socket can read and write what this one would.
    @ivar is_broken: true once the connection has ended in another way than by being closed: by a reset, for example.
    """

    can_be_inherited = True

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.is_broken = False

    @property
    def is_local(self) -> bool:
        """True for a UNIX socket."""
        return self.socket.family == socket.AF_UNIX

    def send(self, data: bytes, deadline: float) -> None:
        """Send all of C{data}; raise L{OSError} if the other end has gone, L{LockTimeout} if it does not read."""
        while data:
            try:
                data = data[self.socket.send(data, socket.MSG_NOSIGNAL) :]
            except BlockingIOError:
                wait_for(self.socket, POLLOUT, deadline)
            except OSError as e:
                # the kernel tells of a reset once: here, or in receive; EPIPE comes after that, or an end in good order
                self.is_broken |= e.errno not in (None, EPIPE)
                raise

    def receive(self, deadline: float, signals: socket.socket | None = None) -> bytes:
        """Return some bytes when they come, none if the other end has gone; L{wait_for} says what else may happen."""
        while True:
            try:
                return self.socket.recv(_CHUNK)
            except BlockingIOError:
                wait_for(self.socket, POLLIN, deadline, signals)
            except OSError as e:
                if e.errno is None:
                    raise  # it is not the socket's, but what the handler of a signal has raised just then
                _trace.debug("connection has ended: %s", e)
                self.is_broken = True
                return b""

    def shut_down(self, deadline: float) -> None:
        """Close our sending side; the other end may go on sending. L{OSError} is raised if it has gone."""
        self.socket.shutdown(socket.SHUT_WR)

    def hang_up(self) -> None:
        """End the connection, at both ends, but do not close it; another thread may be waiting for it."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended

    def why_ended(self, peer: str, *, answered: bool) -> FlomError:
        """Return the error that the other end has closed the connection, which had C{answered} or not."""
        return why_closed(peer, answered=answered, tls=None, is_secured=False)

    def check_peer_id(self, peer_id: str | None) -> None:
        """Raise L{flom.errors.TlsError} if C{peer_id} is to be checked, and is not in the other end's certificate."""


def wait_for(waiting: socket.socket, event: int, deadline: float, signals: socket.socket | None = None) -> None:
    """
    Wait until something can be done with the socket C{waiting}.

    @param event: what: C{POLLIN} or C{POLLOUT}.
    @param signals: what L{note_signals} has given; a signal ends the wait then.
    @raise LockTimeout: nothing can, and it is C{deadline}.
    @raise Interrupted: there was a signal.
    """
    if running_task is not None and deadline > monotonic() and (task := running_task()) is not None:
        task.wait_for(waiting, event, deadline)
        return
    poller = poll()
    poller.register(waiting, event)
    if signals is not None:
        poller.register(signals, POLLIN)
    while True:
        left = max(0.0, min(deadline - monotonic(), _LONGEST_POLL))
        ready = [descriptor for descriptor, _ in poller.poll(left * 1000)]
        if waiting.fileno() in ready:
            return
        if ready:
            raise Interrupted("interrupted by a signal")
        if monotonic() >= deadline:
            raise LockTimeout("too late")


def sleep(seconds: float) -> None:
    """Wait for C{seconds}."""
    task = None if running_task is None else running_task()
    (sleep_in_kernel if task is None else task.sleep)(seconds)


class note_signals:
    """
    A context in which signals whose handlers are in Python are noted: its target can be read from when one has come.
    In other threads than the main one, which gets the signals, it is C{None}.
    """

    __slots__ = ("_noted", "_noting", "_previous")

    def __init__(self) -> None:
        self._noted, self._noting = socket.socketpair()
        self._previous: int | None = None

    def __enter__(self) -> socket.socket | None:
        self._noted.setblocking(False)
        self._noting.setblocking(False)
        try:
            self._previous = signal.set_wakeup_fd(self._noting.fileno(), warn_on_full_buffer=False)
        except ValueError:
            return None
        return self._noted

    def __exit__(self, *_: object) -> None:
        previous = self._previous
        if previous is not None:
            signal.set_wakeup_fd(previous)
            if previous >= 0:  # the program that notes them otherwise has missed some
                try:
                    os.write(previous, self._noted.recv(_CHUNK))
                except OSError:
                    pass
        self._noted.close()
        self._noting.close()

"""
The command: a child process that keeps everything it would have had without us
(docs/compatibility.md, "Running the command").
"""

from __future__ import annotations

import os

from flom.job.descriptors import EndWatch
from flom.job.environment import CONTROL, DEADLINE
from flom.job.signals import changed_by_python
from flom.job.words import CannotExecute, execute
from flom.lean import Lock, socket, start_thread
from flom.text import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


class Child:
    """
    A running command, for whose end a thread waits.

    @ivar pid: its process.
    @ivar control: our end of the socket by which it asks us for something; C{None} if it cannot.
    @ivar status: what it has exited with; -N if signal N has ended it, C{None} before.
    """

    def __init__(
        self,
        words: Sequence[str],
        environment: dict[bytes, bytes],
        ended: Callable[[int], None],
        *,
        leads_group: bool = False,
        has_control: bool = False,
    ) -> None:
        """
        Start the command, with our terminal, process group, working directory and inheritable descriptors.

        What was ignored when we started stays ignored, as by nohup. L{DEADLINE} is added to C{environment}.

        @param ended: called with L{status}, in that thread.
        @param leads_group: whether it leads a process group of its own.
        @param has_control: whether it gets one end of a socket, in L{CONTROL}, of which L{control} is ours.
        @raise CannotExecute: there is no such command, or it is no program.
        @raise NoProcess: there can be no more processes or threads.
        """
        self.pid = 0
        self.status: int | None = None
        self.control: socket.socket | None = None
        theirs: socket.socket | None = None
        number = 0
        self._tell_end = ended
        self._lock = Lock()  # held while it is signalled or reaped: then its number is another process's

        def spawn(words: Sequence[str]) -> int:
            place: dict[str, Any] = {"setpgroup": 0} if leads_group else {}
            if theirs is not None:
                place["file_actions"] = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), number)]
            return os.posix_spawnp(
                words[0], list(words), environment, setsigmask=(), setsigdef=changed_by_python(), **place
            )

        try:
            self._ended, ending = os.pipe()
            deadline, self._until_loss = os.pipe()
            self._end_watch = EndWatch()
        except OSError as e:
            raise CannotExecute(f"Unable to execute command '{words[0]}': {reason(e)}") from e
        os.set_inheritable(deadline, True)
        if self._end_watch.inherited >= 0:
            os.set_inheritable(self._end_watch.inherited, True)
        environment[DEADLINE] = b"%d" % deadline
        if has_control and (number := _free_digit()):
            try:
                self.control, theirs = socket.socketpair()
                environment[CONTROL] = b"%d" % number
            except OSError:
                pass  # there are no more descriptors
        try:
            with self._lock:  # the thread comes first: without it, there is to be no command
                start_thread(self._wait, ending)
                self.pid = execute(words, spawn)
        except BaseException:
            os.close(self._ended)
            self.tell_loss()
            raise
        finally:
            os.close(deadline)
            if theirs is not None:
                theirs.close()
            self._end_watch.note_start()

    def fileno(self) -> int:
        """Return a descriptor that can be read from once L{status} is known."""
        return self._ended

    def open_end_watch(self) -> int:
        """
        Return a new descriptor for another process, which can be read from, or is at its end, when this one has ended.

        @raise OSError: it has ended already, or there are no more descriptors.
        """
        with self._lock:
            if self.status is not None:
                raise ProcessLookupError("the command has ended")
            return self._end_watch.open(self.pid)

    @property
    def until_loss(self) -> int:
        """The descriptor that another process has to have open for the file of L{DEADLINE} not to end with us."""
        return self._until_loss

    def signal(self, number: int, to_group: bool = False) -> None:
        """
        Send it a signal; if it has ended, nothing happens.

        @param to_group: send it to the process group that the command leads.
        @raise PermissionError: it belongs to another user by now.
        """
        with self._lock:
            if self.status is None:
                (os.killpg if to_group else os.kill)(self.pid, number)

    def tell_loss(self) -> None:
        """End the file that the command has by L{DEADLINE}: its lock is lost."""
        if self._until_loss >= 0:
            os.close(self._until_loss)
            self._until_loss = -1

    def _wait(self, ending: int) -> None:
        with self._lock:
            has_started = self.pid > 0
        if has_started:
            self._await_end()
            with self._lock:
                _, status = os.waitpid(self.pid, 0)
                self.status = os.waitstatus_to_exitcode(status)
            self._tell_end(self.status)
        os.close(ending)

    def _await_end(self) -> None:
        """Wait until it has ended; the first process of a PID namespace reaps orphans meanwhile."""
        if os.getpid() == 1:
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)) and ended.si_pid != self.pid:
                try:
                    os.waitpid(ended.si_pid, 0)
                except ChildProcessError:
                    pass  # it was one of ours, which starts a daemon
        else:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)


def _free_digit() -> int:
    """
    Return a descriptor that a command does not inherit, of one digit, because some shells know no others; 0 if there is
    none.
    """
    for number in (8, 7, 6, 5, 4, 9, 3):
        try:
            if not os.get_inheritable(number):
                return number
        except OSError:
            return number
    return 0

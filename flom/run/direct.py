"""
The short way to a lock, which nearly every C{flom-run} takes: over a plain socket, without a reactor.

Most commands take less time than the import of a reactor. Where there is only one connection to talk on, at first, and
then one command to wait for, the kernel does all that one is needed for.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Sequence
from contextlib import suppress
from importlib import import_module
from select import POLLIN, poll
from threading import RLock
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from flom.client.addresses import peer_of
from flom.client.blocking.dial import NoDaemon, Reached, reach
from flom.client.blocking.stream import Stream
from flom.codes import ExitStatus, Outcome
from flom.config import Config
from flom.core.names import TimestampName, parse_name
from flom.errors import DaemonLost, DaemonUnreachable, FlomError, LockTimeout, lock_refused
from flom.job.signals import SignalWatch
from flom.job.words import CannotExecute, execute
from flom.run.job import Job
from flom.run.output import complain

if TYPE_CHECKING:
    from flom.client.blocking.connection import Conversation
    from flom.core.protocol.messages import Answer

_PYTHON_IGNORES: Final = (signal.SIGPIPE, signal.SIGXFSZ)  # for itself: the command is to have them as they were


def is_direct(config: Config) -> bool:
    """
    Tell whether C{config} leads to the lock by the short way.

    It takes no group, no TLS and no report of what goes on; and a kernel, Linux 5.3 or later, with descriptors for
    processes.
    """
    return not (config.multicast_address or config.is_tls or config.verbose) and _has_pidfds()


class DirectRunner(Job):
    """Takes the lock over a plain socket, and waits in the kernel; signals come in a thread of their own."""

    def __init__(
        self, config: Config, command: Sequence[str], watch: SignalWatch, descriptors: Collection[int]
    ) -> None:
        super().__init__(config, command, watch, descriptors)
        self._starts = 0  # of daemons
        self._starting = RLock()  # held while the command is started: nothing ends us without ending it too

    def signal(self, number: int, from_terminal: bool) -> None:
        """See L{Job.signal}."""
        with self._starting:
            super().signal(number, from_terminal)

    def run(self) -> int:
        """
        Take the lock, run the command, give the lock back.

        @return: the status to exit with.
        """
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it were ignored, the kernel would forget how a command ends
        try:
            conversation, answer = self._acquire()
        except FlomError as e:
            return self._lament_refusal(e)
        status = self._run_command(conversation, answer.element)

        from flom.core.protocol.messages import Unlock

        try:
            conversation.unlock(Unlock(self._config.resource_name, rollback=status != 0))
        except DaemonLost:
            return status or ExitStatus.ERROR  # the user was told when it happened
        return status

    def _acquire(self) -> tuple[Conversation, Answer]:
        """Give the connection on which the lock is held, and the daemon's word for it."""
        if isinstance(parse_name(self._config.resource_name), TimestampName):
            from flom.core.requests import check_lock

            check_lock(self._request())
        self._limit_wait()
        try:
            return self._ask(self._reach())
        except LockTimeout:
            raise self._timed_out() from None

    def _ask(self, reached: Reached) -> tuple[Conversation, Answer]:
        """Ask for the lock; once more, if the daemon has ended in the moment when we were connected."""
        from flom.client.blocking.connection import Conversation
        from flom.client.retry import Patience

        patience = Patience(is_in_pool=False)
        request = self._request()
        while True:
            conversation = Conversation(Stream(reached.socket), reached.peer, reached.keepalive)
            try:
                answer = conversation.lock(request, self._deadline)
            except DaemonLost as e:
                patience.bear(e, answered=conversation.answered)
                reached = self._reach()
                continue
            outcome = Outcome(answer.code or 0)
            if outcome is not Outcome.GRANTED:
                conversation.close()
                raise lock_refused(outcome, request.name, reached.peer)
            return conversation, answer

    def _limit_wait(self) -> None:
        """Give the wait all of its time: when it begins, and again when it has taken a while to start a daemon."""
        timeout = self._config.timeout
        self._deadline = monotonic() + timeout if timeout else None

    def _reach(self) -> Reached:
        """Connect to the daemon; if there is none, start one."""
        began = monotonic()
        while True:
            try:
                return reach(self._config, deadline=self._deadline)
            except NoDaemon:
                self._start_daemon(began)

    def _start_daemon(self, began: float) -> None:
        """Start a daemon, unless somebody else is just doing so; afterwards, we try again."""
        from flom.net.claim import CannotClaim
        from flom.run.launch import (  # mostly there is one
            RETRY,
            START_TIMEOUT,
            Launch,
            check_may_start,
            claim_place,
        )

        peer = peer_of(self._config)
        check_may_start(self._config, peer, self._starts)
        try:
            claim = claim_place(self._config)
        except CannotClaim as e:
            if not e.is_taken or monotonic() > began + START_TIMEOUT:
                raise DaemonUnreachable(e.code, f"cannot start a daemon: {e}") from e
            if self._deadline is not None and monotonic() > self._deadline:
                raise LockTimeout(peer) from None
            sleep(RETRY)
            return
        try:
            self._starts += 1
            launch = Launch(self._config, claim, self._watch.unblocked)
            import_module("flom.client.blocking.connection")  # which takes a while, and so does the daemon
            launch.wait(peer)
        finally:
            claim.close()
        self._limit_wait()

    def _run_command(self, conversation: Conversation, element: str | None) -> int:
        """Run the command to its end; give its status."""
        environment = self._environment(element)
        if not self._config.close:
            os.set_inheritable(conversation.fileno(), True)
        try:
            with self._starting:
                pid = execute(self._words(element), lambda words: _spawn(words, environment))
                child = _Child(pid)
                self._note_start(child)
        except CannotExecute as e:
            complain(str(e))
            self._forwarding.note_end(ExitStatus.CANNOT_EXECUTE)
            return ExitStatus.CANNOT_EXECUTE
        self._ignore_signals()
        self._watch_over(child, conversation)
        status = child.status()
        self._note_end(status)
        return status

    def _watch_over(self, child: _Child, conversation: Conversation) -> None:
        """Wait until the command has ended; if the daemon goes before that, say so."""
        if child.fileno() < 0:
            return
        waiting = poll()
        waiting.register(child, POLLIN)
        waiting.register(conversation, POLLIN)
        while child.fileno() not in [descriptor for descriptor, _ in waiting.poll()]:
            if conversation.is_lost:
                waiting.unregister(conversation)
                self._lament(DaemonLost(f"{conversation.peer} closed the connection"))


class _Child:
    """A running command."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        try:
            self._descriptor = os.pidfd_open(pid)
        except OSError:  # there is no descriptor left
            self._descriptor = -1

    def fileno(self) -> int:
        """Give what can be read from when it has ended; -1 if we have nothing of the kind."""
        return self._descriptor

    def signal(self, number: int) -> None:
        """See L{flom.run.job.RunningChild.signal}."""
        with suppress(ProcessLookupError):
            if self._descriptor < 0:
                os.kill(self._pid, number)
            else:
                signal.pidfd_send_signal(self._descriptor, number)  # which cannot hit another process

    def status(self) -> int:
        """Give what it has exited with, or 128 and the number of the signal that killed it."""
        _, status = os.waitpid(self._pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code


def _spawn(words: Sequence[str], environment: dict[bytes, bytes]) -> int:
    """
    Start a program with our terminal, process group, working directory and inheritable descriptors.

    What was ignored when we started stays ignored, as by nohup.

    @return: the number of the process.
    """
    encoded = [os.fsencode(word) for word in words]
    return os.posix_spawnp(encoded[0], encoded, environment, setsigmask=(), setsigdef=_PYTHON_IGNORES)


def _has_pidfds() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True

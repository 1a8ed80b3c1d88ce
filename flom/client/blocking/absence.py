"""
There is no daemon: it is waited for, or started or elected, if that is allowed (docs/compatibility.md, "Who starts a
daemon").
"""

from __future__ import annotations

from time import monotonic

from flom.client.blocking.dial import Seek
from flom.client.blocking.reclaim import check_in_time, expect, pause_before_look
from flom.client.retry import KEPT_RETRY, LONG_RETRY, until_next_look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from flom.client.blocking.acquire import Acquirer
    from flom.client.blocking.dial import NoDaemon
    from flom.client.blocking.start import Starter


class Absence:
    """What an L{Acquirer} does from the moment at which it finds no daemon until it is connected to one."""

    def __init__(self, acquirer: Acquirer, began: float, seek: int) -> None:
        """
        @param began: when it began to look for one, as a time of C{time.monotonic}.
        @param seek: what it looked for, one of L{Seek}.
        """
        self._acquirer = acquirer
        self._began = began
        self._seek = seek
        self._starter: Starter | None = None

    def end(self, error: NoDaemon, asked_at: float) -> int:
        """
        Do what may help against C{error}, so that it is time for another look.

        @param asked_at: when the last look began, as a time of C{boottime}.
        @return: what to look for, one of L{Seek}.
        @raise flom.errors.FlomError: nothing helps; see L{Acquirer.acquire}.
        """
        acquirer = self._acquirer
        acquirer.is_by_quorum |= error.is_by_quorum
        check_in_time(acquirer)
        self._note(error, asked_at)
        if acquirer.reclaiming is not None and acquirer.reclaiming.is_far:
            self._check_is_gone(error)
            self._pause()
            return self._seek
        if acquirer.is_expected:
            acquirer.hooks.say(f"{error}, trying again")
            self._pause(KEPT_RETRY)
            if acquirer.is_expected or acquirer.seek != Seek.TO_RECLAIM:
                return self._seek  # a holder has no more time: the next attempt might take minutes
        waits = acquirer.budget.has_waited and not acquirer.is_in_group and not acquirer.can_start
        if acquirer.is_by_quorum and not acquirer.may_wait:
            raise error
        if waits or acquirer.is_by_quorum:
            self._await_daemon(error)
            return self._seek
        self._start(error)
        return self._seek

    def _note(self, error: NoDaemon, asked_at: float) -> None:
        """Note that nobody listens, where the next daemon will know of us: until now, nobody can have had our lock."""
        reclaiming, held = self._acquirer.reclaiming, self._acquirer.held
        if self._acquirer.has_gone(error):
            raise error
        if reclaiming is None or not error.is_refused:
            return
        if reclaiming.is_late:
            raise reclaiming.too_late()
        if held is not None and reclaiming.insists:
            held.lease.sent(asked_at)
            held.lease.answered()

    def _check_is_gone(self, error: NoDaemon) -> None:
        """Note that the daemon on another host has gone; if its host does not say so, raise C{error} after a while."""
        if error.is_refused:
            expect(self._acquirer)  # one that starts now leaves us as much time
        elif not self._acquirer.is_expected:
            raise error

    def _await_daemon(self, error: NoDaemon) -> None:
        """Pause before looking again for a daemon in the place of the one that has gone."""
        acquirer = self._acquirer
        if not acquirer.budget.has_told:
            acquirer.budget.has_told = True
            what = "the daemon has gone, waiting for another one"
            acquirer.hooks.warn(f"{error}: {'waiting for one that does' if error.is_by_quorum else what}")
        self._pause()

    def _start(self, error: NoDaemon) -> None:
        """Start a daemon, or have one elected, because of C{error}."""
        if self._starter is None:
            from flom.client.blocking.start import Starter  # those who wait do not need it

            self._starter = Starter(self._acquirer, self._began)
        self._starter.check(error)
        if self._acquirer.is_in_group:
            self._starter.elect()
            self._seek = Seek.STARTED
        elif not self._starter.start():
            self._await_daemon(error)

    def _pause(self, longest: float = LONG_RETRY) -> None:
        pause_before_look(self._acquirer, until_next_look(monotonic() - self._began, longest))

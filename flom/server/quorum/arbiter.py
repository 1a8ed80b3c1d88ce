"""
An arbiter that grants for as long as its daemon leads by a quorum: it asks the clock right before a grant leaves.

A daemon that was stopped (SIGSTOP, a machine that slept) does not know it when it goes on: what it reads first may be a
request, and the timer that would end its tenure comes later. So each grant asks L{Tenure.may_grant}, by a clock that
goes on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import CLOCK_BOOTTIME, clock_gettime
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from flom.core.effects import Converted, Effect, Granted
from flom.core.grace import Looking
from flom.core.tokens import begin_epoch, epoch_of
from flom.server.arbiter import DeferredArbiter
from flom.server.state import Epochs, StateDirectory, StateError
from flom.server.store import NOT_LEADING, Store

if TYPE_CHECKING:
    from flom.core.quorum.tenure import Tenure

SAVE_AGAIN: Final = 0.5
"""Seconds after which positions of sequences are written again that could not be."""


_BOOTTIME: Final = partial(clock_gettime, CLOCK_BOOTTIME)
"""As L{flom.lean.boottime}, without a call of Python's."""


class _Closed:
    """Stands for a tenure in which each grant has to be looked at."""

    grants_from = float("inf")
    ends_at = float("-inf")


_CLOSED: Final = _Closed()


class LeasedEpochs(Epochs):
    """
    Epochs that the quorum gives.

    @ivar given: the one of the present tenure, or the last one.
    @ivar elsewhere: the highest that a daemon without a quorum has announced; 0 if none has.
    """

    def __init__(self, state: StateDirectory | None = None) -> None:
        super().__init__(state)
        self.given = 0
        self.elsewhere = 0

    def begin(self, seen: int, wall: float) -> int:
        """
        Return the first token of the epoch that was L{given}.

        One tenure can use up the 2**32 tokens of an epoch, in two days of full load. The next epoch is its own too:
        etcd counts the end of this tenure before the next one begins, so that one has an epoch that is higher by two.
        """
        epoch = self.given if seen < self.given else seen + 1
        self._last = epoch
        if self.state is not None:
            try:
                self.state.note_epoch(epoch)
                self.problem = ""
            except StateError as e:
                if str(e) != self.problem:
                    self.problem = str(e)
                    self._log.warn("{problem}: epochs are not remembered there", problem=self.problem)
        return (epoch << 32) + 1

    def highest_known(self, wall: float) -> int:
        """
        Return the highest epoch that the state directory, or a session, may know of: a daemon without a quorum has
        none that is lower than its clock says.

        @param wall: seconds since the epoch.
        """
        try:
            remembered = -1 if self.state is None else self.state.read_epoch()
        except StateError:
            remembered = -1  # the directory has a problem that is told elsewhere
        return epoch_of(begin_epoch(max(self._last, self.elsewhere, remembered) - 1, wall))


class LeasedArbiter(DeferredArbiter):
    """
    Grants while it has a L{Tenure}.

    @ivar tenure: of its daemon; C{None} while that does not lead.
    @ivar is_paused: true while the tenure is over and may go on: nothing is granted, released or answered.
    @ivar on_overdue: called when a grant finds the tenure to be over.
    """

    # the quick way of a grant costs 0.2 us; what it needs, beside the clock, is one object
    __slots__ = ("_boottime", "_open", "_saving", "_withheld", "is_paused", "on_overdue", "tenure")

    def __init__(
        self,
        clock: IReactorTime,
        *arguments: Any,
        boottime: Callable[[], float] = _BOOTTIME,
        **named: Any,
    ) -> None:
        """
        Make one as L{DeferredArbiter} is made.

        @param boottime: the clock of its tenures, in seconds, which goes on while the machine sleeps.
        """
        self._boottime = boottime
        self._saving: dict[str, int] = {}  # how often the position of each sequence is being written
        self._withheld: list[Effect] = []  # what was decided, and must not be told yet
        self._open: Tenure | _Closed = _CLOSED  # the tenure, while nothing else keeps a grant from being told
        self.is_paused = False
        self.on_overdue: Callable[[], None] = lambda: None
        self.tenure: Tenure | None = None
        super().__init__(clock, *arguments, store=Store(NOT_LEADING), **named)

    @property
    def grants_now(self) -> bool:
        """True if a free lock would be granted at this moment."""
        tenure = self.tenure
        is_ours = tenure is not None and tenure.may_grant(self._boottime())
        return is_ours and not (self.is_retired or self.is_closed or self.is_draining or self.is_in_grace)

    @property
    def may_answer(self) -> bool:
        """True if a client may be told anything by which it believes that it holds a lock."""
        tenure = self.tenure
        return tenure is not None and not self.is_paused and tenure.may_answer(self._boottime())

    def lead(self, tenure: Tenure, grace: float, positions: Any, store: Store) -> None:
        """
        Grant from now on; see L{resume}.

        @param grace: seconds in which only holders of the former leader's locks are served.
        @param positions: of sequences with a lifespan: C{load()} returns them, and C{save(changes)} a Deferred.
        @param store: has what is kept durably beside the locks.
        """
        self.tenure = tenure
        self.positions = positions
        self.store = store
        self.resume(grace)
        if not grace:
            self._takeover = None  # nothing can be reclaimed

    def resume(self, grace: float = 0.0, looking: Looking | None = None, least: float = 0.0) -> None:
        self._saving.clear()
        self._withheld.clear()
        self._set_open()
        super().resume(grace, looking, least)

    def pause(self) -> None:
        """Grant, release and answer nothing until L{go_on} or L{step_down}."""
        self.is_paused = True
        self._set_open()
        if self._freeze is None:
            self.freeze()

    def go_on(self) -> None:
        """Go on after L{pause}: the tenure has been prolonged. What was decided before is told first."""
        self.is_paused = False
        self._set_open()
        withheld, self._withheld = self._withheld, []
        self._carry_out(withheld)
        self.thaw()
        if self.is_in_grace and not self.grace_left:
            self.end_grace()

    def step_down(self, why: str) -> None:
        """Grant nothing more and end all sessions: another daemon may lead. Holders in this process are told C{why}."""
        self.tenure = self.positions = None
        self.store = Store(NOT_LEADING)
        self.is_paused = False
        self._saving.clear()
        self._withheld.clear()
        self._set_open()
        local, self._local = self._local, {}
        for lock in local.values():
            lock.lose(why)
        self.hand_over()

    def end_grace(self) -> None:
        """End the grace period, if there is one; later, if nothing is decided now. Nothing can be reclaimed then."""
        if self._freeze is None:
            super().end_grace()
            self._takeover = None

    def _deliver(self, effect: Effect) -> None:
        if type(effect) is Granted or type(effect) is Converted:
            tenure = self._open
            if not tenure.grants_from <= self._boottime() < tenure.ends_at and not self._may_tell(effect):
                return
        elif self._saving and effect.request.name.key in self._saving:
            self._withheld.append(effect)
            return
        DeferredArbiter._deliver(self, effect)

    def _may_tell(self, grant: Granted | Converted) -> bool:
        """Return whether C{grant} may leave; if not, it is told later, or never."""
        if grant.request.name.key in self._saving:
            self._withheld.append(grant)
            return False
        tenure, now = self.tenure, self._boottime()
        if (
            tenure is not None
            and not self.is_paused
            and (tenure.may_grant(now) or (grant.request.regains and tenure.may_answer(now)))
        ):
            return True
        self._withheld.append(grant)
        self.on_overdue()
        return False

    def _set_open(self) -> None:
        self._open = _CLOSED if self.tenure is None or self.is_paused or self._saving else self.tenure

    def _save(self) -> None:
        """Write positions of sequences through; what depends on them is told when they are there."""
        changes, self._table.unsaved = self._table.unsaved, {}
        if changes and self.positions is not None and not (self.is_retired or self.is_closed):
            for name in changes:
                self._saving[name] = self._saving.get(name, 0) + 1
            self._set_open()
            self._write(self.tenure, changes)

    def _write(self, tenure: Tenure | None, changes: Any) -> None:
        if tenure is not self.tenure or self.positions is None:
            return  # they are another leader's by now
        positions: Any = self.positions

        def fail(failure: Failure) -> None:
            if tenure is self.tenure and tenure is not None and not tenure.has_resigned:
                names, why = ", ".join(changes), failure.getErrorMessage()
                self._log.warn("{names}: no number is given until it can be written down: {why}", names=names, why=why)
                self._clock.callLater(SAVE_AGAIN, self._write, tenure, changes)

        positions.save(changes).addCallbacks(lambda _: self._note_saved(tenure, changes), fail)

    def _note_saved(self, tenure: Tenure | None, names: Any) -> None:
        if tenure is not self.tenure or tenure is None:
            return
        for name in names:
            self._saving[name] -= 1
            if not self._saving[name]:
                del self._saving[name]
        self._set_open()
        if not self.is_paused:
            withheld, self._withheld = self._withheld, []
            self._carry_out(withheld)

"""
A daemon under a quorum: it grants locks while etcd says that it leads (docs/reference/daemon.md, "A quorum").

L{flom.server.quorum.elector} wins, keeps and loses the leadership, and says so here. What follows for the clients is
decided here: what is granted, when nothing is, and what is left to the next leader.

The word that a leader leaves is all that is held and waited for, as L{Estate.write} writes it: whichever daemon leads
next goes on with that at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.core.locks.handover import Estate, read_estate
from flom.core.protocol.messages import Role
from flom.errors import FlomError
from flom.lean import boottime
from flom.server.estate import HandoverFailed, estate_of
from flom.server.quorum.arbiter import LeasedArbiter
from flom.server.quorum.clients import Heartbeats, LeasedFactory
from flom.status.model import QuorumStatus

if TYPE_CHECKING:
    from flom.core.quorum.tenure import Tenure
    from flom.core.quorum.times import QuorumTimes
    from flom.server.arbiter import DeferredArbiter
    from flom.server.counters import Counters
    from flom.server.lifespan import LifespanService
    from flom.server.options import ServerOptions
    from flom.server.proofs import Proofs
    from flom.server.quorum.elector import Events
    from flom.server.sessions import Sessions

MOST_LEFT: Final = 1_000_000
"""Bytes of the longest word: etcd takes 1.5 MB, and one lock some 200."""

RESIGN_WITHIN: Final = 2.0
"""Seconds in which etcd has to take a resignation; the next leader waits as after a kill if it does not."""

HOLD_BACK: Final = 2.0
"""Seconds after it has handed over in which a daemon leaves the leadership to others."""

SPARE: Final = 0.01
"""Seconds by which a grace period is longer than it has to be: a timer may be as much too early."""


class Observer(Protocol):
    """Hears what becomes of a daemon under a quorum."""

    def leads(self, leads: bool) -> None:
        """Note whether this daemon leads."""


@dataclass(frozen=True, slots=True)
class Quorum:
    """
    What a daemon has to know to lead by a quorum.

    @ivar identity: one line by which people know this daemon: its host and process.
    @ivar make_elector: returns the L{flom.server.quorum.elector.Elector} that tells what it is given.
    @ivar now: the clock of tenures, in seconds; it goes on while the machine sleeps.
    """

    times: QuorumTimes
    identity: str
    make_elector: Callable[[Events], Any]
    now: Callable[[], float] = boottime


class QuorumService(Service):
    """Makes the arbiter grant locks for as long as this daemon leads."""

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        arbiter: LeasedArbiter,
        quorum: Quorum,
        sessions: Sessions,
        lifespan: LifespanService,
        counters: Counters,
        heartbeats: Heartbeats,
    ) -> None:
        """
        @param sessions: those of the daemon's clients.
        @param lifespan: runs while this daemon leads.
        """
        self.observer: Observer | None = None
        self.waits_for_group = False  # to be a member of it, before this daemon stands for election
        self._clock = clock
        self._arbiter = arbiter
        self._quorum = quorum
        self._sessions = sessions
        self._lifespan = lifespan
        self._counters = counters
        self._heartbeats = heartbeats
        self._leader = ""
        self._tenure: Tenure | None = None
        self._timer: IDelayedCall | None = None
        self._is_resigning = False
        self._successor: Deferred[str] | None = None  # fires with the one that leads next
        self._elector = quorum.make_elector(self)
        counters.quorum = self.status
        counters.role = Role.STANDBY.value
        arbiter.on_overdue = self._look
        arbiter.retire()

    def startService(self) -> None:
        super().startService()
        self._heartbeats.startService()
        if not self.waits_for_group:
            self.stand()

    def stand(self) -> None:
        """Begin to stand for election."""
        if self.running and not self._elector.running:
            self._elector.startService()

    def stopService(self) -> Any:
        """Leave the leadership to another daemon, with all that is held if that can be."""
        super().stopService()
        self._heartbeats.stopService()
        if self._successor is not None:
            self._successor.cancel()
        if self._tenure is None:
            return self._end(None)
        try:
            word = self._word()
        except HandoverFailed as e:
            self._log.info("the next leader waits until all sessions have ended: {why}", why=str(e))
            word = ""
        return self._resign(word).addBoth(self._end)

    def elected(self, tenure: Tenure, epoch: int, word: str) -> None:
        """See L{Events.elected}."""
        if self._tenure is not None:
            self._step_down("this daemon was elected anew")
        now, times = self._quorum.now(), self._quorum.times
        estate, grace = self._read(word), max(0.0, tenure.grants_from - now)
        if estate is None:
            grace = max(grace, times.wait if word else 0.0)  # a word that cannot be read is none
        self._tenure = tenure
        self._is_resigning = False
        epochs: Any = self._arbiter.epochs
        epochs.given = epoch
        kept = self._elector.positions, self._elector.store
        self._arbiter.lead(tenure, grace + SPARE if grace else 0.0, *kept)
        if estate is not None:
            self._arbiter.take_over(estate, [self._sessions.inherit(client) for client in estate.clients])
            text = "leading, epoch {epoch}: the leader before has left {locks} locks and waiters of {clients} clients"
            self._log.info(text, epoch=epoch, locks=len(estate.claims), clients=len(estate.clients))
        else:
            self._arbiter.restore()
            text = "leading, epoch {epoch}: for {grace:.1f} s, only holders of locks of the leader before are served"
            self._log.info(text, epoch=epoch, grace=grace)
        self._lifespan.startService()
        self._show_role()
        if self.observer is not None:
            self.observer.leads(True)
        self._look()

    def kept(self) -> None:
        """See L{Events.kept}."""
        self._look()

    def deposed(self, why: str) -> None:
        """See L{Events.deposed}."""
        if not self._is_resigning:
            self._log.error("this daemon does not lead any more, and grants nothing: {why}", why=why)
            self._step_down(why)

    def followed(self, leader: str) -> None:
        """See L{Events.followed}."""
        self._leader = leader
        if leader and leader != self._quorum.identity:
            self._log.info("standing by: {leader} leads", leader=leader)
            if self._successor is not None:
                successor, self._successor = self._successor, None
                successor.callback(leader)
        self._show_role()

    def changed(self) -> None:
        """See L{Events.changed}."""
        self._show_role()

    def known_epoch(self) -> int:
        """See L{Events.known_epoch}."""
        epochs: Any = self._arbiter.epochs
        return int(epochs.highest_known(self._arbiter.now().wall))

    def note_epoch(self, epoch: int) -> None:
        """Note that a daemon of the group has begun C{epoch}."""
        epochs: Any = self._arbiter.epochs
        epochs.elsewhere = max(epochs.elsewhere, epoch)

    def hand_over(self, tell: Callable[[str, str], None]) -> None:
        """Leave the leadership to another daemon; see L{flom.server.connection.LockFactory}."""
        why = ""
        if self._tenure is None or self._is_resigning:
            why = "it does not lead"
        elif self._arbiter.is_draining or self._arbiter.is_closed:
            why = "it is about to end"
        else:
            try:
                word = self._word()
            except HandoverFailed as e:
                why = str(e)
        if why:
            self._log.warn("not handed over: {why}", why=why)
            tell("", why)
            return
        handed = Deferred.fromCoroutine(self._hand_over(word, tell))
        handed.addErrback(Failure.trap, CancelledError)
        handed.addErrback(lambda failure: self._log.failure("handing over", failure))

    def status(self) -> QuorumStatus:
        """Return what is known of the quorum."""
        view, arbiter = self._elector.view, self._arbiter
        problem = view.problem
        if not problem and arbiter.is_paused:
            problem = "etcd has not kept the lease of this daemon"
        elif not problem and not self._leader:
            problem = "no daemon leads at this moment"
        members = dict.fromkeys(filter(None, (view.leader, self._quorum.identity, *view.members)))
        return QuorumStatus(
            view.leader,
            view.since or None,
            view.epoch,
            arbiter.grants_now,
            None if view.lease_left is None else round(max(0.0, view.lease_left), 3),
            tuple(members),
            dict(view.endpoints),
            "" if arbiter.grants_now else problem,
        )

    async def _hand_over(self, word: str, tell: Callable[[str, str], None]) -> None:
        began, tenure = self._clock.seconds(), self._tenure
        self._arbiter.freeze()
        successor: Deferred[str] = Deferred()
        self._successor = successor
        leader, why = "", ""
        try:
            await self._resign(word, HOLD_BACK)
            leader = await successor.addTimeout(HOLD_BACK, self._clock, _give_up)
        except FlomError as e:
            why = str(e)
        finally:
            self._successor = None
        tell(leader, why)
        seconds = self._clock.seconds() - began
        if why:
            self._log.warn("the leadership was given up, and {why}", why=why)
        else:
            text = "standing by: {leader} leads; nothing was granted for {seconds:.3f} s"
            self._log.info(text, leader=leader, seconds=seconds)
        if self._tenure is tenure:
            self._step_down("another daemon leads")

    def _word(self) -> str:
        """
        Return the word for the next leader.

        @raise HandoverFailed: there is none to leave: something is held that is not known here, or whose holder could
            not find the next leader.
        """
        assert self._tenure is not None
        if self._arbiter.is_paused or not self._tenure.knows_holders(self._quorum.now()) or self._arbiter.is_in_grace:
            raise HandoverFailed("not all that is held is known at this moment")
        word = estate_of(self._arbiter, self._sessions)[0].write()
        if len(word) > MOST_LEFT:
            raise HandoverFailed(f"what is held takes {len(word)} bytes, more than {MOST_LEFT}")
        return word

    def _read(self, word: str) -> Estate | None:
        """Return what the leader before has left by C{word}; C{None} if that is nothing, or cannot be read."""
        if not word:
            return None
        try:
            estate = read_estate(word)
            self._arbiter.check(estate)
        except (FlomError, ValueError) as e:
            self._log.error("what the leader before has left is of no use, and is not used: {why}", why=str(e))
            return None
        return estate

    def _resign(self, word: str, hold_back: float = 0.0) -> Deferred[None]:
        """Resign: nothing is granted or answered from now on, whatever becomes of that."""
        self._is_resigning = True
        self._arbiter.pause()
        self._stop_timer()
        resigned: Deferred[None] = self._elector.resign(word, hold_back)
        return resigned.addTimeout(RESIGN_WITHIN, self._clock, _give_up)

    def _end(self, result: object) -> Any:
        if isinstance(result, Failure):
            self._log.warn("not resigned: {why}", why=result.getErrorMessage())
        if self._tenure is not None:
            self._step_down("the daemon ends")
        return self._elector.stopService() if self._elector.running else succeed(None)

    def _step_down(self, why: str) -> None:
        self._tenure = None
        self._is_resigning = False
        self._stop_timer()
        if self._lifespan.running:
            self._lifespan.stopService()
        self._arbiter.step_down(why)
        self._show_role()
        if self.observer is not None:
            self.observer.leads(False)

    def _look(self) -> None:
        """Pause when the tenure is over, and go on when it was prolonged."""
        tenure, arbiter = self._tenure, self._arbiter
        if tenure is None or self._is_resigning:
            return
        now = self._quorum.now()
        if tenure.may_answer(now):
            if arbiter.is_paused:
                self._log.warn("etcd has kept the lease of this daemon: locks are granted again")
                arbiter.go_on()
            self._set_timer(tenure.ends_at - now)
        elif not arbiter.is_paused:
            why = self._elector.view.problem or "this process did not run"
            self._log.error("nothing is granted: etcd has not kept the lease of this daemon: {why}", why=why)
            arbiter.pause()

    def _set_timer(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(max(0.0, seconds), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._look()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _show_role(self) -> None:
        self._counters.role = (Role.STANDBY if self._tenure is None else Role.LEADER).value


def parts_of(
    quorum: Quorum,
    arbiter: DeferredArbiter,
    clock: IReactorTime,
    options: ServerOptions,
    counters: Counters,
    proofs: Proofs,
    lifespan: LifespanService,
) -> tuple[LeasedFactory, QuorumService]:
    """Return the parts of a daemon that are others under a quorum: what serves its clients, and what decides when."""
    assert isinstance(arbiter, LeasedArbiter)
    factory = LeasedFactory(arbiter, clock, options, counters, proofs)
    factory.sessions.keep_all()
    factory.terms = factory.terms.replace(timeout=quorum.times.told, required=True, quorum=True)
    heartbeats = Heartbeats(clock, factory, quorum.times.session)
    return factory, QuorumService(clock, arbiter, quorum, factory.sessions, lifespan, counters, heartbeats)


def _give_up(result: object, seconds: float) -> Any:
    if isinstance(result, Failure):
        raise HandoverFailed(f"no daemon has taken over within {seconds:g} s")
    return result

"""
Stands for election at etcd: wins, keeps and loses the key C{PREFIX/leader}.

The key is under a lease, and was put by a transaction that found none, with a value that only that try writes. As long
as it is there, no other daemon leads. What the leader may do, and until when, is decided by L{flom.core.quorum.tenure}.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from secrets import token_hex
from typing import Any, Final, NamedTuple, Protocol

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.core.quorum.tenure import Tenure
from flom.core.quorum.times import QuorumTimes
from flom.core.tokens import begin_epoch, epoch_of
from flom.errors import FlomError, HistoryWentBack
from flom.lean import boottime
from flom.server.quorum.gateway import Gateway, Lease
from flom.server.quorum.members import Members
from flom.server.quorum.offset import (
    EPOCH,
    HALT,
    LAST,
    LEADER,
    Offset,
    ensure_offset,
    halt,
    parse_halt,
    parse_offset,
    read_bounds,
)
from flom.server.quorum.positions import QuorumPositions
from flom.server.quorum.record import Record, Seen
from flom.server.quorum.reign import LOOK, PAUSE, Reign
from flom.server.quorum.store import QuorumStore
from flom.server.quorum.watch import Watch
from flom.server.quorum.wire import Denied, Doubtful, KeyValue, NoLease, created_at, delete, put, read
from flom.server.quorum.word import read_word, write_word
from flom.server.state import StateDirectory
from flom.text import one_line

WORD: Final = "word"

MAX_WORD: Final = 10**6
"""Bytes of the longest word: etcd takes requests of 1.5 MB."""

HOLD_BACK: Final = 2.0
"""Seconds after a resignation in which another daemon may win first: this one would read its own word."""

RESIGN_LIMIT: Final = 1.0
"""Seconds for the transaction that gives the leadership up: the daemon is about to end."""


class Events(Protocol):
    """What an elector tells, and asks."""

    def elected(self, tenure: Tenure, epoch: int, word: str) -> None:
        """This daemon leads; C{word} is what the leader before has left, C{""} if it has left nothing."""

    def deposed(self, why: str) -> None:
        """This daemon, which has led, does not any more, and will not go on in this tenure."""

    def kept(self) -> None:
        """The tenure goes on for longer."""

    def followed(self, leader: str) -> None:
        """C{leader} leads, this daemon or another one; C{""}: none does."""

    def changed(self) -> None:
        """L{Elector.view} has changed otherwise."""

    def known_epoch(self) -> int:
        """Return the highest epoch that is known here, of any daemon; -1 for none."""


@dataclass(frozen=True, slots=True)
class ElectorView:
    """
    For the status.

    @ivar role: C{leader}; C{paused}, if etcd has not confirmed in time that this daemon leads; C{standby} while another
        one leads; C{candidate} while none does, as far as known; C{halted} if etcd has gone back; C{stopped}.
    @ivar leader: its identity; C{""} if it is not known.
    @ivar since: when it was elected, seconds since the epoch of the wall clock; 0 if it is not known.
    @ivar epoch: the leader's; 0 if it is not known.
    @ivar lease_left: seconds until this daemon stops, unless it hears of etcd; C{None} if it does not lead.
    @ivar problem: why no daemon leads, or etcd is not heard; C{""} if all is well.
    @ivar endpoints: each with what was wrong with its last answer, or C{""}.
    @ivar members: the identities of the daemons that would lead, as far as known.
    """

    role: str
    leader: str
    since: float
    epoch: int
    lease_left: float | None
    problem: str
    endpoints: tuple[tuple[str, str], ...]
    members: tuple[str, ...] = ()


class _Leader:
    """Who leads, as the key says."""

    def __init__(self, found: KeyValue, offset: Offset | None) -> None:
        self.created = found.created
        self.epoch = 0 if offset is None else found.created + offset.offset
        try:
            about = json.loads(found.value)
            self.name, self.since = one_line(str(about["leader"])), float(about["since"])
        except (KeyError, TypeError, ValueError, RecursionError):
            self.name, self.since = "unknown", 0.0


class Elector(Service):
    """
    One daemon's part in the election.

    @ivar tenure: C{None} while this daemon does not lead.
    @ivar positions: of sequences, while this daemon leads; C{None} otherwise.
    @ivar store: what is kept beside the locks, while this daemon leads; C{None} otherwise.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        gateway: Gateway,
        times: QuorumTimes,
        identity: str,
        events: Events,
        *,
        state: StateDirectory | None = None,
        now: Callable[[], float] = boottime,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """
        @param gateway: counts leases by C{now} too.
        @param identity: names this daemon to people, on one line.
        @param state: where the highest epoch is remembered; C{None} for nowhere.
        @param now: a clock that goes on while the machine sleeps, in seconds.
        @param wall: the wall clock, in seconds since its epoch.
        """
        self.tenure: Tenure | None = None
        self.positions: QuorumPositions | None = None
        self.store: QuorumStore | None = None
        self._reactor = reactor
        self._gateway = gateway
        self._times = times
        self._identity = identity
        self._events = events
        self._now = now
        self._wall = wall
        self._record = Record(state, str(gateway.address))
        self._key = gateway.address.key(LEADER)
        self._members = Members(reactor, gateway, identity, events.changed)
        self._driver: Deferred[None] | None = None
        self._listing: Deferred[None] | None = None
        self._reign: Reign | None = None
        self._leader: _Leader | None = None
        self._role = "stopped"
        self._problem = ""
        self._failures = 0  # one after the other
        self._holds_back_until = float("-inf")
        self._resigning: Deferred[None] | None = None
        self._is_leaving = False  # true while a lease is about to be revoked
        self._has_watch_ended = False
        self._is_roused = False
        self._nap: Deferred[None] | None = None
        self._raised = 0  # when the epoch was raised last, as far as known
        if (seen := self._record.read()) is not None:
            gateway.history.epoch, gateway.history.revision, self._raised = seen

    # for the daemon

    def startService(self) -> None:
        super().startService()
        self._role = "candidate"
        self._driver = Deferred.fromCoroutine(self._run())
        self._driver.addErrback(self._note_end)
        self._listing = Deferred.fromCoroutine(self._members.run())
        self._listing.addErrback(self._note_end)

    def stopService(self) -> Deferred[None]:
        """Stop, and give the leadership up, if it was not before; no word is left."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    @property
    def view(self) -> ElectorView:
        """What there is to show."""
        leader, tenure = self._leader, self.tenure
        return ElectorView(
            self._role,
            "" if leader is None else leader.name,
            0.0 if leader is None else leader.since,
            0 if leader is None else leader.epoch,
            None if tenure is None else max(0.0, tenure.ends_at - self._now()),
            self._problem,
            tuple(self._gateway.problems.items()),
            self._members.names,
        )

    def resign(self, word: str = "", hold_back: float = HOLD_BACK) -> Deferred[None]:
        """
        Resign, for good, whatever becomes of the transaction.

        @param word: for the next leader, which reads it once, of L{MAX_WORD} bytes at most; C{""} for none.
        @param hold_back: seconds for which another daemon may win first.
        @return: fires when it is done; with L{Doubtful} if it is not known whether it is, with L{Denied} if the word is
            too long, or this daemon does not lead.
        """
        return Deferred.fromCoroutine(self._resign(word, hold_back))

    async def _resign(self, word: str, hold_back: float) -> None:
        reign = self._reign
        if reign is None:
            raise Denied("this daemon does not lead")
        size = len(word.encode("utf-8", "surrogateescape"))
        if size > MAX_WORD:
            raise Denied(f"the word for the next leader has {size} bytes, which are more than {MAX_WORD}")
        written = write_word(word, self._wall())
        self._holds_back_until = self._now() + hold_back
        if self.tenure is not None:
            self.tenure.resign()
        then = [delete(self._key), *([put(self._gateway.address.key(WORD), written)] if written else ())]
        finished: Deferred[None] = Deferred()
        self._resigning = finished
        try:
            reign.end("resigned")  # which is told first; the lease is not revoked before the transaction has ended
            compare = [created_at(self._key, reign.created)]
            answer = await self._gateway.transact(compare, then, limit=RESIGN_LIMIT)
        finally:
            self._resigning = None
            finished.callback(None)
        if not answer.has_succeeded:
            raise Denied("another daemon leads already")

    async def _stop(self) -> None:
        driver, self._driver = self._driver, None
        if self._listing is not None:
            self._listing.cancel()
        leaving = Deferred.fromCoroutine(self._members.leave())
        if driver is not None:
            if not self._is_leaving:
                driver.cancel()  # it revokes the lease, if there is one
            driver.addTimeout(RESIGN_LIMIT, self._reactor)
            driver.addErrback(lambda _: None)
            await driver
        leaving.cancel()  # it had the same time
        leaving.addErrback(self._note_end)
        self._role = "stopped"
        await self._gateway.close()

    def _note_end(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("standing for election", failure)

    # the driver

    async def _run(self) -> None:
        while self.running:
            try:
                await self._follow()
                await self._campaign()
            except HistoryWentBack as e:
                await self._stand_halted(str(e))
            except FlomError as e:
                self._note_error(e)
                await self._sleep(PAUSE)
            except CancelledError:
                raise
            except Exception:
                self._log.failure("standing for election")
                await self._sleep(LOOK)

    async def _follow(self) -> None:
        """
        Return when no daemon leads, and this one may stand.

        A watch tells at once; the key is read now and then besides.
        """
        watch: Watch | None = None
        self._has_watch_ended = False
        try:
            while True:
                self._is_roused = False
                is_free, revision = await self._look()
                held_back = self._holds_back_until - self._now()
                if is_free and held_back <= 0:
                    return
                if watch is None or self._has_watch_ended:
                    is_again = watch is not None
                    self._has_watch_ended = False
                    watch = Watch(
                        self._reactor, self._gateway, self._key, revision + 1, self._rouse_by, self._note_watch_end
                    )
                    watch.begin()
                    if is_again:
                        await self._sleep(PAUSE)
                await self._sleep(min(held_back, LOOK) if is_free else LOOK)
        finally:
            if watch is not None:
                watch.close()

    async def _look(self) -> tuple[bool, int]:
        """
        Read who leads; return whether none does, and the revision of this answer.

        @raise HistoryWentBack: etcd has, or another daemon says that it has.
        """
        gateway, floor = self._gateway, self._gateway.history.epoch
        keys = [self._key, gateway.address.key(EPOCH), gateway.address.key(HALT)]
        answer = await gateway.transact([], list(map(read, keys)))
        leader, offset, halted = answer.found
        if halted:
            raise HistoryWentBack(parse_halt(halted[0]).why)
        self._note_error(None)
        parsed = parse_offset(offset[0]) if offset else None
        self._raised = max(self._raised, -1 if parsed is None else parsed.raised)
        self._note_leader(_Leader(leader[0], parsed) if leader else None, floor)
        return not leader, answer.revision

    def _note_leader(self, leader: _Leader | None, floor: int) -> None:
        before, self._leader = self._leader, leader
        if leader is not None and leader.epoch:
            self._gateway.history.note_epoch(leader.epoch, floor)
        if (before and before.created) != (leader and leader.created):
            self._role = "candidate" if leader is None else "standby"
            if leader is not None:
                self._remember()
            self._events.followed("" if leader is None else leader.name)

    def _remember(self) -> None:
        self._record.write(Seen(self._gateway.history.epoch, self._gateway.history.revision, self._raised))

    async def _campaign(self) -> None:
        """Try to win, and lead if that succeeds; return when this daemon does not lead."""
        gateway, history = self._gateway, self._gateway.history
        clock_epoch = epoch_of(begin_epoch(-1, self._wall()))
        await ensure_offset(gateway, seen=history.epoch, known=self._events.known_epoch(), clock_epoch=clock_epoch)
        lease = await gateway.grant_lease(ceil(self._times.lease))
        try:
            won = await self._try_to_win(lease)
            if won is not None:
                await self._lead(won, lease)
        finally:
            self._is_leaving = True
            if self._resigning is not None:
                await self._resigning
            await self._revoke(lease)
            self._is_leaving = False

    async def _try_to_win(self, lease: Lease) -> _Won | None:
        """Send the transaction that puts the key if there is none; return C{None} if this daemon has not won."""
        gateway, floor = self._gateway, self._gateway.history.epoch
        about = {"leader": self._identity, "since": self._wall(), "try": token_hex(16)}
        value = json.dumps(about).encode()
        epoch, halt, word, last = map(gateway.address.key, (EPOCH, HALT, WORD, LAST))
        try:
            answer = await gateway.transact(
                [created_at(self._key, 0), created_at(halt, 0)],
                [put(self._key, value, lease.id), read(epoch), delete(word), put(last, value)],
            )
        except Doubtful:
            return await self._see_whether_won(lease, value, floor)
        except NoLease:
            return None
        if not answer.has_succeeded:
            return None
        _, offset, left, _ = answer.found
        word, why = read_word(left[0].value if left else b"", self._wall())
        if why:
            self._log.warn("the word of the leader before is not used: {why}", why=why)
        return self._won(value, answer.revision, offset, word, floor)

    async def _see_whether_won(self, lease: Lease, value: bytes, floor: int) -> _Won | None:
        """
        Read the key after a doubtful answer. If it is free, it may still become ours: the lease has to be revoked.

        The word, if there was one, was deleted with what was not answered: it counts as not left.
        """
        while self._now() < lease.sent_at + lease.ttl:
            try:
                answer = await self._gateway.transact([], [read(self._key), read(self._gateway.address.key(EPOCH))])
            except Doubtful as e:
                self._note_error(e)
                await self._sleep(PAUSE)
                continue
            leader, offset = answer.found
            if leader and leader[0].value == value:
                return self._won(value, leader[0].created, offset, "", floor)
            return None
        return None

    def _won(self, value: bytes, created: int, offset: tuple[KeyValue, ...], word: str, floor: int) -> _Won:
        won_at = self._now()
        if not offset:
            raise HistoryWentBack(f"{self._gateway.address.key(EPOCH)} has gone from etcd")
        epoch = self._gateway.history.begin(created, parse_offset(offset[0]).offset, floor)
        return _Won(value, created, epoch, word, won_at)

    async def _lead(self, won: _Won, lease: Lease) -> None:
        """Lead until that ends, and have it told."""
        tenure = Tenure(self._times, won_at=won.at, sent_at=lease.sent_at, ttl=lease.ttl, has_no_holders=bool(won.word))
        reign = Reign(
            self._reactor,
            self._gateway,
            self._times,
            tenure,
            self._now,
            key=self._key,
            halt=self._gateway.address.key(HALT),
            value=won.value,
            created=won.created,
            lease=lease.id,
            on_change=self._note_pause,
            on_kept=self._events.kept,
            on_error=self._note_error,
        )
        leadership = (self._reactor, self._gateway, self._key, won.created, reign.end)
        positions, store = QuorumPositions(*leadership), QuorumStore(*leadership)
        for kept in (positions, store):
            await self._fetch(kept)
        self._remember()
        about = json.loads(won.value)
        self._leader = _Leader(KeyValue(self._key, won.value, won.created, won.created, lease.id), None)
        self._leader.epoch = won.epoch
        self._reign, self.tenure, self._role = reign, tenure, "leader"
        self.positions, self.store = positions, store
        why = "an error in this daemon, which its log has"
        try:
            self._events.followed(about["leader"])
            self._events.elected(tenure, won.epoch, won.word)
            why = await reign.run()
        except CancelledError:
            why = "this daemon stops"
            raise
        except HistoryWentBack as e:
            why = str(e)
            raise
        finally:
            tenure.resign()
            self._reign = self.tenure = self.positions = self.store = None
            self._leader = None
            self._role = "candidate"
            for kept in (positions, store):
                kept.close(why)
            self._events.deposed(why)

    async def _fetch(self, kept: QuorumPositions | QuorumStore) -> None:
        """Read what is kept, of another member if the first one is in doubt: what was won is not given up for that."""
        for _ in self._gateway.address.endpoints:
            try:
                return await kept.fetch()
            except Doubtful as e:
                self._note_error(e)
        return await kept.fetch()

    async def _revoke(self, lease: Lease) -> None:
        """End the lease, whatever may still become of the key under it."""
        while True:
            try:
                await self._gateway.revoke(lease.id)
            except Doubtful as e:
                self._note_error(e)
                if not self.running:
                    return
            except Denied as e:
                self._note_error(e)
                return
            else:
                return
            await self._sleep(PAUSE)

    async def _stand_halted(self, why: str) -> None:
        """Wait for C{flomctl epoch --raise}: etcd has gone back, so that epochs, and more, may be given again."""
        gateway, seen = self._gateway, self._gateway.history.epoch
        self._leader = None
        gateway.forget_history()
        if await self._was_raised(seen):
            self._log.info("{why}, and the epoch was raised since", why=why)
            return
        self._role = "halted"
        problem = f"{why}: no daemon leads until flomctl epoch --raise"
        self._log.critical("{problem}", problem=problem)
        self._set_problem(problem)
        self._events.followed("")
        has_told = False
        while True:
            try:
                if not has_told:
                    await halt(gateway, seen, why)
                    has_told = True
                found = await read_bounds(gateway)
                if found.halt is None and found.epoch >= seen:
                    self._raised = found.raised
                    break
            except HistoryWentBack:
                gateway.forget_history()
                has_told = False
            except FlomError as e:
                self._log.debug("halted: {why}", why=str(e))
            await self._sleep(LOOK)
        self._role = "candidate"
        self._log.info("the epoch was raised above {seen}: this daemon stands for election again", seen=seen)
        self._set_problem("")

    async def _was_raised(self, seen: int) -> bool:
        """Return whether the epoch was raised above C{seen} while this daemon did not look."""
        try:
            found = await read_bounds(self._gateway)
        except FlomError:
            return False
        if found.halt is not None or found.raised <= self._raised or found.epoch < seen:
            return False
        self._raised = found.raised
        return True

    # helpers of the driver

    def _note_pause(self) -> None:
        assert self._reign is not None
        self._role = "paused" if self._reign.is_paused else "leader"
        self._events.changed()

    def _note_error(self, error: FlomError | None) -> None:
        """Note what is wrong with etcd, once as many tries have failed as it has members; C{None} after an answer."""
        if error is None:
            self._failures = 0
            self._set_problem("")
            return
        self._failures += 1
        if self._failures >= len(self._gateway.address.endpoints) or not isinstance(error, Doubtful):
            self._set_problem(str(error))

    def _set_problem(self, problem: str) -> None:
        before, self._problem = self._problem, problem
        if bool(before) != bool(problem):
            if self._role != "halted" and problem:
                self._log.warn("etcd: {problem}", problem=problem)
            elif not problem:
                self._log.info("etcd: it answers again")
            self._events.changed()

    def _rouse_by(self, found: KeyValue) -> None:
        self._rouse()

    def _note_watch_end(self, why: str) -> None:
        self._log.debug("the watch of {key} begins anew: {why}", key=self._key, why=why)
        self._has_watch_ended = True
        self._rouse()

    def _rouse(self) -> None:
        """End the present sleep, or the next one at once."""
        self._is_roused = True
        self._end_nap()

    def _end_nap(self) -> None:
        if self._nap is not None and not self._nap.called:
            self._nap.callback(None)

    async def _sleep(self, seconds: float) -> None:
        if self._is_roused:
            self._is_roused = False
            return
        nap: Deferred[None] = Deferred()
        self._nap = nap
        call = self._reactor.callLater(max(0.0, seconds), self._end_nap)
        try:
            await nap
        finally:
            self._nap = None
            self._is_roused = False
            if call.active():
                call.cancel()


class _Won(NamedTuple):
    """What was won; C{at} is when this daemon knew."""

    value: bytes
    created: int
    epoch: int
    word: str
    at: float

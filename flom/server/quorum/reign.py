"""One tenure at etcd: the lease is kept, the key is watched and read, until the leadership ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from flom.core.quorum.tenure import Tenure
from flom.core.quorum.times import QuorumTimes
from flom.errors import HistoryWentBack
from flom.server.quorum.gateway import Gateway
from flom.server.quorum.offset import parse_halt
from flom.server.quorum.watch import Watch
from flom.server.quorum.wire import Denied, Doubtful, KeyValue, QuorumError, read

LOOK: Final = 2.0
"""Seconds between two reads of the key: a watch that is silent proves nothing."""

PAUSE: Final = 0.3
"""Seconds before the next try after one that has failed."""


class Reign:
    """
    Keeps what was won.

    @ivar created: the revision that created the key.
    @ivar is_paused: true while etcd has not confirmed in time that this daemon leads.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        gateway: Gateway,
        times: QuorumTimes,
        tenure: Tenure,
        now: Callable[[], float],
        *,
        key: str,
        halt: str,
        value: bytes,
        created: int,
        lease: int,
        on_change: Callable[[], None],
        on_kept: Callable[[], None],
        on_error: Callable[[QuorumError | None], None],
    ) -> None:
        """
        @param halt: the key by which another daemon says that etcd has gone back: this one may not have noticed.
        @param on_change: called when L{is_paused} has changed.
        @param on_kept: called when the tenure goes on for longer.
        @param on_error: called with what is wrong with etcd, and with C{None} after the key was read: a keepalive that
            succeeds does not prove that anything else does.
        """
        self.created = created
        self.is_paused = False
        self._reactor = reactor
        self._gateway = gateway
        self._times = times
        self._tenure = tenure
        self._now = now
        self._key = key
        self._halt = halt
        self._value = value
        self._lease = lease
        self._on_change = on_change
        self._on_kept = on_kept
        self._on_error = on_error
        self._end: Deferred[str] = Deferred()
        self._keepalives: dict[Deferred[None], str] = {}  # that are not answered, each with the endpoint
        self._looking: Deferred[None] | None = None
        self._watch: Watch | None = None
        self._read_at = 0  # the revision in which the key was read last
        self._next_keepalive: IDelayedCall | None = None
        self._next_look: IDelayedCall | None = None

    async def run(self) -> str:
        """
        Go on until the leadership ends; return why.

        @raise HistoryWentBack: etcd has.
        """
        try:
            self._keep()
            self._look()
            return await self._end
        finally:
            self._stop()

    def end(self, why: str) -> None:
        """End: L{run} returns C{why}."""
        if not self._end.called:
            self._end.callback(why)

    def _stop(self) -> None:
        for call in (self._next_keepalive, self._next_look):
            if call is not None and call.active():
                call.cancel()
        if self._watch is not None:
            self._watch.close()
        for keepalive in list(self._keepalives):
            keepalive.cancel()
        if self._looking is not None:
            self._looking.cancel()

    def _fail(self, failure: Failure) -> None:
        """Make L{run} raise what has failed, unless it was only cancelled."""
        if not failure.check(CancelledError) and not self._end.called:
            self._end.errback(failure)

    # the lease

    def _keep(self) -> None:
        """Send the next keepalive, to another member if the last one has not answered yet."""
        self._note_time()
        if self._end.called:
            return
        self._next_keepalive = self._reactor.callLater(self._times.keepalive_interval, self._keep)
        for endpoint in self._keepalives.values():
            self._gateway.go_on(endpoint)
        endpoint = self._gateway.endpoint
        keepalive: Deferred[None] = Deferred.fromCoroutine(self._keep_once())
        if not keepalive.called:
            self._keepalives[keepalive] = endpoint
        keepalive.addErrback(self._fail)
        keepalive.addBoth(lambda _: self._keepalives.pop(keepalive, None))

    async def _keep_once(self) -> None:
        sent_at = self._now()
        try:
            ttl = await self._gateway.keep_alive(self._lease)
            if ttl <= 0:
                self.end("etcd has ended the lease")
                return
            # after the end of the tenure, another daemon may have won, or etcd may have gone back
            if self._now() >= self._tenure.ends_at and not await self._is_ours():
                return
        except (Doubtful, Denied) as e:
            self._on_error(e)
            return
        if self._end.called:
            return
        self._tenure.kept(sent_at, ttl)
        self._note_time()
        if not self._end.called:
            self._on_kept()

    def _note_time(self) -> None:
        """Notice that the tenure has ended, or goes on again; and end it once no client can hold anything any more."""
        late = self._now() - self._tenure.ends_at
        if late >= self._times.session:
            self.end(f"etcd has not confirmed the lease for {late + self._times.lead_within(self._times.lease):.1f} s")
        elif (late >= 0) != self.is_paused:
            self.is_paused = late >= 0
            self._on_change()

    # the key

    def _look(self) -> None:
        """Read the key, and watch it from then on."""
        if self._next_look is not None and self._next_look.active():
            self._next_look.cancel()
        self._next_look = self._reactor.callLater(LOOK, self._look)
        if self._looking is None:
            self._looking = Deferred.fromCoroutine(self._look_once())
            self._looking.addErrback(self._fail)
            self._looking.addBoth(self._note_looked)

    def _note_looked(self, _: object) -> None:
        self._looking = None

    async def _look_once(self) -> None:
        try:
            is_ours = await self._is_ours()
        except (Doubtful, Denied) as e:
            self._on_error(e)
            return
        self._on_error(None)
        if is_ours and self._watch is None and not self._end.called:
            self._watch = Watch(
                self._reactor, self._gateway, self._key, self._read_at + 1, self._note_change, self._note_watch_end
            )
            self._watch.begin()

    async def _is_ours(self) -> bool:
        """
        Return whether the key is what this daemon has put; if not, the leadership has ended.

        @raise HistoryWentBack: etcd has, or another daemon says so.
        """
        answer = await self._gateway.transact([], [read(self._key), read(self._halt)])
        self._read_at = answer.revision
        found, halted = answer.found
        if halted:
            raise HistoryWentBack(parse_halt(halted[0]).why)
        if found and found[0].value == self._value and found[0].created == self.created:
            return True
        self.end("another daemon leads" if found else f"{self._key} has gone from etcd")
        return False

    def _note_change(self, found: KeyValue) -> None:
        self._look_soon(0)

    def _note_watch_end(self, why: str) -> None:
        self._watch = None
        self._log.debug("the watch of {key} begins anew: {why}", key=self._key, why=why)
        self._look_soon(PAUSE)

    def _look_soon(self, seconds: float) -> None:
        if not self._end.called:
            if self._next_look is not None and self._next_look.active():
                self._next_look.cancel()
            self._next_look = self._reactor.callLater(seconds, self._look)

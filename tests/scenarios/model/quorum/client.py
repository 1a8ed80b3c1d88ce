"""One client: C{flom-run --on-lost terminate}, one after another, as short as it can be said: L{Client}."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from flom.core.lease import Lease
from tests.scenarios.model.quorum.daemon import (
    END,
    GRANTED,
    LOCK,
    PING,
    PONG,
    QUEUED,
    REFUSED,
    UNLOCK,
    UNLOCKED,
    Daemon,
    Session,
)
from tests.scenarios.model.quorum.hosts import Host

if TYPE_CHECKING:
    from tests.scenarios.model.quorum.world import World

RETRY: Final = 0.3
"""Seconds between two attempts to connect."""

CONNECT: Final = 1.5
"""Seconds to wait for the first answer of a daemon."""

NEVER: Final = float("inf")


class Link:
    """
    One connection: what is sent by one end arrives at the other in its order, or not at all.

    @ivar session: what the daemon knows the client by.
    """

    __slots__ = ("_back", "_back_at", "_out", "_out_at", "client", "daemon", "is_open_here", "is_open_there", "session")

    def __init__(self, client: Client, daemon: Daemon) -> None:
        self.client = client
        self.daemon = daemon
        self.session: Session | None = None
        self._out: deque[tuple[Any, ...]] = deque()
        self._back: deque[tuple[Any, ...]] = deque()
        self._out_at = self._back_at = 0.0
        self.is_open_here = self.is_open_there = True

    def send(self, *message: object) -> None:
        """Send C{message} to the daemon."""
        timeline = self.client.world.timeline
        self._out.append(message)
        self._out_at = max(self._out_at, timeline.now + timeline.delay())
        timeline.at(self._out_at, self.daemon.host, self._arrive)

    def _arrive(self) -> None:
        timeline, daemon = self.client.world.timeline, self.daemon
        if daemon.is_dead:
            self._out.clear()
        elif timeline.cuts and (self.client.host.name, daemon.host.name) in timeline.cuts:  # it is sent again
            timeline.at(timeline.now + 0.1 + 2 * timeline.random.random(), daemon.host, self._arrive)
        elif self._out:
            message = self._out.popleft()
            if self.is_open_there:
                daemon.hear(self, message)

    def answer(self, message: tuple[Any, ...]) -> None:
        """Send C{message} to the client."""
        timeline = self.client.world.timeline
        self._back.append(message)
        self._back_at = max(self._back_at, timeline.now + timeline.delay())
        timeline.at(self._back_at, self.client.host, self._return)

    def _return(self) -> None:
        timeline, client = self.client.world.timeline, self.client
        if not self.is_open_here:
            self._back.clear()
        elif timeline.cuts and (self.daemon.host.name, client.host.name) in timeline.cuts:
            timeline.at(timeline.now + 0.1 + 2 * timeline.random.random(), client.host, self._return)
        elif self._back:
            client.hear(self, self._back.popleft())

    def end_there(self) -> None:
        """Close the daemon's end."""
        if self.is_open_there:
            self.is_open_there = False
            self.answer((END,))

    def break_here(self) -> None:
        """Abandon it at the client's end; what is on its way may still arrive."""
        self.is_open_here = False


class Client:
    """
    One client.

    @ivar state: C{idle}; C{asking}; C{checking} whether what was granted is still held; C{running}; C{ending}, when the
        lock is lost; C{unlocking}.
    @ivar ran: how many commands it has run.
    """

    def __init__(self, world: World, host: Host) -> None:
        self.world = world
        self.host = host
        self.rules = world.rules
        self.times = world.rules.times
        self.state = "idle"
        self.ran = 0
        self.token = 0
        self._timer = 0
        self._clear()

    def _clear(self) -> None:
        self.state = "idle"
        self._lease = Lease(self.times.patience, self.times.interval, self.times.kill_after)
        self._link: Link | None = None
        self._is_answered = False  # by this link
        self._session = self.token = 0
        self._reclaims = False  # what is asked is what it holds
        self._run_number = 0
        self._retry_at = self._connected_at = 0.0
        self._ends_at = NEVER

    @property
    def is_running(self) -> bool:
        """Whether its command runs."""
        return self.state in ("running", "ending")

    def want(self) -> None:
        """Ask for the lock, if it does nothing."""
        if self.state == "idle":
            self.state = "asking"
            self._connect()
            self._arm()

    def _connect(self) -> None:
        """Ask the daemon that leads, as far as it can find out; often another one."""
        world, now = self.world, self.host.now
        self._retry_at = now + RETRY
        daemon = world.choose_daemon()
        cuts = world.timeline.cuts
        if daemon is None:
            return
        ends = self.host.name, daemon.host.name
        if cuts and (ends in cuts or ends[::-1] in cuts):
            return
        self._link = link = Link(self, daemon)
        self._is_answered = False
        self._connected_at = now
        self._lease.reconnected()
        self._lease.sent(now)
        self._reclaims = self.state == "running"
        link.send(LOCK, self._session, self.token if self._reclaims else 0)

    def hear(self, link: Link, message: tuple[Any, ...]) -> None:
        """Receive what a daemon has sent."""
        if link is not self._link:
            return
        kind = message[0]
        if kind == END:
            self._lose_link()
        elif kind == QUEUED:
            self._session = message[1]
            self._note_answer()
        elif kind == GRANTED:
            self._session = message[2]
            self._take(message)
        elif kind == PONG:
            self._note_answer()
            if self.state == "checking" and not self._lease.is_over(self.host.now):
                self._run()
        elif kind == REFUSED:
            if self.state == "running":
                self._lose()
            elif self.state != "ending":
                self._lose_link()
        elif kind == UNLOCKED:
            link.break_here()
            self._clear()
        self._arm()

    def _note_answer(self) -> None:
        self._is_answered = True
        if not self.rules.keeps_from_asked:
            self._lease._unanswered[:1] = [self.host.now]
        self._lease.answered()

    def _take(self, granted: tuple[Any, ...]) -> None:
        _, is_answer, _, token, _ = granted
        now = self.host.now
        was_over = self._lease.is_over(now)
        if self.state == "running":
            if token != self.token or (was_over and self.rules.hears_reclaims_in_time):
                self._lose()
            elif is_answer:
                self._note_answer()
            return
        if is_answer:
            self._note_answer()
        if self.state == "asking":
            self.token = token
            if self._lease.is_over(now) and self.rules.checks_late_grants:
                self.state = "checking"
                self._ping()
            else:
                self._run()

    def _run(self) -> None:
        world = self.world
        self.state = "running"
        self.ran += 1
        self._run_number += 1
        world.note_run(self)
        self.host.after(world.duration(), self._finish, self._lease)

    def _finish(self, lease: Lease) -> None:
        """Unlock: the command has ended."""
        if self.state != "running" or lease is not self._lease:
            return
        self.world.note_end(self)
        self.state = "unlocking"
        if self._link is not None:
            self._link.send(UNLOCK)
        self._ends_at = self.host.now + CONNECT
        self._arm()

    def _lose(self) -> None:
        """End the command: the lock is lost."""
        lease, now = self._lease, self.host.now
        self.world.did["losses"] += 1
        self.state = "ending"
        noticed = min(now, lease.lost_at) if self.rules.kills_in_time else now
        ends_at = noticed + self.times.kill_after
        if self._link is not None:
            self._link.break_here()
            self._link = None
        if ends_at <= now:  # it was frozen
            self._kill(lease)
        else:
            late = self.rules.lag * self.world.timeline.random.random() * self.host.rate
            self.host.after(ends_at - now + late, self._kill, lease)

    def _kill(self, lease: Lease) -> None:
        if self.state == "ending" and lease is self._lease:
            self.world.note_end(self)
            self._clear()

    def _lose_link(self) -> None:
        if self._link is not None:
            self._link.break_here()
        self._link = None
        if self.state == "checking":
            self.state, self.token = "asking", 0
        elif self.state == "unlocking":
            self._clear()
        self._retry_at = self.host.now + RETRY * self.world.timeline.random.random()

    def _ping(self) -> None:
        assert self._link is not None
        self._lease.sent(self.host.now)
        self._link.send(PING)

    def note_death(self, daemon: Daemon) -> None:
        """Note that C{daemon} has died, of which its host tells."""
        if self._link is not None and self._link.daemon is daemon:
            self._link.answer((END,))

    def break_link(self) -> None:
        """Break the connection for this end, the other one, or both."""
        link, random = self._link, self.world.random
        if link is not None:
            self.world.did["breaks"] += 1
            ends = random.choice(["here", "there", "both"])
            if ends != "there":
                self._lose_link()
                self._arm()
            if ends != "here":
                link.is_open_there = False

    def thaw(self) -> None:
        """See what has become of the lock while nothing ran."""
        now = self.host.now
        if self.state == "running" and now >= self._lease.lost_at and not self.rules.reclaims_in_time:
            self._lease.woke(now, 1.0)
        self.tick()
        self._arm()

    def tick(self) -> None:
        """Do what is due."""
        now, lease = self.host.now + 1e-6, self._lease
        if self.state in ("idle", "ending"):
            return
        if self.state == "unlocking":
            if now >= self._ends_at:
                self._lose_link()
            return
        if self.state == "running" and now >= lease.lost_at:
            self._lose()
            return
        link = self._link
        if link is None:
            if now >= self._retry_at:
                self._connect()
        elif not self._is_answered:
            if now >= self._connected_at + CONNECT:
                self._lose_link()
        elif now >= self._doubtful_at:
            self._lose_link()
        elif now >= lease.next_ping:
            self._ping()

    def _arm(self) -> None:
        """Look again when something is due."""
        self._timer += 1
        due = self._next_event()
        if due < NEVER:
            self.host.at(due, self._wake, self._timer)

    def _wake(self, timer: int) -> None:
        if timer == self._timer:
            self.tick()
            self._arm()

    def _next_event(self) -> float:
        lease, link = self._lease, self._link
        if self.state in ("idle", "ending"):
            return NEVER
        if self.state == "unlocking":
            return self._ends_at
        due = lease.lost_at if self.state == "running" else NEVER
        if link is None:
            return min(due, self._retry_at)
        if not self._is_answered:
            return min(due, self._connected_at + CONNECT)
        return min(due, lease.next_ping, self._doubtful_at)

    @property
    def _doubtful_at(self) -> float:
        """When to look for another connection; a waiter may have no patience left, but has some time to ask."""
        unanswered = self._lease._unanswered
        return max(self._lease.doubtful_at, unanswered[-1] + 0.5) if unanswered else NEVER

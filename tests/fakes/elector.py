"""An elector without etcd: a test says who leads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from flom.core.locks.positions import Remembered
from flom.core.quorum.tenure import Tenure
from flom.core.quorum.times import DEFAULT, QuorumTimes
from tests.fakes.kept import MemoryStore

TTL = 3.0


class FakeView(NamedTuple):
    """See L{flom.server.quorum.elector.ElectorView}."""

    role: str = "standby"
    leader: str = ""
    since: float = 0.0
    epoch: int = 0
    lease_left: float | None = None
    problem: str = ""
    endpoints: tuple[tuple[str, str], ...] = (("http://h1:2379", ""),)
    members: tuple[str, ...] = ()


class FakePositions:
    """
    Stands in for L{flom.server.quorum.positions.QuorumPositions}.

    @ivar saved: what was written, and what fires when a test says that it is there.
    """

    problem = ""

    def __init__(self, *remembered: Remembered) -> None:
        self.saved: list[tuple[Mapping[str, Remembered | None], Deferred[None]]] = []
        self._remembered = list(remembered)

    def load(self) -> list[Remembered]:
        return self._remembered

    def save(self, changes: Mapping[str, Remembered | None]) -> Deferred[None]:
        self.saved.append((changes, Deferred()))
        return self.saved[-1][1]


class FakeElector(Service):
    """
    Stands in for L{flom.server.quorum.elector.Elector}.

    @ivar words: what was left by those who resigned.
    @ivar resigned: fires when a test says that etcd has taken the resignation.
    @ivar kept: what is kept at etcd beside the locks, whoever leads.
    @ivar now: seconds of the clock of tenures.
    """

    def __init__(self, events: Any, clock: Clock, times: QuorumTimes = DEFAULT, identity: str = "host-a") -> None:
        self.events = events
        self.view = FakeView()
        self.positions: FakePositions | None = None
        self.store: MemoryStore | None = None
        self.tenure: Tenure | None = None
        self.words: list[str] = []
        self.kept: dict[str, str] = {}
        self.held_back = 0.0
        self.resigned: Deferred[None] = succeed(None)
        self.slept = 0.0  # by the machine: the clock of tenures goes on
        self._clock = clock
        self._times = times
        self._identity = identity
        self._epoch = 100

    def now(self) -> float:
        return self._clock.seconds() + self.slept

    def win(self, word: str = "") -> None:
        """Make this daemon lead, after a leader that has left C{word}."""
        now = self.now()
        self._epoch += 2
        self.positions, self.store = FakePositions(), MemoryStore(self.kept)
        self.tenure = Tenure(self._times, won_at=now, sent_at=now, ttl=TTL, has_no_holders=bool(word))
        self.view = FakeView("leader", self._identity, 1.8e9, self._epoch, self.tenure.ends_at - now)
        self.events.elected(self.tenure, self._epoch, word)
        self.events.followed(self._identity)

    def keep(self) -> None:
        """Keep the lease."""
        assert self.tenure is not None
        self.tenure.kept(self.now(), TTL)
        self.events.kept()

    def keep_for(self, seconds: float, advance: Callable[[float], None] | None = None) -> None:
        """Pass C{seconds}, in which etcd keeps the lease."""
        step = 0.25
        for _ in range(round(seconds / step)):
            (advance or self._clock.advance)(step)
            self.keep()

    def lose(self, why: str = "another daemon leads") -> None:
        """Depose this daemon."""
        self.tenure = self.positions = self.store = None
        self.view = FakeView(problem=why)
        self.events.deposed(why)

    def follow(self, leader: str) -> None:
        """Make another daemon lead."""
        self.view = FakeView(leader=leader)
        self.events.followed(leader)

    def resign(self, word: str = "", hold_back: float = 0.0) -> Deferred[None]:
        assert self.tenure is not None
        self.words.append(word)
        self.held_back = hold_back
        self.tenure.resign()
        self.tenure = self.positions = self.store = None
        self.view = FakeView()
        self.events.deposed("resigned")
        return self.resigned

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return succeed(None)

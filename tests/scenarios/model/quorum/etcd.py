"""What is known of etcd, as one object: L{Etcd}. It does what a cluster was seen to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.scenarios.model.quorum.hosts import Host, Timeline
from tests.scenarios.model.quorum.rules import ELECTION, Rules

NAME: Final = "etcd"

DOUBT: Final = object()
"""What a call answers of which it is not known what becomes of it."""

STALE: Final = 1.5
"""True seconds for which a leader of etcd that is cut off goes on answering keepalives."""

WORD: Final = 60.0
"""
Seconds after which a word is not believed: it may be that of a backup. Backups that are restored are at least as old.
"""

Reply = Callable[[Any], None]


@dataclass
class Lease:
    """
    A lease.

    @ivar ends: the true time.
    @ivar looks: whether its end is looked for.
    """

    id: int
    ttl: float
    ends: float
    looks: bool = False


@dataclass(frozen=True)
class Key:
    """The key of the leadership."""

    value: str
    create_revision: int
    lease: int


@dataclass(frozen=True)
class Found:
    """
    An answer.

    @ivar revision: in its header.
    @ivar is_won: of the transaction that wins.
    @ivar word: that this transaction has deleted; C{None} if there was none.
    """

    revision: int
    key: Key | None
    offset: int
    is_won: bool = False
    word: Any = None


class Call:
    """A call that a daemon has made; it is answered once."""

    __slots__ = ("is_done", "reply")

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.is_done = False

    def answer(self, found: object) -> None:
        if not self.is_done:
            self.is_done = True
            self.reply(found)


class Etcd:
    """
    A cluster.

    @ivar faults: how likely a call is answered by a doubt although it was carried out, or is carried out twice.
    @ivar is_down: whether no majority answers.
    """

    def __init__(
        self, timeline: Timeline, rules: Rules, check_win: Callable[[Key], None], check_end: Callable[[Key], None]
    ) -> None:
        """
        @param check_win: is called when the key has been put.
        @param check_end: is called when it has gone.
        """
        self._timeline = timeline
        self._random = timeline.random
        self._rules = rules
        self._check_win = check_win
        self._check_end = check_end
        self.watchers: list[Callable[[], None]] = []
        self.faults = 0.0
        self.is_down = False
        self._stale_since = self._stale_until = -1.0
        self._stale: set[str] = set()
        self._parked: list[tuple[Host, str, tuple[Any, ...], Call]] = []
        self._rate = 1.0
        self._history = 0  # grows with each restore
        self.revision = 5
        self.key: Key | None = None
        self.word: tuple[Any, float] = (None, 0.0)
        self.offset = 100
        self._leases: dict[int, Lease] = {}
        self._backup = self._state()
        self._backup_at = timeline.now
        self._backs_up_gap = False

    # what daemons call

    def call(self, host: Host, what: str, arguments: tuple[Any, ...], reply: Reply, limit: float = 0.0) -> None:
        """
        Call C{what}; C{reply} is called with the answer.

        @param limit: seconds of the host's clock after which it is called with L{DOUBT}; 0.0: it is never.
        """
        call = Call(reply)
        if limit:
            host.after(limit, call.answer, DOUBT)
        self._timeline.at(self._timeline.now + self._timeline.delay(), None, self._arrive, host, what, arguments, call)

    def _arrive(self, host: Host, what: str, arguments: tuple[Any, ...], call: Call) -> None:
        timeline, random = self._timeline, self._random.random
        if self._stale_since <= timeline.now < self._stale_until and host.name in self._stale:
            if what == "keep":
                ttl = self._leases[arguments[0]].ttl if arguments[0] in self._leases else 0.0
                timeline.at(timeline.now + timeline.delay(), host, call.answer, ttl)
            return
        if timeline.cuts and (host.name, NAME) in timeline.cuts:
            if random() < 0.5:
                timeline.at(timeline.now + 0.3 + 3 * random(), None, self._arrive, host, what, arguments, call)
            return
        if self.is_down:
            self._parked.append((host, what, arguments, call))
            return
        found: object = getattr(self, f"_{what}")(*arguments)
        if self.faults:
            if random() < self.faults and what != "keep":
                found = DOUBT
            if random() < self.faults:
                timeline.at(timeline.now + 8 * random(), None, self._repeat, self._history, what, arguments)
        self._return(host, call, found)

    def _return(self, host: Host, call: Call, found: object) -> None:
        timeline = self._timeline
        if timeline.cuts and (NAME, host.name) in timeline.cuts:
            return
        timeline.at(timeline.now + timeline.delay(), host, call.answer, found)

    def _repeat(self, history: int, what: str, arguments: tuple[Any, ...]) -> None:
        if self.is_down or history != self._history or (what == "grant" and self._rules.numbers_leases):
            return
        getattr(self, f"_{what}")(*arguments)

    def _found(self) -> Found:
        return Found(self.revision, self.key, self.offset)

    def _grant(self, id: int, ttl: float) -> float:
        self._leases[id] = lease = Lease(id, ttl, 0.0)
        self._renew(lease)
        return ttl

    def _keep(self, id: int) -> float:
        """Return the TTL; 0.0 if there is no such lease."""
        lease = self._leases.get(id)
        if lease is None:
            return 0.0
        self._renew(lease)
        return lease.ttl

    def _revoke(self, id: int) -> bool:
        if self._leases.pop(id, None) is not None:
            self._end_key(id)
        return True

    def _win(self, value: str, lease: int) -> Found | None:
        """Put the key if there is none; return C{None} if there is no such lease."""
        if lease not in self._leases:
            return None
        if self.key is not None:
            return self._found()
        self.revision += 1
        self.key = Key(value, self.revision, lease)
        word, since = self.word
        if self._rules.consumes_word:
            self.word = (None, 0.0)
        if self._rules.doubts_old_words and self._timeline.now - since > WORD:
            word = None
        self._check_win(self.key)
        return Found(self.revision, self.key, self.offset, True, word)

    def _read(self) -> Found:
        return self._found()

    def _resign(self, create_revision: int, word: object) -> Found:
        """Delete the key that was created in this revision, and leave word."""
        if self.key is not None and self.key.create_revision == create_revision:
            self.word = (word, self._timeline.now)
            self._delete_key()
        return self._found()

    # what happens to it

    def _renew(self, lease: Lease, more: float = 0.0) -> None:
        lease.ends = self._timeline.now + (lease.ttl + more) / self._rate
        if not self._rules.ends_leases_late:
            lease.ends -= self._random.random() * 0.5 * lease.ttl
        if not lease.looks:
            lease.looks = True
            self._timeline.at(lease.ends, None, self._look, self._history, lease)

    def _look(self, history: int, lease: Lease) -> None:
        timeline, random = self._timeline, self._random.random
        if history != self._history or self._leases.get(lease.id) is not lease:
            return
        if self.is_down:  # nothing is ended without a leader, which renews all
            timeline.at(timeline.now + 0.5, None, self._look, history, lease)
        elif timeline.now < lease.ends:
            timeline.at(lease.ends, None, self._look, history, lease)
        elif random() < 0.3:  # an end may be late
            timeline.at(timeline.now + (0.5 if random() < 0.9 else 5.0) * random(), None, self._look, history, lease)
        else:
            del self._leases[lease.id]
            self._end_key(lease.id)

    def _end_key(self, lease: int) -> None:
        if self.key is not None and self.key.lease == lease:
            self._delete_key()

    def _delete_key(self) -> None:
        key, self.key = self.key, None
        self.revision += 1
        assert key is not None
        self._check_end(key)
        if self._backs_up_gap:
            self._backs_up_gap = False
            self.back_up()
        self._tell()

    def _tell(self) -> None:
        """Notify watches of a change, in two of three cases."""
        timeline = self._timeline
        for watcher in self.watchers:
            if self._random.random() < 0.67:
                timeline.at(timeline.now + timeline.delay(), None, watcher)

    def go_down(self, seconds: float) -> None:
        """Answer nothing for so long; then there is a new leader."""
        if not self.is_down:
            self.is_down = True
            self._timeline.say(f"etcd is down for {seconds:.2f} s")
            self._timeline.at(self._timeline.now + seconds, None, self._come_up)

    def lose_leader(self, hosts: set[str]) -> None:
        """Cut etcd's leader off; it goes on answering keepalives of C{hosts} for a while, in vain."""
        if not self.is_down:
            self._stale = hosts
            self._stale_since = self._timeline.now
            self._stale_until = self._timeline.now + STALE * (0.5 + 0.5 * self._random.random())
            self.go_down(ELECTION * (1.0 + self._random.random()))

    def _come_up(self) -> None:
        self.is_down = False
        rules, random = self._rules, self._random
        self._rate = random.choice([rules.slowest, 1.0, rules.fastest])
        for lease in self._leases.values():
            self._renew(lease, ELECTION if rules.extends_leases else 0.0)
        self._timeline.say("etcd is up")
        parked, self._parked = self._parked, []
        random.shuffle(parked)
        for host, what, arguments, call in parked:
            if random.random() < 0.6:
                self._timeline.say(f"etcd carries out {what} of {host.name} late")
                found = getattr(self, f"_{what}")(*arguments)
                self._return(host, call, found)

    def back_up_gap(self) -> None:
        """Make a backup when the key has gone."""
        self._backs_up_gap = True

    def back_up(self) -> None:
        """Make a backup now."""
        if not self.is_down:
            self._backup = self._state()
            self._backup_at = self._timeline.now

    def restore(self) -> bool:
        """Go back to the backup, and answer nothing meanwhile; return whether that was possible."""
        if self.is_down or self._timeline.now - self._backup_at < WORD:
            return False
        self.go_down(self._rules.restore_takes + 10 * self._random.random() ** 2)
        self._timeline.say(f"etcd is restored from {self.revision} to {self._backup[0]}")
        self._history += 1
        self._stale_until = -1.0
        self._parked.clear()
        self.revision, self.key, self.word, self.offset, leases = self._backup
        self._leases = {id: Lease(id, ttl, 0.0) for id, ttl in leases}
        return True

    def raise_epoch(self, known: int) -> None:
        """Do what C{flomctl epoch --raise} does."""
        self.offset = max(self.offset, known - self.revision)
        self.revision += 1

    def _state(self) -> tuple[int, Key | None, tuple[Any, float], int, list[tuple[int, float]]]:
        leases = [(lease.id, lease.ttl) for lease in self._leases.values()]
        return self.revision, self.key, self.word, self.offset, leases

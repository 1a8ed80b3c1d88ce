"""One daemon: it stands for election, leads while its tenure says so, and has one lock: L{Daemon}."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flom.core.quorum.epoch import History
from flom.core.quorum.tenure import Tenure
from flom.errors import HistoryWentBack
from tests.scenarios.model.quorum.etcd import DOUBT, Found
from tests.scenarios.model.quorum.hosts import Host

if TYPE_CHECKING:
    from tests.scenarios.model.quorum.client import Link
    from tests.scenarios.model.quorum.world import World

POLL: Final = 2.0
"""Seconds after which a daemon reads the key again."""

LIMIT: Final = 2.0
"""Seconds after which a call is in doubt."""

AGAIN: Final = 0.3
"""Seconds after which a call is made again."""

LOCK, PING, UNLOCK = "lock", "ping", "unlock"
QUEUED, GRANTED, REFUSED, PONG, UNLOCKED, END = "queued", "granted", "refused", "pong", "unlocked", "end"

_ids: Final = count(1)


class Session:
    """
    What a client has.

    @ivar heard: when it was heard last, by the clock of the daemon.
    @ivar token: of what it holds; 0 if it waits.
    """

    __slots__ = ("heard", "id", "link", "token")

    def __init__(self, id: int, heard: float, token: int = 0) -> None:
        self.id = id
        self.heard = heard
        self.token = token
        self.link: Link | None = None


class Estate(NamedTuple):
    """The word of a leader: all that is held and waited for."""

    holder: tuple[int, int] | None
    waiters: tuple[int, ...]


class Daemon:
    """
    One start of a daemon.

    @ivar tenure: while it leads.
    @ivar state: C{standby}, C{asking}, C{leader}, or C{halted} when etcd's history has gone back.
    """

    def __init__(self, world: World, host: Host, known: int) -> None:
        """@param known: the highest epoch that is on its disk."""
        self.world = world
        self.host = host
        self.rules = world.rules
        self.times = world.rules.times
        self.history = History(known)
        self.is_dead = False
        self.state = "standby"
        self.tenure: Tenure | None = None
        self.value = ""
        self.epoch = 0
        self._lease = 0
        self._floor = -1
        self._asked = self._kept = 0.0
        self._create_revision = 0
        self._is_ignorant = False
        self._begin()
        world.etcd.watchers.append(self.look)
        self._later(world.random.random(), self._poll)

    def _begin(self) -> None:
        self._holder: Session | None = None
        self._queue: deque[Session] = deque()
        self._sessions: dict[int, Session] = {}
        self._has_granted = False
        self._counter = 0

    def _later(self, seconds: float, call: Callable[..., None], *arguments: object) -> None:
        self.host.after(seconds, self._run, call, arguments)

    def _run(self, call: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if not self.is_dead:
            call(*arguments)

    def _call(self, what: str, reply: Callable[[Any], None], *arguments: object, limit: float = LIMIT) -> None:
        self.world.etcd.call(self.host, what, arguments, lambda found: self._run(reply, (found,)), limit)

    def die(self) -> None:
        self.is_dead = True
        self.tenure = None
        self.world.etcd.watchers.remove(self.look)

    # standing for election

    def look(self) -> None:
        """See who leads, because the watch says that something has changed."""
        if not self.is_dead and not self.host.is_frozen and self.state == "standby":
            self._read()

    def _poll(self) -> None:
        self._later(POLL * (0.5 + self.world.random.random()), self._poll)
        if self.state in ("standby", "leader"):
            self._read()

    def _read(self) -> None:
        floors = self.history.revision, self.history.epoch
        self._call("read", lambda found: self._see(found, self.tenure, *floors))

    def _see(self, found: Any, tenure: Tenure | None, revision: int, epoch: int) -> None:
        if found is DOUBT or self.state not in ("standby", "leader"):
            return
        if not self._note(found, revision, epoch):
            return
        if self.state == "standby" and found.key is None:
            self._stand()
        elif self.state == "leader" and tenure is self.tenure and not self._is_mine(found):
            self._depose()

    def _is_mine(self, found: Found) -> bool:
        return found.key is not None and found.key.value == self.value

    def _note(self, found: Found, revision: int, epoch: int) -> bool:
        """Note what was found; return whether etcd's history goes on."""
        try:
            self.history.note(found.revision, revision)
            if found.key is not None:
                self.history.note_epoch(found.key.create_revision + found.offset, epoch)
        except HistoryWentBack as e:
            self._halt(e)
            return not self.rules.watches_history
        self.world.disks[self.host.name] = self.history.epoch
        return True

    def _halt(self, why: HistoryWentBack) -> None:
        if not self.rules.watches_history:
            self.history = History()
            return
        self.world.timeline.say(f"{self.host.name} halts: {why}")
        self._depose()
        self.state = "halted"
        self.world.need_operator()

    def resume(self) -> None:
        """Go on: an operator has raised the epoch."""
        self.history = History(self.history.epoch)
        if self.state == "halted":
            self.state = "standby"

    def _stand(self) -> None:
        self.state = "asking"
        self._asked = self._kept = self.host.now
        id = next(_ids)
        self._call("grant", lambda ttl: self._ask(id, ttl), id, self.times.lease)

    def _ask(self, lease: int, ttl: Any) -> None:
        if self.state != "asking":
            return
        self._lease = lease
        if ttl is DOUBT:
            self._revoke(lease)
            return
        self._kept, self._asked = self._asked, self.host.now
        self.value = f"{self.host.name} {next(_ids)}" if self.rules.has_own_values else self.host.name
        self._floor = self.history.epoch
        revision = self.history.revision
        self._call("win", lambda found: self._hear_win(found, revision), self.value, lease)

    def _hear_win(self, found: Any, revision: int) -> None:
        if self.state != "asking":
            return
        if found is DOUBT:
            self._resolve()
        elif found is None:
            self.state = "standby"
        elif found.is_won:
            if self._note(found, revision, self._floor):
                self._lead(found, found.word)
        elif self._note(found, revision, self._floor):
            if self._is_mine(found):  # the request was repeated on its way
                self._lead(found, None)
            else:
                self._revoke(self._lease)

    def _resolve(self) -> None:
        """Find out whether a doubtful transaction has won."""
        if self.state == "asking":
            floors = self.history.revision, self.history.epoch
            self._call("read", lambda found: self._decide(found, *floors))

    def _decide(self, found: Any, revision: int, epoch: int) -> None:
        if self.state != "asking":
            return
        if found is DOUBT:
            self._later(AGAIN, self._resolve)
        elif self._note(found, revision, epoch):
            if self._is_mine(found):
                self._lead(found, None if self.rules.doubts_word else Estate(None, ()))
            elif self.rules.revokes_doubtful:
                self._revoke(self._lease)
            else:
                self.state = "standby"

    def _revoke(self, lease: int) -> None:
        self._call("revoke", lambda done: self._revoked(lease, done), lease)

    def _revoked(self, lease: int, done: Any) -> None:
        if done is DOUBT:
            self._later(AGAIN, self._revoke, lease)
        elif self.state == "asking":
            self.state = "standby"

    # leading

    def _lead(self, found: Found, word: Estate | None) -> None:
        assert found.key is not None
        knew = self._floor
        try:
            self.epoch = self.history.begin(found.key.create_revision, found.offset, self._floor)
        except HistoryWentBack as e:
            lease = self._lease
            self._halt(e)
            if self.rules.watches_history:
                self._revoke(lease)
                return
            self.epoch = found.key.create_revision + found.offset
        world = self.world
        self._is_ignorant = knew < self.epoch <= world.highest_epoch  # it cannot know that these are used up
        world.highest_epoch = max(world.highest_epoch, self.epoch)
        world.disks[self.host.name] = self.history.epoch
        world.did["elections"] += 1
        self.state = "leader"
        self._create_revision = found.key.create_revision
        now = self.host.now
        self.tenure = tenure = self.rules.tenure(
            self.times,
            won_at=now if self.rules.wins_when_known else self._asked,
            sent_at=self._kept,
            ttl=self.times.lease,
            has_no_holders=word is not None or not self.rules.starts_waits,
        )
        if self.rules.clears_table:
            self._begin()
        world.timeline.say(f"{self.host.name} leads in epoch {self.epoch} by {found.key}, word {word}")
        if word is not None:
            world.did["words"] += 1
            self._inherit(word, now)
        self._keep(tenure)
        self.host.at(tenure.grants_from, self._run, self._serve, ())

    def _inherit(self, word: Estate, now: float) -> None:
        for id in [*((word.holder[0],) if word.holder else ()), *word.waiters]:
            session = self._begin_session(id, now)
            if word.holder and id == word.holder[0]:
                session.token = word.holder[1]
                self._holder = session
            else:
                self._queue.append(session)

    def _keep(self, tenure: Tenure) -> None:
        if tenure is not self.tenure or self.state != "leader":
            return
        now = self.host.now
        if now > tenure.ends_at + self.times.session:
            self._depose()
            return
        self._later(self.times.keepalive_interval, self._keep, tenure)
        self._call("keep", lambda ttl: self._hear_keep(tenure, now, ttl), self._lease, limit=0.0)

    def _hear_keep(self, tenure: Tenure, sent_at: float, ttl: float) -> None:
        if tenure is not self.tenure:
            return
        if not ttl and self.rules.reads_keepalives:
            self._depose()
            return
        tenure.kept(sent_at if self.rules.keeps_from_sent else self.host.now, ttl or self.times.lease)
        self._serve()

    def _depose(self) -> None:
        """Lead no more."""
        if self.tenure is not None:
            self.tenure.resign()
            self._drop_all()
            self.state = "asking"
            self._revoke(self._lease)

    def _drop_all(self) -> None:
        self.tenure = None
        links = [session.link for session in self._sessions.values() if session.link is not None]
        if self.rules.clears_table:
            self._begin()
        for link in links:
            link.end_there()

    def resign(self) -> None:
        """Resign, by a transaction that leaves word of all that is held."""
        tenure, now = self.tenure, self.host.now
        if tenure is None or self.state != "leader":
            return
        word = None
        if tenure.knows_holders(now) or not self.rules.checks_word:
            holder = self._holder
            word = Estate((holder.id, holder.token) if holder else None, tuple(waiter.id for waiter in self._queue))
        self.world.timeline.say(f"{self.host.name} resigns, word {word}")
        if self.rules.resigns_first:
            tenure.resign()
            self._drop_all()
        self.state = "asking"
        self._call("resign", self._resigned, self._create_revision, word)

    def _resigned(self, found: Any) -> None:
        if self.state != "asking":
            return
        if not self.rules.resigns_first and self.tenure is not None:
            if found is DOUBT:  # it takes it that nothing was done
                self.state = "leader"
                self._keep(self.tenure)
                return
            self._drop_all()
        self._revoke(self._lease)

    # serving

    def hear(self, link: Link, message: tuple[Any, ...]) -> None:
        """Receive what a client has sent."""
        tenure, now = self.tenure, self.host.now
        if tenure is None or (message[0] == LOCK and not self._may_answer(tenure, now)):
            link.end_there()
            return
        session = link.session
        if message[0] == LOCK:
            self._hear_lock(link, now, message[1], message[2])
        elif session is None or session.id not in self._sessions:
            link.end_there()
        elif message[0] == PING:
            session.heard = now
            if self._may_answer(tenure, now):
                link.answer((PONG,))
        else:
            self._drop(session)
            link.answer((UNLOCKED,))
            self._serve()

    def _may_answer(self, tenure: Tenure, now: float) -> bool:
        return tenure.may_answer(now) or not self.rules.checks_answers

    def _hear_lock(self, link: Link, now: float, id: int, token: int) -> None:
        session = self._sessions.get(id)
        if session is None:
            session = self._begin_session(next(_ids), now)
        elif session.link is not None and session.link is not link:
            session.link.end_there()
        session.link, session.heard, link.session = link, now, session
        if self._holder is not session and token:
            if token >> 32 > self.epoch:
                self.history.note_epoch(token >> 32, -1)
                self._halt(HistoryWentBack(f"a client has token {token:x}"))
                return
            if self._holder is not None or self._has_granted:
                self._drop(session)
                link.answer((REFUSED,))
                return
            self._holder, session.token = session, token
            if session in self._queue:
                self._queue.remove(session)
        elif self._holder is not session and session not in self._queue:
            self._queue.append(session)
            self._serve(session)
        if self._holder is session:
            link.answer((GRANTED, True, session.id, session.token, token))
        else:
            link.answer((QUEUED, session.id))

    def _begin_session(self, id: int, now: float) -> Session:
        self._sessions[id] = session = Session(id, now)
        self._later(self.times.session, self._expire, session)
        return session

    def _expire(self, session: Session) -> None:
        if self._sessions.get(session.id) is session:
            left = session.heard + self.times.session - self.host.now
            if left > 0:
                self.host.after(left + 1e-7, self._run, self._expire, (session,))
                return
            if session.link is not None:
                session.link.end_there()
            self._drop(session)
            self._serve()

    def _drop(self, session: Session) -> None:
        self._sessions.pop(session.id, None)
        if self._holder is session:
            self._holder = None
        elif session in self._queue:
            self._queue.remove(session)

    def _serve(self, asker: Session | None = None) -> None:
        """Grant what can be."""
        tenure = self.tenure
        if tenure is None or self._holder is not None or not self._queue:
            return
        now = self.host.now
        if now < tenure.grants_from or (self.rules.checks_grants and not tenure.may_grant(now)):
            return
        self._holder = session = self._queue.popleft()
        self._has_granted = True
        self._counter += 1
        session.token = (self.epoch << 32) + self._counter
        self.world.note_grant(self.host.name, session.token, is_ignorant=self._is_ignorant)
        if session is not asker and session.link is not None:
            session.link.answer((GRANTED, False, session.id, session.token, 0))

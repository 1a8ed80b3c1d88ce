"""
Hosts with clocks of their own, daemons that come and go at one address, and a network that delays and loses: L{World}.

The daemon is the real one on a clock that we move, and so is the client's end of each connection, with what it may
believe (L{flom.core.lease}); what C{flom-run --on-lost terminate} makes of that is written down here once more, as
short as it can be said. All else is made up by a C{Random}: a seed's, or hypothesis' own.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import combinations, count
from random import Random
from typing import Final

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from flom.core.lease import Lease
from flom.core.modes import LockMode
from flom.core.proofs import ProofKey
from flom.core.protocol.connection import ClientConnection
from flom.core.protocol.events import Granted, Introduced, Pong, Refused
from flom.core.protocol.messages import Lock, Unlocked
from flom.server.arbiter import DeferredArbiter
from flom.server.connection import LockFactory, LockProtocol
from flom.server.limits import DEFAULT_LIMITS
from flom.server.mark import Mark
from flom.server.options import ServerOptions
from flom.server.proofs import Proofs
from flom.server.state import Epochs, StateDirectory
from tests.fakes.connections import TcpTransport, Transport
from tests.tools.fuzz.checker import Claim, Wrong, why_not

RETRY: Final = 0.5
"""Seconds between two attempts of a client to connect."""

CHECK: Final = 1.0
"""Seconds in which a client that was frozen for too long finds out whether it still holds its lock."""

LIMIT: Final = 5.0
"""Seconds after which a client gives up to have its unlock confirmed."""

_PLACE: Final = "10.0.0.1"
_PORT: Final = 28015

_WISHES: Final = [
    ("job", LockMode.EX),
    ("job", LockMode.EX),
    ("job", LockMode.PR),
    ("unit[2]", LockMode.NL),
    ("east.west", LockMode.NL),
]

_CUTS: Final = [(True, True), (True, True), (True, False), (False, True)]

_BLINK: Final = 1e-6  # seconds; what is due so soon is due now: clocks that are multiplied lose some digits


@dataclass(frozen=True)
class Rules:
    """
    What daemon and clients go by. Times are in seconds of the clock of the one that goes by them.

    @ivar timeout: for which a daemon keeps a session whose connection is broken.
    @ivar grace: in which a daemon serves only those that reclaim, after one that was cut short.
    @ivar patience: of clients; see L{Lease}.
    @ivar kill_after: that a command takes to end when its lock is lost.
    @ivar slowest: seconds that the slowest clock counts in one.
    @ivar fastest: the same of the fastest. The margin of 1.5 s is enough while it is less than C{10 / 8.5} times as
        fast as the slowest.
    @ivar checks_late_grants: whether a client whose patience was over when a grant came asks whether it still holds.
    @ivar reclaims_late: whether a client whose patience was over while it was frozen reclaims from the next daemon.
    """

    timeout: float = 10.0
    grace: float = 10.0
    patience: float = 6.0
    kill_after: float = 2.5
    slowest: float = 0.93
    fastest: float = 1.08
    checks_late_grants: bool = True
    reclaims_late: bool = False


class End:
    """The end of a stream, in good order or not."""

    def __init__(self, *, in_order: bool) -> None:
        self.in_order = in_order


@dataclass(eq=False)
class Link:
    """
    One connection.

    @ivar out: what is on its way to the daemon: bytes, and then perhaps an L{End}.
    @ivar back: the same to the client.
    """

    host: Host
    daemon: Daemon
    transport: Transport
    protocol: LockProtocol
    client: ClientConnection = field(default_factory=ClientConnection)
    out: deque[bytes | End] = field(default_factory=deque)
    back: deque[bytes | End] = field(default_factory=deque)
    is_open_here: bool = True
    is_open_there: bool = True

    def close(self) -> None:
        """End it in good order, at the client's end."""
        if self.is_open_here:
            self.is_open_here = False
            self.out.append(End(in_order=True))

    def break_here(self) -> None:
        """End it at the client's end, because nothing comes through; what is on its way may still come."""
        self.is_open_here = False
        self.back.clear()

    def break_there(self, *, in_order: bool) -> None:
        """End it at the daemon's end; C{in_order}, as a proxy does that closes what has broken behind it."""
        if self.is_open_there:
            self.is_open_there = False
            self.out.clear()
            self.back.append(End(in_order=in_order))
            self.protocol.connectionLost(Failure(ConnectionDone() if in_order else ConnectionLost()))

    def carry(self) -> bool:
        """Carry what can be; return whether anything was."""
        host, daemon, did = self.host, self.daemon, False
        while self.out and self.is_open_there and daemon.is_awake and not host.is_cut_out:
            did = True
            item = self.out.popleft()
            if isinstance(item, End):
                self._end_there()
            elif not (self.transport.disconnecting or self.transport.aborted):
                self.protocol.dataReceived(item)
        did |= self.collect()
        while self.back and self.is_open_here and not (host.is_cut_in or host.is_frozen):
            did = True
            item = self.back.popleft()
            if isinstance(item, End):
                self.is_open_here = False
            if host.job is not None and host.job.link is self:
                host.job.hear(item)
        return did

    def collect(self) -> bool:
        """Receive what the daemon has written; return whether there was anything."""
        if not self.is_open_there:
            return False
        data = self.transport.value()
        if data:
            self.transport.clear()
            self.back.append(data)
        if self.transport.disconnecting or self.transport.half_closed:
            self._end_there()
            self.back.append(End(in_order=not self.transport.aborted))
            return True
        return bool(data)

    def _end_there(self) -> None:
        self.is_open_there = False
        self.protocol.connectionLost(Failure(ConnectionDone()))


class Disk(StateDirectory):
    """A state directory in memory; it outlives daemons."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def names(self) -> list[str]:
        return list(self._files)

    def check_room(self) -> None:
        pass

    def read(self, name: str, *, is_secret: bool = False) -> bytes | None:
        return self._files.get(name)

    def replace(self, name: str, data: bytes) -> None:
        self._files[name] = data

    def remove(self, name: str) -> None:
        self._files.pop(name, None)

    @contextmanager
    def locked(self) -> Iterator[None]:
        yield

    def read_epoch(self) -> int:
        return int(self._files.get("epoch", b"-1"))


class Daemon:
    """
    One start of the daemon.

    @ivar number: of the start; its holders file is named after it.
    """

    def __init__(self, world: World, number: int) -> None:
        self.number = number
        self.is_frozen = False
        self.is_dead = False
        self._world = world
        self.clock = Clock()
        self.clock.rightNow = world.now * world.daemon_rate
        limits = replace(DEFAULT_LIMITS, session_timeout=world.rules.timeout)
        self.arbiter = DeferredArbiter(self.clock, limits=limits, epochs=Epochs(world.disk))
        options = ServerOptions(limits=limits, sessions_are_required=world.requires_sessions)
        self.factory = LockFactory(self.arbiter, self.clock, options, proofs=world.proofs)
        self.arbiter.mark = Mark(self.arbiter, self.clock, [(_PLACE, _PORT)])
        self._waits_for_others = bool(self.arbiter.mark.begin(world.rules.grace))
        self._awaited = world.locked_files()
        if (self._waits_for_others or self._awaited) and world.rules.grace:
            self.arbiter.begin_grace(world.rules.grace)

    @property
    def is_awake(self) -> bool:
        return not (self.is_frozen or self.is_dead)

    def end(self) -> None:
        """Do what is done at once when it is told to end."""
        self.arbiter.close()
        self.factory.disconnect_all()
        assert self.arbiter.mark is not None
        self.arbiter.mark.stop()

    def next_event(self) -> float:
        """Return when its next timer is due, in true time."""
        calls = self.clock.getDelayedCalls() if self.is_awake else []
        return min((call.getTime() for call in calls), default=float("inf")) / self._world.daemon_rate

    def tick(self, *, fires: bool = True) -> None:
        """Bring its clock up to now; without C{fires}, its timers are late."""
        self.clock.rightNow = max(self.clock.rightNow, self._world.now * self._world.daemon_rate + _BLINK / 2)
        if self.is_awake and fires:
            self.clock.advance(0)

    def look(self) -> None:
        """See whether the holders of this host have come."""
        if self._awaited and self.is_awake:
            self._awaited &= self._world.locked_files()
        if self.is_awake and self.arbiter.is_in_grace and not (self._awaited or self._waits_for_others):
            self.arbiter.end_grace()


@dataclass(eq=False)
class Host:
    """
    A host with one C{flom-run} at most.

    @ivar rate: seconds that its clock counts in a true one.
    @ivar is_local: whether it is the daemon's; the connections are UNIX sockets then.
    @ivar is_cut_out: whether nothing of it reaches the daemon.
    @ivar is_cut_in: whether nothing of the daemon reaches it.
    """

    world: World
    name: str
    rate: float
    is_local: bool
    is_cut_out: bool = False
    is_cut_in: bool = False
    is_frozen: bool = False
    job: Job | None = None

    @property
    def now(self) -> float:
        """What its clock shows."""
        return self.world.now * self.rate

    def next_event(self) -> float:
        """Return when there is something to do, in true time."""
        if self.job is None or self.is_frozen:
            return float("inf")
        return self.job.next_event() / self.rate

    def tick(self) -> None:
        if self.job is not None and not self.is_frozen:
            self.job.tick()


class Job:
    """
    One C{flom-run} and its command.

    @ivar state: C{asking}; C{checking} whether what was granted is still held; C{running}; C{ending}, when the lock is
        lost; C{unlocking}.
    @ivar file: number of the start of the daemon whose holders file it has locked; 0 for none.
    """

    def __init__(self, host: Host, name: str, mode: LockMode, wait: bool) -> None:
        self.host = host
        self._rules = host.world.rules
        self.want = Lock(name, mode, 1, wait, True, 0.0, "0123456789abcdef0123456789abcdef", extended=True)
        self.lease = Lease(self._rules.patience)
        self.link: Link | None = None
        self.state = "asking"
        self._stale_until = float("-inf")
        self.file = 0
        self.token = 0
        self.element: str | None = None
        self._secret = self._former = self._proof = ""
        self._was_late = False  # when it has connected last
        self._limit = float("inf")  # when the command is gone, or when we give up
        self._retry_at = 0.0
        self._is_dated = not host.is_local  # whether the lease runs

    @property
    def is_running(self) -> bool:
        """Whether its command runs."""
        return self.state in ("running", "ending")

    @property
    def is_stale(self) -> bool:
        """Whether it was frozen for longer than it may believe to hold the lock, and has not had the time to end."""
        return self.host.now <= self._stale_until

    @property
    def claim(self) -> Claim:
        return Claim.of(self.want, self.element)

    def connect(self) -> None:
        """Try to connect, and ask for what is wanted or held."""
        host, now = self.host, self.host.now
        self._retry_at = now + RETRY
        if host.is_cut_in or host.is_cut_out:
            return
        link = host.world.open_link(host)
        self.lease.reconnected()
        if link is None:  # the daemon is plainly gone, and has granted nothing
            if self._is_late:
                self._lose()
            else:
                self._date()
            return
        self.link = link
        self._retry_at = float("inf")
        self._was_late, self._former = self._is_late, self._secret
        message = self.want.replace(session=self._secret)
        if self.token:
            had = {"element": self.element, "token": self.token, "proof": self._proof}
            message = message.replace(wait=False, regains=True, **had)
        self.lease.sent(now)
        self._send(link.client.lock(message))

    def hear(self, item: bytes | End) -> None:
        """Receive what the daemon has sent."""
        assert self.link is not None
        if isinstance(item, End):
            self.lose_link(in_order=item.in_order)
            return
        link = self.link
        for event in link.client.receive(item):
            self._secret = link.client.session or self._secret
            match event:
                case Introduced() | Pong():
                    self.lease.answered()
                    if self.state == "checking" and not self.lease.is_over(self.host.now):  # or it is an earlier one
                        self._run()
                case Granted():
                    self._take(event)
                case Refused():
                    self._refuse()
                case Unlocked():
                    self.leave()
            if self.link is not link:
                return

    def lose_link(self, *, in_order: bool) -> None:
        """Note that the connection has ended, or is given up: look for another one."""
        self.link = None
        if self.state == "ending":
            return
        if in_order and self._is_late:
            self._lose()
            return
        if self.state == "checking":  # another daemon may have granted it since, whose holder has yet to reclaim it
            self.state, self.token, self.element = "asking", 0, None
        if in_order and not self.token:
            self._secret = ""
        if not self._is_dated:  # it was alive until now
            self._is_dated = True
            self._date()
        self.connect()

    def finish(self) -> None:
        """Unlock: the command has ended."""
        self.state = "unlocking"
        self._limit = self.host.now + LIMIT
        if self.link is not None and self.link.client.holds:
            self._send(self.link.client.unlock(self.want.name))

    def leave(self) -> None:
        """End, in good order; who has lost its lock does not say so."""
        if self.link is not None:
            if self.state != "ending" and (goodbye := self.link.client.goodbye()):
                self.link.out.append(goodbye)
            self.link.close()
        self.link = None
        self.host.job = None

    def thaw(self) -> None:
        """Note that it runs again after a time in which it did not."""
        if self.is_running:
            now, is_connected = self.host.now, self.link is not None and self.link.is_open_there
            if self._is_dated and now >= self.lease.lost_at and self.state == "running":
                self.lease.woke(now, CHECK)
                self._stale_until = now + CHECK + self._rules.kill_after
            elif not (self._is_dated or is_connected):
                self._stale_until = float("inf")

    def next_event(self) -> float:
        """Return when there is something to do, by the host's clock."""
        if self.state == "ending":
            return self._limit
        due = [self._limit, self._retry_at]
        if self._is_dated:
            if self.is_running:
                due.append(self.lease.lost_at)
            if self._pings:
                due += [self.lease.next_ping, self.lease.doubtful_at]
        return min(due)

    def tick(self) -> None:
        """Do what is due."""
        now = self.host.now + _BLINK
        if now >= self._limit:
            self.leave()
        if self.state == "ending" or self.host.job is not self:
            return
        if self._is_dated and self.state == "running" and now >= self.lease.lost_at:
            self._lose()
        elif now >= self._retry_at:
            self.connect()
        if self._pings and now >= self.lease.doubtful_at:
            self._doubt()
        if self._pings and now >= self.lease.next_ping:
            self._ping()

    @property
    def _pings(self) -> bool:
        """Whether it has a connection over which it sends heartbeats."""
        is_session = self.link is not None and bool(self.link.client.session)
        return is_session and self.state in ("asking", "checking", "running")

    def _doubt(self) -> None:
        """Look into the connection: it is broken, unless the daemon's kernel confirms what is sent."""
        assert self.link is not None
        if self.link.is_open_there and not (self.host.is_cut_in or self.host.is_cut_out):
            self.lease.confirmed()
        else:
            self.link.break_here()
            self.lose_link(in_order=False)

    def _ping(self) -> None:
        assert self.link is not None
        self.lease.sent(self.host.now)
        self._send(self.link.client.ping())

    @property
    def _is_late(self) -> bool:
        """Whether it was frozen for so long that only the daemon which has granted the lock knows who has it."""
        is_over = self._is_dated and self.lease.is_over(self.host.now)
        return is_over and self.state == "running" and not self._rules.reclaims_late

    def _date(self) -> None:
        """Note that nothing has been granted to anybody until now."""
        self.lease.sent(self.host.now)
        self.lease.answered()

    def _send(self, data: bytes) -> None:
        assert self.link is not None
        self.link.out.append(data)

    def _take(self, granted: Granted) -> None:
        assert self.link is not None
        if self.token and (granted.token, granted.element) != (self.token, self.element):
            raise Wrong(f"{self.host.name} reclaims {self.element} by {self.token}, and gets {granted}")
        if self.host.is_local:
            if self.link.daemon.number not in self.host.world.files:
                self.lose_link(in_order=True)  # that daemon has gone, and the next one knows that nobody holds it
                return
            self.file = self.link.daemon.number
            self._is_dated = False
        if self._was_late and self.link.client.session != self._former:
            self._lose()
            return
        is_new = not self.token
        self.token, self.element, self._proof = granted.token or 0, granted.element, granted.proof
        if is_new and self._is_dated and self._rules.checks_late_grants and self.host.now >= self.lease.lost_at:
            self.state = "checking"
            self._ping()
        elif is_new:
            self._run()
        elif self.state == "unlocking":
            self._send(self.link.client.unlock(self.want.name))

    def _run(self) -> None:
        self.state = "running"
        self.host.world.note_run(self)

    def _refuse(self) -> None:
        if self.state == "running":
            self._lose()
        elif self.state != "ending":
            self.leave()

    def _lose(self) -> None:
        self.state = "ending"
        self._limit = self.host.now + self._rules.kill_after


class World:
    """
    All of it.

    @ivar now: the true time, in seconds.
    @ivar disk: the state directory of all daemons.
    @ivar proofs: those of all daemons.
    @ivar requires_sessions: whether the end of a connection over TCP is not taken for a goodbye.
    @ivar files: the numbers of the starts of the daemon whose holders files are there.
    @ivar did: how often what was done.
    @ivar script: what was done so far, in words.
    """

    def __init__(self, random: Random, rules: Rules = Rules()) -> None:
        self._random = random
        self.rules = rules
        self.now = 1000.0
        self.daemon_rate = self._rate()
        self.hosts = [Host(self, "the daemon's", self.daemon_rate, True)]
        self.hosts += [Host(self, name, self._rate(), False) for name in ("first", "second")]
        self.disk = Disk()
        key = random.choice([None, ProofKey(b"a key of 32 bytes for this world.", _PLACE)])
        self.proofs = Proofs(key)
        self.requires_sessions = random.random() < 0.5
        self.files: set[int] = set()
        self._starts = count(1)
        self.daemon: Daemon | None = None
        self._links: list[Link] = []
        self._last_token = 0
        self.did: Counter[str] = Counter()
        self.script: list[str] = []
        self._start_daemon()
        # each world has its own ways: where all happens all the time, what takes several steps never does
        often = [self._pass_time] * 8 + [self._work] * 6
        seldom = [self._cut, self._break, self._freeze, self._kill_or_start_daemon, self._freeze_daemon]
        self._wishes = random.choice([_WISHES, _WISHES[:1]])
        self._deeds = often + [deed for deed in seldom for _ in range(random.choice([0, 1, 3]))]

    def play(self, turns: int) -> None:
        """
        Play some turns.

        @raise Wrong: two commands run that exclude each other.
        """
        for _ in range(turns):
            self._turn()
            self._flow()
            self.check()

    def open_link(self, host: Host) -> Link | None:
        """Return a new connection; C{None} if no daemon listens."""
        daemon = self.daemon
        if daemon is None:
            return None
        if host.is_local:
            transport: Transport = Transport(UNIXAddress(b"/flom"), UNIXAddress(b""))
        else:
            transport = TcpTransport(IPv4Address("TCP", _PLACE, _PORT), IPv4Address("TCP", "10.0.0.2", 40000))
        protocol = daemon.factory.buildProtocol(None)
        assert isinstance(protocol, LockProtocol)
        protocol.makeConnection(transport)
        link = Link(host, daemon, transport, protocol)
        self._links.append(link)
        return link

    def locked_files(self) -> set[int]:
        """Return which holders files somebody has locked."""
        return {host.job.file for host in self.hosts if host.job is not None and host.job.file}

    def note_run(self, job: Job) -> None:
        """Note that the command of C{job} starts."""
        self.did["commands"] += 1
        self.script.append(f"{self.now:.2f} {job.host.name} runs {job.want.name} {job.want.mode.name} {job.token}")
        self.check()

    def check(self) -> None:
        """See that no two commands run that exclude each other, unless one is to be refused for its token."""
        jobs = [host.job for host in self.hosts if host.job is not None and host.job.is_running]
        for one, other in combinations(jobs, 2):
            if one.want.name != other.want.name or not (why := why_not(one.claim, [other.claim])):
                continue
            if one.token > other.token:
                one, other = other, one
            if not (one.is_stale or one.host.is_frozen):
                raise Wrong(
                    f"{why}, and {other.host.name} has it too, {self.now:.2f}:\n" + "\n".join(self.script[-60:])
                )

    def _turn(self) -> None:
        host = self._random.choice(self.hosts)
        self._random.choice(self._deeds)(host)

    def _work(self, host: Host) -> None:
        """Begin or end a command."""
        random, job = self._random, host.job
        if host.is_frozen:
            return
        if job is None:
            name, mode = random.choice(self._wishes)
            self._say(f"wants {name} {mode.name}", host)
            host.job = Job(host, name, mode, random.random() < 0.8)
            host.job.connect()
        elif job.state == "running" and random.random() < 0.4:
            self._say("finishes", host)
            job.finish()
        elif job.state in ("asking", "checking") and random.random() < 0.1:
            self._say("waits no longer", host)
            job.leave()

    def _freeze(self, host: Host) -> None:
        host.is_frozen = not host.is_frozen
        self._say("is frozen" if host.is_frozen else "thaws", host)
        if host.job is not None and not host.is_frozen:
            host.job.thaw()
            if self._random.random() < 0.5:
                self._flow()  # what has come is read before it is looked what is due
            host.tick()

    def _cut(self, _: Host) -> None:
        host = self._random.choice(self.hosts[1:])
        if host.is_cut_in or host.is_cut_out:
            if self._random.random() < 0.4:
                host.is_cut_in = host.is_cut_out = False
                self._say("is joined", host)
            return
        host.is_cut_out, host.is_cut_in = self._random.choice(
            [(True, True), (True, True), (True, False), (False, True)]
        )
        self._say(f"is cut off, out {host.is_cut_out}, in {host.is_cut_in}", host)
        if self._random.random() < 0.5 and host.job is not None and host.job.link is not None:
            self._break_there(host.job.link)

    def _break(self, _: Host) -> None:
        """Break a connection at one end, or at both in turn; the other end need not notice."""
        links = [link for link in self._links if not link.host.is_local]
        links = [link for link in links if link.host.is_cut_in or link.host.is_frozen] or links  # where that is likely
        if not links:
            return
        link = self._random.choice(links)
        host = link.host
        if self._random.random() < 0.6:
            self._break_there(link)
        elif link.is_open_here and not host.is_frozen:
            self._say("breaks", host)
            link.break_here()
            if host.job is not None and host.job.link is link:
                host.job.lose_link(in_order=False)

    def _break_there(self, link: Link) -> None:
        if link.daemon.is_awake and link.is_open_there:
            self._say("is broken for the daemon", link.host)
            link.break_there(in_order=self.requires_sessions and self._random.random() < 0.5)

    def _start_daemon(self) -> None:
        number = next(self._starts)
        self.files &= self.locked_files()
        self.daemon = Daemon(self, number)
        self.files.add(number)
        self.script.append(f"{self.now:.2f} daemon {number} starts, in grace: {self.daemon.arbiter.is_in_grace}")
        self.did["starts"] += 1

    def _kill_or_start_daemon(self, _: Host) -> None:
        if self.daemon is None:
            self._start_daemon()
            return
        if self.daemon.is_awake and self._random.random() < 0.3:
            self.script.append(f"{self.now:.2f} daemon ends in good order")
            self.daemon.end()
        self.script.append(f"{self.now:.2f} daemon is killed")
        for link in self._links:
            if link.is_open_there:
                link.collect()
                link.back.append(End(in_order=not link.out))
                link.is_open_there = False
        self.daemon.is_dead = True
        self.daemon = None

    def _freeze_daemon(self, _: Host) -> None:
        daemon = self.daemon
        if daemon is None:
            return
        daemon.is_frozen = not daemon.is_frozen
        self.script.append(f"{self.now:.2f} daemon " + ("is frozen" if daemon.is_frozen else "thaws"))
        if not daemon.is_frozen:
            daemon.tick(fires=False)
            if self._random.random() < 0.5:
                self._flow()  # what has come is read before timers fire
            daemon.tick()

    def _pass_time(self, _: Host) -> None:
        """Wait for some time, or until something is due."""
        seconds = self._random.choice([0.0, 0.3, 1.0, 2.0, 4.0])
        end = self.now + seconds if seconds else min(self.now + 1.0, self._next_event())
        while self.now < end:
            self.now = min(end, max(self.now, self._next_event()))
            if self.daemon is not None:
                self.daemon.tick()
            for host in self.hosts:
                host.tick()
            self._flow()

    def _next_event(self) -> float:
        """Return when something is due next, a moment later."""
        due = [host.next_event() for host in self.hosts]
        if self.daemon is not None:
            due.append(self.daemon.next_event())
        return min(due) + _BLINK

    def _flow(self) -> None:
        """Carry all that can be, until nothing is left."""
        did = True
        while did:
            did = False
            for link in self._links:
                did |= link.carry()
        self._links = [link for link in self._links if link.is_open_here or link.is_open_there or link.out or link.back]
        if self.daemon is not None:
            self.daemon.look()

    def _rate(self) -> float:
        return self._random.choice([self.rules.slowest, 1.0, self.rules.fastest])

    def _say(self, what: str, host: Host) -> None:
        self.script.append(f"{self.now:.2f} {host.name} {what}")
        self.did[what.split()[0]] += 1

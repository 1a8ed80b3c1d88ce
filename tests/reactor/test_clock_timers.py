"""All timers of daemons and of the Twisted client keep their time while the wall clock goes back and forth."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent

import flom
from flom.acquisition import limit
from flom.client.deferred.connection_pool import ConnectionPool
from flom.client.deferred.discovery import Asker
from flom.core.effects import Granted, Instant, Refused
from flom.core.grace import GRACE, LOOKING, MAX_GRACE, RECLAIM_TIME
from flom.core.group.listening import Listening
from flom.core.group.timing import DEFAULT_TIMING
from flom.core.protocol.encode import encode
from flom.core.protocol.messages import Discover, Role, Standing
from flom.reactor.clock import make_monotonic
from flom.server.admission import CALM, MEASURE_EVERY, Admission
from flom.server.arbiter import DeferredArbiter
from flom.server.connection import LockFactory
from flom.server.deadlines import Deadlines
from flom.server.group.member import GroupMember, MemberObserver
from flom.server.lifespan import FIRST_CLIENT_TIMEOUT, LifespanService
from flom.server.limits import DEFAULT_LIMITS, Limits
from flom.server.log_throttle import WINDOW, LogThrottle
from tests.fakes.clocks import TimeMachine, time_machine
from tests.fakes.connections import MemoryClient
from tests.fakes.group import GROUP, RIVAL, fake_ports
from tests.fakes.logs import informed, warnings
from tests.fakes.sessions import Session
from tests.server.conftest import log

__all__ = ["log"]

PACKAGE: Final = Path(flom.__file__).parent
MARGIN: Final = 0.1  # seconds


class Scene:
    """
    What a timer needs.

    @ivar reactor: a monotonic one.
    @ivar arbiter: grants locks by its clock.
    @ivar log: what was logged.
    """

    def __init__(self, machine: TimeMachine, log: list[LogEvent], monkeypatch: pytest.MonkeyPatch) -> None:
        make_monotonic(machine.reactor)
        self.reactor: Any = machine.reactor
        self.instant = lambda: Instant(machine.now, machine.wall)
        self.arbiter = DeferredArbiter(self.reactor, self.instant)
        self.log = log
        self.monkeypatch = monkeypatch


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[TimeMachine]:
    with time_machine(monkeypatch) as machine:
        yield machine


@pytest.fixture
def scene(machine: TimeMachine, log: list[LogEvent], monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(machine, log, monkeypatch)


IsOver = Callable[[], object]


def deadline(scene: Scene) -> IsOver:
    missed: list[str] = []
    Deadlines(scene.reactor, 30.0, missed.append).set("key")
    return lambda: missed


def message_timeout(scene: Scene) -> IsOver:
    silent = MemoryClient(LockFactory(scene.arbiter, scene.reactor), "192.0.2.7")
    return lambda: silent.transport.aborted


def lifespan(seconds: float) -> Callable[[Scene], IsOver]:
    def start(scene: Scene) -> IsOver:
        ended: list[bool] = []
        LifespanService(scene.arbiter, scene.reactor, seconds, lambda: ended.append(True)).startService()
        return lambda: ended

    return start


def idle_resource(scene: Scene) -> IsOver:
    scene.arbiter.acquire("R1", lifespan=9.0).addCallback(lambda held: held.release())
    return lambda: scene.arbiter.is_idle


def grace(scene: Scene) -> IsOver:
    scene.arbiter.resume(GRACE)
    asked = Session(scene.arbiter).ask("R1")
    return lambda: asked.kinds() == [Granted]


def grace_for_a_holder(scene: Scene) -> IsOver:
    is_over = grace(scene)
    scene.arbiter.prolong_grace(7)
    return is_over


def longest_grace(scene: Scene) -> IsOver:
    is_over = grace(scene)

    def ask() -> None:
        scene.arbiter.prolong_grace(7)
        scene.reactor.callLater(0.2, ask)

    ask()
    return is_over


def reclaiming(scene: Scene) -> IsOver:
    scene.arbiter.resume(GRACE)
    return lambda: Session(scene.arbiter).ask("R1", regains=True).kinds() == [Refused]


def log_window(scene: Scene) -> IsOver:
    throttle = LogThrottle(scene.reactor)
    assert [throttle.allows("lines", 1) for _ in range(2)] == [True, False]
    return lambda: warnings(scene.log) == ["lines: 1 more in the last 10 s"]


class Port(tcp.Port):
    """A port at which there is always a client."""

    def __init__(self) -> None:
        self.accepted = 0

    def startReading(self) -> None:
        self.doRead()

    def stopReading(self) -> None:
        pass

    def doRead(self) -> None:
        self.accepted += 1


def first_look_at_descriptors(scene: Scene) -> IsOver:
    admission = Admission(scene.reactor, Limits(0, 0), LogThrottle(scene.reactor), measure=lambda: 1000)
    admission.watch(port := Port())
    scene.reactor.callLater(3.0, lambda: port.doRead())
    return lambda: port.accepted


def next_look_at_descriptors(scene: Scene) -> IsOver:
    free = [0, 1000]
    admission = Admission(scene.reactor, Limits(0, 0), LogThrottle(scene.reactor), measure=lambda: free.pop(0))
    admission.watch(port := Port())
    port.doRead()
    return lambda: port.accepted


def calm_after_a_shortage(scene: Scene) -> IsOver:
    next_look_at_descriptors(scene)
    return lambda: informed(scene.log)


def member(scene: Scene) -> tuple[GroupMember, Any]:
    [ports, observer] = fake_ports(scene.monkeypatch, "flom.server.group.member"), MemberObserver()
    member = GroupMember(GROUP, Listening(40001, (("", "::"),)), scene.reactor, scene.instant, observer)
    member.open()
    return member, ports[0]


def election(scene: Scene) -> IsOver:
    elected, _ = member(scene)
    return lambda: elected.election.role is Role.LEADER


def silence_of_the_leader(scene: Scene) -> IsOver:
    standby, port = member(scene)
    port.hear(encode(Discover(GROUP.address, standing=Standing("0" * 16, Role.LEADER, 1))), RIVAL)
    assert standby.election.role is Role.STANDBY
    return lambda: standby.election.role is not Role.STANDBY


def wait_limit(scene: Scene) -> IsOver:
    ended: list[object] = []
    limit(Deferred(), 20.0, scene.reactor, "R1").addBoth(ended.append)
    return lambda: ended


class Client:
    """A connection without a request."""

    is_reusable = True
    is_closed = False

    def close(self) -> None:
        self.is_closed = True


def kept_connection(scene: Scene) -> IsOver:
    client: Any = Client()
    ConnectionPool(scene.reactor, 2.0).put(client)
    return lambda: client.is_closed


def search(scene: Scene) -> IsOver:
    fake_ports(scene.monkeypatch, "flom.client.deferred.discovery")
    found: list[object] = []

    async def ask() -> None:
        with Asker(GROUP, scene.reactor, lambda line: None) as asker:
            asker.search.ask(3.0)
            found.append(await asker.finish())

    Deferred.fromCoroutine(ask())
    return lambda: found


@pytest.mark.parametrize(
    ("start", "seconds"),
    [
        (deadline, 30.0),
        (message_timeout, DEFAULT_LIMITS.message_timeout),
        (lifespan(0.5), FIRST_CLIENT_TIMEOUT),
        (lifespan(60.0), 60.0),
        (idle_resource, 9.0 + 1.0),
        (grace, GRACE),
        (grace_for_a_holder, LOOKING),
        (longest_grace, MAX_GRACE),
        (reclaiming, RECLAIM_TIME),
        (log_window, WINDOW),
        (first_look_at_descriptors, 3.0),
        (next_look_at_descriptors, MEASURE_EVERY),
        (calm_after_a_shortage, MEASURE_EVERY + CALM),
        (election, DEFAULT_TIMING.campaign),
        (silence_of_the_leader, DEFAULT_TIMING.patience),
        (wait_limit, 20.0),
        (kept_connection, 2.0),
        (search, 3.0),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_timer_keeps_its_time(
    machine: TimeMachine, scene: Scene, start: Callable[[Scene], IsOver], seconds: float
) -> None:
    is_over = start(scene)
    machine.pass_time(seconds - MARGIN)
    assert not is_over()
    machine.pass_time(2 * MARGIN)
    assert is_over()


# who may read the wall clock

READERS: Final = {
    "ctl/quorum_doctor.py": "whether the clock of a member of etcd is right",
    "job/kept.py": "when a job was finished, for people to read",
    "net/campaign.py": "since when a candidate stands, which is its rank",
    "net/clock.py": "system_instant, of whose two clocks the wall clock is for what people read, and for ranks",
    "server/counters.py": "when the daemon began",
    "server/holders.py": "which files are old, by the time that the file system has noted",
    "trace.py": "the lines of a trace",
    "run/history.py": "when something happened, for histories of several hosts",
    "run/program.py": "the lines of -V",
    "server/quorum/elector.py": "since when a leader leads, how old its word is, and which epochs the clock knows",
    "server/quorum/offset.py": "when epochs were raised",
    "tls/authority.py": "until when a certificate is valid",
}
"""Modules that read the wall clock, and what for."""

CALLS: Final = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}


def reads_wall_clock(path: Path) -> bool:
    """Return whether the module at C{path} has a name that reads the wall clock."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if f"{owner}.{name}" in CALLS:
                return True
            case ast.ImportFrom(module="time", names=names) if {"time", "time_ns"} & {name.name for name in names}:
                return True
    return False


def test_durations_are_not_measured_by_the_wall_clock() -> None:
    readers = [str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if reads_wall_clock(path)]
    assert sorted(readers) == sorted(READERS)

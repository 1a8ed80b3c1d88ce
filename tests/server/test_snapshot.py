"""What a daemon holds, as others see it: over the wire, as JSON, and only those who may."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any, Final

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, deferLater
from twisted.logger import LogEvent

from flom._version import __version__
from flom.core.protocol.decode import decode
from flom.core.protocol.encode import encode
from flom.core.protocol.framing import END_OF_MESSAGE
from flom.core.protocol.messages import ManagementRefused, StatusFollows, StatusRequest, Wishes
from flom.server.arbiter import DeferredArbiter
from flom.server.connection import MOST_TO_SHOW
from flom.server.counters import Counters
from flom.server.options import ServerOptions
from flom.server.snapshot import Statuses, take_status, write_in_turns
from flom.status.json import from_json
from flom.status.model import LockStatus, LostStatus, Status
from tests.fakes.connections import FakeTls, MemoryClient, MemoryDaemon, lock, xml
from tests.fakes.logs import warnings
from tests.fakes.sessions import Session

HOST = "127.0.0.1"


def ask(daemon: MemoryDaemon, client: MemoryClient, name: str | None = None) -> Status | ManagementRefused:
    """Send a request for the status from C{client}, and return the answer."""
    client.transport.clear()
    client.send(encode(StatusRequest(name)))
    daemon.clock.advance(0)
    header, _, rest = client.transport.value().partition(END_OF_MESSAGE)
    message = decode(header + END_OF_MESSAGE)
    if isinstance(message, StatusFollows):
        assert len(rest) == message.size
        return from_json(rest)
    assert isinstance(message, ManagementRefused)
    return message


def status_of(daemon: MemoryDaemon, name: str | None = None) -> Status:
    status = ask(daemon, daemon.connect(), name)
    assert isinstance(status, Status)
    return status


def statuses(client: MemoryClient) -> int:
    """Return how many statuses have come since the last call."""
    data: bytes = client.transport.value()
    client.transport.clear()
    return data.count(END_OF_MESSAGE)


def test_one_after_the_other_is_answered_however_many_are_asked_for() -> None:
    daemon = MemoryDaemon()
    client = daemon.connect().send(lock("R1"))
    client.send(xml(1, 8, '<resource name="UjE="/>'))
    other = daemon.connect()
    for _ in range(3):
        other.send(encode(StatusRequest(None)) + encode(StatusRequest("R1")))
    assert statuses(other) == 0
    daemon.clock.pump([0] * 60)
    assert statuses(other) == 6


def test_too_many_requests_at_once_end_the_connection(log: list[LogEvent]) -> None:
    daemon = MemoryDaemon()
    client = daemon.connect()
    client.send(encode(StatusRequest(None)) * (MOST_TO_SHOW + 1))
    assert not client.transport.disconnecting
    client.send(encode(StatusRequest(None)))
    assert client.transport.disconnecting
    [line] = warnings(log)
    assert line.endswith("more than 100 requests for the status before they are answered")


def test_the_next_is_not_written_before_the_last_is_on_its_way() -> None:
    daemon = MemoryDaemon()
    client = daemon.connect().send(encode(StatusRequest(None)) * 3)
    client.protocol.pauseProducing()  # what came first is more than is taken
    daemon.clock.pump([0] * 60)
    assert statuses(client) == 1
    client.protocol.resumeProducing()
    daemon.clock.pump([0] * 60)
    assert statuses(client) == 2


def test_requests_that_come_while_one_is_written_share_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str | None] = []

    def write(arbiter: Any, counters: Any, clock: Any, key: str | None) -> Deferred[bytes]:
        written.append(key)
        return deferLater(clock, 1.0, lambda: str(len(written)).encode())

    monkeypatch.setattr("flom.server.snapshot.write_status", write)
    clock = Clock()
    statuses = Statuses(DeferredArbiter(clock), Counters(), clock)
    got: list[bytes] = []
    for key, leaves in ((None, False), (None, False), (None, False), (None, True), ("R1", True)):
        asked = statuses.write(key).addCallback(got.append).addErrback(lambda failure: failure.trap(CancelledError))
        if leaves:
            asked.cancel()
    clock.pump([1.0] * 4)
    assert (written, got) == ([None, None], [b"1", b"2", b"2"])


class Turns(Clock):
    """
    A clock whose calls are made one by one.

    @ivar due: those that are to be made.
    """

    def __init__(self) -> None:
        super().__init__()
        self.due: list[Any] = []

    def callLater(self, delay: float, callable: Any, *args: object, **kw: object) -> Any:
        self.due.append(callable)


def test_turns_are_as_short_when_the_wall_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    passed, wall = count(), count(0, -3600)
    monkeypatch.setattr("flom.server.snapshot.monotonic", lambda: next(passed))
    monkeypatch.setattr("time.time", lambda: next(wall))
    clock = Turns()
    written: list[bytes] = []
    write_in_turns(clock, "abcde").addCallback(written.append)
    turns = 0
    while clock.due:
        clock.due.pop()()
        turns += 1
    assert (turns, written) == (6, [b"abcde"])


FIRST_TOKEN: Final = str((1 << 32) + 1)  # where the wall clock is at 0


def test_it_shows_holders_and_waiters() -> None:
    daemon = MemoryDaemon()
    daemon.connect().send(lock("R1", mode=3))
    daemon.clock.advance(1.5)
    daemon.connect("192.0.2.7").send(lock("R1"))
    daemon.clock.advance(0.5)
    [resource] = status_of(daemon).resources
    assert (resource.name, resource.type, resource.seconds, resource.free, resource.idle_left) == (
        *("R1", "simple", 2.0, None, None),
    )
    expected = LockStatus(3, f"{HOST}/40000", "0123", None, None, "R1", "PR", None, None, 2.0, token=FIRST_TOKEN)
    assert resource.holders == (expected,)
    assert resource.waiters == (LockStatus(4, "192.0.2.7/40000", "0123", None, None, "R1", "EX", None, None, 0.5),)


def test_it_shows_what_a_lock_delay_keeps_and_for_how_long() -> None:
    clock = Clock()
    arbiter = DeferredArbiter(clock)
    for name in ("R1", "N[3]"):
        Session(arbiter).ask(name, wishes=Wishes(lock_delay=10.0)).leave()
    clock.advance(2.0)
    simple, numeric = take_status(arbiter, Counters(started=0.0)).resources
    assert (simple.holders, simple.waiters) == ((), ())
    [lost] = simple.lost
    assert lost == LostStatus(lost.number, "R1", "EX", None, None, 8.0)
    assert numeric.lost == (LostStatus(numeric.lost[0].number, "N[3]", None, 1, None, 8.0),)


@pytest.mark.parametrize(
    ("name", "type", "mode", "quantity", "element", "free"),
    [
        ("N[5]", "numeric", None, 2, None, 3),
        ("red.green", "set", None, None, "red", ("green",)),
        ("/a/b", "hierarchical", "EX", None, None, None),
        ("_S_a[2]", "sequence", None, None, "1", 1),
    ],
)
def test_each_type_shows_what_it_has(
    name: str, type: str, mode: str | None, quantity: int | None, element: str | None, free: Any
) -> None:
    daemon = MemoryDaemon()
    daemon.connect().send(lock(name, quantity=2))
    [resource] = status_of(daemon).resources
    assert (resource.type, resource.free) == (type, free)
    who = (f"{HOST}/40000", "0123", None, None)
    assert resource.holders == (LockStatus(3, *who, name, mode, quantity, element, 0.0, token=FIRST_TOKEN),)


def test_it_tells_of_the_daemon_and_its_counts() -> None:
    daemon = MemoryDaemon()
    daemon.connect().send(lock())
    daemon.connect().send(lock(wait=0))
    daemon.connect().send(b"nonsense</msg>")
    told = status_of(daemon).daemon
    assert (told.version, told.group, told.role) == (__version__, "", "")
    assert told.counts.granted == 1
    assert told.counts.refused == {"busy": 1}
    assert (told.counts.connections, told.counts.protocol_errors) == (4, 1)
    assert sum(told.counts.waited.values()) == 1


def test_a_waiter_for_creation_is_shown() -> None:
    daemon = MemoryDaemon()
    daemon.connect().send(lock("R1", create=0))
    [waiter] = status_of(daemon).incubator
    assert waiter.name == "R1"


def test_one_resource_may_be_asked_for_and_more_than_once() -> None:
    daemon = MemoryDaemon()
    for name in ("R1", "R2", "/a/b"):
        daemon.connect().send(lock(name))
    client = daemon.connect()
    for wanted, shown in (("R1", ["R1"]), ("/a", ["/a/b"]), ("R9", []), (None, ["R1", "R2", "/a/b"])):
        status = ask(daemon, client, wanted)
        assert isinstance(status, Status)
        assert [resource.name for resource in status.resources] == shown


@pytest.mark.parametrize(
    ("host", "options", "may"),
    [
        (HOST, ServerOptions(), True),
        ("192.0.2.7", ServerOptions(), False),
        ("192.0.2.7", ServerOptions(status_for_all=True), True),
    ],
)
def test_it_is_shown_to_clients_that_may_see_it(host: str, options: ServerOptions, may: bool) -> None:
    daemon = MemoryDaemon(options)
    assert isinstance(ask(daemon, daemon.connect(host)), Status) is may


def test_it_is_shown_to_clients_with_a_certificate() -> None:
    daemon = MemoryDaemon(replace(ServerOptions(), tls=FakeTls()))  # type: ignore[arg-type]
    stranger, trusted = daemon.connect("192.0.2.7"), daemon.connect("192.0.2.7")
    trusted.protocol.handshakeCompleted()
    assert isinstance(ask(daemon, stranger), ManagementRefused)
    assert isinstance(ask(daemon, trusted), Status)


def test_a_client_of_ours_may_ask_after_the_harmless_question() -> None:
    daemon = MemoryDaemon()
    client = daemon.connect()
    probe = lock("statusprobe01", wait=0, create=0).replace(b'step="8"', b'step="8" extended="1"')
    [answer] = client.send(probe).received()
    assert answer.extended  # type: ignore[union-attr]
    status = ask(daemon, client)
    assert isinstance(status, Status)
    assert status.daemon.counts.refused == {}


def test_a_client_of_flom_s_that_has_locked_may_not() -> None:
    client = MemoryDaemon().connect().send(lock())
    client.send(encode(StatusRequest()))
    assert client.transport.disconnecting


def test_a_connection_for_the_status_takes_no_lock() -> None:
    daemon = MemoryDaemon()
    client = daemon.connect()
    ask(daemon, client)
    assert client.send(lock()).transport.disconnecting


def test_a_client_that_has_gone_is_not_answered() -> None:
    daemon = MemoryDaemon()
    client = daemon.connect().send(encode(StatusRequest()))
    client.leave()
    daemon.clock.advance(0)
    assert client.transport.value() == b""


@pytest.mark.parametrize("asked", [xml(5, 8, '<status name="%%"/>'), xml(5, 8, '<status name="bm8gbmFtZQ=="/>')])
def test_a_name_that_is_none_ends_the_connection(asked: bytes) -> None:
    client = MemoryDaemon().connect().send(asked)
    assert client.transport.disconnecting


def test_a_lock_of_this_process_is_shown_as_such() -> None:
    arbiter = DeferredArbiter(Clock())
    arbiter.acquire("R1")
    [resource] = take_status(arbiter, Counters()).resources
    assert resource.holders[0].address == "this process"
    assert resource.holders[0].pid is not None


def test_deadlocks_are_shown_where_all_resources_are() -> None:
    daemon = MemoryDaemon()
    for client, name in (("10.0.0.1", "A"), ("10.0.0.2", "B"), ("10.0.0.1", "B")):
        daemon.connect(client).send(lock(name))
    assert status_of(daemon).deadlocks == ()
    daemon.connect("10.0.0.2").send(lock("A"))
    [circle] = status_of(daemon).deadlocks
    assert [(step.waiter.name, step.holder.address) for step in circle.steps] == [
        ("B", "10.0.0.2/40000"),
        ("A", "10.0.0.1/40000"),
    ]
    assert status_of(daemon, "A").deadlocks == ()

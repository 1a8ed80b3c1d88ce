"""A reactor whose turns are ours does what it did before."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.pollreactor import PollReactor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from flom.reactor import loop
from flom.reactor.loop import speed_up
from tests.fakes.failures import failures_logged


@implementer(IReadWriteDescriptor)
class End:
    """
    One end of a pair of sockets.

    @ivar did: what the reactor has called.
    """

    def __init__(self, socket: socket.socket) -> None:
        self.socket = socket
        self.did: list[str] = []
        self.on_read: Callable[[], Any] = lambda: None
        self.on_write: Callable[[], None] = lambda: None
        self.on_lost: Callable[[], None] = lambda: None

    def fileno(self) -> int:
        return self.socket.fileno()

    def logPrefix(self) -> str:
        return "end"

    def doRead(self) -> Failure | None:
        self.did.append(f"read {self.socket.recv(100)!r}")
        why: Failure | None = self.on_read()
        return why

    def doWrite(self) -> None:
        self.did.append("write")
        self.on_write()

    def connectionLost(self, reason: Failure) -> None:
        self.did.append(f"lost: {reason.getErrorMessage()}")
        self.on_lost()


def close(reactor: Any) -> None:
    """Close the waker of C{reactor}."""
    reactor.waker.connectionLost(Failure(CONNECTION_DONE))


@pytest.fixture
def pairs() -> Iterator[list[tuple[End, socket.socket]]]:
    """Two ends for the reactor, each with the one that the test has."""
    pairs = [socket.socketpair() for _ in range(2)]
    yield [(End(ours), theirs) for ours, theirs in pairs]
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


@pytest.fixture
def reactor(pairs: list[tuple[End, socket.socket]]) -> Iterator[Any]:
    """A reactor of our own that reads from the ends."""
    reactor: Any = EPollReactor()
    assert speed_up(reactor), "this Twisted is not as we know it"
    for end, _ in pairs:
        reactor.addReader(end)
    yield reactor
    reactor.removeAll()
    close(reactor)


@pytest.fixture
def end(pairs: list[tuple[End, socket.socket]]) -> End:
    return pairs[0][0]


@pytest.fixture
def other(pairs: list[tuple[End, socket.socket]]) -> socket.socket:
    return pairs[0][1]


def test_what_can_be_read_is_read(reactor: Any, end: End, other: socket.socket) -> None:
    reactor.doIteration(0)
    other.send(b"hello")
    reactor.doIteration(None)
    reactor.doIteration(0)
    assert end.did == ["read b'hello'"]


def test_a_writer_writes(reactor: Any, end: End, other: socket.socket) -> None:
    end.on_write = lambda: reactor.removeWriter(end)
    for _ in range(2):
        reactor.addWriter(end)
        reactor.doIteration(0)
        other.send(b"hello")
    assert end.did == ["write", "read b'hello'", "write"]


def test_what_comes_meanwhile_is_read_in_the_same_turn(reactor: Any, end: End, other: socket.socket) -> None:
    answers = [b"a", b"b", b""]
    end.on_read = lambda: other.send(answers.pop(0)) and None
    other.send(b"hello")
    reactor.doIteration(0)
    assert end.did == ["read b'hello'", "read b'a'", "read b'b'"]


class TestAwake:
    """A turn that had events does not sleep at once."""

    def test_what_comes_soon_is_read_in_the_same_turn(
        self, reactor: Any, end: End, other: socket.socket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers = [b"soon"]

        def use_processor() -> None:
            """Do what another process does meanwhile."""
            if answers:
                other.send(answers.pop())

        monkeypatch.setattr(loop, "sched_yield", use_processor)
        other.send(b"hello")
        reactor.doIteration(0)
        assert end.did == ["read b'hello'", "read b'soon'"]

    def test_a_timer_that_is_due_is_not_kept_waiting(
        self, reactor: Any, end: End, other: socket.socket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        yielded: list[None] = []
        monkeypatch.setattr(loop, "sched_yield", lambda: yielded.append(None))
        end.on_read = lambda: reactor.callLater(0, lambda: None) and None
        other.send(b"hello")
        reactor.doIteration(0)
        assert end.did == ["read b'hello'"]
        assert not yielded

    def test_a_turn_without_events_ends_at_once(self, reactor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        yielded: list[None] = []
        monkeypatch.setattr(loop, "sched_yield", lambda: yielded.append(None))
        reactor.doIteration(0)
        assert not yielded

    @pytest.mark.parametrize("lost", [0.001, 0.004, 0.02])
    def test_where_others_need_the_processor_it_is_left_to_them(
        self, reactor: Any, other: socket.socket, monkeypatch: pytest.MonkeyPatch, lost: float
    ) -> None:
        """Less than half a per cent of the time is lost to them by yielding."""
        clock, yielded = Clock(), []

        def run_another_process() -> None:
            yielded.append(clock.seconds())
            clock.advance(lost)

        monkeypatch.setattr(loop, "monotonic", clock.seconds)
        monkeypatch.setattr(loop, "sched_yield", run_another_process)
        while clock.seconds() < 100:
            other.send(b"hello")
            reactor.doIteration(0)
            clock.advance(0.02)
        assert 0.2 < len(yielded) * lost < 0.5


def test_but_a_turn_ends_although_there_is_always_more(reactor: Any, end: End) -> None:
    reactor.addWriter(end)
    reactor.doIteration(0)
    assert set(end.did) == {"write"}


def test_an_end_with_nothing_more_to_read_is_disconnected(reactor: Any, end: End, other: socket.socket) -> None:
    end.on_read = lambda: CONNECTION_DONE
    other.send(b"bye")
    reactor.doIteration(0)
    reactor.doIteration(0)
    assert end.did == ["read b'bye'", "lost: Connection was closed cleanly."]


class TestFailing:
    @pytest.fixture
    def no_logged_failures(self) -> Iterator[list[Failure]]:
        """Yield them: these tests cause some."""
        with failures_logged() as failures:
            yield failures

    def test_an_end_that_fails_is_disconnected_and_logged(
        self, reactor: Any, end: End, other: socket.socket, no_logged_failures: list[Failure]
    ) -> None:
        def fail() -> None:
            raise ZeroDivisionError("so it is")

        end.on_read = fail
        other.send(b"oops")
        reactor.doIteration(0)
        reactor.doIteration(0)
        assert end.did == ["read b'oops'", "lost: so it is"]
        assert [failure.getErrorMessage() for failure in no_logged_failures] == ["so it is"]

    def test_the_others_are_read_in_the_turn_in_which_one_fails(
        self, reactor: Any, pairs: list[tuple[End, socket.socket]], no_logged_failures: list[Failure]
    ) -> None:
        def fail() -> None:
            raise ZeroDivisionError("so it is")

        for end, other in pairs:
            end.on_read = end.on_lost = fail
            other.send(b"oops")
        reactor.doIteration(0)
        assert [end.did for end, _ in pairs] == [["read b'oops'", "lost: so it is"]] * 2
        assert len(no_logged_failures) == 4


def test_an_end_removed_in_a_turn_is_not_read_in_the_rest_of_it(
    reactor: Any, pairs: list[tuple[End, socket.socket]]
) -> None:
    (first, to_first), (second, to_second) = pairs
    first.on_read = lambda: reactor.removeReader(second)
    second.on_read = lambda: reactor.removeReader(first)
    to_first.send(b"me")
    to_second.send(b"me")
    reactor.doIteration(0)
    assert first.did + second.did == ["read b'me'"]


class Special(EPollReactor):
    """One that may have turns of its own."""


@pytest.mark.parametrize("make", [PollReactor, Special])
def test_another_reactor_is_left_alone(make: Callable[[], Any]) -> None:
    other = make()
    before = dict(vars(other))
    assert not speed_up(other)
    assert vars(other) == before
    close(other)


def test_a_clock_is_left_alone() -> None:
    assert not speed_up(Clock())
